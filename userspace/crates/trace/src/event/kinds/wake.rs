//! A waker was used, perhaps in a driver's turn.

use probe_common::record::{self, Head, Kind, flags};

use crate::event::{
    At, DecodeError, Moment, State, TaskRef, Turn, What,
    fields::{self, bit, completion, completion_flags, exact, has, named, push, raw_task, states, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Wake as u8, Kind::WakeInTurn as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::WakeInTurn>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    if head.kind == Kind::Wake as u8 {
        let record::Wake { task, old, new, caller, .. } = exact(head, bytes)?;
        return Ok(wake(head, task, (old, new), caller, None));
    }
    let record::WakeInTurn { task, old, new, caller, turn, driver, .. } = exact(head, bytes)?;
    let driver = named(driver).ok_or(DecodeError::contradiction(head, bytes))?;
    Ok(wake(head, task, (old, new), caller, Some(Turn { driver, sp: turn })))
}

fn wake(head: Head, task: record::Task, (old, new): (u64, u64), caller: u64, turn: Option<Turn>) -> What {
    let (old, new) = states(old, new);
    What::Wake {
        task: task_ref(task),
        old,
        new,
        caller,
        owned: !has(head, flags::UNOWNED),
        predicted: has(head, flags::PREDICTED),
        moment: Moment { completion: completion(head), turn },
    }
}

#[expect(clippy::too_many_arguments, reason = "the event has so many fields")]
pub(in crate::event) fn encode(
    at: At,
    task: &TaskRef,
    old: &State,
    new: &State,
    &caller: &u64,
    &owned: &bool,
    &predicted: &bool,
    moment: &Moment,
    out: &mut Vec<u8>,
) {
    let (task, old, new) = (raw_task(task), old.0, new.0);
    let flags = bit(predicted, flags::PREDICTED) | bit(!owned, flags::UNOWNED) | completion_flags(moment.completion);
    match moment.turn {
        None => push(&record::Wake { head: fields::head(at, Kind::Wake as u8, flags), task, old, new, caller }, out),
        Some(Turn { driver, sp: turn }) => {
            let (head, driver) = (fields::head(at, Kind::WakeInTurn as u8, flags), driver as u64);
            push(&record::WakeInTurn { head, task, old, new, caller, turn, driver }, out);
        }
    }
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state(), state(), proptest::prelude::any::<(u64, bool, bool)>(), moment()).prop_map(
        |(task, old, new, (caller, owned, predicted), moment)| What::Wake {
            task,
            old,
            new,
            caller,
            owned,
            predicted,
            moment,
        },
    )
}
