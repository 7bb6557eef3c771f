//! A made-up program's events, the same on every machine: what the agent's own cost is measured with.

use asyncscope_trace::event::encode::encode;
use asyncscope_trace::event::{At, Completion, Event, Moment, SpawnWay, State, TaskId, TaskRef, What};
use asyncscope_trace::facts::{Facts, TaskType};
use probe_common::record::state::{COMPLETE, INITIAL, JOIN_INTEREST, NOTIFIED, REF_ONE, RUNNING};

/// Threads of the program, each on a CPU of its own.
const THREADS: u64 = 4;
/// Task types: a task's is its id modulo this, plus one.
const TYPES: u64 = 16;
/// A task's header lies here times its id.
const HEADER_BYTES: u64 = 0x100;
/// Nanoseconds from each event to the next.
const STEP_NS: u64 = 500;
/// The task that spawns all others.
const SPAWNER: u64 = 1;
const IDLE: u64 = REF_ONE | JOIN_INTEREST;

/// Types of tasks with names as services have them.
pub(crate) fn facts() -> Facts {
    let name = |at| format!("service::handlers::route_{at}::handle::{{{{closure}}}}");
    let types = (1..=TYPES).map(|at| TaskType { vtable: at, name: Some(name(at)), ..TaskType::default() });
    Facts { from_first_instruction: true, types: types.collect(), ..Facts::default() }
}

/// Events one after the other.
pub(crate) struct Load {
    now: u64,
    seqs: [u64; THREADS as usize],
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { now: 0, seqs: [0; THREADS as usize] }
    }

    fn event(&mut self, thread: u64, what: What) -> Event {
        self.now += STEP_NS;
        let cpu = thread % THREADS;
        let seq = &mut self.seqs[cpu as usize];
        *seq += 1;
        let at = At { time: self.now, cpu: cpu as u16, seq: *seq - 1, tid: 100 + cpu as u32, sp: 0x7000 };
        Event { at, what }
    }

    /// The task that spawns the others begins to be polled.
    pub(crate) fn begin(&mut self, sink: &mut impl FnMut(Event)) {
        let task = task(SPAWNER);
        sink(self.event(
            0,
            What::Spawn { task, state: State(INITIAL), caller: 0, way: SpawnWay::Owned, completion: Completion::Over },
        ));
        sink(self.event(0, What::PollStart { task, state: State(INITIAL) }));
    }

    /// A task is spawned, polled and waits: 3 events.
    pub(crate) fn start(&mut self, id: u64, sink: &mut impl FnMut(Event)) {
        let task = task(id);
        sink(self.event(
            0,
            What::Spawn { task, state: State(INITIAL), caller: 0, way: SpawnWay::Owned, completion: Completion::Over },
        ));
        self.poll(id, IDLE, sink);
    }

    /// It is woken by whoever runs on the spawner's thread, and polled: 3 events.
    pub(crate) fn go_on(&mut self, id: u64, sink: &mut impl FnMut(Event)) {
        self.wake(id, sink);
        self.poll(id, IDLE, sink);
    }

    /// The same, and it completes: 3 events.
    pub(crate) fn complete(&mut self, id: u64, sink: &mut impl FnMut(Event)) {
        self.wake(id, sink);
        self.poll(id, IDLE | COMPLETE, sink);
    }

    fn wake(&mut self, id: u64, sink: &mut impl FnMut(Event)) {
        let (old, new) = (State(IDLE), State(IDLE | NOTIFIED));
        sink(self.event(
            0,
            What::Wake {
                task: task(id),
                old,
                new,
                caller: 0,
                owned: true,
                predicted: false,
                moment: Moment { completion: Completion::Over, turn: None },
            },
        ));
    }

    fn poll(&mut self, id: u64, new: u64, sink: &mut impl FnMut(Event)) {
        let (task, thread) = (task(id), 1 + id % (THREADS - 1));
        sink(self.event(thread, What::PollStart { task, state: State(IDLE | NOTIFIED) }));
        sink(self.event(thread, What::PollEnd { task, old: State(IDLE | RUNNING), new: State(new) }));
    }

    /// This many tasks that each live through nine events; never more than a hundred are alive.
    pub(crate) fn requests(tasks: u64) -> Vec<Event> {
        const ALIVE: u64 = 100;
        let mut events = Vec::new();
        let mut load = Self::new();
        let mut sink = |event| events.push(event);
        load.begin(&mut sink);
        for id in 2..tasks + 2 + ALIVE {
            if id < tasks + 2 {
                load.start(id, &mut sink);
                load.go_on(id, &mut sink);
            }
            if id >= 2 + ALIVE {
                load.complete(id - ALIVE, &mut sink);
            }
        }
        events
    }
}

fn task(id: u64) -> TaskRef {
    TaskRef { header: id * HEADER_BYTES, id: Some(TaskId(id)), vtable: 1 + id % TYPES }
}

/// Each event as the probe writes it.
pub(crate) fn records(events: &[Event]) -> Vec<Vec<u8>> {
    let record = |event| {
        let mut bytes = Vec::new();
        encode(event, &mut bytes);
        bytes
    };
    events.iter().map(record).collect()
}
