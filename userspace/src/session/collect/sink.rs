//! The sink of a live run's events.

use std::io;

use anyhow::{Context as _, Result};

use super::find_current_task::CurrentTaskFinder;
use crate::session::{
    attach::attached::Attached,
    clock,
    export::{Export, HOLD_NS, OnFull, Ready},
    outputs::{OutputFile, Outputs},
};
use asyncscope_discovery::{process::Process, tokio::plan_cache};
use asyncscope_model::{Config, Graph, Phase};
use asyncscope_trace::{
    event::{Event, TaskRef, What},
    facts::{CurrentTask, Facts, NotSeen},
    recording::Writer,
};
use asyncscope_view::lost;

/// Lines of the target are kept until the end up to this many bytes; a recording has them all.
const LINES_MAX: u64 = 256 << 20;

/// The graph and the recording, which take the same events.
pub(crate) struct Sink {
    pub(crate) graph: Graph,
    pub(crate) export: Option<Export>,
    /// Exported tasks leave the graph.
    forgets: bool,
    recorder: Option<Writer<Box<dyn io::Write>>>,
    /// The recording is the only output.
    pub(crate) only_recorder: bool,
    /// The error at which the recording ended early; the graph goes on.
    pub(crate) failed: Option<io::Error>,
    finder: CurrentTaskFinder,
    found: Option<CurrentTask>,
}

impl Sink {
    /// Begins the recording, if there is to be one.
    pub(crate) fn new(attached: &Attached, outputs: &mut Outputs) -> Result<Self> {
        let facts = &attached.facts;
        let recorder = |to: OutputFile| Writer::create(to.into_writer()?, facts).context("cannot write the recording");
        Ok(Self {
            graph: graph(facts, outputs),
            export: None,
            forgets: !outputs.need_tasks(),
            only_recorder: outputs.are_only_recorded(),
            failed: None,
            finder: CurrentTaskFinder::new(if attached.knows_running() { 0 } else { attached.thread_local }),
            found: None,
            recorder: outputs.record.take().map(recorder).transpose()?,
        })
    }

    /// Begins to send spans, if any are wanted.
    pub(crate) fn start_export(&mut self, outputs: &mut Outputs, facts: &Facts) -> Result<()> {
        self.export = outputs.otlp.take().map(|ready| ready.start(facts)).transpose()?;
        Ok(())
    }

    /// Looks for the place of the running task's id, while that is not known.
    pub(super) fn look(&mut self, process: &Process) {
        self.finder.look(process);
    }

    /// Does what is not done at every event.
    pub(super) fn tidy(&mut self, facts: &Facts) {
        self.export(facts);
        self.forget();
        self.flush();
    }

    /// Returns `true` if nothing more is made of events.
    pub(super) fn is_in_vain(&self) -> bool {
        self.only_recorder && self.failed.is_some()
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, event: Event) {
        self.recorded(|recorder| recorder.write(&event));
        if let Some(found) = self.finder.event(&event) {
            self.found = Some(found);
        }
        self.graph.apply(&event);
    }

    fn export(&mut self, facts: &Facts) {
        if let Some(export) = &mut self.export {
            export.round(&mut self.graph, facts, clock::monotonic_ns(), self.forgets, OnFull::Drop);
        }
    }

    /// Evicts tasks that are over, where all is recorded and nothing else wanted.
    fn forget(&mut self) {
        if self.only_recorder {
            let over = self.graph.take_ended(clock::monotonic_ns().saturating_sub(HOLD_NS));
            self.graph.evict(&over);
        }
    }

    /// Takes what tasks still awaited, but for those that did something since that was read.
    pub(super) fn final_awaits(&mut self, awaits: Vec<Event>, end_ns: u64) {
        for mut event in awaits {
            let read_at = event.at.time;
            if !matches!(&event.what, What::Awaited { task, .. } if !self.still_waits(task, read_at)) {
                event.at.time = end_ns;
                self.take(event);
            }
        }
    }

    /// Returns `true` if the task waits since before that time.
    fn still_waits(&self, task: &TaskRef, time: u64) -> bool {
        let known = task.id.and_then(|id| self.graph.task(id));
        known.is_some_and(|task| task.end().is_none() && task.phase().0 == Phase::Waiting && task.phase().1 < time)
    }

    /// Keeps what was found out meanwhile, for this recording and for later ones.
    pub(super) fn learn(&mut self, attached: &mut Attached) {
        let Some(found) = self.found else { return };
        attached.facts.current_task = Some(found);
        if let Some(key) = &attached.plan_key {
            plan_cache::learn(key, found);
        }
        self.recorded(|recorder| recorder.facts(&attached.facts));
    }

    fn flush(&mut self) {
        self.recorded(Writer::flush);
    }

    /// Takes the end: of the graph, and of the recording.
    pub(super) fn finish(&mut self, end_ns: u64, lost: &[NotSeen]) {
        self.graph.lost_samples(lost::samples(lost));
        self.graph.finish(end_ns);
        self.flush();
        if let Some(recorder) = self.recorder.take() {
            self.failed = recorder.finish(end_ns, lost).err();
        }
    }

    /// Writes to the recording, if there is one. It ends at its first error; the other outputs go on.
    pub(super) fn recorded(&mut self, write: impl FnOnce(&mut Writer<Box<dyn io::Write>>) -> io::Result<()>) {
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

/// An empty graph that keeps what the outputs need.
fn graph(facts: &Facts, outputs: &Outputs) -> Graph {
    let setup = Config::from(facts)
        .with_detail(outputs.detail(facts))
        .with_span_detail(outputs.otlp.as_ref().map(Ready::noted))
        .with_eviction(outputs.are_only_recorded())
        .with_long_polls(outputs.long_polls_ns())
        .with_log_lines(outputs.need_lines().then_some(LINES_MAX));
    Graph::new(&setup)
}
