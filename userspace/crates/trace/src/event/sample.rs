//! Samples as events hold them, and their records. The bytes of stacks that the probe takes are no part of
//! either: they end where they are unwound.

use probe_common::record::{self, BLOCKED_STACK_MAX, Head, Kind, STACK_MAX, flags};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{TaskId, TaskRef, What};
use crate::facts::{Function, INLINED_MAX, NAME_MAX, shortened};

/// [`Head::kind`] of a sample.
pub const SAMPLE: u8 = 67;
/// [`Head::kind`] of a stack, told once.
pub const STACK: u8 = 68;
/// [`Head::kind`] of what code at an address is called, told once.
pub const CODE: u8 = 69;
/// [`Head::kind`] of a [`BlockedAt`].
pub const BLOCKED_AT: u8 = 70;
/// [`Head::kind`] of what type a task is, told once.
pub const TYPED: u8 = 71;

/// The most frames of a stack.
pub const FRAMES_MAX: usize = 512;
/// The longest of these records in bytes.
pub const MAX_LEN: usize = {
    let stack = size_of::<StackHead>() + FRAMES_MAX * 8;
    let code = size_of::<CodeHead>() + INLINED_MAX * (size_of::<FunctionHead>() + 2 * NAME_MAX);
    if stack > code { stack } else { code }
};

/// Which task a thread runs, by tokio's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Running {
    /// This one.
    Task(TaskId),
    /// None.
    Nothing,
    /// The word could not be read.
    Unknown,
}

impl Running {
    pub(super) fn of(id: u64, head: Head) -> Self {
        match id {
            _ if head.flags & flags::ID_UNREADABLE != 0 => Self::Unknown,
            0 => Self::Nothing,
            id => Self::Task(TaskId(id)),
        }
    }

    /// The task, if it is one.
    #[must_use]
    pub fn task(self) -> Option<TaskId> {
        if let Self::Task(id) = self { Some(id) } else { None }
    }

    /// The id, and the flag.
    pub(super) fn raw(self) -> (u64, u8) {
        match self {
            Self::Task(id) => (id.0, 0),
            Self::Nothing => (0, 0),
            Self::Unknown => (0, flags::ID_UNREADABLE),
        }
    }
}

/// How far a stack was unwound. The value is what records hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Ended {
    /// It was not unwound at all.
    #[default]
    NotUnwound = 0,
    /// At a poll function: the last frame lies in it.
    Poll = 1,
    /// At the thread's first function.
    Thread = 2,
    /// At code of no file that was mapped when the hooks were armed.
    NoModule = 3,
    /// At code without an entry in its file's unwind table.
    NoTable = 4,
    /// At an entry of the unwind table that is not understood.
    NotUnderstood = 5,
    /// At the end of what was copied of the stack.
    Cut = 6,
    /// At more frames than are kept.
    TooDeep = 7,
}

impl Ended {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 8] = [
        Self::NotUnwound,
        Self::Poll,
        Self::Thread,
        Self::NoModule,
        Self::NoTable,
        Self::NotUnderstood,
        Self::Cut,
        Self::TooDeep,
    ];

    /// Whether all frames are there up to where the stack was to end.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Poll | Self::Thread)
    }

    /// For people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotUnwound => "not unwound",
            Self::Poll => "reached the poll function",
            Self::Thread => "reached the thread's start",
            Self::NoModule => "code of no file that was mapped at the attach",
            Self::NoTable => "code without unwind information",
            Self::NotUnderstood => "unwind information that is not understood",
            Self::Cut => "deeper than what is copied of a stack",
            Self::TooDeep => "more frames than are kept",
        }
    }

    fn from_u32(value: u32) -> Option<Self> {
        Self::ALL.get(value as usize).copied()
    }
}

/// A [`record::Blocked`] with the stack at which the thread was blocked.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct BlockedAt {
    /// Every record's start.
    pub head: Head,
    /// When it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// A stack that was told; not 0.
    pub stack: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct SampleRecord {
    head: Head,
    id: u64,
    stack: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct TypedRecord {
    head: Head,
    task: record::Task,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct StackHead {
    head: Head,
    stack: u64,
    ended: u32,
    count: u32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct CodeHead {
    head: Head,
    address: u64,
    count: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct FunctionHead {
    line: u32,
    name_len: u16,
    file_len: u16,
}

const _: () = {
    assert!(Kind::from_u8(SAMPLE).is_none() && Kind::from_u8(STACK).is_none());
    assert!(Kind::from_u8(BLOCKED_AT).is_none() && Kind::from_u8(CODE).is_none() && Kind::from_u8(TYPED).is_none());
    assert!(MAX_LEN <= u16::MAX as usize);
};

/// What the probe took: a thread's registers and the bytes of its stack from the stack pointer on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The record's fixed part.
    pub sample: record::Sample,
    /// The bytes of the stack, as far as they were read.
    pub stack: &'a [u8],
}

impl<'a> Taken<'a> {
    /// Reads the probe's record; `None` for another kind.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (sample, stack) = record::Sample::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(sample.stack_len).ok().filter(|&len| len <= STACK_MAX)?;
        let fits = sample.head.kind == Kind::Sample as u8 && stack.len() == len;
        fits.then_some(Self { sample, stack })
    }

    /// Which task ran.
    #[must_use]
    pub fn running(&self) -> Running {
        Running::of(self.sample.id, self.sample.head)
    }

    /// Whether the thread was in the kernel.
    #[must_use]
    pub fn is_in_kernel(&self) -> bool {
        self.sample.head.flags & flags::IN_KERNEL != 0
    }
}

/// A blocked thread's registers and the bytes of its stack, as it was when it was switched out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBlocked<'a> {
    /// The record's fixed part.
    pub blocked: record::BlockedStack,
    /// The bytes of the stack, as far as they were read.
    pub stack: &'a [u8],
}

impl<'a> TakenBlocked<'a> {
    /// Reads the probe's record; `None` for another kind.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        Self::kept(bytes).filter(|taken| taken.blocked.head.kind == Kind::BlockedStack as u8)
    }

    /// The same of what the probe keeps and has not told, which has no kind.
    #[must_use]
    pub fn kept(bytes: &'a [u8]) -> Option<Self> {
        let (blocked, stack) = record::BlockedStack::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(blocked.stack_len).ok().filter(|&len| len <= BLOCKED_STACK_MAX)?;
        (stack.len() == len).then_some(Self { blocked, stack })
    }
}

/// The probe's record of a thread that was blocked outside of a system call; `None` for another kind.
#[must_use]
pub fn blocked_outside(bytes: &[u8]) -> Option<record::BlockedOutside> {
    let record = record::BlockedOutside::read_from_bytes(bytes).ok()?;
    (record.head.kind == Kind::BlockedOutside as u8).then_some(record)
}

/// What one of these records says; `None` where it contradicts itself.
pub(super) fn decode(head: Head, bytes: &[u8]) -> Option<What> {
    match head.kind {
        SAMPLE => {
            let SampleRecord { id, stack, .. } = SampleRecord::read_from_bytes(bytes).ok()?;
            let in_kernel = head.flags & flags::IN_KERNEL != 0;
            Some(What::Sample { running: Running::of(id, head), stack, in_kernel })
        }
        TYPED => {
            let TypedRecord { task, .. } = TypedRecord::read_from_bytes(bytes).ok()?;
            Some(What::Typed { task: super::decode::task_ref(task) })
        }
        STACK => stack(bytes),
        CODE => code(bytes),
        _ => None,
    }
}

fn stack(bytes: &[u8]) -> Option<What> {
    let (StackHead { stack, ended, count, .. }, rest) = StackHead::read_from_prefix(bytes).ok()?;
    let count = usize::try_from(count).ok().filter(|&count| count <= FRAMES_MAX && rest.len() == count * 8)?;
    let words = rest.chunks_exact(8).take(count);
    let frames = words.map(|word| word.try_into().map_or(0, u64::from_le_bytes)).collect();
    Some(What::Stack { stack, ended: Ended::from_u32(ended)?, frames })
}

fn code(bytes: &[u8]) -> Option<What> {
    let (CodeHead { address, count, .. }, mut rest) = CodeHead::read_from_prefix(bytes).ok()?;
    if count > INLINED_MAX as u64 {
        return None;
    }
    let mut functions = Vec::new();
    for _ in 0..count {
        let (FunctionHead { line, name_len, file_len }, tail) = FunctionHead::read_from_prefix(rest).ok()?;
        let (name, tail) = tail.split_at_checked(usize::from(name_len).min(NAME_MAX + 1))?;
        let (file, tail) = tail.split_at_checked(usize::from(file_len).min(NAME_MAX + 1))?;
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?;
            (text.len() <= NAME_MAX).then(|| text.to_owned())
        };
        functions.push(Function { name: text(name)?, file: text(file)?, line });
        rest = tail;
    }
    rest.is_empty().then_some(What::Code { address, functions })
}

pub(super) fn encode_sample(head: Head, running: Running, stack: u64, out: &mut Vec<u8>) {
    let (id, _) = running.raw();
    out.extend_from_slice(SampleRecord { head, id, stack }.as_bytes());
}

pub(super) fn encode_typed(head: Head, task: TaskRef, out: &mut Vec<u8>) {
    out.extend_from_slice(TypedRecord { head, task: super::encode::raw(task) }.as_bytes());
}

/// Frames beyond [`FRAMES_MAX`] have no room.
pub(super) fn encode_stack(head: Head, stack: u64, ended: Ended, frames: &[u64], out: &mut Vec<u8>) {
    let frames = &frames[..frames.len().min(FRAMES_MAX)];
    let record = StackHead { head, stack, ended: ended as u32, count: frames.len() as u32 };
    out.extend_from_slice(record.as_bytes());
    frames.iter().for_each(|frame| out.extend_from_slice(&frame.to_le_bytes()));
}

/// Functions beyond [`INLINED_MAX`], and what of a text is beyond [`NAME_MAX`], have no room.
pub(super) fn encode_code(head: Head, address: u64, functions: &[Function], out: &mut Vec<u8>) {
    let functions = &functions[..functions.len().min(INLINED_MAX)];
    out.extend_from_slice(CodeHead { head, address, count: functions.len() as u64 }.as_bytes());
    for Function { name, file, line } in functions {
        let (name, file) = (shortened(name), shortened(file));
        let head = FunctionHead { line: *line, name_len: name.len() as u16, file_len: file.len() as u16 };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(file.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{decode::decode, encode::encode};

    fn encoded(what: What) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&crate::event::Event { at: Default::default(), what }, &mut bytes);
        bytes
    }

    #[test]
    fn what_the_probe_takes_is_never_an_event() {
        let head = Head { time: 1, seq: 2, sp: 3, tid: 4, cpu: 5, kind: Kind::Sample as u8, flags: 0 };
        let sample = record::Sample { head, id: 7, ip: 8, bp: 9, bx: 10, r: [0; 4], stack_len: 4, zero: 0 };
        let bytes = [sample.as_bytes(), b"keys"].concat();
        assert!(decode(&bytes).is_err());
        let taken = Taken::read(&bytes).unwrap();
        assert_eq!((taken.stack, taken.running()), (&b"keys"[..], Running::Task(TaskId(7))));
        assert_eq!(Taken::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Taken::read(&[&bytes[..], b"!"].concat()), None);
        let head = Head { kind: Kind::BlockedStack as u8, ..head };
        let blocked =
            record::BlockedStack { head, since: 1, ip: 8, bp: 9, bx: 10, r: [0; 4], stack_len: 4, outside: 8 };
        let bytes = [blocked.as_bytes(), b"keys"].concat();
        assert!(decode(&bytes).is_err() && Taken::read(&bytes).is_none());
        assert_eq!(TakenBlocked::read(&bytes).unwrap().stack, b"keys");
        assert_eq!(TakenBlocked::read(&bytes[..bytes.len() - 1]), None);
        let outside =
            record::BlockedOutside { head: Head { kind: Kind::BlockedOutside as u8, ..head }, since: 1, outside: 8 };
        assert!(decode(outside.as_bytes()).is_err() && TakenBlocked::read(outside.as_bytes()).is_none());
        assert_eq!(blocked_outside(outside.as_bytes()), Some(outside));
        assert_eq!(blocked_outside(&outside.as_bytes()[1..]), None);
        assert_eq!(blocked_outside(record::BlockedOutside { head, ..outside }.as_bytes()), None);
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        let stack = encoded(What::Stack { stack: 1, ended: Ended::Poll, frames: vec![5, 6] });
        let function = Function { name: "svc::work".into(), file: "src/main.rs".into(), line: 7 };
        let code = encoded(What::Code { address: 1, functions: vec![function] });
        for bytes in [stack, code] {
            assert!(decode(&bytes).is_ok());
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len]).is_err(), "{len}");
            }
            assert!(decode(&[&bytes[..], b"1234567"].concat()).is_err());
            let mut many = bytes;
            many[44..48].fill(0xff);
            assert!(decode(&many).is_err());
        }
    }
}
