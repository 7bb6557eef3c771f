//! Discovery: from an executable to a plan of hooks. Structure first; symbols confirm, and name.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::Register;
use probe_common::config::{EntryCookie, TransitionCookie, TransitionEvent};

use super::{
    coverage, current_task,
    flows::Flows,
    instances,
    plan::{Plan, Program},
    plan_builder::Builder,
    spawns, starts,
    symbols::Symbols,
    turns, types, version,
    vtables::{self, Vtable},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        FIRST, abort,
        code::Code,
        entry,
        flow::{self, Flow, StateExchange},
        place_in_pt_regs, raise,
        waker::{self, WakerVtable},
    },
    error::DiscoverError,
    h2,
    image::elf::Elf,
    syscalls,
};
use asyncscope_trace::facts::{
    Driver, DriverCode, FunctionStarts, MissingReason, Proof, RunningUnknown, Sees, TaskKind, TaskType, TlsLibrary,
    VtableFunction,
};

/// Finds all that there is to be seen in the executable.
///
/// # Errors
///
/// There is no tokio in it.
pub fn discover(elf: &Elf<'_>) -> Result<Plan, DiscoverError> {
    let completed = starts::completed(elf);
    let (elf, starts) = completed.as_ref().map_or((elf, FunctionStarts::default()), |(elf, starts)| (elf, *starts));
    let vtables = vtables::scan(elf);
    if vtables.is_empty() {
        return Err(nothing_found(elf));
    }
    let code = Code::new(elf);
    let symbols = Symbols::new(elf);
    let polls = Flows::of(&code, vtables.iter().map(|vtable| vtable.poll));
    let (vtables, others) = instances::of_one(&code, &symbols, &polls, vtables);
    let polls = polls.only(&vtables);
    let mut builder = Builder::new(elf);
    let several_tokios = others.is_some();
    for why in others.into_iter().chain(instances::too_old(elf)) {
        builder.missing(Sees::OtherTokio, why);
    }
    poll_starts(&mut builder, &code, &vtables);
    poll_ends(&mut builder, &code, &symbols, &polls, &vtables);
    shutdowns(&mut builder, &code, &vtables);
    wakes(&mut builder, &code, &symbols, &polls);
    aborts(&mut builder, &code, &symbols);
    let spawns = spawns::find(&mut builder, &code, &symbols, &vtables);
    panics(&mut builder, &code, &symbols);
    turns::place(&mut builder, &code, &symbols);
    let http2 = h2::place(&mut builder, &code, elf);
    syscalls::place(&mut builder, &code);
    let types = types::name(&code, &polls, &vtables, &spawns.local);
    let poll_code = poll_code(&code, &polls, &vtables, &types);
    let drivers = drivers(&symbols);
    let (tokio, tokio_versions) = (version::find(elf), version::all(elf));
    let (running, running_unknown) = match current_task::find(&code, &vtables, tokio.as_deref()) {
        Ok(place) => (Some(place), RunningUnknown::default()),
        Err(why) => (None, why),
    };
    let polls = all_polls(&code, &polls, &vtables);
    // The runtime's own tasks are nobody's.
    let made = vtables.iter().zip(&types).filter(|(_, ty)| !ty.runtime).map(|(vtable, _)| vtable.address).collect();
    let unseen_types = coverage::unseen(&code, &builder.placements, &made);
    let mut unseen_spawns = spawns.unseen;
    let kinds = vtables.iter().zip(&types).filter(|(vtable, _)| unseen_types.contains(&vtable.address));
    for (_, ty) in kinds {
        // A type that is not known to be of another kind is of a spawned task.
        let kind = if ty.kind == TaskKind::Unknown { TaskKind::Spawned } else { ty.kind };
        if !unseen_spawns.contains(&kind) {
            unseen_spawns.push(kind);
        }
    }
    let Builder { placements, hooks, .. } = builder;
    Ok(Plan {
        vtables,
        types,
        placements,
        hooks,
        libraries: Vec::new(),
        kept_as: None,
        unseen_types: unseen_types.len(),
        unseen_spawns,
        drivers,
        tokio,
        tokio_versions,
        thread_local: elf.thread_local,
        current_task: None,
        running,
        running_unknown,
        poll_code,
        polls,
        tls: tls(elf),
        c_library: syscalls::c_library::find(elf),
        tracepoints: None,
        http2,
        several_tokios,
        starts,
    })
}

/// Finds a TLS library by the names that panic messages and symbols leave in the file.
fn tls(elf: &Elf<'_>) -> Option<TlsLibrary> {
    let mentions = |what: &[u8]| elf.loaded_data().any(|data| data.windows(what.len()).any(|window| window == what));
    const KNOWN: [(TlsLibrary, &[u8]); 3] = [
        (TlsLibrary::Rustls, b"/rustls-0."),
        (TlsLibrary::OpenSsl, b"libssl.so"),
        (TlsLibrary::OpenSsl, b"OpenSSL 3."),
    ];
    KNOWN.iter().find(|(_, trace)| mentions(trace)).map(|&(library, _)| library)
}

fn nothing_found(elf: &Elf<'_>) -> DiscoverError {
    let is_rust =
        elf.symbols().iter().any(|symbol| symbol.name.contains("rust_panic") || symbol.name.contains("rust_begin"));
    let versions = version::all(elf);
    if !versions.is_empty() && versions.iter().all(|version| version::is_too_old(version)) {
        return DiscoverError::TooOldTokio { versions };
    }
    DiscoverError::NoTokio { is_rust: is_rust || !versions.is_empty(), functions: elf.functions().len(), versions }
}

fn poll_starts(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, vtables: &[Vtable]) {
    for vtable in vtables {
        match entry::cheapest(code, vtable.poll, Register::RDI) {
            Some(at) => {
                let proof = Proof::Vtable { function: VtableFunction::Poll };
                builder.place(Program::PollStart, &at, 0, Sees::PollStart, proof)
            }
            None => builder.missing(Sees::PollStart, MissingReason::PollUndecodable { function: vtable.poll.0 }),
        }
    }
}

fn poll_ends(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, polls: &Flows, vtables: &[Vtable]) {
    let mut unproved = BTreeSet::new();
    for vtable in vtables {
        let Some(flow) = polls.0.get(&vtable.poll) else { continue };
        let before = builder.placements.len();
        let ends = flow.exchanges.values().filter(|exchange| !exchange.starts_running).count();
        end_transitions(builder, flow, VtableFunction::Poll);
        if ends == 0 && builder.placements.len() == before {
            unproved.insert(vtable.poll);
        }
        end_transitions(builder, &flow::follow(code, vtable.shutdown, FIRST), VtableFunction::Shutdown);
    }
    if unproved.is_empty() {
        return;
    }
    if poll_ends_by_symbol(builder, code, symbols) {
        return;
    }
    for poll in unproved {
        let Some(flow) = polls.0.get(&poll) else { continue };
        for exit in flow.exits.values() {
            builder.place(Program::PollExit, exit, 0, Sees::PollEnd, Proof::PollReturn);
        }
    }
}

/// All exchanges but the one that starts a poll.
fn end_transitions(builder: &mut Builder<'_, '_>, flow: &Flow, function: VtableFunction) {
    let unsets_waker = flow.exchanges.values().any(|exchange| exchange.unsets_waker);
    for exchange in flow.exchanges.values().filter(|exchange| !exchange.starts_running) {
        let completes = exchange.completes;
        let watch = if completes { TransitionEvent::TaskEnd } else { TransitionEvent::PollEnd };
        let proof = Proof::Exchange { completes, function };
        transition(builder, exchange, (watch, unsets_waker), Sees::PollEnd, proof);
    }
}

/// Hooks the transitions: in unoptimised builds the exchange is several calls away, but they are functions.
fn poll_ends_by_symbol(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) -> bool {
    let mut found = 0;
    let complete = match symbols.ending(&["::unset_waker_after_complete"])[..] {
        [] => EntryCookie::Complete,
        _ => EntryCookie::CompleteUnsets,
    };
    let names = [("::transition_to_idle", EntryCookie::Idle), ("::transition_to_complete", complete)];
    for (name, cookie) in names {
        for function in symbols.ending(&[name]) {
            let Some(at) = entry::cheapest(code, function, Register::RDI) else { continue };
            builder.place(Program::TransitionEntry, &at, cookie as u64, Sees::PollEnd, Proof::TransitionEntry);
            found += 1;
        }
    }
    found >= names.len()
}

fn transition(
    builder: &mut Builder<'_, '_>,
    exchange: &StateExchange,
    (watch, unsets_waker): (TransitionEvent, bool),
    sees: Sees,
    proof: Proof,
) {
    let (Some(header), Some(new)) = (place_in_pt_regs(exchange.header), place_in_pt_regs(exchange.new)) else { return };
    let cookie = TransitionCookie { watch, header, new, caller: exchange.caller, unsets_waker };
    builder.place(Program::Transition, &exchange.after, cookie.pack(), sees, proof);
}

fn shutdowns(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, vtables: &[Vtable]) {
    for vtable in vtables {
        if let Some(at) = entry::cheapest(code, vtable.shutdown, Register::RDI) {
            let proof = Proof::Vtable { function: VtableFunction::Shutdown };
            builder.place(Program::Shutdown, &at, 0, Sees::Shutdown, proof);
        }
    }
}

fn wakes(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, polls: &Flows) {
    let mentioned: Vec<Vec<ElfAddr>> = polls.iter().map(|flow| flow.mentioned.clone()).collect();
    let exchanges = |function| !flow::follow(code, function, FIRST).exchanges.is_empty();
    let wakes = |waker: &WakerVtable| exchanges(waker.wake_by_val) && exchanges(waker.wake_by_ref);
    let by_shape = waker::find(code.elf, &mentioned, wakes);
    let by_symbol = symbols.ending(&["::task::waker::wake_by_val", "::task::waker::wake_by_ref"]);
    let functions = match (by_shape, by_symbol.as_slice()) {
        (Some(waker), _)
            if symbols.are_missing()
                || [waker.wake_by_val, waker.wake_by_ref].iter().all(|f| by_symbol.contains(f)) =>
        {
            vec![waker.wake_by_val, waker.wake_by_ref]
        }
        (Some(waker), [_, ..]) => {
            let named = symbols.name_at(waker.wake_by_val).map(str::to_owned);
            let why = MissingReason::WakerDisagrees { vtable: waker.address.0, named };
            return builder.missing(Sees::Wake, why);
        }
        (None, [_, ..]) => by_symbol,
        _ => return builder.missing(Sees::Wake, MissingReason::NoWaker),
    };
    for function in functions {
        wake(builder, code, function);
    }
}

fn wake(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, function: ElfAddr) {
    let flow = flow::follow(code, function, FIRST);
    for exchange in flow.exchanges.values() {
        transition(builder, exchange, (TransitionEvent::Wake, false), Sees::Wake, Proof::WakerExchange);
    }
    if flow.exchanges.is_empty()
        && let Some(at) = entry::cheapest(code, function, Register::RDI)
    {
        builder.place(Program::TransitionEntry, &at, EntryCookie::Wake as u64, Sees::Wake, Proof::WakerEntry);
    }
}

fn aborts(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) {
    let exchanges = abort::find(code);
    for exchange in &exchanges {
        transition(builder, exchange, (TransitionEvent::Abort, false), Sees::Abort, Proof::AbortExchange);
    }
    if !exchanges.is_empty() {
        return;
    }
    let functions = symbols.ending(&["::transition_to_notified_and_cancel"]);
    for function in &functions {
        if let Some(at) = entry::cheapest(code, *function, Register::RDI) {
            let cookie = EntryCookie::Abort as u64;
            builder.place(Program::TransitionEntry, &at, cookie, Sees::Abort, Proof::TransitionEntry);
        }
    }
    if functions.is_empty() {
        builder.missing(Sees::Abort, MissingReason::NoAbort);
    }
}

fn panics(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) {
    let by_symbol = symbols.ending(&["::rust_panic", "rust_panic"]);
    let (functions, proof) = match by_symbol.as_slice() {
        [] => (raise::find(code), Proof::ExceptionRaised),
        _ => (by_symbol, Proof::PanicSymbol),
    };
    for function in &functions {
        if let Some(at) = entry::cheapest(code, *function, Register::RSP) {
            builder.place(Program::PanicStart, &at, 0, Sees::Panic, proof.clone());
        }
    }
    if functions.is_empty() {
        builder.missing(Sees::Panic, MissingReason::NoPanic);
    }
}

/// The code a thread is in while it polls a task that is not the runtime's own: the poll function and
/// those that it becomes by jumping on.
fn poll_code(code: &Code<'_, '_>, polls: &Flows, vtables: &[Vtable], types: &[TaskType]) -> Vec<(ElfAddr, u64)> {
    let watched = vtables.iter().zip(types).filter(|(_, ty)| !ty.runtime);
    let functions: BTreeSet<ElfAddr> = watched
        .filter_map(|(vtable, _)| polls.0.get(&vtable.poll))
        .flat_map(|flow| flow.tail.iter().copied())
        .collect();
    functions.into_iter().filter_map(|start| Some((start, code.elf.function_at(start)?.len))).collect()
}

/// The code a thread is in while it polls any task, the runtime's own too, and the vtables whose code it is.
fn all_polls(code: &Code<'_, '_>, polls: &Flows, vtables: &[Vtable]) -> Vec<(ElfAddr, u64, Vec<ElfAddr>)> {
    let mut functions: BTreeMap<ElfAddr, Vec<ElfAddr>> = BTreeMap::new();
    for vtable in vtables {
        for &function in polls.0.get(&vtable.poll).into_iter().flat_map(|flow| &flow.tail) {
            functions.entry(function).or_default().push(vtable.address);
        }
    }
    let with_len = |(start, vtables)| Some((start, code.elf.function_at(start)?.len, vtables));
    functions.into_iter().filter_map(with_len).collect()
}

/// Code of the runtime's drivers, by symbol.
fn drivers(symbols: &Symbols) -> Vec<DriverCode> {
    let rules: [(&str, Driver); 7] = [
        ("::scheduled_io::ScheduledIo::wake", Driver::Io),
        ("::process_at_time", Driver::Time),
        ("::process_at_sharded_time", Driver::Time),
        ("::time::Driver::park_internal", Driver::Time),
        ("::defer::Defer::wake", Driver::Deferred),
        ("::Context::park_yield", Driver::Deferred),
        ("::Context::park_internal", Driver::Deferred),
    ];
    let known = |driver| rules.iter().any(|&(name, of)| of == driver && !symbols.ending(&[name]).is_empty());
    // Where the others are no functions of their own they may be inlined into the worker's parking.
    let certain = known(Driver::Io) && known(Driver::Time);
    let mut drivers: Vec<DriverCode> = symbols
        .functions
        .iter()
        .filter_map(|(name, address, len)| {
            let (_, driver) = rules.iter().find(|(ending, _)| name.ends_with(ending))?;
            let sure = *driver != Driver::Deferred || certain || name.ends_with("::Defer::wake");
            sure.then(|| DriverCode { start: address.0, end: address.0.saturating_add(*len), driver: *driver })
        })
        .collect();
    drivers.sort_by_key(|code| (code.start, code.end));
    drivers.dedup();
    drivers
}
