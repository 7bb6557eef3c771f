//! Samples as events hold them, and what the probe takes for them. The bytes of stacks in that are no part of
//! an event: they end where they are unwound.

use probe_common::record::{self, Kind, OFF_CPU_STACK_MAX, STACK_MAX, flags};
use zerocopy::{FromBytes as _, TryFromBytes};

use super::{Running, fields};

/// The most frames of a stack.
pub const FRAMES_MAX: usize = 512;

/// The extent to which a stack was unwound. The value is what records hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, TryFromBytes)]
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

    /// Returns `true` if all frames are there up to where the stack was to end.
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
}

/// A sample as the probe took it: a thread's registers and the bytes of its stack from the stack pointer on.
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

    /// Reports which task ran.
    #[must_use]
    pub fn running(&self) -> Running {
        fields::running(self.sample.id, self.sample.head)
    }

    /// Returns `true` if the thread was in the kernel.
    #[must_use]
    pub fn is_in_kernel(&self) -> bool {
        self.sample.head.flags & flags::IN_KERNEL != 0
    }
}

/// An off-CPU thread's registers and the bytes of its stack, as it was when it was switched out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOffCpu<'a> {
    /// The record's fixed part.
    pub off_cpu: record::OffCpuStack,
    /// The bytes of the stack, as far as they were read.
    pub stack: &'a [u8],
}

impl<'a> TakenOffCpu<'a> {
    /// Reads the probe's record; `None` for another kind.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        Self::kept(bytes).filter(|taken| taken.off_cpu.head.kind == Kind::OffCpuStack as u8)
    }

    /// Reads what the probe keeps and has not reported, which has no kind.
    #[must_use]
    pub fn kept(bytes: &'a [u8]) -> Option<Self> {
        let (off_cpu, stack) = record::OffCpuStack::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(off_cpu.stack_len).ok().filter(|&len| len <= OFF_CPU_STACK_MAX)?;
        (stack.len() == len).then_some(Self { off_cpu, stack })
    }
}

/// The probe's record of a thread that was off the CPU outside of a system call; `None` for another kind.
#[must_use]
pub fn off_cpu_outside(bytes: &[u8]) -> Option<record::OffCpuOutside> {
    let record = record::OffCpuOutside::read_from_bytes(bytes).ok()?;
    (record.head.kind == Kind::OffCpuOutside as u8).then_some(record)
}

#[cfg(test)]
mod tests {
    use probe_common::record::Head;
    use zerocopy::IntoBytes as _;

    use super::super::TaskId;
    use super::*;
    use crate::{
        event::{At, Event, What, decode::decode, encode::encode},
        facts::Function,
    };

    fn encoded(what: What) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Event { at: At::default(), what }, &mut bytes);
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
        let head = Head { kind: Kind::OffCpuStack as u8, ..head };
        let off_cpu = record::OffCpuStack { head, since: 1, ip: 8, bp: 9, bx: 10, r: [0; 4], stack_len: 4, outside: 8 };
        let bytes = [off_cpu.as_bytes(), b"keys"].concat();
        assert!(decode(&bytes).is_err() && Taken::read(&bytes).is_none());
        assert_eq!(TakenOffCpu::read(&bytes).unwrap().stack, b"keys");
        assert_eq!(TakenOffCpu::read(&bytes[..bytes.len() - 1]), None);
        let outside =
            record::OffCpuOutside { head: Head { kind: Kind::OffCpuOutside as u8, ..head }, since: 1, outside: 8 };
        assert!(decode(outside.as_bytes()).is_err() && TakenOffCpu::read(outside.as_bytes()).is_none());
        assert_eq!(off_cpu_outside(outside.as_bytes()), Some(outside));
        assert_eq!(off_cpu_outside(&outside.as_bytes()[1..]), None);
        assert_eq!(off_cpu_outside(record::OffCpuOutside { head, ..outside }.as_bytes()), None);
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        let stack = encoded(What::Stack { stack: 1, ended: Ended::Poll, frames: vec![5, 6] });
        let function = Function { name: "svc::work".into(), or_another: true, file: "src/main.rs".into(), line: 7 };
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
