//! Discovery: from an executable to a plan of hooks. Structure first; symbols confirm, and name.

use std::collections::{BTreeSet, HashMap};

use iced_x86::Register;
use probe_common::config::{EntryCookie, SpawnCookie, SpawnWay, TransitionCookie, Watch};

use super::{
    addr::ElfAddr,
    builder::Builder,
    elf::Elf,
    names::{demangled, inherent},
    plan::{Plan, Program},
    types, version,
    vtables::{self, Vtable},
    x86_64::{
        abort, bind,
        code::Code,
        entry,
        flow::{self, Exchange, Flow},
        place_in_pt_regs,
        waker::{self, Waker},
    },
};
use crate::facts::{Driver, DriverCode, TaskType};

/// The header is the first argument.
pub(super) const FIRST: u8 = 1;

/// Finds all that there is to be seen in the executable.
///
/// # Errors
///
/// A sentence, where there is no tokio in it.
pub fn discover(elf: &Elf<'_>) -> Result<Plan, String> {
    let vtables = vtables::scan(elf);
    if vtables.is_empty() {
        return Err(nothing_found(elf));
    }
    let code = Code::new(elf);
    let symbols = Symbols::new(elf);
    let polls = Flows::of(&code, vtables.iter().map(|vtable| vtable.poll));
    let mut builder = Builder::new(elf);
    poll_starts(&mut builder, &code, &vtables);
    poll_ends(&mut builder, &code, &symbols, &polls, &vtables);
    shutdowns(&mut builder, &code, &vtables);
    wakes(&mut builder, &code, &symbols, &polls);
    aborts(&mut builder, &code, &symbols);
    spawns(&mut builder, &code, &symbols, &vtables);
    panics(&mut builder, &code, &symbols);
    let types = types::name(&code, &polls, &vtables);
    let poll_code = poll_code(&code, &polls, &vtables, &types);
    let drivers = drivers(&symbols);
    let Builder { placements, hooks, .. } = builder;
    Ok(Plan { vtables, types, placements, hooks, drivers, tokio: version::find(elf), poll_code })
}

fn nothing_found(elf: &Elf<'_>) -> String {
    let has_rust =
        elf.symbols().iter().any(|symbol| symbol.name.contains("rust_panic") || symbol.name.contains("rust_begin"));
    let what = if has_rust { "a Rust program" } else { "a program" };
    format!(
        "is {what} in which no tokio was found: none of its {} functions with unwind information stand in a table \
         of the shape of tokio's task vtable (seven functions, three offsets), as every tokio since 1.28 has one for \
         each task type",
        elf.functions().len()
    )
}

/// Symbols are looked for by the ends of their names, none of which is longer, in bytes.
const ENDING_MAX: usize = 80;

/// Function symbols by the end of their demangled names: all names together can be far longer than the
/// file, as symbols may share them.
struct Symbols {
    functions: Vec<(String, ElfAddr, u64)>,
    /// Whether any is of `LocalSet`'s module.
    local: bool,
}

impl Symbols {
    fn new(elf: &Elf<'_>) -> Self {
        let relevant = |name: &str| name.contains("tokio") || name.contains("rust_panic");
        let mut symbols = Self { functions: Vec::new(), local: false };
        for symbol in elf.symbols().iter().filter(|symbol| relevant(symbol.name)) {
            let name = inherent(&demangled(symbol.name));
            symbols.local |= name.contains("tokio::task::local::");
            symbols.functions.push((ending(&name), symbol.address, symbol.len));
        }
        symbols
    }

    fn are_missing(&self) -> bool {
        self.functions.is_empty()
    }

    /// The functions whose name ends with one of these.
    fn ending(&self, endings: &[&str]) -> Vec<ElfAddr> {
        let found = self.functions.iter().filter(|(name, ..)| endings.iter().any(|ending| name.ends_with(ending)));
        let addresses: BTreeSet<_> = found.map(|&(_, address, _)| address).collect();
        addresses.into_iter().collect()
    }

    fn name_at(&self, address: ElfAddr) -> Option<&str> {
        self.functions.iter().find(|&&(_, at, _)| at == address).map(|(name, ..)| name.as_str())
    }
}

fn ending(name: &str) -> String {
    name[name.ceil_char_boundary(name.len().saturating_sub(ENDING_MAX))..].to_owned()
}

/// The flow from each function, once.
pub(super) struct Flows(pub(super) HashMap<ElfAddr, Flow>);

impl Flows {
    fn of(code: &Code<'_, '_>, roots: impl Iterator<Item = ElfAddr>) -> Self {
        let roots: BTreeSet<ElfAddr> = roots.collect();
        Self(roots.into_iter().map(|root| (root, flow::follow(code, root, FIRST))).collect())
    }

    fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.0.values()
    }
}

fn poll_starts(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, vtables: &[Vtable]) {
    for vtable in vtables {
        match entry::cheapest(code, vtable.poll, Register::RDI) {
            Some(at) => builder.place(Program::PollStart, &at, 0, "poll-start", "task vtable by shape: raw::poll"),
            None => {
                builder.missing("poll-start", &format!("the poll function at {:#x} cannot be decoded", vtable.poll.0))
            }
        }
    }
}

fn poll_ends(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, polls: &Flows, vtables: &[Vtable]) {
    let mut unproved = BTreeSet::new();
    for vtable in vtables {
        let Some(flow) = polls.0.get(&vtable.poll) else { continue };
        let before = builder.placements.len();
        let ends: Vec<&Exchange> = flow.exchanges.values().filter(|exchange| !exchange.starts_running).collect();
        for exchange in &ends {
            transition(builder, exchange, Watch::PollEnd, "poll-end", "exchange of the state word in raw::poll");
        }
        if ends.is_empty() && builder.placements.len() == before {
            unproved.insert(vtable.poll);
        }
        for exchange in flow::follow(code, vtable.shutdown, FIRST).exchanges.values() {
            transition(builder, exchange, Watch::PollEnd, "poll-end", "exchange of the state word in raw::shutdown");
        }
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
            builder.place(
                Program::PollExit,
                exit,
                0,
                "poll-end",
                "return of raw::poll: whether the task is done is not seen",
            );
        }
    }
}

/// In unoptimised builds the exchange is several calls away, but the transitions are functions.
fn poll_ends_by_symbol(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) -> bool {
    let mut found = 0;
    let names = [("::transition_to_idle", EntryCookie::Idle), ("::transition_to_complete", EntryCookie::Complete)];
    for (name, cookie) in names {
        for function in symbols.ending(&[name]) {
            let Some(at) = entry::cheapest(code, function, Register::RDI) else { continue };
            builder.place(
                Program::TransitionEntry,
                &at,
                cookie as u64,
                "poll-end",
                "symbol; state foretold from the entry",
            );
            found += 1;
        }
    }
    found >= names.len()
}

fn transition(builder: &mut Builder<'_, '_>, exchange: &Exchange, watch: Watch, sees: &str, how: &str) {
    let (Some(header), Some(new)) = (place_in_pt_regs(exchange.header), place_in_pt_regs(exchange.new)) else { return };
    let cookie = TransitionCookie { watch, header, new, caller: exchange.caller };
    builder.place(Program::Transition, &exchange.after, cookie.pack(), sees, how);
}

fn shutdowns(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, vtables: &[Vtable]) {
    for vtable in vtables {
        if let Some(at) = entry::cheapest(code, vtable.shutdown, Register::RDI) {
            builder.place(Program::Shutdown, &at, 0, "shutdown", "task vtable by shape: raw::shutdown");
        }
    }
}

fn wakes(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, polls: &Flows) {
    let mentioned: Vec<Vec<ElfAddr>> = polls.iter().map(|flow| flow.mentioned.clone()).collect();
    let exchanges = |function| !flow::follow(code, function, FIRST).exchanges.is_empty();
    let wakes = |waker: &Waker| exchanges(waker.wake_by_val) && exchanges(waker.wake_by_ref);
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
            let named = symbols.name_at(waker.wake_by_val).unwrap_or("no symbol");
            return builder.missing(
                "wake",
                &format!(
                    "the waker vtable found by shape at {:#x} disagrees with the symbols ({named})",
                    waker.address.0
                ),
            );
        }
        (None, [_, ..]) => by_symbol,
        _ => return builder.missing("wake", "no waker vtable that the poll functions share, and no symbols"),
    };
    for function in functions {
        wake(builder, code, function);
    }
}

fn wake(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, function: ElfAddr) {
    let flow = flow::follow(code, function, FIRST);
    for exchange in flow.exchanges.values() {
        transition(builder, exchange, Watch::Wake, "wake", "exchange of the state word in the waker's function");
    }
    if flow.exchanges.is_empty()
        && let Some(at) = entry::cheapest(code, function, Register::RDI)
    {
        builder.place(
            Program::TransitionEntry,
            &at,
            EntryCookie::Wake as u64,
            "wake",
            "waker's function; state foretold from its entry",
        );
    }
}

fn aborts(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) {
    let exchanges = abort::find(code);
    for exchange in &exchanges {
        transition(builder, exchange, Watch::Abort, "abort", "exchange of the state word by its constants");
    }
    if !exchanges.is_empty() {
        return;
    }
    let functions = symbols.ending(&["::transition_to_notified_and_cancel"]);
    for function in &functions {
        if let Some(at) = entry::cheapest(code, *function, Register::RDI) {
            builder.place(
                Program::TransitionEntry,
                &at,
                EntryCookie::Abort as u64,
                "abort",
                "symbol; state foretold from the entry",
            );
        }
    }
    if functions.is_empty() {
        builder.missing("abort", "no code that sets CANCELLED and NOTIFIED: either nothing aborts, or when an abort makes a task ready is not seen");
    }
}

fn spawns(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, vtables: &[Vtable]) {
    let binds = bind::find(code, &vtables.iter().map(|vtable| vtable.address).collect());
    let by_symbol = symbols.ending(&["::bind_inner"]);
    for bind in &binds {
        if bind.second_argument {
            let how = if by_symbol.contains(&bind.function) {
                "bind_inner, by what it does and by symbol"
            } else {
                "bind_inner, by what it does"
            };
            spawn_at_entry(builder, code, bind.function, SpawnWay::Owned, how);
        } else if let Some(header) = place_in_pt_regs(bind.header) {
            let cookie = SpawnCookie { way: SpawnWay::Owned, header, at_entry: false };
            builder.place(Program::Spawn, &bind.at, cookie.pack(), "spawn", "inlined bind_inner, by what it does");
        }
    }
    for function in by_symbol.iter().filter(|function| !binds.iter().any(|bind| bind.function == **function)) {
        spawn_at_entry(builder, code, *function, SpawnWay::Owned, "bind_inner, by symbol alone");
    }
    if binds.is_empty() && by_symbol.is_empty() {
        builder.missing("spawn", "OwnedTasks::bind_inner not found: parents of spawned tasks are unknown");
    }
    named_spawns(
        builder,
        code,
        symbols,
        "::Spawner::spawn_task",
        SpawnWay::Blocking,
        "parents of blocking tasks are unknown",
    );
    named_spawns(
        builder,
        code,
        symbols,
        "::task::local::Shared::schedule",
        SpawnWay::Local,
        "parents of LocalSet's tasks are unknown",
    );
}

fn named_spawns(
    builder: &mut Builder<'_, '_>,
    code: &Code<'_, '_>,
    symbols: &Symbols,
    name: &str,
    way: SpawnWay,
    without: &str,
) {
    let functions = symbols.ending(&[name]);
    for function in &functions {
        spawn_at_entry(builder, code, *function, way, "symbol");
    }
    // With symbols, but none of `LocalSet`'s, the program has no such tasks.
    let unused = way == SpawnWay::Local && !symbols.are_missing() && !symbols.local;
    if functions.is_empty() && !unused {
        builder.missing("spawn", &format!("no symbol ending with {name}: {without}"));
    }
}

/// The header is the second argument.
fn spawn_at_entry(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, function: ElfAddr, way: SpawnWay, how: &str) {
    match (entry::cheapest(code, function, Register::RSI), place_in_pt_regs(Register::RSI)) {
        (Some(at), Some(header)) => {
            builder.place(Program::Spawn, &at, SpawnCookie { way, header, at_entry: true }.pack(), "spawn", how)
        }
        _ => builder.missing("spawn", &format!("the function at {:#x} cannot be decoded", function.0)),
    }
}

fn panics(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) {
    let functions = symbols.ending(&["::rust_panic", "rust_panic"]);
    for function in &functions {
        if let Some(at) = entry::cheapest(code, *function, Register::RSP) {
            builder.place(Program::PanicStart, &at, 0, "panic", "symbol rust_panic");
        }
    }
    if functions.is_empty() {
        builder.missing("panic", "no symbol rust_panic: a task that panics looks like one that completes");
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

/// Code of the runtime's drivers, by symbol.
fn drivers(symbols: &Symbols) -> Vec<DriverCode> {
    let rules: [(&str, Driver); 6] = [
        ("::scheduled_io::ScheduledIo::wake", Driver::Io),
        ("::process_at_time", Driver::Time),
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
