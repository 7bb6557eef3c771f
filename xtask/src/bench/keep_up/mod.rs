//! `keep-up`: whether an agent that has one CPU to itself keeps up with a program that does nothing but make events
//! on another, without loss and in flat memory, and what each event costs it. The figures go into
//! `docs/own-cost.md`.

mod first;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::held::Held;
use asyncscope_tests::kernel::holdings;

use super::build::{self, Build};
use super::load::Sink;
use super::service::{Around, Loaded, Service};
use super::tool::Tool;
use crate::document;
use crate::process::{is_root, root};

/// The number of looks at the memory, while it is watched.
const LOOKS: u32 = 10;
/// The look up to which memory may grow, counted from 0: buffers are touched page by page, tables and the heap find
/// their size.
const WARM: usize = 4;
/// The most that the agent may have grown, in KiB: what waits to be put in order depends on the machine. It is less
/// than two bytes for each task that comes and goes in half a minute.
const GROWTH_KIB: u64 = 8 << 10;
/// Load before the agent comes.
const WARM_UP: Duration = Duration::from_millis(300);
/// A bar: this many events a second are kept up with.
const EVENTS_PER_SECOND: f64 = 300_000.0;

/// Options of `keep-up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For how long it is watched
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// All that was seen of the agent, and what it made of it.
#[derive(Debug)]
struct Watched {
    /// Tasks that the service spawned meanwhile, as it says.
    tasks: u64,
    seconds: f64,
    /// The service's CPU time, in seconds.
    service_cpu: f64,
    agent_cpu: Duration,
    /// Its memory at each look.
    resident_kib: Vec<u64>,
    recorded_bytes: u64,
    held: Held,
}

/// Builds, watches, prints and writes, and fails where something is not as it should be.
///
/// # Errors
/// Where this is not root, a part fails, an event is neither reported nor counted, or memory grows.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(is_root(), "it attaches to processes: run it as root");
    build::build(&[Build::Plain])?;
    let scratch = build::folder().join("scratch");
    fs::create_dir_all(&scratch)?;
    let sink = Sink::start()?;
    let around = Around { scratch, spans_to: sink.url.clone(), stretch: Duration::from_secs(options.seconds) / LOOKS };
    let watched = watch(&around)?;
    println!("{}", watched.text());
    let firsts = first::table(&around)?;
    let text = format!("{}\n{firsts}", watched.text());
    println!("{firsts}");
    document::put(&root().join("docs/own-cost.md"), "keep-up", &text)?;
    watched.judge()
}

fn watch(around: &Around) -> Result<Watched> {
    let mut service = Loaded::start(Service::Storm, &Build::Plain.folder(), around)?;
    service.stretch(WARM_UP)?;
    let recording = around.scratch.join("keep-up.ascope");
    let agent = Tool::recording(service.pid(), &recording, &around.scratch)?;
    let before = agent.cpu_time()?;
    let (mut tasks, mut seconds, mut service_cpu, mut resident_kib) = (0.0, 0.0, 0.0, Vec::new());
    for _ in 0..LOOKS {
        let stretch = service.stretch(around.stretch)?;
        tasks += stretch.units;
        seconds += stretch.units / stretch.per_second;
        service_cpu += stretch.units * stretch.cpu_us / 1e6;
        resident_kib.push(holdings(agent.pid())?.resident_kib);
    }
    let agent_cpu = agent.cpu_time()?.saturating_sub(before);
    agent.detach()?;
    let held = Held::read(&recording)?;
    let recorded_bytes = size(&recording)?;
    fs::remove_file(&recording)?;
    Ok(Watched { tasks: tasks as u64, seconds, service_cpu, agent_cpu, resident_kib, recorded_bytes, held })
}

fn size(file: &Path) -> Result<u64> {
    Ok(fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len())
}

impl Watched {
    fn per_second(&self) -> f64 {
        self.held.events as f64 / self.seconds
    }

    fn text(&self) -> String {
        let Self { tasks, seconds, service_cpu, agent_cpu, resident_kib, recorded_bytes, held } = self;
        let (events, rate) = (held.events, self.per_second());
        let (cpu, share) = (agent_cpu.as_secs_f64(), agent_cpu.as_secs_f64() / seconds * 100.0);
        let memory: Vec<String> = resident_kib.iter().map(|kib| format!("{:.1}", *kib as f64 / 1024.0)).collect();
        format!(
            "A service on one CPU spawns tasks as fast as it can, {tasks} of them in {seconds:.0} s; the agent, and \
             little else, has another CPU, and records.\n\n\
             - {rate:.0} events a second, the service on its CPU for {:.0} % of the time: {} made by the kernel's \
             numbers, {events} recorded, {} lost\n\
             - the agent's CPU time: {:.2} s for each million events, {share:.0} % of its CPU\n\
             - recorded: {:.1} bytes for each event\n\
             - the agent's memory, at {LOOKS} moments from the first tenth of the time to its end, in MiB: {}\n",
            service_cpu / seconds * 100.0,
            held.made(),
            held.lost,
            cpu * 1e6 / events as f64,
            *recorded_bytes as f64 / events as f64,
            memory.join(", "),
        )
    }

    fn judge(&self) -> Result<()> {
        let Self { held, tasks, resident_kib, .. } = self;
        ensure!(held.events + held.lost == held.made(), "{} events made: {held:?}", held.made());
        ensure!(held.lost == 0 && held.counted == 0, "events were lost: {held:?}");
        ensure!(held.most_spawned() == *tasks, "{tasks} tasks were spawned, {} reported", held.most_spawned());
        let warm = resident_kib.get(..=WARM).and_then(|warm| warm.iter().max()).context("too few looks")?;
        let most = resident_kib.iter().max().context("no looks")?;
        ensure!(*most <= warm + GROWTH_KIB, "memory grew: {resident_kib:?} KiB");
        let rate = self.per_second();
        ensure!(rate >= EVENTS_PER_SECOND, "the service made only {rate:.0} events a second: a busy machine?");
        Ok(())
    }
}

/// Returns where a recording of the agent's would lie that nobody else uses.
fn fresh(scratch: &Path) -> Result<PathBuf> {
    let file = scratch.join("first.ascope");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)?,
        _ => Ok(file),
    }
}
