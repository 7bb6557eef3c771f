//! A message's record while it is put together.
//!
//! The same code runs in the kernel and in tests. Indices are masked where they are used, so that the
//! verifier sees that they are inside; a mask never changes an index that [`MessageBuilder`] itself made.

use crate::record::{
    BY_LEN, METHOD_MAX, Message, NO_GRPC_STATUS, PATH_MAX, VALUE_CUT, VALUE_MAX, VALUES_MAX, ValueHead, message,
};

/// A power of two, and at least what follows a [`Message`] at most.
const TAIL: usize = 1024;
const MASK: usize = TAIL - 1;
/// After the end, so that [`VALUE_MAX`] or [`PATH_MAX`] bytes can be copied to any masked index.
const SLACK: usize = 256;
const _: () = assert!(METHOD_MAX + PATH_MAX + VALUES_MAX * (size_of::<ValueHead>() + VALUE_MAX) + BY_LEN <= TAIL);
const _: () = assert!(size_of::<u64>() <= SLACK && METHOD_MAX <= SLACK && PATH_MAX <= SLACK && VALUE_MAX <= SLACK);

/// A message that is being put together: method, path, then values, in this order.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MessageBuilder {
    /// The record's fixed part. Its lengths and its number of values grow with the rest.
    pub record: Message,
    /// The bytes behind the fixed part.
    pub tail: [u8; TAIL + SLACK],
    /// The number of bytes of it.
    len: u32,
    /// The place of the last value's [`ValueHead`] in `tail`.
    value_at: u32,
}

impl MessageBuilder {
    /// Nothing yet, in this record.
    #[must_use]
    pub const fn of(record: Message) -> Self {
        Self { record, tail: [0; TAIL + SLACK], len: 0, value_at: 0 }
    }

    /// Begins a new message.
    #[inline(always)]
    pub fn clear(&mut self) {
        let record = &mut self.record;
        clear(&mut record.substream);
        clear(&mut record.status);
        clear(&mut record.flags);
        clear(&mut record.method_len);
        clear(&mut record.path_len);
        clear(&mut record.values);
        clear(&mut record.zero);
        record.grpc_status = NO_GRPC_STATUS;
        clear(&mut self.len);
        clear(&mut self.value_at);
    }

    /// The length of the whole record in bytes: at most [`crate::record::MESSAGE_MAX`].
    #[inline(always)]
    #[must_use]
    pub fn record_len(&self) -> u32 {
        size_of::<Message>() as u32 + self.len
    }

    /// The bytes that follow the fixed part.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        self.tail.get(..self.len as usize).unwrap_or(&[])
    }

    /// Adds a byte to the method; `false` if it is too long for any method that is known.
    #[inline(always)]
    pub fn push_method(&mut self, byte: u8) -> bool {
        let fits = usize::from(self.record.method_len) < METHOD_MAX;
        if fits {
            self.push(byte);
            self.record.method_len += 1;
        }
        fits
    }

    /// Sets the method, which is the first `len` bytes of the word, after [`MessageBuilder::clear`]. At most [`METHOD_MAX`].
    #[inline(always)]
    pub fn set_method(&mut self, word: u64, len: u8) {
        self.push_bytes(word, u32::from(len));
        self.record.method_len = len;
    }

    /// Adds the first `count` bytes of the word, at most 8, to the path; `false`, and none, if there may be no room
    /// for all.
    #[inline(always)]
    pub fn push_path_bytes(&mut self, word: u64, count: u32) -> bool {
        let fits = usize::from(self.record.path_len) + size_of::<u64>() <= PATH_MAX;
        if fits {
            self.push_bytes(word, count);
            self.record.path_len += count as u8;
        }
        fits
    }

    /// Adds a byte to the path.
    #[inline(always)]
    pub fn push_path(&mut self, byte: u8) {
        if usize::from(self.record.path_len) < PATH_MAX {
            self.push(byte);
            self.record.path_len += 1;
        } else {
            self.record.flags |= message::PATH_CUT;
        }
    }

    /// Begins the value of the header at this place of the list of allowed names; `false` if there is no
    /// room for one more.
    #[inline(always)]
    pub fn begin_value(&mut self, name: u8) -> bool {
        if usize::from(self.record.values) >= VALUES_MAX {
            return false;
        }
        self.value_at = self.len;
        self.push(name & !VALUE_CUT);
        self.push(0);
        self.record.values += 1;
        true
    }

    /// Adds a byte to the value that was begun.
    #[inline(always)]
    pub fn push_value(&mut self, byte: u8) {
        let at = self.value_at as usize;
        let len = self.tail[(at + 1) & MASK];
        if usize::from(len) < VALUE_MAX {
            self.tail[(at + 1) & MASK] = len + 1;
            self.push(byte);
        } else {
            self.tail[at & MASK] |= VALUE_CUT;
        }
    }

    /// Adds the first `count` bytes of the word, at most 8, to the value that was begun; `false`, and none, if there
    /// may be no room for all.
    #[inline(always)]
    pub fn push_value_bytes(&mut self, word: u64, count: u32) -> bool {
        let at = self.value_at as usize;
        let len = self.tail[(at + 1) & MASK];
        let fits = usize::from(len) + size_of::<u64>() <= VALUE_MAX;
        if fits {
            self.tail[(at + 1) & MASK] = len + count as u8;
            self.push_bytes(word, count);
        }
        fits
    }

    /// Takes back blanks from the end of the value that was begun.
    #[inline(always)]
    pub fn trim_value(&mut self, blanks: u32) {
        let at = self.value_at as usize;
        // Blanks beyond what fits were never pushed.
        let len = u32::from(self.tail[(at + 1) & MASK]);
        let is_cut = self.tail[at & MASK] & VALUE_CUT != 0;
        let blanks = if is_cut { 0 } else { blanks.min(len) };
        self.tail[(at + 1) & MASK] = (len - blanks) as u8;
        self.len = self.len.wrapping_sub(blanks);
    }

    /// Returns the place for the next bytes, and takes note of `len` of them: for whoever copies them there by itself.
    /// At most `SLACK` bytes.
    #[inline(always)]
    pub fn room(&mut self, len: u32) -> *mut u8 {
        let at = self.len as usize & MASK;
        self.len += len;
        self.tail[at..].as_mut_ptr()
    }

    /// Ends the record with the id of the task that the thread runs; `None`: that cannot be read.
    #[inline(always)]
    pub fn set_by(&mut self, id: Option<u64>) {
        self.record.flags |= match id {
            Some(_) => message::BY,
            None => message::BY | message::BY_UNREADABLE,
        };
        let to = self.room(BY_LEN as u32);
        // SAFETY: `SLACK` bytes follow each place that a draft can end at.
        unsafe { to.cast::<u64>().write_unaligned(id.unwrap_or(0)) };
    }

    /// Notes the length of the value that was begun; `cut`: it was longer.
    #[inline(always)]
    pub fn set_value(&mut self, len: u8, cut: bool) {
        let at = self.value_at as usize;
        self.tail[(at + 1) & MASK] = len;
        if cut {
            self.tail[at & MASK] |= VALUE_CUT;
        }
    }

    /// Adds the first `count` bytes of the word. What follows them is not left behind either.
    #[inline(always)]
    fn push_bytes(&mut self, word: u64, count: u32) {
        let kept = if count < 8 { word & !(u64::MAX << ((count & 7) * 8)) } else { word };
        // SAFETY: `SLACK` bytes follow each masked place.
        unsafe { self.tail.as_mut_ptr().add(self.len as usize & MASK).cast::<u64>().write_unaligned(kept.to_le()) };
        self.len += count;
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.tail[self.len as usize & MASK] = byte;
        self.len += 1;
    }
}

/// Sets it to zero, by itself: of neighbours that are set together the compiler makes a loop over their
/// bytes, through which the verifier goes step by step.
#[inline(always)]
pub(crate) fn clear<T: Default>(place: &mut T) {
    // SAFETY: a reference is valid for writes.
    unsafe { core::ptr::from_mut(place).write_volatile(T::default()) };
}
