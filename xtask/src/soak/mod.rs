//! `soak`: a steady load, watched for an hour. Memory and descriptors of the agent and of its target, the latency of
//! requests and what is lost are looked at all the while; none may grow. The result goes into `docs/reliability.md`.

mod load;
mod verdict;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::kernel::{Holdings, holdings};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;

use crate::document;
use crate::process::{cargo, is_root, root, run as execute};
use crate::test::PLAIN_RELEASE;
use load::Load;
use verdict::Verdict;

/// The time between looks.
const EVERY: Duration = Duration::from_secs(5);
/// Within this the target gets ready, and ends.
const PATIENCE: Duration = Duration::from_mins(1);

/// Options of `soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For how long.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=24 * 60))]
    minutes: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
}

/// All that is seen at one moment, and of the requests since the moment before.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) agent: Holdings,
    pub(super) target: Holdings,
    /// The times of requests that were answered since the last look, sorted.
    pub(super) latencies: Vec<Duration>,
    /// The number of the machine's threads that wanted a processor, on average over the minute before.
    pub(super) load: f64,
}

/// Builds, watches and judges.
///
/// # Errors
/// Where this is not root, a part fails, or something grows; the document says all the same.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(is_root(), "it attaches eBPF probes: run it as root");
    execute(cargo().args(PLAIN_RELEASE).args(["-p", "truth", "-p", "heads", "-p", "logs"]))?;
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    let verdict = watch(options)?;
    println!("soak: {verdict}");
    document::put(&root().join("docs/reliability.md"), "soak", &verdict.table())?;
    let mistakes = verdict.mistakes();
    ensure!(mistakes.is_empty(), "{}", mistakes.join("; "));
    Ok(())
}

fn watch(options: &Options) -> Result<Verdict> {
    let scratch = Scratch::new()?;
    let record = scratch.file("soak.ascope");
    let mut target = Running::start(Command::new(paths::heads()?).arg("forgetful"))?;
    let ready = target.stdout.until(|line| line.starts_with("ready "), PATIENCE).context("the target")?;
    let pid = target.pid().to_string();
    let mut agent = Agent::start(["attach".as_ref(), pid.as_ref(), "--record".as_ref(), record.as_os_str()])?;
    agent.armed()?;
    let load = Load::start(ready.trim_start_matches("ready "), options.rate)?;
    let looks = look(Duration::from_secs(60 * options.minutes), &load, agent.process.pid(), target.pid())?;
    let asked = load.stop()?;
    agent.interrupt()?;
    let recorded = fs::metadata(&record)?.len();
    target.close_input();
    ensure!(target.wait(PATIENCE)?.success(), "the target failed");
    let reported = scratch.file("reported.json");
    let report = Agent::start(["report".as_ref(), record.as_os_str(), "--json".as_ref(), reported.as_os_str()])?;
    report.succeed()?;
    Verdict::of(options.minutes, options.rate, &looks, asked, recorded, &reported)
}

/// Looks until the time is over.
fn look(time: Duration, load: &Load, agent: u32, target: u32) -> Result<Vec<Look>> {
    let (start, mut looks) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        std::thread::sleep(EVERY.min(time.saturating_sub(start.elapsed())));
        let mut latencies = load.latencies()?;
        latencies.sort_unstable();
        ensure!(!latencies.is_empty(), "no request was answered within {EVERY:?}");
        looks.push(Look { agent: holdings(agent)?, target: holdings(target)?, latencies, load: machine_load()? });
        if looks.len() % 12 == 0 {
            println!("soak: {} s: {:?}", start.elapsed().as_secs(), looks.last().map(|look| (look.agent, look.target)));
        }
    }
    Ok(looks)
}

/// <https://man7.org/linux/man-pages/man5/proc_loadavg.5.html>
fn machine_load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let minute = text.split(' ').next().context("no load average")?;
    Ok(minute.parse()?)
}
