//! Hooks: where each sits, what it sees and how it was found, or why there is none.

use serde::{Deserialize, Serialize};

use super::{Driver, MissingReason, SystemCall};

/// A file with code of the target: its place in [`super::Facts::images`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub u32);

impl ImageId {
    /// The target's executable.
    pub const EXECUTABLE: Self = Self(0);
}

/// A hook: an instruction at which a probe sits, or the reason why none does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HookFields", into = "HookFields")]
pub struct Hook {
    /// The kind of event.
    pub sees: Sees,
    /// The file that has the instruction, or lacks it.
    pub image: ImageId,
    /// The instruction, or the reason why there is none.
    pub state: HookState,
}

/// The two outcomes of a search for a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookState {
    /// It was found.
    Armed(HookSite),
    /// It was not.
    Missing(MissingReason),
}

/// The instruction of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSite {
    /// Its ELF address.
    pub address: u64,
    /// The instruction in AT&T syntax.
    pub instruction: String,
    /// Set if the kernel emulates the instruction, which is several times cheaper than stepping it.
    pub emulated: bool,
    /// The way in which it was found.
    pub proof: Proof,
}

impl Hook {
    /// A hook that was not found.
    #[must_use]
    pub const fn missing(sees: Sees, image: ImageId, why: MissingReason) -> Self {
        Self { sees, image, state: HookState::Missing(why) }
    }

    /// The instruction, if there is one.
    #[must_use]
    pub const fn armed(&self) -> Option<&HookSite> {
        if let HookState::Armed(armed) = &self.state { Some(armed) } else { None }
    }

    /// The reason why there is no instruction.
    #[must_use]
    pub const fn why_missing(&self) -> Option<&MissingReason> {
        if let HookState::Missing(why) = &self.state { Some(why) } else { None }
    }

    /// The system call that it covers.
    #[must_use]
    pub fn call(&self) -> Option<SystemCall> {
        if let Proof::SystemCall { call } = self.armed()?.proof { Some(call) } else { None }
    }
}

/// The kinds of events that hooks see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sees {
    /// The start of a poll.
    PollStart,
    /// The end of a poll, and of a task.
    PollEnd,
    /// The end of a task, where CPU time is sampled and polls are not seen.
    TaskEnd,
    /// The use of a waker.
    Wake,
    /// A request to cancel a task.
    Abort,
    /// A new task.
    Spawn,
    /// The shutdown of a task by its runtime.
    Shutdown,
    /// The start of a panic.
    Panic,
    /// The turn of a driver.
    Turn,
    /// Bytes that go through a descriptor.
    Http,
    /// The beginning or the end of a connection.
    Connection,
    /// A header block of HTTP/2.
    Http2Head,
    /// Bytes for standard output and error.
    Logs,
    /// Tasks of a tokio that is not watched: such a hook is always missing.
    OtherTokio,
}

/// The way in which a hook was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Proof {
    /// The function stands in a table of a task vtable's shape.
    Vtable {
        /// The one of the table's functions that it is.
        function: VtableFunction,
    },
    /// The poll function returns there. Whether the task is done is not seen.
    PollReturn,
    /// An exchange of a task's state word.
    Exchange {
        /// Set if it completes tasks.
        completes: bool,
        /// The function that it is reached from.
        function: VtableFunction,
    },
    /// An exchange of the state word in a function of the waker.
    WakerExchange,
    /// The entry of a function of the waker, from which the new state is computed beforehand.
    WakerEntry,
    /// The entry of a function that makes a transition, by its symbol; the new state is computed beforehand.
    TransitionEntry,
    /// An exchange of the state word that sets the bits of an abort.
    AbortExchange,
    /// A function that makes an exception of Rust's.
    ExceptionRaised,
    /// The symbol of `rust_panic`.
    PanicSymbol,
    /// `OwnedTasks::bind_inner`.
    Bind {
        /// The way in which it is known.
        known: KnownBy,
    },
    /// The code of `bind_inner` within another function, by what it does.
    InlinedBind,
    /// The first step of a bind, by its symbol.
    BindStep,
    /// A function that puts a new task into a queue.
    Queue {
        /// The way in which it is known.
        known: KnownBy,
    },
    /// The function of a driver's turn, by its symbol.
    TurnEntry {
        /// The driver.
        driver: Driver,
    },
    /// Code that runs right after a driver's turn.
    TurnReturn {
        /// The driver.
        driver: Driver,
    },
    /// A function of h2, by its symbol, whose code says where fields lie.
    Http2 {
        /// The function.
        function: Http2Function,
    },
    /// A system call: the instruction behind it, or, for `close`, one before it.
    SystemCall {
        /// The call.
        call: SystemCall,
    },
}

/// The way in which a function is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// By what its code does.
    Code,
    /// By what its code does, and by its symbol.
    CodeAndSymbol,
    /// By its symbol alone.
    Symbol,
}

/// The functions of a task vtable that hooks are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VtableFunction {
    /// `raw::poll`
    Poll,
    /// `raw::shutdown`
    Shutdown,
}

/// The functions of h2 that header blocks pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Http2Function {
    /// `Prioritize::queue_frame`
    QueueFrame,
    /// `Recv::recv_headers` or `Recv::recv_trailers`
    Receive,
}

/// A hook as JSON has it: `address`, `instruction`, `emulated` and `proof`, or `missing`.
#[derive(Serialize, Deserialize)]
struct HookFields {
    sees: Sees,
    image: ImageId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instruction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emulated: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<MissingReason>,
}

impl From<Hook> for HookFields {
    fn from(Hook { sees, image, state }: Hook) -> Self {
        let mut fields =
            Self { sees, image, address: None, instruction: None, emulated: None, proof: None, missing: None };
        match state {
            HookState::Armed(HookSite { address, instruction, emulated, proof }) => {
                fields.address = Some(address);
                fields.instruction = Some(instruction);
                fields.emulated = Some(emulated);
                fields.proof = Some(proof);
            }
            HookState::Missing(why) => fields.missing = Some(why),
        }
        fields
    }
}

impl TryFrom<HookFields> for Hook {
    type Error = &'static str;

    fn try_from(fields: HookFields) -> Result<Self, Self::Error> {
        let HookFields { sees, image, address, instruction, emulated, proof, missing } = fields;
        let state = match (address, instruction, emulated, proof, missing) {
            (Some(address), Some(instruction), Some(emulated), Some(proof), None) => {
                HookState::Armed(HookSite { address, instruction, emulated, proof })
            }
            (None, None, None, None, Some(why)) => HookState::Missing(why),
            _ => return Err("a hook is neither armed nor missing"),
        };
        Ok(Self { sees, image, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_read_as_they_were_written() {
        let armed =
            |proof| HookState::Armed(HookSite { address: 7, instruction: "push %rbx".into(), emulated: true, proof });
        let check = |state| {
            let hook = Hook { sees: Sees::Http2Head, image: ImageId(1), state };
            let text = serde_json::to_string(&hook).unwrap();
            assert_eq!(serde_json::from_str::<Hook>(&text).unwrap(), hook, "{text}");
        };
        check(armed(Proof::SystemCall { call: SystemCall::ReadVector }));
        check(armed(Proof::Exchange { completes: true, function: VtableFunction::Poll }));
        check(armed(Proof::PollReturn));
        check(HookState::Missing(MissingReason::NoWaker));
        check(HookState::Missing(MissingReason::Undecodable { function: 9 }));
    }

    #[test]
    fn a_hook_is_armed_or_missing() {
        let check = |fields: &str| {
            let text = format!(r#"{{"sees":"poll-start","image":0{fields}}}"#);
            assert!(serde_json::from_str::<Hook>(&text).is_err(), "{text}");
        };
        check("");
        check(r#","address":8,"instruction":"nop","emulated":true"#);
        check(r#","address":8,"missing":{"why":"no-waker"}"#);
    }
}
