//! The live tier: real targets under the real agent and kernel. Needs root.

mod attribution;
mod awaits;
mod backends;
mod bad_input;
mod chains;
mod clock;
mod company;
mod current_task;
mod faults;
mod guests;
mod hard_life;
mod heads;
mod held;
mod hosted;
mod http2;
mod lacking;
mod liar;
mod life;
mod logs;
mod long_polls;
mod namespaces;
mod odd_names;
mod off_cpu;
mod overrun;
mod panic_storm;
mod privileges;
mod sampling;
mod scenarios;
mod shares;
mod spans;
mod stripped;
mod wakers;

use std::env::var_os;
use std::process::ExitCode;

use asyncscope_tests::{collector, kernel};
use libtest_mimic::{Arguments, Failed, Trial};

type Test = Box<dyn FnOnce() -> anyhow::Result<()> + Send>;

type Case = fn() -> anyhow::Result<()>;

/// Tests of one file, under its name.
fn named(file: &str, cases: &[(&str, Case)]) -> Vec<(String, Test)> {
    cases.iter().map(|&(name, case)| (format!("{file}::{name}"), Box::new(case) as Test)).collect()
}

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
    let tests = [
        scenarios::tests(),
        wakers::tests(),
        life::tests(),
        faults::tests(),
        lacking::tests(),
        guests::tests(),
        hosted::tests(),
        hard_life::tests(),
        panic_storm::tests(),
        company::tests(),
        liar::tests(),
        bad_input::tests(),
        chains::tests(),
        clock::tests(),
        off_cpu::tests(),
        long_polls::tests(),
        current_task::tests(),
        stripped::tests(),
        heads::tests(),
        http2::tests(),
        logs::tests(),
        privileges::tests(),
        namespaces::tests(),
        odd_names::tests(),
        overrun::tests(),
        spans::tests(),
        awaits::tests(),
        backends::tests(),
        sampling::tests(),
        shares::tests(),
        attribution::tests(),
    ];
    let without_collector = collector::program().is_none().then_some(collector::MISSING);
    let trials = tests.into_iter().flatten().map(|(name, test)| {
        if let Some(lacking) = hard_life::lacks(&name) {
            eprintln!("{name} cannot run here: {lacking}");
            return Trial::test(name, || Ok(())).with_ignored_flag(true);
        }
        let without = company::lacks(&name).inspect(|lacking| eprintln!("{name} cannot run here: {lacking}"));
        let without = without.or(without_collector.filter(|_| spans::needs_collector(&name)));
        trial(name, test, forbidden.as_deref().or(without), required)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn trial(name: String, test: Test, forbidden: Option<&str>, required: bool) -> Trial {
    match forbidden.map(str::to_owned) {
        None => Trial::test(name, || test().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(why) if required => Trial::test(name, move || Err(Failed::from(why))),
        Some(_) => Trial::test(name, || Ok(())).with_ignored_flag(true),
    }
}
