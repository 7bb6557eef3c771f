//! Wiring: a decided plan is carried out, from a target or a recording to outputs.

mod clock;
mod command;
mod examine;
mod live;
mod outputs;
mod progress;
mod report;
mod start;
mod watch;

pub use examine::{Form, doctor, inspect};
pub use live::{Live, attach, run};
pub use outputs::{Destination, Outputs, Wanted};
pub use report::report;
