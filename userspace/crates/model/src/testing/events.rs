//! Any events whatsoever.

use asyncscope_trace::event::{At, ChainFrame, Change, Connection, Event, Message, Moment, Source, SpawnWay};
use asyncscope_trace::event::{Start, State, TaskId, TaskRef, Turn, TurnOf, Value, What, arbitrary};
use proptest::prelude::*;

fn any_task() -> impl Strategy<Value = TaskRef> {
    (0u64..16, 0u64..16, prop::sample::select(vec![1, 2, 9])).prop_map(|(id, header, vtable)| TaskRef {
        header,
        id: (id > 0).then_some(TaskId(id)),
        vtable,
    })
}

/// Seldom one that there was before.
fn any_new_task() -> impl Strategy<Value = TaskRef> {
    (1u64..400, any_task()).prop_map(|(id, task)| TaskRef { id: Some(TaskId(id)), ..task })
}

fn any_what() -> impl Strategy<Value = What> {
    let word = || (0u64..256).prop_map(State);
    let way = prop::sample::select(vec![SpawnWay::Owned, SpawnWay::Blocking, SpawnWay::Local]);
    prop_oneof![
        4 => (any_task(), (0u64..2).prop_map(|n| State(n * 36))).prop_map(|(task, state)| What::PollStart { task, state }),
        1 => (any_task(), word()).prop_map(|(task, state)| What::PollStart { task, state }),
        4 => (any_task(), word(), word()).prop_map(|(task, old, new)| What::PollEnd { task, old, new }),
        3 => (any_task(), word(), word(), 0u64..0x50, any::<(bool, bool)>(), any_moment()).prop_map(
            |(task, old, new, caller, (owned, predicted), moment)| {
                What::Wake { task, old, new, caller, owned, predicted, moment }
            }
        ),
        1 => (any_task(), word(), word()).prop_map(|(task, old, new)| What::Abort { task, old, new, predicted: false }),
        2 => (any_new_task(), word(), way, any_moment()).prop_map(|(task, state, way, moment)| {
            What::Spawn { task, state, caller: 0, way, completion: moment.completion }
        }),
        1 => (any_task(), word()).prop_map(|(task, state)| What::Shutdown { task, state }),
        1 => Just(What::Panic),
        1 => Just(What::PollExit),
        1 => (0u64..5000).prop_map(|since| What::Gap { since, lost: 1 }),
        1 => Just(What::ThreadAtRest),
        2 => asyncscope_trace::event::arbitrary::print().prop_map(What::Print),
        2 => (0u64..5000, 0u64..3, any::<bool>(), any::<bool>())
            .prop_map(|(since, stack, in_trap, end_unseen)| What::OffCpu { since, stack, in_trap, end_unseen }),
        8 => any_message(),
        1 => (any_connection(), prop::sample::select(vec![Change::Closed, Change::Lost, Change::Left]))
            .prop_map(|(connection, change)| What::Stream { connection, change }),
    ]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    let turn = prop::option::of(0u64..8).prop_map(|sp| sp.map(|sp| Turn { driver: TurnOf::Time, sp }));
    (arbitrary::completion(), turn).prop_map(|(completion, turn)| Moment { completion, turn })
}

fn any_connection() -> impl Strategy<Value = Connection> {
    let source = prop::sample::select(vec![Source::Descriptor, Source::Tls, Source::Http2]);
    (source, 0u64..2).prop_map(|(source, key)| Connection { source, key })
}

fn any_message() -> impl Strategy<Value = What> {
    let request = "[a-c]".prop_map(|path| Start::Request { method: b"GET".into(), path: path.into(), cut: false });
    let status = prop::sample::select(vec![100, 101, 200, 500]);
    let start = prop_oneof![4 => request, 3 => status.prop_map(|status| Start::Response { status }), 1 => Just(Start::Trailers)];
    let values = prop::collection::vec(
        (0u8..3, "[xy]").prop_map(|(name, text)| Value { name, bytes: text.into(), cut: false }),
        0..2,
    );
    (any_connection(), 0u32..3, any::<bool>(), start, values).prop_map(
        |(connection, substream, written, start, values)| {
            let grpc_status = (substream == 2).then_some(5);
            let (by, early) = (None, false);
            What::Message(Box::new(Message { connection, substream, written, by, early, start, grpc_status, values }))
        },
    )
}

/// Events of any kind and order, as probes report them and as they never would.
pub fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0u64..20, 0u32..3, 0u64..8, any_what());
    prop::collection::vec(one, 0..200).prop_map(|all| {
        let mut time = 0;
        let chains = chains_reported().into_iter().map(|what| Event { at: At::default(), what });
        let events = all.into_iter().flat_map(|(later, tid, sp, what)| {
            time += later;
            // Most of what happens does so inside of polls.
            let inside =
                matches!(what, What::Message(_) | What::Print(_) | What::Spawn { .. } | What::Wake { .. }) && sp < 6;
            let sp = if inside { 0 } else { sp + 1 };
            let at = At { time, cpu: 0, seq: 0, tid, sp };
            // As the probes do, but for what they lose.
            let awaited = match what {
                What::PollStart { task, .. } if later > 4 => Some(What::Awaited { task, chain: later % 4 }),
                _ => None,
            };
            [Some(what), awaited].into_iter().flatten().map(move |what| Event { at, what })
        });
        chains.chain(events).collect()
    })
}

/// Numbers of frames as the tests of spans have them: a way, a fork, and one without an await.
fn chains_reported() -> Vec<What> {
    let chain = |chain, frames: &[(u32, u8)]| What::Frames {
        chain,
        partial: false,
        frames: frames.iter().map(|&(frame, depth)| ChainFrame { frame, depth }).collect(),
    };
    vec![chain(0, &[(0, 0), (1, 1), (2, 2)]), chain(1, &[(4, 0), (3, 1), (1, 2), (2, 2)]), chain(2, &[(6, 0)])]
}
