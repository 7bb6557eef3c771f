//! Random events for the tests of this module and of those that keep events.

use proptest::prelude::*;

use super::encode::thread_name;
use super::{At, Event, SpawnWay, State, TaskId, TaskRef, What};

/// Any event that a record can hold.
pub(crate) fn event() -> impl Strategy<Value = Event> {
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

fn what() -> impl Strategy<Value = What> {
    let way = prop_oneof![Just(SpawnWay::Owned), Just(SpawnWay::Blocking), Just(SpawnWay::Local)];
    prop_oneof![
        (task(), state()).prop_map(|(task, state)| What::PollStart { task, state }),
        (task(), state(), state()).prop_map(|(task, old, new)| What::PollEnd { task, old, new }),
        (task(), state(), state(), any::<(u64, bool, bool)>()).prop_map(
            |(task, old, new, (caller, owned, predicted))| { What::Wake { task, old, new, caller, owned, predicted } }
        ),
        (task(), state(), state(), any::<bool>())
            .prop_map(|(task, old, new, predicted)| { What::Abort { task, old, new, predicted } }),
        (task(), state(), any::<u64>(), way).prop_map(|(task, state, caller, way)| What::Spawn {
            task,
            state,
            caller,
            way
        }),
        (task(), state()).prop_map(|(task, state)| What::Shutdown { task, state }),
        Just(What::Panic),
        Just(What::PollExit),
        any::<(u64, u64)>().prop_map(|(since, lost)| What::Gap { since, lost }),
        name().prop_map(|name| What::ThreadName { name }),
        Just(What::ThreadAtRest),
    ]
}
