//! Three services in a row, each under an agent: which request does each task and call belong to, and what
//! do tracing backends get of it? Needs root.

use std::collections::BTreeMap;
use std::env::var_os;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, ensure};
use asyncscope_tests::chain::{self, Lived, Service, compare::Bars, compare::compare, spans};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::kernel;
use asyncscope_tests::paths::{self, Build};
use libtest_mimic::{Arguments, Failed, Trial};

/// This many clients with an ID, this many without, and so many tries of each fault.
const LOAD: [u64; 3] = [1800, 100, 10];
/// This many requests at least have to be trees without a fault through several services.
const PASSED_ON: usize = 1000;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Every trial wants all CPUs.
    arguments.test_threads.get_or_insert(1);
    let forbidden = kernel::forbids_tracing();
    let required = var_os("CI").is_some_and(|value| value == "true")
        || var_os("ASYNCSCOPE_REQUIRE_LIVE").is_some_and(|value| value == "1");
    if let Some(why) = &forbidden {
        eprintln!("live tests cannot run here: {why}");
    }
    let trial = |name, judge: Judge, run: &Arc<Run>| {
        let run = Arc::clone(run);
        trial(name, move || judge(&run), forbidden.as_deref(), required)
    };
    let [release, shipped, stripped] =
        [Build::Release, Build::FatLto, Build::Stripped].map(|build| Arc::new(Run::of(build)));
    let trials = vec![
        trial("chain::release", agrees, &release),
        trial("chain::release_spans", is_reported, &release),
        trial("chain::shipped", agrees, &shipped),
        trial("chain::stripped", agrees, &stripped),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Judge = fn(&Run) -> Result<()>;

/// Whether HTTP/2 is seen in the program, and what became of the services.
type Outcome = (bool, BTreeMap<Service, Lived>);

fn trial(
    name: &str,
    test: impl FnOnce() -> Result<()> + Send + 'static,
    forbidden: Option<&str>,
    required: bool,
) -> Trial {
    match forbidden.map(str::to_owned) {
        None => Trial::test(name, move || test().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(why) if required => Trial::test(name, move || Err(Failed::from(why))),
        Some(_) => Trial::test(name, || Ok(())).with_ignored_flag(true),
    }
}

/// One run of the chain in one build, which several trials look at.
struct Run {
    build: Build,
    lived: OnceLock<Result<Outcome, String>>,
}

impl Run {
    fn of(build: Build) -> Self {
        Self { build, lived: OnceLock::new() }
    }

    fn lived(&self) -> Result<&Outcome> {
        let lived = self.lived.get_or_init(|| self.live().map_err(|error| format!("{error:#}")));
        lived.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn live(&self) -> Result<Outcome> {
        let program = paths::chain(self.build)?;
        let http2 = sees_http2(&program)?;
        Ok((http2, chain::run(&program, &LOAD, &[])?))
    }
}

/// Whether the agent says that it will see HTTP/2 in the program. Where not, it may miss what only HTTP/2
/// says.
fn sees_http2(program: &Path) -> Result<bool> {
    let abilities = Inspection::of(program, &[])?.abilities;
    let http2 = abilities.iter().find(|ability| ability.what == "http2");
    Ok(http2.context("nothing said of HTTP/2")?.works == "yes")
}

/// What the agents claim is what the services lived.
fn agrees(run: &Run) -> Result<()> {
    let ((http2, lived), build) = (run.lived()?, run.build);
    ensure!(*http2 == (build != Build::Stripped), "HTTP/2 is seen where there are symbols, and only there");
    eprintln!("{build:?}: HTTP/2 heads are {}", if *http2 { "seen" } else { "not seen: gRPC may be missing" });
    let bars = Bars { http2: *http2 };
    let mut mistakes = Vec::new();
    for (service, Lived { truth, claims, .. }) in lived {
        let result = compare(truth, claims, bars);
        eprintln!("{build:?} {}:\n{result}", service.name());
        mistakes.extend(result.mistakes().into_iter().map(|mistake| format!("{}: {mistake}", service.name())));
        ensure!(*service == Service::Back || !truth.calls.is_empty(), "{} called nobody", service.name());
    }
    none_of(mistakes)
}

/// Agents that share nothing report one tree for each request that was passed on with a `traceparent`.
fn is_reported(run: &Run) -> Result<()> {
    let (_, lived) = run.lived()?;
    let reported = spans::compare(lived);
    eprintln!("{:?}, spans of all three:\n{reported}", run.build);
    ensure!(
        reported.passed_on >= PASSED_ON && reported.traced.0 + reported.named.0 >= usize::try_from(LOAD[0])?,
        "only {reported}"
    );
    ensure!(
        reported.missed.len() * 100 <= reported.spans[2],
        "{} tasks are missing: {:?}",
        reported.missed.len(),
        reported.missed
    );
    none_of(reported.wrong)
}

fn none_of(mut mistakes: Vec<String>) -> Result<()> {
    let count = mistakes.len();
    mistakes.truncate(40);
    ensure!(count == 0, "{count} mistakes, the first of them:\n{}", mistakes.join("\n"));
    Ok(())
}
