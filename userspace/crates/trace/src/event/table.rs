//! The events, a row for each: all of this folder that a new one changes, beside a file of its own in [`super::kinds`].

/// Hands the rows to another macro.
///
/// A row says, after what the event means:
/// - the variant of [`super::What`], and its fields;
/// - `in`: the file in [`super::kinds`] that reads and writes its records;
/// - `from`: its [`super::Origin`];
/// - `shows`: its [`super::Reach`], or `Nothing`.
macro_rules! events {
    ($then:ident) => {
        $then! {
            /// `raw::poll` was entered.
            PollStart { task: TaskRef, state: State } in poll_start, from Probe, shows Callee;
            /// The task left RUNNING.
            PollEnd { task: TaskRef, old: State, new: State } in poll_end, from Probe, shows Nothing;
            /// A waker was used. `owned`: the header was alive for sure when its id was read.
            Wake {
                task: TaskRef, old: State, new: State, caller: u64, owned: bool, predicted: bool, moment: Moment
            } in wake, from Probe, shows Callee;
            /// A handle asked the task to cancel.
            Abort { task: TaskRef, old: State, new: State, predicted: bool } in abort, from Probe, shows SameFunction;
            /// A new task was handed to its scheduler.
            Spawn {
                task: TaskRef, state: State, caller: u64, way: SpawnWay, completion: Completion
            } in spawn, from Probe, shows Callee;
            /// A new task was handed to its scheduler, where polls have no hooks: `by` is what the spawning thread
            /// runs, as tokio's `CONTEXT` reports it.
            SpawnedBy {
                task: TaskRef, state: State, caller: u64, way: SpawnWay, by: Running
            } in spawned_by, from Probe, shows Nothing;
            /// The sampling event fired on a CPU that the thread had. `stack` is one that has a [`What::Stack`].
            Sample { running: Running, stack: u64, in_kernel: bool } in sample, from Probe, shows Nothing;
            /// A stack, the innermost frame first: addresses in the target's memory, those of calls but for the first.
            Stack { stack: u64, ended: Ended, frames: Vec<u64> } in stack, from Bookkeeping, shows Nothing;
            /// The agent found the header of a task that a sample is of, which says its type.
            Typed { task: TaskRef } in typed, from Bookkeeping, shows Nothing;
            /// The functions whose code lies at an address: the function, after those that are inlined into it there.
            Code { address: u64, functions: Vec<Function> } in code, from Bookkeeping, shows Nothing;
            /// `Vtable::shutdown` was entered.
            Shutdown { task: TaskRef, state: State } in shutdown, from Probe, shows Callee;
            /// A panic starts to unwind on the thread.
            Panic in panic, from Probe, shows SameFunction;
            /// `raw::poll` returns, in a build where the transition itself cannot be seen.
            PollExit in poll_exit, from Probe, shows SameFunction;
            /// The head, or the trailers, of an HTTP message went through.
            Message(message: Box<Message>) in message, from Probe, shows Callee;
            /// A connection changed.
            Stream { connection: Connection, change: Change } in stream, from Probe, shows Callee;
            /// The target wrote to its standard output or error.
            Print(print: Print) in print, from Probe, shows Callee;
            /// The await chain that a task waited in until its poll began, of which the event before is.
            Awaited { task: TaskRef, chain: u64 } in awaited, from Probe, shows Nothing;
            /// The frames of a chain, each before those inside it. `partial`: it goes on in a way that was not
            /// followed.
            Frames { chain: u64, partial: bool, frames: Vec<ChainFrame> } in frames, from Probe, shows Nothing;
            /// The thread was off the CPU from `since` on, not runnable, inside a poll. `stack` is one that has a
            /// [`What::Stack`], or 0. `in_trap`: the kernel held it in the trap of one of asyncscope's hooks.
            OffCpu { since: u64, stack: u64, in_trap: bool } in off_cpu, from Probe, shows Nothing;
            /// Events of this CPU are missing between `since` and the event's own time.
            Gap { since: u64, lost: u64 } in gap, from Bookkeeping, shows Nothing;
            /// The agent learnt the thread's name.
            ThreadName { name: String } in thread_name, from Bookkeeping, shows Nothing;
            /// The agent proved that the thread is outside of every poll (but for the runtime's own).
            ThreadAtRest in thread_at_rest, from Agent, shows Nothing;
        }
    };
}

pub(super) use events;
