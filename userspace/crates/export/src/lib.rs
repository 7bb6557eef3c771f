//! Spans on their way to a backend, over OTLP.
//!
//! The exporter has a thread of its own, with a runtime of its own: whoever offers it a span never waits
//! for a backend. Between the two lies a `queue::SpanQueue`, bounded by count and bytes; what finds no room there
//! is dropped and counted. A batch goes out as often as it takes, as far as the protocol allows to try
//! again. What becomes of every span is in the [`Account`].
//!
//! Nothing here knows what a span says. docs/otlp.md says what a user may rely on.

mod account;
mod queue;
mod retry;
mod settings;
mod transport;
mod verdict;
mod worker;

pub use account::Account;
pub use queue::around;
pub use settings::{Compression, Protocol, Settings, SettingsError};
pub use worker::{Destination, Exporter, Inlet, Prepared};
