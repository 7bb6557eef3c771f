//! Event streams as text, and graphs as text.
//!
//! A script is a list of statements, divided by `;`: `THREAD/SP VERB ARGUMENTS`. Each is 10 ns after
//! the one before, the first at 10. Tasks are written as their ids; `7@8` is task 7 in the header
//! that was task 8's. Ids from 900 on are workers. A script that starts with `attached;` is one of
//! an attach to a process in which threads 1 and 2 were alive.

use crate::{Call, Close, Closed, Detail, Graph, HeadLine, How, LoggedLine, Outcome, Owner, Parent, SpanDetail};
use crate::{Config, Request, Segment, Task, Tasks, WakeBy};
use asyncscope_trace::event::{
    At, ChainFrame, Change, Completion, Connection, Ended, Event, Message, Missing, Moment, Print, Running, Source,
    SpawnWay, Standard, Start, Turn, TurnOf,
};
use asyncscope_trace::event::{State, TaskId, TaskRef, Value, What};
use asyncscope_trace::facts::{
    Driver, DriverCode, Facts, Function, ImageId, NamedThread, PollFunction, TaskType, TypeKey,
};
use probe_common::record::state::{
    CANCELLED, COMPLETE, INITIAL, JOIN_INTEREST, JOIN_WAKER, NOTIFIED, REF_ONE, RUNNING,
};

/// The code of the I/O driver.
pub const IO: u64 = 0x10;
/// The code of the timers.
pub const TIME: u64 = 0x20;
/// The code that uses wakers that were put off.
pub const DEFER: u64 = 0x30;
/// The code of poll functions: of tasks with odd ids.
pub const POLL: u64 = 0x60;
const IDLE: u64 = REF_ONE | JOIN_INTEREST;

/// Returns the facts about the target of scripts.
pub fn facts(attached: bool) -> Facts {
    let code = |start, driver| DriverCode { start, end: start + 0x10, driver };
    let ty = |vtable, name: &str, runtime| {
        let key = TypeKey { image: ImageId::EXECUTABLE, address: vtable };
        TaskType { vtable, key, name: Some(name.into()), runtime, ..TaskType::default() }
    };
    let thread = |tid| NamedThread { tid, name: format!("thread-{tid}") };
    Facts {
        from_first_instruction: !attached,
        types: vec![ty(1, "svc::handle", false), ty(2, "svc::query", false), ty(9, "worker", true)],
        drivers: vec![code(DEFER, Driver::Deferred), code(IO, Driver::Io), code(TIME, Driver::Time)],
        polls: vec![PollFunction { start: POLL, end: POLL + 0x10, vtables: vec![1] }],
        correlation_headers: vec!["x-request-id".into(), "traceparent".into()],
        threads: if attached { vec![thread(1), thread(2)] } else { vec![] },
        ..Facts::default()
    }
}

/// The finished graph of a script; its end is 10 ns after the last statement.
pub fn graph(script: &str) -> Graph {
    graph_with(script, Detail::Intervals)
}

/// The finished graph of a script, with so much detail.
pub fn graph_with(script: &str, detail: Detail) -> Graph {
    graph_of(&facts(script.starts_with("attached;")), script, detail)
}

/// The finished graph of a script, with other facts.
pub fn graph_of(facts: &Facts, script: &str, detail: Detail) -> Graph {
    graph_noted(facts, script, detail, None)
}

/// The finished graph of a script, with lines kept up to this many bytes, if any.
pub fn with_log_lines(script: &str, max: Option<u64>) -> Graph {
    finished(&Config::from(&facts(false)).with_log_lines(max), script)
}

/// The finished graph of a script, with polls kept that took at least this many nanoseconds.
pub fn with_long_polls(script: &str, min_ns: u64) -> Graph {
    finished(&Config::from(&facts(script.starts_with("attached;"))).with_long_polls(Some(min_ns)), script)
}

/// The finished graph of a script, with histories kept.
pub fn with_span_detail(script: &str, span_detail: Option<SpanDetail>) -> Graph {
    graph_noted(&facts(script.starts_with("attached;")), script, Detail::Intervals, span_detail)
}

fn graph_noted(facts: &Facts, script: &str, detail: Detail, span_detail: Option<SpanDetail>) -> Graph {
    finished(
        &Config::from(facts).with_detail(detail).with_span_detail(span_detail).with_log_lines(Some(u64::MAX)),
        script,
    )
}

fn finished(config: &Config, script: &str) -> Graph {
    let events = events(script.trim_start_matches("attached;"));
    let mut graph = Graph::new(config);
    for event in &events {
        graph.apply(event);
    }
    graph.finish(10 * (events.len() as u64 + 1));
    graph
}

/// The events of a script, which begins with its first statement.
pub fn events(script: &str) -> Vec<Event> {
    let statements = script.split(';').map(str::trim).filter(|text| !text.is_empty());
    statements.enumerate().map(|(i, text)| event(10 * (i as u64 + 1), text)).collect()
}

fn event(time: u64, text: &str) -> Event {
    let mut words = text.split_whitespace();
    let (tid, sp) = words.next().unwrap().split_once('/').unwrap();
    let (tid, sp) = (tid.parse().unwrap(), sp.parse().unwrap());
    let verb = words.next().unwrap();
    let args: Vec<&str> = words.collect();
    let at = At { time, cpu: 0, seq: time, tid, sp };
    Event { at, what: what(time, verb, &args) }
}

fn what(time: u64, verb: &str, args: &[&str]) -> What {
    let task = args.first().map_or(NOBODY, |arg| task(arg));
    let flag = |name: &str| args.contains(&name);
    let bits =
        |table: &[(&str, u64)]| table.iter().filter(|(name, _)| flag(name)).fold(0, |word, (_, bits)| word | bits);
    let word = |base: u64, table| State(base | bits(table));
    let states = &[("notified", NOTIFIED), ("running", RUNNING), ("complete", COMPLETE), ("cancelled", CANCELLED)];
    match verb {
        "poll" => What::PollStart { task, state: word(IDLE | NOTIFIED, states) },
        "shutdown" => What::Shutdown { task, state: word(IDLE, states) },
        "end" => What::PollEnd {
            task: if flag("no-id") { TaskRef { id: None, vtable: 0, ..task } } else { task },
            old: word(IDLE | RUNNING, &[("aborted", CANCELLED)]),
            new: word(
                if flag("detached") { REF_ONE } else { IDLE },
                &[("woken", NOTIFIED), ("done", COMPLETE), ("aborted", COMPLETE | CANCELLED), ("joined", JOIN_WAKER)],
            ),
        },
        "wake" => What::Wake {
            task,
            old: word(IDLE, states),
            new: word(if flag("nothing") { IDLE } else { IDLE | NOTIFIED }, states),
            caller: bits(&[
                ("io", IO),
                ("time", TIME + 0xf),
                ("defer", DEFER),
                ("beyond", DEFER + 0x10),
                ("poll-code", POLL),
            ]),
            owned: !flag("stale"),
            predicted: flag("predicted"),
            moment: moment(args),
        },
        "abort" => What::Abort {
            task,
            old: word(IDLE, states),
            new: word(IDLE | NOTIFIED | CANCELLED, states),
            predicted: false,
        },
        "spawn" => What::Spawn {
            task,
            state: State(if flag("used") { IDLE } else { INITIAL }),
            caller: 0,
            completion: moment(args).completion,
            way: match () {
                () if flag("local") => SpawnWay::Local,
                () if flag("blocking") => SpawnWay::Blocking,
                () => SpawnWay::Owned,
            },
        },
        // `born 8 7`: task 8, by what tokio says runs, task 7; `none`, or `unknown`.
        "born" => {
            What::SpawnedBy { task, state: State(INITIAL), caller: 0, way: SpawnWay::Owned, by: running(args[1]) }
        }
        // `sample 7 5`: of task 7, at stack 5.
        "sample" => {
            What::Sample { running: running(args[0]), stack: args[1].parse().unwrap(), in_kernel: flag("kernel") }
        }
        // `stack 5 poll 16 32`: it ended at a poll function, with code at 32.
        "stack" => What::Stack {
            stack: args[0].parse().unwrap(),
            ended: if args[1] == "poll" { Ended::Poll } else { Ended::Cut },
            frames: args[2..].iter().map(|address| address.parse().unwrap()).collect(),
        },
        // `code 16 svc::inner svc::outer`
        "typed" => What::Typed { task },
        "code" => What::Code {
            address: args[0].parse().unwrap(),
            functions: args[1..].iter().map(|&name| Function { name: name.into(), ..Function::default() }).collect(),
        },
        "awaited" => What::Awaited { task, chain: args[1].parse().unwrap() },
        "frames" => What::Frames {
            chain: args[0].parse().unwrap(),
            partial: false,
            frames: args[1..].iter().map(|frame| chain_frame(frame)).collect(),
        },
        "panic" => What::Panic,
        "exit" => What::PollExit,
        "gap" => What::Gap { since: args.first().map_or(time, |since| since.parse().unwrap()), lost: 3 },
        "name" => What::ThreadName { name: args[0].into() },
        // `off-cpu 12 5`: since 12, at stack 5; `off-cpu 12 trap`; `off-cpu 12 unseen`: its end was not seen.
        "off-cpu" => What::OffCpu {
            since: args[0].parse().unwrap(),
            stack: args.get(1).and_then(|stack| stack.parse().ok()).unwrap_or(0),
            in_trap: flag("trap"),
            end_unseen: flag("unseen"),
        },
        "rest" => What::ThreadAtRest,
        "read" => message(args, false),
        "write" => message(args, true),
        "out" => print(Standard::Output, args),
        "err" => print(Standard::Error, args),
        "closed" => changed(args[0], Change::Closed),
        "lost" => changed(args[0], Change::Lost),
        "left" => changed(args[0], Change::Left),
        _ => panic!("no verb {verb}"),
    }
}

/// `after`: what follows a completion goes on; `over`: none does. `turn=60`: in the timers' turn, entered at 60; `io=60`.
fn moment(args: &[&str]) -> Moment {
    let completion = match () {
        () if args.contains(&"after") => Completion::GoesOn,
        () if args.contains(&"over") => Completion::Over,
        () => Completion::Unknown,
    };
    let turn = |name: &str, driver| {
        let sp = args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok())?;
        Some(Turn { driver, sp })
    };
    Moment { completion, turn: turn("turn=", TurnOf::Time).or_else(|| turn("io=", TurnOf::Io)) }
}

fn running(text: &str) -> Running {
    match text {
        "none" => Running::Nothing,
        "unknown" => Running::Unknown,
        id => Running::Task(TaskId(id.parse().unwrap())),
    }
}

/// `FRAME/DEPTH`
fn chain_frame(text: &str) -> ChainFrame {
    let (frame, depth) = text.split_once('/').unwrap();
    ChainFrame { frame: frame.parse().unwrap(), depth: depth.parse().unwrap() }
}

/// `GET /path on 5 id=x`, `200 on 5`, `trailers on h5.3 grpc=0`: descriptor 5, stream 3 of HTTP/2 connection 5.
/// `id=` is a value of the first header, `parent=` of the second. `by=7`: tokio says that task 7 runs. `early=yes`.
fn message(args: &[&str], written: bool) -> What {
    let on = args.iter().position(|arg| *arg == "on").unwrap();
    let start = match args[..on] {
        ["trailers"] => Start::Trailers,
        [status] => Start::Response { status: status.parse().unwrap() },
        [method, path] => Start::Request { method: method.into(), path: path.into(), cut: false },
        _ => panic!("what is {args:?}?"),
    };
    let (connection, substream) = connection(args[on + 1]);
    let more = args[on + 2..].iter().map(|arg| arg.split_once('=').unwrap());
    let by = more.clone().find(|(name, _)| *name == "by").map(|(_, by)| running(by));
    let early = more.clone().any(|(name, _)| name == "early");
    let value = |(name, text): (&str, &str)| {
        let header = ["id", "parent", "grpc", "by", "early"].iter().position(|known| *known == name).unwrap();
        (header < 2).then(|| Value { name: header as u8, bytes: text.into(), cut: false })
    };
    let grpc = more.clone().find(|(name, _)| *name == "grpc").map(|(_, status)| status.parse().unwrap());
    What::Message(Box::new(Message {
        connection,
        substream,
        written,
        by,
        early,
        start,
        grpc_status: grpc,
        values: more.filter_map(value).collect(),
    }))
}

/// `a\nb`; `+5`: five bytes more are missing, `+5n`: the last of which ends a line.
fn print(to: Standard, args: &[&str]) -> What {
    let more = args.iter().find_map(|arg| arg.strip_prefix('+'));
    let missing =
        |more: &str| Missing { bytes: more.trim_end_matches('n').parse().unwrap(), ends_line: more.ends_with('n') };
    let text = args.iter().find(|arg| !arg.starts_with('+')).map_or(String::new(), |text| text.replace("\\n", "\n"));
    What::Print(Print { to, bytes: text.into_bytes(), missing: more.map(missing) })
}

fn connection(text: &str) -> (Connection, u32) {
    match text.strip_prefix('h') {
        Some(text) => {
            let (key, stream) = text.split_once('.').unwrap_or((text, "0"));
            let connection = Connection { source: Source::Http2, key: key.parse().unwrap() };
            (connection, stream.parse().unwrap())
        }
        None => (Connection { source: Source::Descriptor, key: text.parse().unwrap() }, 0),
    }
}

fn changed(on: &str, change: Change) -> What {
    What::Stream { connection: connection(on).0, change }
}

const NOBODY: TaskRef = TaskRef { header: 0, id: None, vtable: 0 };

fn task(text: &str) -> TaskRef {
    let (id, header) = text.split_once('@').unwrap_or((text, text));
    let (Ok(id), Ok(header)) = (id.parse::<u64>(), header.parse::<u64>()) else {
        return NOBODY;
    };
    let vtable = match id {
        900.. => 9,
        _ if id % 2 == 0 => 2,
        _ => 1,
    };
    TaskRef { header: header * 0x100, id: Some(TaskId(id)), vtable }
}

/// `8<7` (spawned by 7), `8<root1`, `8<?gap`.
pub fn parents(graph: &Graph) -> String {
    each(graph.tasks(), |task| {
        let parent = match task.parent() {
            Parent::Task(parent) => parent.0.to_string(),
            Parent::Root(tid) => format!("root{tid}"),
            Parent::Unknown(why) => format!("?{why:?}"),
        };
        format!("{}<{parent}", task.id.0)
    })
}

/// `7@1 10-30 Pending`, then `woken`, `nested 5`, `doubtful` where they apply.
pub fn polls(graph: &Graph) -> String {
    let polls: Vec<String> = graph
        .polls()
        .iter()
        .filter(|poll| poll.outcome != Outcome::Refused)
        .map(|poll| {
            let id = poll.task.map_or("?".into(), |id| id.0.to_string());
            let end = poll.end_ns.map_or(String::new(), |end| end.to_string());
            let mut text = format!("{id}@{} {}-{end} {:?}", poll.thread, poll.start_ns, poll.outcome);
            text += if poll.woken { " woken" } else { "" };
            text += &if poll.nested_ns > 0 { format!(" nested {}", poll.nested_ns) } else { String::new() };
            text + if poll.doubtful { " doubtful" } else { "" }
        })
        .collect();
    polls.join(", ")
}

/// `7 MadeReady by 5`
pub fn wakes(graph: &Graph) -> String {
    let wakes: Vec<String> = graph
        .wakes()
        .iter()
        .map(|wake| {
            let by = match wake.by {
                WakeBy::Task(id) => id.0.to_string(),
                WakeBy::Runtime(None) => "runtime".into(),
                WakeBy::Runtime(Some(driver)) => format!("{driver:?}"),
                WakeBy::Own => "own".into(),
                WakeBy::Thread(tid) => format!("thread{tid}"),
                WakeBy::Unknown(why) => format!("?{why:?}"),
            };
            format!("{} {:?} by {by}", wake.task.0, wake.did)
        })
        .collect();
    wakes.join(", ")
}

/// `7 run 10 ready 0 wait 20 busy 5`
pub fn times(graph: &Graph) -> String {
    each(graph.tasks(), |task| {
        let t = task.times();
        format!("{} run {} ready {} wait {} busy {}", task.id.0, t.running_ns, t.ready_ns, t.waiting_ns, t.busy_ns())
    })
}

/// `7 Completed at 30`, or `7 alive`.
pub fn ends(graph: &Graph) -> String {
    let how = |how: How, time| format!("{how:?} at {time}");
    each(graph.tasks(), |task| {
        let end = task.end().map_or("alive".into(), |end| how(end.how, end.time_ns));
        format!("{} {end}", task.id.0)
    })
}

/// `GET /a 10-40 200 by 7 run 20 ready 0 wait 10`; `open`, or how it ended, in place of the status.
pub fn requests(graph: &Graph) -> String {
    let one = |request: &Request| {
        let by = request.task.map_or(String::new(), |task| format!(" by {}", task.0));
        let times = request
            .times
            .map_or(String::new(), |t| format!(" run {} ready {} wait {}", t.running_ns, t.ready_ns, t.waiting_ns));
        let grpc = request.grpc_status.map_or(String::new(), |status| format!(" grpc {status}"));
        format!("{} {}{grpc}{by}{times}", line(&request.line), interval(request.opened_ns, request.end))
    };
    graph.requests().map(one).collect::<Vec<_>>().join(", ")
}

/// `GET /b 20-30 200 of /a by Id`, `of nobody`, `of /a or /b`.
pub fn calls(graph: &Graph) -> String {
    let one = |call: &Call| {
        let by = graph.evidence_of_call(call).map_or(String::new(), |by| format!(" by {by:?}"));
        let owner = owned(graph, &graph.owner_of_call(call));
        format!("{} {} of {owner}{by}", line(&call.line), interval(call.opened_ns, call.end))
    };
    graph.calls().map(one).collect::<Vec<_>>().join(", ")
}

/// `8 of /a, 9 of nobody`
pub fn owners(graph: &Graph) -> String {
    each(graph.tasks(), |task| format!("{} of {}", task.id.0, owned(graph, &graph.owner(task.id))))
}

/// `2 30-40 for /a answering /a`
pub fn segments(graph: &Graph) -> String {
    let one = |segment: &Segment| {
        let owner = owned(graph, &graph.owner_of_segment(segment));
        let answered = graph.answered_by(segment).map(|id| format!(" answering {}", owned(graph, &Owner::Request(id))));
        let answered = answered.unwrap_or_default();
        format!("{} {}-{} for {owner}{answered}", segment.task.0, segment.from_ns, segment.to_ns)
    };
    graph.segments().iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `out text by 7 for /a`
pub fn log_lines(graph: &Graph) -> String {
    let one = |line: &LoggedLine| {
        let to = if line.to == Standard::Output { "out" } else { "err" };
        let by = line.task.map_or(String::new(), |task| format!(" by {}", task.0));
        let unknown = line.unknown.map_or(String::new(), |why| format!(" ?{why:?}"));
        let several = if line.thread.is_none() { " of several threads" } else { "" };
        let owner = graph.owner_of_log_line(line);
        let owner = if owner == Owner::None { String::new() } else { format!(" for {}", owned(graph, &owner)) };
        let cut = line.cut.map_or(String::new(), |cut| format!(" {cut:?}"));
        format!("{to} {}{by}{unknown}{several}{owner}{cut}", String::from_utf8_lossy(&line.text))
    };
    graph.log_lines().map(|(_, line)| one(line)).collect::<Vec<_>>().join(", ")
}

fn owned(graph: &Graph, owner: &Owner) -> String {
    let paths = owner.candidates().iter().filter_map(|id| graph.request(*id)).map(|request| &request.line.path);
    let paths: Vec<_> = paths.map(|path| String::from_utf8_lossy(path)).collect();
    if paths.is_empty() { "nobody".into() } else { paths.join(" or ") }
}

fn line(line: &HeadLine) -> String {
    format!("{} {}", String::from_utf8_lossy(&line.method), String::from_utf8_lossy(&line.path))
}

fn interval(opened: u64, end: Option<Close>) -> String {
    match end {
        None => format!("{opened}- open"),
        Some(Close { time_ns, how: Closed::Answered { status } }) => format!("{opened}-{time_ns} {status}"),
        Some(Close { time_ns, how }) => format!("{opened}-{time_ns} {how:?}"),
    }
}

fn each(tasks: &Tasks, show: impl Fn(&Task) -> String) -> String {
    tasks.values().map(show).collect::<Vec<_>>().join(", ")
}
