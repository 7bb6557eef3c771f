//! What tests of the graph, and of what is made of it, are written with.

mod events;
#[expect(clippy::unwrap_used, clippy::panic, reason = "a script that is wrong fails its test")]
pub mod script;

use asyncscope_trace::facts::{Facts, PollFunction, Sampling};

pub use events::any_events;

/// Of a run that sampled, with the code of three poll functions: of the first type, of the first two, and of
/// workers.
pub fn sampled() -> Facts {
    let code = |start, vtables: &[u64]| PollFunction { start, end: start + 10, vtables: vtables.to_vec() };
    Facts {
        sampling: Some(Sampling { frequency_hz: 100, stacks: true, requests: true }),
        polls: vec![code(100, &[1]), code(200, &[1, 2]), code(300, &[9])],
        ..script::facts(true)
    }
}
