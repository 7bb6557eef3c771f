//! Wiring: a decided plan is carried out, from a target or a recording to outputs.

mod attach;
mod clock;
mod collect;
mod command;
mod dump;
mod examine;
mod export;
mod live;
mod outputs;
mod plan;
mod privileges;
mod report;
mod task_memory;

pub use dump::dump;
pub use examine::{InspectFormat, doctor, inspect};
pub use export::ExportOptions;
pub use live::{attach, run};
pub use outputs::{OutputFile, OutputOptions, Outputs};
pub use plan::{AttachOptions, AwaitChains, DumpPlan, HttpOptions, LivePlan, SyscallSource};
pub use report::report;
