//! Event streams as text, and graphs as text.
//!
//! A script is a list of statements, divided by `;`: `THREAD/SP VERB ARGUMENTS`. Each is 10 ns after
//! the one before, the first at 10. Tasks are written as their ids; `7@8` is task 7 in the header
//! that was task 8's. Ids from 900 on are workers. A script that starts with `attached;` is one of
//! an attach to a process in which threads 1 and 2 were alive.

use crate::event::{At, Event, SpawnWay, State, TaskId, TaskRef, What};
use crate::facts::{Driver, DriverCode, Facts, TaskType, Thread};
use crate::model::{Detail, Graph, How, Outcome, Parent, Setup, Task, WakeBy};
use probe_common::record::state::*;

pub(crate) const IO: u64 = 0x10;
pub(crate) const TIME: u64 = 0x20;
pub(crate) const DEFER: u64 = 0x30;
const IDLE: u64 = REF_ONE | JOIN_INTEREST;

pub(crate) fn facts(attached: bool) -> Facts {
    let code = |start, driver| DriverCode { start, end: start + 0x10, driver };
    let ty = |vtable, name: &str, runtime| TaskType { vtable, name: name.into(), runtime, ..TaskType::default() };
    let thread = |tid| Thread { tid, name: format!("thread-{tid}") };
    Facts {
        from_first_instruction: !attached,
        types: vec![ty(1, "svc::handle", false), ty(2, "svc::query", false), ty(9, "worker", true)],
        drivers: vec![code(DEFER, Driver::Deferred), code(IO, Driver::Io), code(TIME, Driver::Time)],
        threads: if attached { vec![thread(1), thread(2)] } else { vec![] },
        ..Facts::default()
    }
}

/// The finished graph of a script; its end is 10 ns after the last statement.
pub(crate) fn graph(script: &str) -> Graph {
    let events = events(script.trim_start_matches("attached;"));
    let setup = Setup::from(&facts(script.starts_with("attached;"))).with_detail(Detail::Intervals);
    let mut graph = Graph::new(&setup);
    for event in &events {
        graph.apply(event);
    }
    graph.finish(10 * (events.len() as u64 + 1));
    graph
}

fn events(script: &str) -> Vec<Event> {
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
                IDLE,
                &[("woken", NOTIFIED), ("done", COMPLETE), ("aborted", COMPLETE | CANCELLED), ("joined", JOIN_WAKER)],
            ),
        },
        "wake" => What::Wake {
            task,
            old: word(IDLE, states),
            new: word(if flag("nothing") { IDLE } else { IDLE | NOTIFIED }, states),
            caller: bits(&[("io", IO), ("time", TIME + 0xf), ("defer", DEFER), ("beyond", DEFER + 0x10)]),
            owned: !flag("stale"),
            predicted: flag("predicted"),
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
            way: match () {
                () if flag("local") => SpawnWay::Local,
                () if flag("blocking") => SpawnWay::Blocking,
                () => SpawnWay::Owned,
            },
        },
        "panic" => What::Panic,
        "exit" => What::PollExit,
        "gap" => What::Gap { since: args.first().map_or(time, |since| since.parse().unwrap()), lost: 3 },
        "name" => What::ThreadName { name: args[0].into() },
        "rest" => What::ThreadAtRest,
        _ => panic!("no verb {verb}"),
    }
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
pub(crate) fn parents(graph: &Graph) -> String {
    each(graph.tasks(), |task| {
        let parent = match task.parent {
            Parent::Task(parent) => parent.0.to_string(),
            Parent::Root(tid) => format!("root{tid}"),
            Parent::Unknown(why) => format!("?{why:?}"),
        };
        format!("{}<{parent}", task.id.0)
    })
}

/// `7@1 10-30 Pending`, then `woken`, `nested 5`, `doubtful` where they apply.
pub(crate) fn polls(graph: &Graph) -> String {
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
pub(crate) fn wakes(graph: &Graph) -> String {
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
pub(crate) fn times(graph: &Graph) -> String {
    each(graph.tasks(), |task| {
        let t = task.times;
        format!("{} run {} ready {} wait {} busy {}", task.id.0, t.running_ns, t.ready_ns, t.waiting_ns, t.busy_ns())
    })
}

/// `7 Completed at 30`, or `7 alive`.
pub(crate) fn ends(graph: &Graph) -> String {
    let how = |how: How, time| format!("{how:?} at {time}");
    each(graph.tasks(), |task| {
        let end = task.end.map_or("alive".into(), |end| how(end.how, end.time_ns));
        format!("{} {end}", task.id.0)
    })
}

fn each(tasks: &[Task], show: impl Fn(&Task) -> String) -> String {
    tasks.iter().map(show).collect::<Vec<_>>().join(", ")
}
