//! Random events for the tests of this module and of those that keep events.

pub(super) use proptest::prelude::Strategy;
use proptest::prelude::{Just, any, prop, prop_oneof};

use probe_common::record::{METHOD_MAX, NO_GRPC_STATUS, PATH_MAX, PRINT_MAX, VALUE_CUT, VALUE_MAX, VALUES_MAX};

use super::{
    At, ChainFrame, Change, Completion, Connection, Event, Message, Missing, Moment, Print, Running, Source, SpawnWay,
    Standard, Start, State, TaskId, TaskRef, Turn, TurnOf, Value, What, kinds, table::events,
};
use crate::facts::{Function, FunctionName};

/// Any event that a record can hold.
pub fn event() -> impl Strategy<Value = Event> {
    (at(), what()).prop_map(|(at, what)| Event { at, what })
}

fn at() -> impl Strategy<Value = At> {
    any::<(u64, u16, u64, u32, u64)>().prop_map(|(time, cpu, seq, tid, sp)| At { time, cpu, seq, tid, sp })
}

pub(super) fn task() -> impl Strategy<Value = TaskRef> {
    let known = (1_u64.., any::<u64>()).prop_map(|(id, vtable)| (Some(TaskId(id)), vtable));
    (any::<u64>(), prop_oneof![known, Just((None, 0))]).prop_map(|(header, (id, vtable))| TaskRef {
        header,
        id,
        vtable,
    })
}

pub(super) fn state() -> impl Strategy<Value = State> {
    any::<u64>().prop_map(State)
}

pub(super) fn connection() -> impl Strategy<Value = Connection> {
    let source = prop_oneof![Just(Source::Descriptor), Just(Source::Tls), Just(Source::Http2)];
    (source, any::<u64>()).prop_map(|(source, key)| Connection { source, key })
}

pub(super) fn change() -> impl Strategy<Value = Change> {
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

pub(super) fn message() -> impl Strategy<Value = Message> {
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

/// Returns any bytes that a target may print.
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

pub(super) fn chain_frame() -> impl Strategy<Value = ChainFrame> {
    (0u32..1 << 24, any::<u8>()).prop_map(|(frame, depth)| ChainFrame { frame, depth })
}

pub(super) fn way() -> impl Strategy<Value = SpawnWay> {
    prop_oneof![Just(SpawnWay::Owned), Just(SpawnWay::Blocking), Just(SpawnWay::Local)]
}

/// Returns any knowledge of a completion.
pub fn completion() -> impl Strategy<Value = Completion> {
    prop_oneof![Just(Completion::Unknown), Just(Completion::GoesOn), Just(Completion::Over)]
}

pub(super) fn moment() -> impl Strategy<Value = Moment> {
    let driver = prop_oneof![Just(TurnOf::Io), Just(TurnOf::Time)];
    let turn = prop::option::of((driver, any::<u64>()).prop_map(|(driver, sp)| Turn { driver, sp }));
    (completion(), turn).prop_map(|(completion, turn)| Moment { completion, turn })
}

pub(super) fn running() -> impl Strategy<Value = Running> {
    prop_oneof![(1..=u64::MAX).prop_map(|id| Running::Task(TaskId(id))), Just(Running::Nothing), Just(Running::Unknown)]
}

pub(super) fn function() -> impl Strategy<Value = Function> {
    let name = prop_oneof![
        "[a-zé:]{0,40}".prop_map(FunctionName::Symbol),
        ("[a-zé.]{0,40}", any::<u64>()).prop_map(|(module, start)| FunctionName::Unnamed { module, start }),
    ];
    let parts = (name, any::<bool>(), "[a-z/.]{0,40}", any::<u32>());
    parts.prop_map(|(name, or_another, file, line)| Function { name, or_another, file, line })
}

macro_rules! any_of {
    ($($(#[$doc:meta])* $event:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty),* })?
        $(($inner:ident: $of:ty))? in $file:ident, from $origin:ident, shows $reach:ident;)*) => {
        fn what() -> impl Strategy<Value = What> {
            prop_oneof![$(kinds::$file::any()),*]
        }
    };
}

events!(any_of);
