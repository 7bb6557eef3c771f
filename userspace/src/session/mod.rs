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
mod privileges;
mod report;
mod task_memory;

pub use attach::syscalls::{By, Http};
pub use dump::{Dump, dump};
pub use examine::{Form, doctor, inspect};
pub use export::Wanted as WantedSpans;
pub use live::{Live, attach, run};
pub use outputs::{Destination, Outputs, Wanted};
pub use report::report;
