//! `attach` and `run`: from a target to outputs.

use std::{io, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    clock,
    dump::still,
    export::{Export, Full, HOLD_NS},
    http::{By, Http},
    observe::Observer,
    others,
    outputs::{Outputs, Wanted},
    privileges,
    progress::Progress,
    start::{Armed, arm},
    watch::Watch,
};
use crate::probe::{Options, StillBlocked};
use asyncscope_discovery::{cache, debug, process::Process};
use asyncscope_model::{Config, Graph, Phase};
use asyncscope_trace::{
    event::{At, Event, TaskRef, What},
    facts::{CurrentTask, Facts},
    recording::Writer,
};
use asyncscope_view::lost::{self, Lost};

/// Between two drains of the ring buffers: a ring holds what a CPU can write in several of these.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// The recording is flushed, and the terminal told, in one round out of this many.
const FLUSH_EVERY: u32 = 5;
/// Steps of the wall clock that are followed in one run.
const MAX_STEPS: usize = 1000;

/// Lines of the target are kept until the end up to so many bytes; a recording has them all.
const LINES_MAX: u64 = 256 << 20;

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
    /// Whether the layouts of futures are wanted, where there is type information.
    pub awaits: bool,
    /// Whether the hooks are to tell what tasks await.
    pub follow: bool,
    /// Whether time blocked inside polls is to be told.
    pub blocked: bool,
    /// What of HTTP is recorded, if any is.
    pub http: Option<Http>,
    /// Whether what the target writes to its standard output and error is captured.
    pub logs: bool,
    /// How system calls are seen.
    pub by: By,
    /// How often CPU time is sampled in a second on each CPU, instead of tracing polls.
    pub sampling: Option<u32>,
}

/// Attaches to a running process; its id may be meant as in the pid namespace of another one.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused, or which output cannot be written.
pub fn attach(live: &Live, pid_namespace: Option<u32>) -> Result<()> {
    let name = live.target.first().ok_or_else(|| anyhow!("no process given"))?;
    let process = match (name.parse(), pid_namespace) {
        (Ok(pid), Some(member)) => Process::by_pid_in_namespace_of(member, pid)?,
        (Ok(pid), None) => Process::by_pid(pid)?,
        (Err(_), Some(_)) => bail!("--pid-namespace takes a process id, not the name {name:?}"),
        (Err(_), None) => Process::by_name(name)?,
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
    let noted = outputs.otlp.as_ref().map(|ready| ready.noted());
    let only_recorder = outputs.are_only_recorded();
    let setup = Config::from(&armed.facts)
        .with_detail(outputs.detail(&armed.facts))
        .with_span_detail(noted)
        .with_eviction(only_recorder);
    let setup = setup.with_long_polls(outputs.long_polls_ns());
    let mut sink = Sink {
        graph: Graph::new(&setup.with_log_lines(outputs.tell_lines().then_some(LINES_MAX))),
        export: None,
        forgets: !outputs.need_tasks(),
        recorder: None,
        only_recorder,
        failed: None,
        observer: Observer::new(if armed.knows_running() { 0 } else { armed.thread_local }),
        observed: None,
    };
    if let Some(to) = outputs.record.take() {
        sink.recorder = Some(Writer::create(to.into_writer()?, &armed.facts).context("cannot write the recording")?);
    }
    privileges::lock_down()?;
    // Threads that are started from here on have given up the privileges as well.
    sink.export = outputs.otlp.take().map(|ready| ready.start(&armed.facts)).transpose()?;
    let mut watch = Watch::new(&armed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a timer")?;
    runtime.block_on(until_the_end(&mut armed, &mut watch, &mut sink, live.duration))?;
    let still = still::awaited(&mut armed, &mut watch, &mut |event| sink.take(event))?;
    let end_ns = watch.end();
    let blocked = armed.probe.still_blocked();
    armed.probe.disarm();
    watch.last(&mut armed, &mut |event| sink.take(event))?;
    others::announce_late(&mut armed);
    sink.still(still, end_ns);
    sink.still_blocked(&mut armed, &blocked, end_ns);
    let lost = losses(&watch);
    sink.learn(&mut armed);
    sink.finish(end_ns, &lost);
    let Sink { mut graph, export, only_recorder, failed, .. } = sink;
    let silent = only_recorder || (export.is_some() && !outputs.need_tasks());
    if !silent {
        outputs.write(&graph, &armed.facts, &Lost::of(&lost, &graph), told)?;
    }
    export.map_or(Ok(()), |export| export.finish(&mut graph, &armed.facts))?;
    failed.map_or(Ok(()), |error| Err(error).context("cannot write the recording"))
}

/// One line when all is in place, for people and for scripts that wait for it.
fn announce(armed: &Armed) {
    let hooks = armed.facts.hooks.iter().filter(|hook| hook.address.is_some()).count();
    let missing = armed.facts.hooks.len() - hooks;
    let missing =
        if missing == 0 { String::new() } else { format!(", {missing} not found (see `asyncscope inspect`)") };
    let name = armed.facts.process.name.escape_debug();
    let sampling = match armed.facts.sampling {
        None => String::new(),
        Some(sampling) if sampling.requests => format!(
            ", CPU time sampled at {} Hz, by request (which costs the target a trap at each read and write)",
            sampling.frequency_hz
        ),
        Some(sampling) => format!(", CPU time sampled at {} Hz", sampling.frequency_hz),
    };
    let blocked = if armed.facts.blocked { ", and one on every switch between threads of this host" } else { "" };
    eprintln!("recording {name} (pid {}): {hooks} hooks armed{missing}{blocked}{sampling}", armed.process.pid);
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
    announce(armed);
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
        sink.observer.look(&armed.process);
        watch.round(armed, &mut |event| sink.take(event))?;
        if watch.became_another() {
            announce_another(&armed.process);
            break;
        }
        if watch.is_blind() {
            eprintln!(
                "the first thread of process {} has left, without which hooks that are attached one by one see \
                 nothing: the recording ends before that",
                armed.process.pid
            );
            break;
        }
        if round.is_multiple_of(FLUSH_EVERY) {
            note_step(armed, sink);
            sink.export(&armed.facts);
            sink.forget();
            sink.flush();
            progress.tell(&sink.graph.totals());
            let in_vain = sink.only_recorder && sink.failed.is_some();
            if in_vain || !armed.process.is_alive() {
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

/// Whether the wall clock was set, which the recording and the spans have to know.
fn note_step(armed: &mut Armed, sink: &mut Sink) {
    let facts = &mut armed.facts;
    let last = facts.clock_steps.last().copied().unwrap_or(facts.armed);
    let Some(step) = clock::step_since(last).filter(|_| facts.clock_steps.len() < MAX_STEPS) else {
        return;
    };
    facts.clock_steps.push(step);
    sink.recorded(|recorder| recorder.facts(facts));
}

fn losses(watch: &Watch) -> Vec<(String, u64)> {
    let counted = watch.losses().by_kind().into_iter();
    counted.map(|(loss, count)| (loss.name().to_owned(), count)).chain(watch.agents_own()).collect()
}

/// That the target is no longer what was attached to has to be said.
fn announce_another(process: &Process) {
    let what = process.executable_now().unwrap_or_default();
    eprintln!(
        "process {} became another program by exec ({}): the recording ends before that",
        process.pid,
        what.escape_debug()
    );
}

/// Where events go: into the graph and the recording, which see the same.
struct Sink {
    graph: Graph,
    export: Option<Export>,
    /// What is exported leaves the graph.
    forgets: bool,
    recorder: Option<Writer<Box<dyn io::Write>>>,
    /// The recording is the only output.
    only_recorder: bool,
    /// Why the recording ended early; the graph goes on.
    failed: Option<io::Error>,
    observer: Observer,
    observed: Option<CurrentTask>,
}

impl Sink {
    fn take(&mut self, event: Event) {
        self.recorded(|recorder| recorder.write(&event));
        if let Some(found) = self.observer.event(&event) {
            self.observed = Some(found);
        }
        self.graph.apply(&event);
    }

    fn export(&mut self, facts: &Facts) {
        if let Some(export) = &mut self.export {
            export.round(&mut self.graph, facts, clock::monotonic_ns(), self.forgets, Full::Drop);
        }
    }

    /// Where all is recorded, and nothing else wanted, tasks that are over leave.
    fn forget(&mut self) {
        if self.only_recorder {
            let over = self.graph.take_ended(clock::monotonic_ns().saturating_sub(HOLD_NS));
            self.graph.evict(&over);
        }
    }

    /// Takes what tasks still awaited, but for those that did something since that was read.
    fn still(&mut self, still: Vec<Event>, end_ns: u64) {
        for mut event in still {
            let read_at = event.at.time;
            let is_still = |task: &TaskRef| {
                let known = task.id.and_then(|id| self.graph.task(id));
                known.is_some_and(|task| {
                    task.end().is_none() && task.phase().0 == Phase::Waiting && task.phase().1 < read_at
                })
            };
            if !matches!(&event.what, What::Awaited { task, .. } if !is_still(task)) {
                event.at.time = end_ns;
                self.take(event);
            }
        }
    }

    /// Takes the threads that were blocked at the end, and before.
    fn still_blocked(&mut self, armed: &mut Armed, blocked: &[StillBlocked], end_ns: u64) {
        let Armed { sampler: Some(sampler), process, .. } = armed else { return };
        for blocked in blocked.iter().filter(|blocked| blocked.since <= end_ns) {
            let at = At { time: end_ns, tid: blocked.tid, sp: blocked.sp, ..At::default() };
            sampler.still_blocked(blocked, at, process, &mut |event| self.take(event));
        }
    }

    /// What was found out meanwhile is kept, for this recording and for later ones.
    fn learn(&mut self, armed: &mut Armed) {
        let Some(found) = self.observed else { return };
        armed.facts.current_task = Some(found);
        if let Some(build_id) = &armed.facts.process.build_id {
            cache::learn(build_id, found);
        }
        self.recorded(|recorder| recorder.facts(&armed.facts));
    }

    fn flush(&mut self) {
        self.recorded(Writer::flush);
    }

    fn finish(&mut self, end_ns: u64, lost: &[(String, u64)]) {
        self.graph.lost_samples(lost::samples(lost));
        self.graph.finish(end_ns);
        self.flush();
        if let Some(recorder) = self.recorder.take() {
            self.failed = recorder.finish(end_ns, lost).err();
        }
    }

    /// Writes to the recording, if there is one. It ends at its first error; the other outputs go on.
    fn recorded(&mut self, write: impl FnOnce(&mut Writer<Box<dyn io::Write>>) -> io::Result<()>) {
        let Some(recorder) = &mut self.recorder else { return };
        if let Err(error) = write(recorder) {
            self.recorder = None;
            if !self.only_recorder {
                eprintln!("the recording ends here ({error}); the other outputs go on");
            }
            self.failed = Some(error);
        }
    }
}
