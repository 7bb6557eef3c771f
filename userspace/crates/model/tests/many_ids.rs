//! A service answers many requests, each with an ID of its own and a task that was spawned for it. What the
//! graph of such a run takes does not grow, where no output needs every request.
//!
//! `ASYNCSCOPE_IDS=1000000 cargo test --release -p asyncscope-model --test many_ids -- --nocapture`

use asyncscope_model::{Config, Graph};
use asyncscope_trace::event::{
    At, Completion, Connection, Event, Message, Source, SpawnWay, Start, State, TaskId, TaskRef, Value, What,
};
use asyncscope_trace::facts::Facts;

/// As many, unless `ASYNCSCOPE_IDS` says otherwise.
const REQUESTS: u64 = 200_000;
/// Requests between two looks for tasks that are over, as a live run has them.
const ROUND: u64 = 1000;
/// The memory that may come on top from three tenths of all requests on.
const GROWTH_KIB: u64 = 4 << 10;
/// Bits of tokio's state word: running, complete, notified.
const RUNNING: u64 = 1;
const COMPLETE: u64 = 2;
const NOTIFIED: u64 = 4;

fn task(id: u64) -> TaskRef {
    TaskRef { header: id * 64, id: Some(TaskId(id)), vtable: 1 }
}

/// A request on the connection of task 1, for which a task is spawned.
fn request(number: u64) -> [What; 9] {
    let connection = Connection { source: Source::Descriptor, key: 5 };
    let message = |written, start, values| {
        let (by, early, grpc_status) = (None, false, None);
        What::Message(Box::new(Message { connection, substream: 0, written, by, early, start, grpc_status, values }))
    };
    let start = Start::Request { method: b"GET".to_vec(), path: format!("/{number}").into_bytes(), cut: false };
    let id = Value { name: 0, bytes: format!("distinct-{number}").into_bytes(), cut: false };
    let new = task(number + 2);
    let (idle, running) = (State(NOTIFIED), State(RUNNING));
    [
        What::PollStart { task: task(1), state: idle },
        message(false, start, vec![id]),
        What::Spawn { task: new, state: idle, caller: 0, way: SpawnWay::Owned, completion: Completion::Over },
        What::PollEnd { task: task(1), old: running, new: State(0) },
        What::PollStart { task: new, state: idle },
        What::PollEnd { task: new, old: running, new: State(COMPLETE) },
        What::PollStart { task: task(1), state: idle },
        message(true, Start::Response { status: 200 }, Vec::new()),
        What::PollEnd { task: task(1), old: running, new: State(0) },
    ]
}

/// Returns this process's resident memory; 0 where the kernel does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn memory_stays_and_each_id_stays_with_its_request() {
    let requests = std::env::var("ASYNCSCOPE_IDS").map_or(REQUESTS, |count| count.parse().unwrap());
    let facts =
        Facts { from_first_instruction: true, correlation_headers: vec!["x-request-id".into()], ..Facts::default() };
    let mut graph = Graph::new(&Config::from(&facts).with_eviction(true));
    let (mut time, mut resident) = (0, Vec::new());
    for number in 0..requests {
        for (place, what) in request(number).into_iter().enumerate() {
            time += 10;
            // What happens in a poll lies below its entry.
            let sp = if matches!(what, What::PollStart { .. }) { 90 } else { 80 };
            let at = At { time, cpu: 0, seq: number * 9 + place as u64, tid: 1, sp };
            graph.apply(&Event { at, what });
        }
        if number % ROUND == 0 {
            let over = graph.take_ended(time);
            graph.evict(&over);
        }
        if [requests / 10, requests * 3 / 10, requests - 1].contains(&number) {
            resident.push(resident_kib());
        }
    }
    graph.finish(time);
    println!("{resident:?} KiB after a tenth, three tenths, and all of {requests} requests");
    let totals = graph.totals();
    assert_eq!((totals.requests, totals.tasks), (requests, requests + 1));
    for request in graph.requests() {
        let id = request.ids.shown().unwrap();
        assert_eq!(id.value.strip_prefix(b"distinct-"), request.line.path.strip_prefix(b"/"));
    }
    assert!(resident[0] > 0 && resident[2] < resident[1] + GROWTH_KIB, "{resident:?}");
}
