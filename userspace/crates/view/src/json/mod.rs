//! One JSON object a line; docs/json.md describes them.

mod http;
mod lines;
mod sampled;

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use self::http::{call_line, candidates, log_line, request_line, segment_line};
use self::lines::{
    AwaitLine, ByLine, EndLine, FrameLine, GapLine, JsonLine, ParentLine, PollLine, RecordingLine, RootLine,
};
use self::lines::{CodeLine, DelayedLine, LongPollLine, SpawnLine, TaskLine, WakeLine};
use super::long_polls::{OffCpuFunction, Resumed, functions};
use super::lost::Lost;
use super::names::{self, DisplayNames};
use asyncscope_model::{
    Birth, Call, Gap, Graph, LoggedLine, LongPoll, Outcome, Parent, Poll, Request, Segment, Task, Totals, Wake, WakeBy,
};
use asyncscope_trace::chain::frame_name;
use asyncscope_trace::facts::{AwaitFrame, Facts, Function};

/// The version of the format: raised when a field changes its meaning or goes.
pub(super) const FORMAT: u32 = 1;

/// Writes the recording's line, those of the tasks by id, then all others by time.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, lost: &Lost, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = JsonWriter { names: DisplayNames::new(graph, facts), graph, facts, out: BufWriter::new(out) };
    writer.line(&JsonLine::Recording(recording(graph, facts, lost)))?;
    if facts.sampling.is_some() {
        writer.samples()?;
        return writer.out.flush();
    }
    let mut tasks: Vec<&Task> = graph.tasks().values().collect();
    tasks.sort_by_key(|task| task.id);
    for task in &tasks {
        writer.task(task)?;
    }
    for task in tasks {
        writer.awaits(graph, &facts.frames, task)?;
    }
    for moment in moments(graph) {
        writer.moment(moment)?;
    }
    writer.out.flush()
}

/// Something with a time of its own, in the order of equal times.
#[derive(Clone, Copy)]
enum Dated<'a> {
    Spawn(&'a Task, Birth),
    Poll(&'a Poll),
    Wake(&'a Wake),
    Gap(&'a Gap),
    Request(&'a Request),
    Call(&'a Call),
    Segment(&'a Segment),
    LongPoll(&'a LongPoll),
    Log(&'a LoggedLine),
}

fn moments<'a>(graph: &'a Graph) -> Vec<Dated<'a>> {
    let born = |task: &'a Task| task.born().map(move |birth| Dated::Spawn(task, birth));
    let spawns = graph.tasks().values().filter_map(born);
    let polls = graph.polls().iter().filter(|poll| poll.outcome != Outcome::Refused).map(Dated::Poll);
    let wakes = graph.wakes().iter().map(Dated::Wake);
    let gaps = graph.gaps().iter().map(Dated::Gap);
    let requests = graph.requests().map(Dated::Request);
    let segments = graph.segments().iter().map(Dated::Segment);
    let long_polls = graph.long_polls().polls().iter().map(Dated::LongPoll);
    let calls = graph.calls().map(Dated::Call);
    let logs = graph.log_lines().map(|(_, line)| Dated::Log(line));
    let work = requests.chain(spawns).chain(polls).chain(wakes);
    let mut all: Vec<_> = work.chain(gaps).chain(calls).chain(segments).chain(long_polls).chain(logs).collect();
    all.sort_by_key(|moment| match moment {
        Dated::Spawn(_, birth) => birth.time_ns,
        Dated::Poll(poll) => poll.start_ns,
        Dated::Wake(wake) => wake.time_ns,
        Dated::Gap(gap) => gap.since_ns,
        Dated::Request(request) => request.opened_ns,
        Dated::Call(call) => call.opened_ns,
        Dated::Segment(segment) => segment.from_ns,
        Dated::LongPoll(poll) => poll.start_ns,
        Dated::Log(line) => line.time_ns,
    });
    all
}

struct JsonWriter<'a> {
    names: DisplayNames<'a>,
    graph: &'a Graph,
    facts: &'a Facts,
    out: BufWriter<&'a mut dyn Write>,
}

impl JsonWriter<'_> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn task(&mut self, task: &Task) -> io::Result<()> {
        let owner = self.graph.owner(task.id);
        let line = JsonLine::Task(TaskLine {
            task: task.id.0,
            type_name: self.names.task_type(task.vtable),
            task_kind: task.kind,
            runtime: task.runtime,
            parent: self.parent(task),
            born_ns: task.born().map(|birth| birth.time_ns),
            first_seen_ns: task.first_seen_ns,
            end: task.end().map(|end| EndLine { time_ns: end.time_ns, how: end.how }),
            polls: task.polls,
            polls_unended: task.polls_unended(),
            wakes: task.wakes,
            aborts: task.aborts(),
            running_ns: task.times().running_ns,
            busy_ns: task.times().busy_ns(),
            off_cpu_ns: self.facts.off_cpu.then_some(task.times().off_cpu_ns),
            trap_ns: self.facts.off_cpu.then_some(task.times().trap_ns),
            ready_ns: task.times().ready_ns,
            waiting_ns: task.times().waiting_ns,
            request: owner.request().map(|id| id.0),
            candidates: candidates(&owner),
        });
        self.line(&line)
    }

    fn awaits(&mut self, graph: &Graph, frames: &[AwaitFrame], task: &Task) -> io::Result<()> {
        for waited in task.waited() {
            let Some(chain) = graph.chain(waited.chain) else { continue };
            let numbers = chain.frames.iter().map(|frame| (frame.frame, frame.depth.into()));
            let lines = chain.frames.iter().enumerate().filter_map(|(at, one)| {
                let frame = frames.get(one.frame as usize)?;
                Some(FrameLine {
                    depth: one.depth,
                    name: frame_name(frames, numbers.clone(), at),
                    is: frame.kind,
                    file: frame.file.as_deref(),
                    line: frame.line,
                    until_line: frame.until,
                })
            });
            self.line(&JsonLine::Await(AwaitLine {
                task: task.id.0,
                wait_ns: waited.ns,
                times: waited.times,
                partial: chain.partial,
                chain: lines.collect(),
            }))?;
        }
        Ok(())
    }

    fn moment(&mut self, moment: Dated<'_>) -> io::Result<()> {
        let line = match moment {
            Dated::Spawn(task, birth) => JsonLine::Spawn(SpawnLine {
                task: task.id.0,
                parent: self.parent(task),
                time_ns: birth.time_ns,
                thread: birth.thread,
            }),
            Dated::Poll(poll) => JsonLine::Poll(poll_line(poll, self.facts)),
            Dated::Wake(wake) => JsonLine::Wake(wake_line(wake)),
            Dated::Request(request) => JsonLine::Request(request_line(request, self.facts)),
            Dated::Call(call) => JsonLine::Call(call_line(self.graph, call, self.facts)),
            Dated::Segment(segment) => match segment_line(self.graph, segment) {
                None => return Ok(()),
                Some(line) => JsonLine::Segment(line),
            },
            Dated::LongPoll(poll) => JsonLine::LongPoll(long_poll_line(self.graph, self.facts, poll)),
            Dated::Log(line) => JsonLine::Log(log_line(self.graph, line)),
            Dated::Gap(gap) => {
                JsonLine::Gap(GapLine { cpu: gap.cpu, since_ns: gap.since_ns, until_ns: gap.until_ns, lost: gap.lost })
            }
        };
        self.line(&line)
    }

    fn parent(&self, task: &Task) -> ParentLine {
        match task.parent() {
            Parent::Task(id) => ParentLine::Task(id.0),
            Parent::Root(thread) => {
                ParentLine::Root(RootLine { thread, name: self.names.thread(thread).map(str::to_owned) })
            }
            Parent::Unknown(why) => ParentLine::Unknown(why),
        }
    }
}

fn recording<'a>(graph: &Graph, facts: &'a Facts, lost: &Lost) -> RecordingLine<'a> {
    RecordingLine {
        format: FORMAT,
        process: &facts.process,
        armed: facts.armed,
        from_first_instruction: facts.from_first_instruction,
        end_ns: graph.end_ns(),
        tokio: facts.tokio.as_deref(),
        tokio_versions: &facts.tokio_versions,
        in_exchange: facts.in_exchange,
        not_seen: lost.not_seen(),
        totals: Totals { tasks: graph.tasks().len() as u64, ..graph.totals() },
    }
}

fn poll_line(poll: &Poll, facts: &Facts) -> PollLine {
    PollLine {
        task: poll.task.map(|id| id.0),
        thread: poll.thread,
        start_ns: poll.start_ns,
        end_ns: poll.end_ns,
        outcome: poll.outcome,
        woken: poll.woken,
        nested_ns: poll.nested_ns,
        off_cpu_ns: facts.off_cpu.then_some(poll.off_cpu_ns),
        trap_ns: facts.off_cpu.then_some(poll.trap_ns),
        doubtful: poll.doubtful,
    }
}

fn long_poll_line<'a>(graph: &'a Graph, facts: &'a Facts, poll: &LongPoll) -> LongPollLine<'a> {
    let delayed = poll.delayed.iter().map(|delayed| DelayedLine {
        task: delayed.task.0,
        since_ns: delayed.since_ns,
        taken_ns: delayed.taken_ns,
        delay_ns: poll.delay_ns(delayed),
    });
    let stack = poll.off_cpu_at.and_then(|at| graph.samples().stack(at.stack()?));
    LongPollLine {
        task: poll.task.0,
        thread: poll.thread,
        start_ns: poll.start_ns,
        end_ns: (!poll.open).then_some(poll.end_ns),
        own_ns: poll.own_ns,
        off_cpu_ns: facts.off_cpu.then_some(poll.off_cpu_ns),
        trap_ns: facts.off_cpu.then_some(poll.trap_ns),
        off_cpu_in: OffCpuFunction::of(graph, poll).map(|place| code_line(place.function)),
        stack: stack.map(|stack| functions(graph, stack).map(code_line).collect()),
        awaited: Resumed::of(graph, facts, poll).map(|Resumed { name, frame }| CodeLine {
            name: name.into(),
            or_another: false,
            file: frame.file.as_deref(),
            line: frame.line.filter(|_| frame.until.is_none()),
        }),
        delayed: delayed.collect(),
    }
}

fn code_line(function: &Function) -> CodeLine<'_> {
    let Function { name, or_another, file, line } = function;
    let file = Some(file.as_str()).filter(|file| !file.is_empty());
    CodeLine {
        name: names::function_alone(name),
        or_another: *or_another,
        file,
        line: Some(*line).filter(|&line| line > 0),
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
