//! Wiring: a decided plan is carried out, from a target or a recording to outputs.

mod clock;
mod command;
mod dump;
mod examine;
#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
#[path = "no_export.rs"]
mod export;
mod http;
mod live;
mod logs;
mod observe;
mod others;
mod outputs;
mod privileges;
mod progress;
mod redact;
mod report;
mod sampler;
mod start;
mod traps;
mod typed;
mod watch;

pub use dump::{Dump, dump};
pub use examine::{Form, doctor, inspect};
pub use export::Wanted as WantedSpans;
pub use http::{By, Http};
pub use live::{Live, attach, run};
pub use outputs::{Destination, Outputs, Wanted};
pub use report::report;
