//! What the width of a stack stands for.

use asyncscope_model::Times;

/// Below a task: its time inside polls in which its thread was off the CPU.
const OFF_CPU: &str = "[off-CPU]";
/// Below a task: the part of that which is asyncscope's doing.
const IN_TRAP: &str = "[in asyncscope's own trap]";

/// The meaning of a stack's width: nanoseconds, or samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// Time inside polls, but for other tasks' polls nested in them.
    #[default]
    Busy,
    /// Busy and waiting time together.
    Wall,
    /// Time between polls: ready or waiting.
    Wait,
    /// CPU time, by samples: of a run with --mode sample.
    Cpu,
}

impl Weight {
    /// Returns `true` for the time inside polls if it counts, and for that between them.
    pub(super) fn counts(self) -> (bool, bool) {
        (matches!(self, Self::Busy | Self::Wall), matches!(self, Self::Wall | Self::Wait))
    }

    /// A task's weight, or that of a part of one, but for what it was off the CPU.
    #[must_use]
    pub fn of(self, times: &Times) -> u64 {
        let wait = times.ready_ns.saturating_add(times.waiting_ns);
        match self {
            Self::Busy => times.on_cpu_ns(),
            Self::Wall => times.on_cpu_ns().saturating_add(wait),
            Self::Wait => wait,
            Self::Cpu => 0,
        }
    }

    /// Returns the off-CPU time, with the frame below the task's own.
    pub(super) fn off_cpu(self, times: &Times) -> [(&'static str, u64); 2] {
        let Times { off_cpu_ns, trap_ns, .. } = *times;
        let (busy, _) = self.counts();
        let counted = |ns| if busy { ns } else { 0 };
        [(OFF_CPU, counted(off_cpu_ns.saturating_sub(trap_ns))), (IN_TRAP, counted(trap_ns))]
    }

    /// Returns its meaning, for a title.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Busy => "time inside polls",
            Self::Wall => "time inside and between polls",
            Self::Wait => "time between polls",
            Self::Cpu => "CPU time",
        }
    }
}
