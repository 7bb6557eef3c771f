//! Numbers about a thread: `stat`, `syscall` and `auxv`.
//! <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_syscall.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_auxv.5.html>

use super::text::{decimal, hexadecimal, words};

/// Statistics of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The letter of its state.
    pub state: u8,
    /// The id of its parent process in the reader's pid namespace; 0 where that has none.
    pub parent: u32,
    /// The time it began, in clock ticks since boot.
    pub start_time: u64,
    /// The beginning of the program's code; 0 where that is not for this reader.
    pub start_code: u64,
    /// The beginning of its stack, alike.
    pub start_stack: u64,
}

impl Stat {
    /// Counts the fields from the last `)`, because a thread's name may hold anything: the state is the third of the
    /// manual's, the others the 4th, 22nd, 26th and 28th.
    pub(super) fn parse(stat: &[u8]) -> Option<Self> {
        let behind = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let mut fields = words(stat.get(behind..)?);
        let state = *fields.next()?.first()?;
        let parent = decimal(fields.next()?)?;
        let start_time = decimal(fields.nth(17)?)?;
        let start_code = decimal(fields.nth(3)?)?;
        let start_stack = decimal(fields.nth(1)?)?;
        Some(Self { state, parent, start_time, start_code, start_stack })
    }

    /// Reports that the thread does nothing any more.
    #[must_use]
    pub fn has_left(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The last word but one of `syscall`, if the thread is asleep: the other is the program counter.
pub(super) fn stack_pointer(syscall: &[u8]) -> Option<u64> {
    hexadecimal(words(syscall).nth_back(1)?.strip_prefix(b"0x")?)
}

/// The value of this key among pairs of words.
pub(super) fn auxiliary(vector: &[u8], key: u64) -> Option<u64> {
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let mut pairs = vector.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..])));
    pairs.find(|pair| pair.0 == Some(key))?.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_behind_any_name() {
        let stat = [b"7 (\xff) Z (b) S ", "1 ".repeat(18).as_bytes(), b"99 2 3 4 5 6 7 8 9\n"].concat();
        let expected = Stat { state: b'S', parent: 1, start_time: 99, start_code: 5, start_stack: 7 };
        assert_eq!(Stat::parse(&stat), Some(expected));
        assert!(!expected.has_left() && Stat { state: b'Z', ..expected }.has_left());
        assert_eq!(Stat::parse(b"7 (a) S 1"), None);
        assert_eq!(Stat::parse(b"7 (a)"), None);
        assert_eq!(Stat::parse(b"7"), None);
    }

    #[test]
    fn where_a_thread_sleeps() {
        let check = |syscall: &[u8], expected| assert_eq!(stack_pointer(syscall), expected, "{syscall:?}");
        check(b"202 0x7f 0x80 0x0 0x0 0x0 0x0 0x7ffc00001000 0x7f0000000010\n", Some(0x7ffc_0000_1000));
        check(b"-1 0x7ffc00001000 0x7f0000000010", Some(0x7ffc_0000_1000));
        check(b"running\n", None);
        check(b"", None);
        check(b"0x1000 \xff", Some(0x1000));
        check(b"1000 0x1", None);
    }

    #[test]
    fn keys_of_the_auxiliary_vector() {
        let vector = [6u64, 4096, 3, 0x40, 0, 0].map(u64::to_le_bytes).concat();
        assert_eq!(auxiliary(&vector, 3), Some(0x40));
        assert_eq!(auxiliary(&vector, 7), None);
        assert_eq!(auxiliary(&vector[..20], 3), None);
        assert_eq!(auxiliary(&[], 3), None);
    }
}
