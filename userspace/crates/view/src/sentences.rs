//! Facts in words: the only place where sentences about hooks, names and what can be seen are made.
//!
//! What comes from the target is in them as it is: whoever shows a sentence makes it printable.

use asyncscope_trace::facts::{
    Ability, Aspect, BlockPart, Driver, FunctionStarts, Hook, HookState, Http2Function, Http2Part, Http2Received,
    Http2Unknown, ImageId, KnownBy, MissingReason, NameSource, NamedBy, NoLayouts, Proof, Remedy, ReturnUnproved,
    RunningProof, RunningUnknown, Sees, Shortfall, SystemCall, TaskQueue, TlsLibrary, Tracepoints, Unreadable,
    VtableFunction,
};

/// The kind of event that a hook sees, in a word.
#[must_use]
pub const fn sees(sees: Sees) -> &'static str {
    match sees {
        Sees::PollStart => "poll-start",
        Sees::PollEnd => "poll-end",
        Sees::TaskEnd => "task-end",
        Sees::Wake => "wake",
        Sees::Abort => "abort",
        Sees::Spawn => "spawn",
        Sees::Shutdown => "shutdown",
        Sees::Panic => "panic",
        Sees::Turn => "turn",
        Sees::Http => "http",
        Sees::Connection => "connection",
        Sees::Http2Head => "http2-head",
        Sees::Logs => "logs",
        Sees::OtherTokio => "another tokio",
    }
}

/// Says how a hook was found, or why there is none. `images`: the paths of files by their numbers.
#[must_use]
pub fn hook(hook: &Hook, images: &[String]) -> String {
    match &hook.state {
        HookState::Armed(site) => in_image(hook.image, images, proof(&site.proof)),
        HookState::Missing(why) => missing(hook.image, why, images),
    }
}

/// The sentence, after the name of the file that it is about, if that is not the executable.
fn in_image(image: ImageId, images: &[String], sentence: String) -> String {
    if image == ImageId::EXECUTABLE {
        return sentence;
    }
    let file = path(image, images).rsplit('/').next().unwrap_or_default();
    format!("{file}: {sentence}")
}

fn path(image: ImageId, images: &[String]) -> &str {
    images.get(image.0 as usize).map_or("a library", String::as_str)
}

fn proof(proof: &Proof) -> String {
    match *proof {
        Proof::Vtable { function } => format!("task vtable by shape: {}", vtable_function(function)),
        Proof::PollReturn => "return of raw::poll: whether the task is done is not seen".to_owned(),
        Proof::Exchange { completes, function } => {
            let that = if completes { " that completes tasks" } else { "" };
            format!("exchange of the state word{that} in {}", vtable_function(function))
        }
        Proof::WakerExchange => "exchange of the state word in the waker's function".to_owned(),
        Proof::WakerEntry => "waker's function; state predicted from its entry".to_owned(),
        Proof::TransitionEntry => "symbol; state predicted from the entry".to_owned(),
        Proof::AbortExchange => "exchange of the state word by its constants".to_owned(),
        Proof::ExceptionRaised => "it makes an exception of Rust's".to_owned(),
        Proof::PanicSymbol => "symbol rust_panic".to_owned(),
        Proof::Bind { known: KnownBy::Code } => "bind_inner, by what it does".to_owned(),
        Proof::Bind { known: KnownBy::CodeAndSymbol } => "bind_inner, by what it does and by symbol".to_owned(),
        Proof::Bind { known: KnownBy::Symbol } => "bind_inner, by symbol alone".to_owned(),
        Proof::InlinedBind => "inlined bind_inner, by what it does".to_owned(),
        Proof::BindStep => "the first step of bind, by symbol".to_owned(),
        Proof::Queue { known: KnownBy::Code } => "what it does".to_owned(),
        Proof::Queue { known: KnownBy::CodeAndSymbol } => "what it does, and symbol".to_owned(),
        Proof::Queue { known: KnownBy::Symbol } => "symbol".to_owned(),
        Proof::TurnEntry { driver } => format!("symbol of {}", turn(driver)),
        Proof::TurnReturn { driver } => format!("{} has returned there", turn(driver)),
        Proof::Http2 { function } => {
            let function = match function {
                Http2Function::QueueFrame => "Prioritize::queue_frame",
                Http2Function::Receive => "Recv::recv_headers or recv_trailers",
            };
            format!("{function}, by symbol; fields by what the code does with them")
        }
        Proof::SystemCall { call } => around(call).to_owned(),
    }
}

const fn vtable_function(function: VtableFunction) -> &'static str {
    match function {
        VtableFunction::Poll => "raw::poll",
        VtableFunction::Shutdown => "raw::shutdown",
    }
}

const fn turn(driver: Driver) -> &'static str {
    match driver {
        Driver::Io => "the I/O driver's turn",
        Driver::Time => "the timers' turn",
        Driver::Deferred => "the turn of wakes that were put off",
    }
}

/// Says where a system call is seen.
const fn around(call: SystemCall) -> &'static str {
    match call {
        SystemCall::Read => "behind the system call read",
        SystemCall::Write => "behind the system call write",
        SystemCall::ReadVector => "behind the system calls readv, preadv2",
        SystemCall::WriteVector => "behind the system calls writev, pwritev2",
        SystemCall::Receive => "behind the system call recvfrom",
        SystemCall::Send => "behind the system call sendto",
        SystemCall::ReceiveMessage => "behind the system call recvmsg",
        SystemCall::SendMessage => "behind the system call sendmsg",
        SystemCall::MoveUnseen => "behind system calls that move bytes unseen",
        SystemCall::Close => "before the system call close",
        SystemCall::Accept => "behind the system calls accept, accept4",
        SystemCall::Connect => "behind the system call connect",
        SystemCall::Duplicate => "behind system calls that duplicate a descriptor",
    }
}

/// The names of system calls, each by one that stands for its kind.
fn calls(calls: &[SystemCall]) -> String {
    let name = |call: &SystemCall| match call {
        SystemCall::Read => "read",
        SystemCall::Write => "write",
        SystemCall::ReadVector => "readv",
        SystemCall::WriteVector => "writev",
        SystemCall::Receive => "recvfrom",
        SystemCall::Send => "sendto",
        SystemCall::ReceiveMessage => "recvmsg",
        SystemCall::SendMessage => "sendmsg",
        SystemCall::MoveUnseen => "sendfile",
        SystemCall::Close => "close",
        SystemCall::Accept => "accept",
        SystemCall::Connect => "connect",
        SystemCall::Duplicate => "dup",
    };
    calls.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Says why a hook is missing from a file.
fn missing(image: ImageId, why: &MissingReason, images: &[String]) -> String {
    let sentence = reason(why, path(image, images));
    let names_file = matches!(
        why,
        MissingReason::CallsShareFunction { .. }
            | MissingReason::LibraryUnreadable { .. }
            | MissingReason::LibraryTokio { .. }
    );
    if names_file { sentence } else { in_image(image, images, sentence) }
}

fn reason(why: &MissingReason, file: &str) -> String {
    match why {
        MissingReason::PollUndecodable { function } => {
            format!("the poll function at {function:#x} cannot be decoded")
        }
        MissingReason::Undecodable { function } => format!("the function at {function:#x} cannot be decoded"),
        MissingReason::WakerDisagrees { vtable, named } => format!(
            "the waker vtable found by shape at {vtable:#x} disagrees with the symbols ({})",
            named.as_deref().unwrap_or("no symbol")
        ),
        MissingReason::NoWaker => "no waker vtable that the poll functions share, and no symbols".to_owned(),
        MissingReason::NoAbort => "no code that sets CANCELLED and NOTIFIED: either nothing aborts, or when an abort \
                                   makes a task ready is not seen"
            .to_owned(),
        MissingReason::NoPanic => "no symbol rust_panic, and no code that starts to unwind: a task that panics looks \
                                   like one that completes"
            .to_owned(),
        MissingReason::NoBind => "OwnedTasks::bind_inner not found: parents of spawned tasks are unknown".to_owned(),
        MissingReason::QueueDisagrees { function, queue, named } => format!(
            "the function at {function:#x} works like {}, and symbols say {}: it is not used",
            queue_function(*queue),
            named.as_deref().unwrap_or("nothing")
        ),
        MissingReason::NoQueue { queue } => no_queue(*queue),
        MissingReason::TurnsNeedPanics => {
            "panics are not seen, which may leave a driver's turn without a return".to_owned()
        }
        MissingReason::NoTurn { driver } => {
            format!("no symbol of {}: who uses another library's waker there is not reported", turn(*driver))
        }
        MissingReason::TurnUndecodable { driver } => format!("{} cannot be decoded", turn(*driver)),
        MissingReason::TurnReturnUnproved { driver, reason } => {
            format!("where {} returns to is not proved: {}", turn(*driver), return_unproved(*reason))
        }
        MissingReason::NoHttp2Symbols => "no symbols of h2: HTTP/2 heads are not seen".to_owned(),
        MissingReason::Http2Unknown { reason } => format!("{}: HTTP/2 heads are not seen", http2_unknown(reason)),
        MissingReason::Http2Part { part } => http2_part(*part),
        MissingReason::CallsWithoutPlace { count } => {
            format!("{count} system calls have no instruction beside them for a probe")
        }
        MissingReason::NoCalls => "no system call was found in the executable, and no C library is loaded".to_owned(),
        MissingReason::NeedsProcess => "the C library is looked at in a running process: give its pid".to_owned(),
        MissingReason::SeveralTokios { versions, watched, others, all } => {
            several_tokios(versions, *watched, *others, *all)
        }
        MissingReason::TooOldTokios { versions } => format!(
            "tokio {} is in it as well, whose tasks are not seen: asyncscope knows 1.28 and newer",
            versions.join(", ")
        ),
        MissingReason::CallsShareFunction { calls: shared } => format!(
            "in {file} the system calls {} have no number of their own: glibc 2.41 and newer, and musl, make them in \
             one function that serves all",
            calls(shared)
        ),
        MissingReason::LibraryUnreadable { reason } => format!("{file} {}", unreadable(reason)),
        MissingReason::LibraryTokio { version } => library_tokio(file, version.as_deref()),
    }
}

const fn queue_function(queue: TaskQueue) -> &'static str {
    match queue {
        TaskQueue::BlockingPool => "::Spawner::spawn_task",
        TaskQueue::LocalSet => "::task::local::Shared::schedule",
    }
}

fn no_queue(queue: TaskQueue) -> String {
    let without = match queue {
        TaskQueue::BlockingPool => "parents of blocking tasks are unknown",
        TaskQueue::LocalSet => "parents of LocalSet's tasks are unknown",
    };
    format!("no function that works like {}, and no symbol ending so: {without}", queue_function(queue))
}

fn return_unproved(reason: ReturnUnproved) -> String {
    match reason {
        ReturnUnproved::CalledByAddress => "a function on the way may be called by its address".to_owned(),
        ReturnUnproved::TooDeep => "too many functions return after it".to_owned(),
        ReturnUnproved::Callers { callers, function } => {
            format!("{callers} functions are seen to call the one at {function:#x}")
        }
        ReturnUnproved::NotFollowed { function } => {
            format!("the code after a call in the function at {function:#x} cannot be followed")
        }
    }
}

fn http2_unknown(reason: &Http2Unknown) -> String {
    match reason {
        Http2Unknown::PointersDiffer => {
            "the parts of a store::Ptr lie differently in one function than in another".to_owned()
        }
        Http2Unknown::Offset { part, offset } => {
            let part = match part {
                BlockPart::Stream => "stream",
                BlockPart::Status => "status",
                BlockPart::Method => "method",
                BlockPart::Path => "path",
                BlockPart::Fields => "fields",
            };
            format!("the {part} of a header block cannot lie at {offset:#x}")
        }
        Http2Unknown::NoBlock => "the drop glue of h2's HeaderBlock does not show where its fields lie".to_owned(),
        Http2Unknown::NoEntries => "no function of h2 shows how a HeaderMap's entries lie".to_owned(),
        Http2Unknown::EntriesOverlap => "a HeaderMap's entries overlap".to_owned(),
        Http2Unknown::NoFrame => "Send::send_headers does not show how a frame lies".to_owned(),
        Http2Unknown::NoQueueFrame => "no symbol ending with Prioritize::queue_frame".to_owned(),
        Http2Unknown::NoStatus => "Recv::recv_headers does not show where the status lies".to_owned(),
        Http2Unknown::Parts { parts } => parts.iter().copied().map(http2_part).collect::<Vec<_>>().join("; "),
    }
}

fn http2_part(part: Http2Part) -> String {
    let received = |receives| match receives {
        Http2Received::Heads => ("::recv::Recv::recv_headers", "heads"),
        Http2Received::Trailers => ("::recv::Recv::recv_trailers", "trailers"),
    };
    match part {
        Http2Part::QueueFrame { function } => format!(
            "Prioritize::queue_frame at {function:#x} is not understood: heads that are sent through it are not seen"
        ),
        Http2Part::Receive { function, receives } => {
            let (ending, what) = received(receives);
            format!("the function at {function:#x} ({ending}) is not understood: {what} that are received are not seen")
        }
        Http2Part::NoReceive { receives } => {
            let (ending, what) = received(receives);
            format!("no symbol ending with {ending}: {what} that are received are not seen")
        }
    }
}

fn several_tokios(versions: &[String], watched: usize, others: usize, all: usize) -> String {
    let named = if versions.is_empty() { String::new() } else { format!(" ({})", versions.join(", ")) };
    format!(
        "there is more than one tokio in it{named}, and each counts its tasks by itself: watched is the one with \
         {watched} of the {all} task types; {others} are of another one, and of {} it is not known",
        all.saturating_sub(watched).saturating_sub(others)
    )
}

/// That a library has a tokio of its own.
#[must_use]
pub fn library_tokio(library: &str, version: Option<&str>) -> String {
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    format!(
        "{library} has a tokio{version} of its own, whose tasks are not seen: asyncscope watches one tokio of a process"
    )
}

/// Says that a process which the watched one started has a tokio in this file.
#[must_use]
pub fn descendant_tokio(pid: u32, file: &str) -> String {
    format!("process {pid}, which it started, has a tokio in {file}: it can be watched by that id")
}

/// Says why a file cannot be read as an executable; the file's name goes before.
#[must_use]
pub fn unreadable(reason: &Unreadable) -> String {
    match reason {
        Unreadable::NotElf => "is not an ELF file; asyncscope watches native Linux programs".to_owned(),
        Unreadable::Malformed { error } => {
            format!("is not a 64-bit little-endian ELF file that can be read ({error})")
        }
        Unreadable::Machine { machine } => format!("is built for machine {machine}, not for x86-64"),
    }
}

/// Says why no layouts of futures are known.
#[must_use]
pub const fn no_layouts(reason: NoLayouts) -> &'static str {
    match reason {
        NoLayouts::NotAskedFor => "not asked for",
        NoLayouts::NoTypes => {
            "it has no type information: build it with debug info (`debug = \"full\"` in its profile)"
        }
    }
}

/// Says why system calls are seen by tracepoints.
#[must_use]
pub fn tracepoints(why: &Tracepoints, images: &[String]) -> String {
    match why {
        Tracepoints::AskedFor => "as was asked for".to_owned(),
        Tracepoints::Hook { image, missing: why } => missing(*image, why, images),
        Tracepoints::CallsWithoutHook { calls } => without_hook(calls),
    }
}

fn without_hook(lacking: &[SystemCall]) -> String {
    format!("the system calls {} have no hook", calls(lacking))
}

/// Says how it was found where the running task's id stands.
#[must_use]
pub fn running_proof(proof: &RunningProof) -> String {
    match proof {
        RunningProof::Code { agree, asked, in_context } => {
            let context = if *in_context { ", in tokio's CONTEXT by its symbol" } else { "" };
            format!("{agree} of {asked} poll functions keep the id of their task there, by their code{context}")
        }
        RunningProof::Observation { agree, looks, tasks } => {
            format!("it stood there in {agree} of {looks} looks at polls of {tasks} tasks")
        }
    }
}

/// Says why it is not known where the running task's id stands.
#[must_use]
pub fn running_unknown(reason: &RunningUnknown) -> String {
    match reason {
        RunningUnknown::NotKept { asked } => format!(
            "none of {asked} poll functions is seen to keep its task's id in the executable's own thread-local memory"
        ),
        RunningUnknown::InLibrary => {
            "this tokio is a library's, whose thread-local variables are at no fixed distance from %fs".to_owned()
        }
        RunningUnknown::Places { count } => format!("poll functions keep their task's id at {count} places"),
        RunningUnknown::Outside { below } => {
            format!("the code's place, {below:#x} below %fs, is outside of the executable's variables")
        }
        RunningUnknown::NotInContext { below } => {
            format!("the code's place, {below:#x} below %fs, is not in tokio's CONTEXT by its symbol")
        }
        RunningUnknown::Tag { tagged, tokio } => {
            let with = if *tagged { "with" } else { "without" };
            format!("the code keeps ids {with} a word that says whether there is one, which tokio {tokio} does not")
        }
        RunningUnknown::Contradicted { code, observed } => {
            format!("the code keeps the id {code:#x} below %fs, but it was observed {observed:#x} below")
        }
        RunningUnknown::NotLookedFor => String::new(),
    }
}

/// Says how the starts of functions are known; `None` where by unwind tables, as they are in most programs.
#[must_use]
pub fn function_starts(starts: FunctionStarts) -> Option<String> {
    let FunctionStarts::Descent { in_tables, found } = starts else { return None };
    Some(format!(
        "{found} found by following code from the task vtables, as the unwind tables have {in_tables} and not these: \
         stacks end there, and code that nothing leads to has no hook"
    ))
}

/// Says where the name of a task type comes from.
#[must_use]
pub fn named_by(NamedBy { source, debug_file }: &NamedBy) -> String {
    let source = match source {
        NameSource::Symbols => "symbols",
        NameSource::V0Symbol => "v0 symbol",
        NameSource::Dwarf => "dwarf",
        NameSource::SpawnSymbol => "symbol of its spawn's function",
        NameSource::PanicLocation => "place in a panic of its async body",
        NameSource::Vtable => "vtable",
    };
    match debug_file {
        Some(file) => format!("{source} in debug file {file}"),
        None => source.to_owned(),
    }
}

/// One thing that a user may want to see.
#[must_use]
pub const fn aspect(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::PollStarts => "starts of polls",
        Aspect::PollEnds => "ends of polls and of tasks",
        Aspect::Wakes => "wakes and who made them",
        Aspect::Spawns => "spawns and parents",
        Aspect::Aborts => "aborts",
        Aspect::Panics => "panics",
        Aspect::DriverWakes => "wakes by drivers through any waker",
        Aspect::Http1 => "HTTP/1 requests and responses on plain connections",
        Aspect::TaskNames => "names of tasks",
        Aspect::AwaitPoints => "await points, with file and line",
        Aspect::Http2 => "HTTP/2 requests and responses (h2)",
    }
}

/// Says why not all can be seen, if that is so.
#[must_use]
pub fn shortfall(ability: &Ability, images: &[String]) -> Option<String> {
    Some(match ability.why.as_ref()? {
        Shortfall::NoHook => no_hook(ability.what).to_owned(),
        Shortfall::Hook { image, missing: why } => missing(*image, why, images),
        Shortfall::Inexact { proof: why } => proof(why),
        Shortfall::UnseenSpawns { all, unseen } => {
            format!("tasks of {unseen} of {all} types are also made in code that has no hook and calls none that has")
        }
        Shortfall::NoCalls => "no system call with a known number was found".to_owned(),
        Shortfall::CallsWithoutHook { calls } => without_hook(calls),
        Shortfall::Connections { tls, tracepoints: why } => connections(*tls, why.as_ref(), images),
        Shortfall::Names { all, unnamed, shared } => {
            format!("of {all} task types, {unnamed} have no name and {shared} share one with others")
        }
        Shortfall::NoLayouts { reason } => no_layouts(*reason).to_owned(),
        Shortfall::Layouts { all, unknown } => {
            format!("how the futures of {unknown} of {all} task types lie is not known")
        }
    })
}

const fn no_hook(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::PollStarts => "raw::poll cannot be decoded",
        Aspect::PollEnds => "neither exchanges of the state word nor the functions that make them were found",
        Aspect::Wakes => "the waker's functions were not found",
        Aspect::Spawns => "no function that binds tasks was found",
        Aspect::Aborts => "no code that sets CANCELLED and NOTIFIED was found",
        Aspect::Panics => "the function that starts them was not found",
        Aspect::DriverWakes => "no driver's turn was found",
        Aspect::Http2 => "h2 was not found",
        Aspect::Http1 | Aspect::TaskNames | Aspect::AwaitPoints => "it was not found",
    }
}

const fn library(tls: TlsLibrary) -> &'static str {
    match tls {
        TlsLibrary::Rustls => "rustls",
        TlsLibrary::OpenSsl => "OpenSSL",
    }
}

fn connections(tls: Option<TlsLibrary>, why: Option<&Tracepoints>, images: &[String]) -> String {
    let encrypted = tls
        .map(|tls| format!("connections under TLS ({} is in it) cannot be read: they are only counted", library(tls)));
    let by = why.map(|why| {
        let why = tracepoints(why, images);
        format!("by the kernel's tracepoints, at a cost for every process of the machine ({why})")
    });
    encrypted.into_iter().chain(by).collect::<Vec<_>>().join("; ")
}

/// Says how to see more.
#[must_use]
pub const fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Symbols => {
            "give the unstripped file of the same build with --debug-file, or keep the symbol table (`strip = \
             \"debuginfo\"`)"
        }
        Remedy::DebugInfo => "or give the debug file of such a build with --debug-file",
    }
}
