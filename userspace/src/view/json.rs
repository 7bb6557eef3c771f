//! One JSON object a line; docs/json.md describes them.

mod lines;

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use self::lines::{ByLine, EndLine, GapLine, Line, ParentLine, PollLine, RecordingLine, RootLine};
use self::lines::{SpawnLine, TaskLine, TotalsLine, WakeLine};
use super::names::Names;
use crate::facts::Facts;
use crate::model::{Birth, Gap, Graph, Outcome, Parent, Poll, Task, Wake, WakeBy};

/// The version of the format: raised when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// Writes the recording's line, those of the tasks by id, then all others by time.
///
/// # Errors
///
/// Those of `out`.
pub fn write(graph: &Graph, facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer { names: Names::new(graph, facts), out: BufWriter::new(out) };
    writer.line(&Line::Recording(recording(graph, facts)))?;
    let mut tasks: Vec<&Task> = graph.tasks().iter().collect();
    tasks.sort_by_key(|task| task.id);
    for task in tasks {
        writer.task(task)?;
    }
    for moment in moments(graph) {
        writer.moment(moment)?;
    }
    writer.out.flush()
}

/// What has a time of its own, in the order of equal times.
#[derive(Clone, Copy)]
enum Moment<'a> {
    Spawn(&'a Task, Birth),
    Poll(&'a Poll),
    Wake(&'a Wake),
    Gap(&'a Gap),
}

fn moments<'a>(graph: &'a Graph) -> Vec<Moment<'a>> {
    let born = |task: &'a Task| task.born.map(move |birth| Moment::Spawn(task, birth));
    let spawns = graph.tasks().iter().filter_map(born);
    let polls = graph.polls().iter().filter(|poll| poll.outcome != Outcome::Refused).map(Moment::Poll);
    let wakes = graph.wakes().iter().map(Moment::Wake);
    let gaps = graph.gaps().iter().map(Moment::Gap);
    let mut all: Vec<_> = spawns.chain(polls).chain(wakes).chain(gaps).collect();
    all.sort_by_key(|moment| match moment {
        Moment::Spawn(_, birth) => birth.time_ns,
        Moment::Poll(poll) => poll.start_ns,
        Moment::Wake(wake) => wake.time_ns,
        Moment::Gap(gap) => gap.since_ns,
    });
    all
}

struct Writer<'a> {
    names: Names<'a>,
    out: BufWriter<&'a mut dyn Write>,
}

impl Writer<'_> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn task(&mut self, task: &Task) -> io::Result<()> {
        let line = Line::Task(TaskLine {
            task: task.id.0,
            type_name: self.names.task_type(task.vtable),
            task_kind: task.kind,
            runtime: task.runtime,
            parent: self.parent(task),
            born_ns: task.born.map(|birth| birth.time_ns),
            first_seen_ns: task.first_seen_ns,
            end: task.end.map(|end| EndLine { time_ns: end.time_ns, how: end.how }),
            polls: task.polls,
            polls_unended: task.polls_unended,
            wakes: task.wakes,
            aborts: task.aborts,
            running_ns: task.times.running_ns,
            busy_ns: task.times.busy_ns(),
            ready_ns: task.times.ready_ns,
            waiting_ns: task.times.waiting_ns,
        });
        self.line(&line)
    }

    fn moment(&mut self, moment: Moment<'_>) -> io::Result<()> {
        let line = match moment {
            Moment::Spawn(task, birth) => Line::Spawn(SpawnLine {
                task: task.id.0,
                parent: self.parent(task),
                time_ns: birth.time_ns,
                thread: birth.thread,
            }),
            Moment::Poll(poll) => Line::Poll(poll_line(poll)),
            Moment::Wake(wake) => Line::Wake(wake_line(wake)),
            Moment::Gap(gap) => {
                Line::Gap(GapLine { cpu: gap.cpu, since_ns: gap.since_ns, until_ns: gap.until_ns, lost: gap.lost })
            }
        };
        self.line(&line)
    }

    fn parent(&self, task: &Task) -> ParentLine {
        match task.parent {
            Parent::Task(id) => ParentLine::Task(id.0),
            Parent::Root(thread) => {
                ParentLine::Root(RootLine { thread, name: self.names.thread(thread).map(str::to_owned) })
            }
            Parent::Unknown(why) => ParentLine::Unknown(why),
        }
    }
}

fn recording<'a>(graph: &Graph, facts: &'a Facts) -> RecordingLine<'a> {
    let totals = graph.totals();
    RecordingLine {
        format: FORMAT,
        process: &facts.process,
        armed: facts.armed,
        from_first_instruction: facts.from_first_instruction,
        end_ns: graph.end_ns(),
        tokio: facts.tokio.as_deref(),
        totals: TotalsLine {
            tasks: graph.tasks().len() as u64,
            polls: totals.polls,
            wakes: totals.wakes,
            spawns: totals.spawns,
            gaps: totals.gaps,
            lost: totals.lost,
            polls_unended: totals.polls_unended,
            stale_wakes: totals.stale_wakes,
            unmatched_poll_ends: totals.unmatched_poll_ends,
        },
    }
}

fn poll_line(poll: &Poll) -> PollLine {
    PollLine {
        task: poll.task.map(|id| id.0),
        thread: poll.thread,
        start_ns: poll.start_ns,
        end_ns: poll.end_ns,
        outcome: poll.outcome,
        woken: poll.woken,
        nested_ns: poll.nested_ns,
        doubtful: poll.doubtful,
    }
}

fn wake_line(wake: &Wake) -> WakeLine {
    WakeLine {
        task: wake.task.0,
        time_ns: wake.time_ns,
        thread: wake.thread,
        did: wake.did,
        by: match wake.by {
            WakeBy::Task(id) => ByLine::Task(id.0),
            WakeBy::Runtime(driver) => ByLine::Runtime(driver),
            WakeBy::Own => ByLine::Own(true),
            WakeBy::Thread(tid) => ByLine::Thread(tid),
            WakeBy::Unknown(why) => ByLine::Unknown(why),
        },
    }
}
