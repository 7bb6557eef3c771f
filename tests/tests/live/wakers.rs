//! Who wakes and who spawns where no poll shows it: in a driver's turn, and in what follows a task's completion.

use anyhow::{Result, ensure};
use asyncscope_tests::paths;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;

use crate::Test;
use crate::scenarios::judge;

/// The truth program's scenarios that say who wakes whom.
const SCENARIOS: [&str; 2] = ["outputs", "drivers"];

pub(crate) fn tests() -> Vec<(String, Test)> {
    let both = |scenario: &'static str| {
        let attached: Test = Box::new(move || attached(scenario, &[]));
        let run: Test = Box::new(move || run(scenario));
        let storm: Test = Box::new(move || lossy(scenario));
        [
            (format!("wakers::attach::{scenario}"), attached),
            (format!("wakers::run::{scenario}"), run),
            (format!("wakers::lossy::{scenario}"), storm),
        ]
    };
    SCENARIOS.into_iter().flat_map(both).collect()
}

fn attached(scenario: &str, options: &[&str]) -> Result<()> {
    let (truth, seen) = trial::attached(Target::start(scenario)?, options)?;
    ensure!(!truth.woken.is_empty(), "the target does not say who wakes whom");
    judge(&format!("wakers::attach::{scenario}"), &truth, &seen)
}

fn run(scenario: &str) -> Result<()> {
    let (truth, seen) = trial::run(&paths::truth()?, &[scenario])?;
    ensure!(!truth.woken.is_empty(), "the target does not say who wakes whom");
    judge(&format!("wakers::run::{scenario}"), &truth, &seen)
}

/// With buffers far too small, what is not known is said to be so.
fn lossy(scenario: &str) -> Result<()> {
    let (truth, seen) = trial::attached(Target::start(scenario)?, &["--buffer", "4"])?;
    judge(&format!("lossy::{scenario}::storm"), &truth, &seen)
}
