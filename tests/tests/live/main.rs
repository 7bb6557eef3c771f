//! The live tier: real targets under the real agent and kernel. Needs root.

mod bad_input;
mod life;
mod scenarios;

use std::env::var_os;
use std::process::ExitCode;

use asyncscope_tests::kernel;
use libtest_mimic::{Arguments, Failed, Trial};

type Test = Box<dyn FnOnce() -> anyhow::Result<()> + Send>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Every trial wants all CPUs, and counts what the system holds of BPF.
    arguments.test_threads.get_or_insert(1);
    let forbidden = kernel::forbids_tracing();
    let required = var_os("CI").is_some_and(|value| value == "true")
        || var_os("ASYNCSCOPE_REQUIRE_LIVE").is_some_and(|value| value == "1");
    if let Some(why) = &forbidden {
        eprintln!("live tests cannot run here: {why}");
    }
    let tests = [scenarios::tests(), life::tests(), bad_input::tests()];
    let trials = tests.into_iter().flatten().map(|(name, test)| trial(name, test, forbidden.as_deref(), required));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn trial(name: String, test: Test, forbidden: Option<&str>, required: bool) -> Trial {
    match forbidden.map(str::to_owned) {
        None => Trial::test(name, || test().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(why) if required => Trial::test(name, move || Err(Failed::from(why))),
        Some(_) => Trial::test(name, || Ok(())).with_ignored_flag(true),
    }
}
