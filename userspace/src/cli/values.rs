//! The values of options that choose one of several, as users write them.

use clap::ValueEnum;

use asyncscope_view::{samples::GroupBy, weight::Weight};

/// A value of `--weight`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum WeightArgument {
    /// Time inside polls, but for other tasks' polls nested in them.
    Busy,
    /// Busy and waiting time together.
    Wall,
    /// Time between polls: ready or waiting.
    Wait,
    /// CPU time, by samples: of a run with --mode sample.
    Cpu,
}

impl From<WeightArgument> for Weight {
    fn from(argument: WeightArgument) -> Self {
        match argument {
            WeightArgument::Busy => Self::Busy,
            WeightArgument::Wall => Self::Wall,
            WeightArgument::Wait => Self::Wait,
            WeightArgument::Cpu => Self::Cpu,
        }
    }
}

/// A value of `--group-by`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum GroupArgument {
    /// The tasks, under those that spawned them.
    Task,
    /// The threads, and on each the tasks.
    Thread,
    /// The requests served, each by itself, and in each the tasks. `[request not known]`: all that is not a
    /// request's for sure
    Request,
    /// The requests served, those of one method and path together, and in each such group the tasks.
    Route,
}

impl From<GroupArgument> for GroupBy {
    fn from(argument: GroupArgument) -> Self {
        match argument {
            GroupArgument::Task => Self::Task,
            GroupArgument::Thread => Self::Thread,
            GroupArgument::Request => Self::Request,
            GroupArgument::Route => Self::Route,
        }
    }
}
