//! Random events for the tests of this module and of those that keep events.

use proptest::prelude::*;

use probe_common::record::{
    FRAMES_MAX, METHOD_MAX, NO_GRPC_STATUS, PATH_MAX, PRINT_MAX, VALUE_CUT, VALUE_MAX, VALUES_MAX,
};

use super::encode::thread_name;
use super::{
    At, ChainFrame, Change, Completion, Connection, Ended, Event, Message, Missing, Moment, Print, Running, Source,
    SpawnWay, Standard, Start, State, TaskId, TaskRef, Turn, TurnOf, Value, What,
};
use crate::facts::{Function, INLINED_MAX};

/// Any event that a record can hold.
pub fn event() -> impl Strategy<Value = Event> {
    (at(), what()).prop_map(|(at, what)| Event { at, what })
}

fn at() -> impl Strategy<Value = At> {
    any::<(u64, u16, u64, u32, u64)>().prop_map(|(time, cpu, seq, tid, sp)| At { time, cpu, seq, tid, sp })
}

fn task() -> impl Strategy<Value = TaskRef> {
    let known = (1_u64.., any::<u64>()).prop_map(|(id, vtable)| (Some(TaskId(id)), vtable));
    (any::<u64>(), prop_oneof![known, Just((None, 0))]).prop_map(|(header, (id, vtable))| TaskRef {
        header,
        id,
        vtable,
    })
}

fn state() -> impl Strategy<Value = State> {
    any::<u64>().prop_map(State)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![".{0,8}", Just("tokio-rt-worker".into())].prop_map(|name: String| thread_name(name.as_bytes()))
}

fn connection() -> impl Strategy<Value = Connection> {
    let source = prop_oneof![Just(Source::Descriptor), Just(Source::Tls), Just(Source::Http2)];
    (source, any::<u64>()).prop_map(|(source, key)| Connection { source, key })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![Just(Change::Closed), Just(Change::Lost), Just(Change::Left)]
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=max)
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        (bytes(METHOD_MAX), bytes(PATH_MAX), any::<bool>()).prop_map(|(method, path, cut)| Start::Request {
            method,
            path,
            cut
        }),
        any::<u16>().prop_map(|status| Start::Response { status }),
        Just(Start::Trailers),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    (0..VALUE_CUT, bytes(VALUE_MAX), any::<bool>()).prop_map(|(name, bytes, cut)| Value { name, bytes, cut })
}

fn message() -> impl Strategy<Value = Message> {
    let values = prop::collection::vec(value(), 0..=VALUES_MAX);
    let grpc = prop_oneof![Just(None), (0..NO_GRPC_STATUS).prop_map(Some)];
    let by = prop::option::of(running());
    (connection(), any::<u32>(), any::<(bool, bool)>(), by, start(), grpc, values).prop_map(
        |(connection, substream, (written, early), by, start, grpc_status, values)| Message {
            connection,
            substream,
            written,
            by,
            early,
            start,
            grpc_status,
            values,
        },
    )
}

pub fn print() -> impl Strategy<Value = Print> {
    let to = prop_oneof![Just(Standard::Output), Just(Standard::Error)];
    let missing = prop::option::of((1u64.., any::<bool>()));
    let line = prop_oneof![bytes(PRINT_MAX), "[ab\n]{0,9}".prop_map(String::into_bytes)];
    (to, line, missing).prop_map(|(to, bytes, missing)| Print {
        to,
        bytes,
        missing: missing.map(|(bytes, ends_line)| Missing { bytes, ends_line }),
    })
}

fn chain_frame() -> impl Strategy<Value = ChainFrame> {
    (0u32..1 << 24, any::<u8>()).prop_map(|(frame, depth)| ChainFrame { frame, depth })
}

fn way() -> impl Strategy<Value = SpawnWay> {
    prop_oneof![Just(SpawnWay::Owned), Just(SpawnWay::Blocking), Just(SpawnWay::Local)]
}

pub fn completion() -> impl Strategy<Value = Completion> {
    prop_oneof![Just(Completion::Untold), Just(Completion::GoesOn), Just(Completion::Over)]
}

fn moment() -> impl Strategy<Value = Moment> {
    let driver = prop_oneof![Just(TurnOf::Io), Just(TurnOf::Time)];
    let turn = prop::option::of((driver, any::<u64>()).prop_map(|(driver, sp)| Turn { driver, sp }));
    (completion(), turn).prop_map(|(completion, turn)| Moment { completion, turn })
}

fn running() -> impl Strategy<Value = Running> {
    prop_oneof![(1..=u64::MAX).prop_map(|id| Running::Task(TaskId(id))), Just(Running::Nothing), Just(Running::Unknown)]
}

fn function() -> impl Strategy<Value = Function> {
    ("[a-zé:]{0,40}", "[a-z/.]{0,40}", any::<u32>()).prop_map(|(name, file, line)| Function { name, file, line })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        (task(), state()).prop_map(|(task, state)| What::PollStart { task, state }),
        (task(), state(), state()).prop_map(|(task, old, new)| What::PollEnd { task, old, new }),
        (task(), state(), state(), any::<(u64, bool, bool)>(), moment()).prop_map(
            |(task, old, new, (caller, owned, predicted), moment)| {
                What::Wake { task, old, new, caller, owned, predicted, moment }
            }
        ),
        (task(), state(), state(), any::<bool>())
            .prop_map(|(task, old, new, predicted)| { What::Abort { task, old, new, predicted } }),
        (task(), state(), any::<u64>(), way(), completion()).prop_map(|(task, state, caller, way, completion)| {
            What::Spawn { task, state, caller, way, completion }
        }),
        (task(), state()).prop_map(|(task, state)| What::Shutdown { task, state }),
        (task(), state(), any::<u64>(), way(), running())
            .prop_map(|(task, state, caller, way, by)| { What::SpawnedBy { task, state, caller, way, by } }),
        (running(), any::<(u64, bool)>()).prop_map(|(running, (stack, in_kernel))| What::Sample {
            running,
            stack,
            in_kernel
        }),
        (any::<u64>(), prop::sample::select(&Ended::ALL[..]), prop::collection::vec(any::<u64>(), 0..=9))
            .prop_map(|(stack, ended, frames)| What::Stack { stack, ended, frames }),
        (any::<u64>(), prop::collection::vec(function(), 0..=INLINED_MAX))
            .prop_map(|(address, functions)| What::Code { address, functions }),
        task().prop_map(|task| What::Typed { task }),
        Just(What::Panic),
        Just(What::PollExit),
        message().prop_map(|message| What::Message(Box::new(message))),
        print().prop_map(What::Print),
        (connection(), change()).prop_map(|(connection, change)| What::Stream { connection, change }),
        (task(), any::<u64>()).prop_map(|(task, chain)| What::Awaited { task, chain }),
        (any::<u64>(), any::<bool>(), prop::collection::vec(chain_frame(), 0..=FRAMES_MAX))
            .prop_map(|(chain, partial, frames)| What::Frames { chain, partial, frames }),
        any::<(u64, u64, bool)>().prop_map(|(since, stack, in_trap)| What::Blocked { since, stack, in_trap }),
        any::<(u64, u64)>().prop_map(|(since, lost)| What::Gap { since, lost }),
        name().prop_map(|name| What::ThreadName { name }),
        Just(What::ThreadAtRest),
    ]
}
