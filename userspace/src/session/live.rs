//! `attach` and `run`: from a target to outputs.

use std::{io, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    outputs::{Outputs, Wanted},
    progress::Progress,
    start::{Armed, arm},
    watch::Watch,
};
use crate::{
    event::Event,
    model::{Detail, Graph, Setup},
    probe::Options,
    recording::Writer,
    target::{debug, process::Process},
    view::summary::Lost,
};

/// Between two drains of the ring buffers: a ring holds what a CPU can write in several of these.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// The recording is flushed, and the terminal told, in one round out of this many.
const FLUSH_EVERY: u32 = 5;

/// Whom to watch, for how long, and what to make of it.
#[derive(Clone, Debug)]
pub struct Live {
    /// The process id or name for `attach`; the command for `run`.
    pub target: Vec<String>,
    /// When to end; otherwise at Ctrl-C, or when the target ends.
    pub duration: Option<Duration>,
    /// What to write.
    pub wanted: Wanted,
    /// How to attach.
    pub options: Options,
    /// Where names come from.
    pub names: debug::Options,
}

/// Attaches to a running process.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused, or which output cannot be written.
pub fn attach(live: &Live) -> Result<()> {
    let name = live.target.first().ok_or_else(|| anyhow!("no process given"))?;
    let process = match name.parse() {
        Ok(pid) => Process::by_pid(pid)?,
        Err(_) => Process::by_name(name)?,
    };
    let outputs = live.wanted.open()?;
    let armed = arm(process, false, live)?;
    record(armed, outputs, live, &mut io::stdout())
}

/// Starts a command and watches it from its first instruction on.
///
/// # Errors
///
/// As for [`attach`]; the command is ended if it cannot be watched.
pub fn run(live: &Live) -> Result<()> {
    let outputs = live.wanted.open()?;
    let mut child = super::command::start(&live.target)?;
    let armed = Process::by_pid(child.id()).map_err(anyhow::Error::from).and_then(|process| arm(process, true, live));
    let armed = match armed {
        Ok(armed) => armed,
        Err(error) => {
            child.end();
            return Err(error);
        }
    };
    child.let_go()?;
    // Standard output is the command's.
    let recorded = record(armed, outputs, live, &mut io::stderr());
    child.reap();
    recorded
}

fn record(mut armed: Armed, mut outputs: Outputs, live: &Live, told: &mut dyn io::Write) -> Result<()> {
    let detail = if outputs.want_intervals() { Detail::Intervals } else { Detail::Totals };
    let mut sink = Sink {
        graph: Graph::new(&Setup::from(&armed.facts).with_detail(detail)),
        recorder: None,
        only_recorder: false,
        failed: None,
    };
    if let Some(to) = outputs.record.take() {
        sink.recorder = Some(Writer::create(to.into_writer()?, &armed.facts).context("cannot write the recording")?);
        sink.only_recorder = outputs.are_none();
    }
    let mut watch = Watch::new(&armed);
    announce(&armed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a timer")?;
    runtime.block_on(until_the_end(&mut armed, &mut watch, &mut sink, live.duration))?;
    let end_ns = watch.end();
    armed.probe.disarm();
    watch.last(&mut armed, &mut |event| sink.take(event))?;
    let lost = losses(&armed, &watch)?;
    sink.finish(end_ns, &lost)?;
    if sink.only_recorder {
        return Ok(());
    }
    outputs.write(&sink.graph, &armed.facts, &Lost { by_kind: lost }, told)
}

/// One line when all is in place, for people and for scripts that wait for it.
fn announce(armed: &Armed) {
    let hooks = armed.facts.hooks.iter().filter(|hook| hook.address.is_some()).count();
    let missing = armed.facts.hooks.len() - hooks;
    let missing =
        if missing == 0 { String::new() } else { format!(", {missing} not found (see `asyncscope inspect`)") };
    let name = armed.facts.process.name.escape_debug();
    eprintln!("recording {name} (pid {}): {hooks} hooks armed{missing}", armed.process.pid);
}

/// Round by round, until the time is up, Ctrl-C, or the target's end.
async fn until_the_end(
    armed: &mut Armed,
    watch: &mut Watch,
    sink: &mut Sink,
    duration: Option<Duration>,
) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut ticks = interval(DRAIN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = duration.map(|duration| Instant::now() + duration);
    let progress = Progress::new();
    for round in 1u32.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        }
        watch.round(armed, &mut |event| sink.take(event))?;
        if round.is_multiple_of(FLUSH_EVERY) {
            sink.flush()?;
            progress.tell(sink.graph.tasks().len(), &sink.graph.totals());
            if !armed.process.is_alive() {
                break;
            }
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    progress.end();
    Ok(())
}

fn losses(armed: &Armed, watch: &Watch) -> Result<Vec<(String, u64)>> {
    let counted = armed.probe.losses()?;
    let mut lost: Vec<_> = counted.by_kind().into_iter().map(|(loss, count)| (loss.name().to_owned(), count)).collect();
    lost.extend(watch.agents_own());
    Ok(lost)
}

/// Where events go: into the graph and the recording, which see the same.
struct Sink {
    graph: Graph,
    recorder: Option<Writer<Box<dyn io::Write>>>,
    /// The recording is the only output.
    only_recorder: bool,
    /// The first error of the recording; the graph goes on.
    failed: Option<io::Error>,
}

impl Sink {
    fn take(&mut self, event: Event) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.write(&event)
        {
            self.failed.get_or_insert(error);
        }
        self.graph.apply(&event);
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush().context("cannot write the recording")?;
        }
        self.failed.take().map_or(Ok(()), |error| Err(error).context("cannot write the recording"))
    }

    fn finish(&mut self, end_ns: u64, lost: &[(String, u64)]) -> Result<()> {
        self.graph.finish(end_ns);
        self.flush()?;
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(end_ns, lost).context("cannot write the recording")?;
        }
        Ok(())
    }
}
