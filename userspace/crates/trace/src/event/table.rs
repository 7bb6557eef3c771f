//! The events, a row for each: all of this folder that a new one changes, beside a file of its own in [`super::kinds`].

/// Hands the rows to another macro.
///
/// A row says, after what the event means:
/// - the variant of [`super::What`], and its fields, each after what it means;
/// - `in`: the file in [`super::kinds`] that reads and writes its records;
/// - `from`: its [`super::Origin`];
/// - `shows`: its [`super::Reach`], or `Nothing`.
macro_rules! events {
    ($then:ident) => {
        $then! {
            /// `raw::poll` was entered.
            PollStart {
                /// The task.
                task: TaskRef,
                /// Its state word at the entry.
                state: State
            } in poll_start, from Probe, shows Callee;
            /// The task left RUNNING.
            PollEnd {
                /// The task.
                task: TaskRef,
                /// Its state word before the transition.
                old: State,
                /// Its state word after the transition.
                new: State
            } in poll_end, from Probe, shows Nothing;
            /// A waker was used.
            Wake {
                /// The task that was woken.
                task: TaskRef,
                /// Its state word before the wake.
                old: State,
                /// Its state word after the wake.
                new: State,
                /// The return address of the waker's function, in the target's memory: in the code that used the
                /// waker. 0: not known.
                caller: u64,
                /// True if the header was alive for sure when its id was read.
                owned: bool,
                /// True if `new` was not seen, but follows from `old` as read at a function's entry.
                predicted: bool,
                /// The work that the thread was in the middle of.
                moment: Moment
            } in wake, from Probe, shows Callee;
            /// A handle asked the task to cancel.
            Abort {
                /// The task.
                task: TaskRef,
                /// Its state word before.
                old: State,
                /// Its state word after.
                new: State,
                /// True if `new` was not seen, but follows from `old` as read at a function's entry.
                predicted: bool
            } in abort, from Probe, shows SameFunction;
            /// A new task was handed to its scheduler.
            Spawn {
                /// The new task.
                task: TaskRef,
                /// Its state word.
                state: State,
                /// The return address of the hooked function, in the target's memory: in the code that spawns. 0: not
                /// known.
                caller: u64,
                /// The way in which it was handed over.
                way: SpawnWay,
                /// The completion that the thread was in the middle of.
                completion: Completion
            } in spawn, from Probe, shows Callee;
            /// A new task was handed to its scheduler, where polls have no hooks.
            SpawnedBy {
                /// The new task.
                task: TaskRef,
                /// Its state word.
                state: State,
                /// The return address of the hooked function, in the target's memory: in the code that spawns. 0: not
                /// known.
                caller: u64,
                /// The way in which it was handed over.
                way: SpawnWay,
                /// The task that the spawning thread runs, as tokio's `CONTEXT` reports it.
                by: Running
            } in spawned_by, from Probe, shows Nothing;
            /// The sampling event fired on a CPU that the thread had.
            Sample {
                /// The task that the thread runs, as tokio's `CONTEXT` reports it.
                running: Running,
                /// The number of the stack: one that has a [`What::Stack`].
                stack: u64,
                /// True if the thread was in the kernel: in a system call, a fault or an interrupt.
                in_kernel: bool
            } in sample, from Probe, shows Nothing;
            /// A stack.
            Stack {
                /// Its number, by which others refer to it.
                stack: u64,
                /// The reason why it ends where it does.
                ended: Ended,
                /// The innermost frame first: addresses in the target's memory, those of calls but for the first.
                frames: Vec<u64>
            } in stack, from Bookkeeping, shows Nothing;
            /// The agent found the header of a task that a sample is of, which says its type.
            Typed {
                /// The task.
                task: TaskRef
            } in typed, from Bookkeeping, shows Nothing;
            /// The functions whose code lies at an address.
            Code {
                /// The address, in the target's memory.
                address: u64,
                /// The function, after those that are inlined into it there.
                functions: Vec<Function>
            } in code, from Bookkeeping, shows Nothing;
            /// `Vtable::shutdown` was entered.
            Shutdown {
                /// The task.
                task: TaskRef,
                /// Its state word at the entry.
                state: State
            } in shutdown, from Probe, shows Callee;
            /// A panic starts to unwind on the thread.
            Panic in panic, from Probe, shows SameFunction;
            /// `raw::poll` returns, in a build where the transition itself cannot be seen.
            PollExit in poll_exit, from Probe, shows SameFunction;
            /// The head, or the trailers, of an HTTP message went through.
            Message(message: Box<Message>) in message, from Probe, shows Callee;
            /// A connection changed.
            Stream {
                /// The connection.
                connection: Connection,
                /// The change.
                change: Change
            } in stream, from Probe, shows Callee;
            /// The target wrote to its standard output or error.
            Print(print: Print) in print, from Probe, shows Callee;
            /// The await chain that a task waited in until a poll of it began, which is the event before.
            Awaited {
                /// The task.
                task: TaskRef,
                /// The chain's hash: one that has a [`What::Frames`].
                chain: u64
            } in awaited, from Probe, shows Nothing;
            /// The frames of an await chain.
            Frames {
                /// The chain's hash, by which others refer to it.
                chain: u64,
                /// True if the chain goes on in a way that was not followed.
                partial: bool,
                /// The frames, each before those inside it.
                frames: Vec<ChainFrame>
            } in frames, from Probe, shows Nothing;
            /// The thread was off the CPU, not runnable, inside a poll, until the event's own time.
            OffCpu {
                /// The time at which it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
                since: u64,
                /// The number of its stack: one that has a [`What::Stack`], or 0.
                stack: u64,
                /// True if the kernel held it in the trap of one of asyncscope's hooks.
                in_trap: bool,
                /// True if nobody saw it end: it may have been shorter, and at the event's own time the thread was
                /// found to be back, or the recording ended.
                end_unseen: bool
            } in off_cpu, from Probe, shows Nothing;
            /// Events of this CPU are missing up to the event's own time.
            Gap {
                /// The time from which on they are missing, in nanoseconds of `CLOCK_MONOTONIC`.
                since: u64,
                /// The number of those that are missing.
                lost: u64
            } in gap, from Bookkeeping, shows Nothing;
            /// The agent learnt the thread's name.
            ThreadName {
                /// The name.
                name: String
            } in thread_name, from Bookkeeping, shows Nothing;
            /// The agent proved that the thread is outside of every poll (but for the runtime's own).
            ThreadAtRest in thread_at_rest, from Agent, shows Nothing;
        }
    };
}

pub(super) use events;
