//! The places where new tasks go to their schedulers: binds, and the two queues that need none.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::Register;
use probe_common::config::{SpawnCookie, SpawnWay};

use super::{plan::Program, plan_builder::Builder, symbols::Symbols, version, vtables::Vtable};
use crate::{
    addr::ElfAddr,
    code::x86_64::{bind, code::Code, entry, place_in_pt_regs, queue, worker},
};
use asyncscope_trace::facts::{KnownBy, MissingReason, Proof, Sees, TaskKind, TaskQueue};

/// The ending of the symbol of the queue of a `LocalSet`.
const LOCAL_QUEUE: &str = "::task::local::Shared::schedule";

/// The things that were found beside the hooks.
#[derive(Debug, Default)]
pub(super) struct Spawns {
    /// The kinds of tasks whose spawns may pass no hook.
    pub(super) unseen: Vec<TaskKind>,
    /// The `schedule` functions of `LocalSet`'s tasks.
    pub(super) local: BTreeSet<ElfAddr>,
}

/// Places the hooks.
pub(super) fn find(
    builder: &mut Builder<'_, '_>,
    code: &Code<'_, '_>,
    symbols: &Symbols,
    vtables: &[Vtable],
) -> Spawns {
    let mut spawns = Spawns::default();
    let binds = bind::find(code, &vtables.iter().map(|vtable| vtable.address).collect());
    if !owned(builder, code, symbols, &binds) {
        spawns.unseen.push(TaskKind::Spawned);
    }
    let bound: BTreeSet<ElfAddr> = binds.iter().map(|bind| bind.function).collect();
    let schedules: BTreeSet<ElfAddr> = vtables.iter().map(|vtable| vtable.schedule).collect();
    let pool = Queue {
        way: SpawnWay::Blocking,
        kind: TaskQueue::BlockingPool,
        ending: "::Spawner::spawn_task",
        within: "tokio::runtime::blocking::",
        functions: queue::of_blocking_pool(code, &bound)
            .into_iter()
            .map(|function| (function, Register::RSI))
            .collect(),
        unused: !schedules.iter().any(|&schedule| worker::is_never_scheduled(code, schedule)),
    };
    if !pool.place(builder, code, symbols) {
        spawns.unseen.push(TaskKind::Blocking);
    }
    let local = |schedule: ElfAddr| Some((schedule, queue::of_local_set(code, schedule)?));
    let local: Vec<(ElfAddr, (ElfAddr, Register))> = schedules.iter().copied().filter_map(local).collect();
    let named: BTreeSet<ElfAddr> = symbols.ending(&[LOCAL_QUEUE]).into_iter().collect();
    let leads_there = |&schedule: &ElfAddr| !named.is_empty() && queue::comes_to(code, schedule, &named);
    let by_symbol = schedules.iter().copied().filter(leads_there);
    spawns.local = local.iter().map(|&(schedule, _)| schedule).chain(by_symbol).collect();
    let set = Queue {
        way: SpawnWay::Local,
        kind: TaskQueue::LocalSet,
        ending: LOCAL_QUEUE,
        within: "tokio::task::local::",
        functions: local.into_iter().map(|(_, found)| found).collect(),
        unused: if symbols.are_missing() {
            !version::may_have_source(code.elf, "task/local.rs")
        } else {
            !symbols.local
        },
    };
    if !set.place(builder, code, symbols) {
        spawns.unseen.push(TaskKind::Local);
    }
    spawns
}

/// Places the hooks for tasks of schedulers with workers, and returns `true` if these tasks are seen.
fn owned(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols, binds: &[bind::Bind]) -> bool {
    let by_symbol = symbols.ending(&["::bind_inner"]);
    for bind in binds {
        if bind.second_argument {
            let known = if by_symbol.contains(&bind.function) { KnownBy::CodeAndSymbol } else { KnownBy::Code };
            at_entry(builder, code, bind.function, Register::RSI, SpawnWay::Owned, Proof::Bind { known });
        } else if let Some(header) = place_in_pt_regs(bind.header) {
            let cookie = SpawnCookie { way: SpawnWay::Owned, header, at_entry: false };
            builder.place(Program::Spawn, &bind.at, cookie.pack(), Sees::Spawn, Proof::InlinedBind);
        }
    }
    for function in by_symbol.iter().filter(|function| !binds.iter().any(|bind| bind.function == **function)) {
        let proof = Proof::Bind { known: KnownBy::Symbol };
        at_entry(builder, code, *function, Register::RSI, SpawnWay::Owned, proof);
    }
    if !binds.is_empty() || !by_symbol.is_empty() {
        return true;
    }
    // Before 1.33 there is no `bind_inner`. Where nothing is inlined, its first step is a function.
    // https://github.com/tokio-rs/tokio/blob/tokio-1.28.2/tokio/src/runtime/task/list.rs#L84-L117
    // `LocalSet`s pass it as well: their tasks have to be told apart by their queue.
    let is_told_apart = !symbols.local || !symbols.ending(&[LOCAL_QUEUE]).is_empty();
    let first_steps = if is_told_apart { symbols.ending(&["::task::core::Header::set_owner_id"]) } else { Vec::new() };
    for &function in &first_steps {
        at_entry(builder, code, function, Register::RDI, SpawnWay::Owned, Proof::BindStep);
    }
    if first_steps.is_empty() {
        builder.missing(Sees::Spawn, MissingReason::NoBind);
    }
    !first_steps.is_empty()
}

/// Functions that put a new task into a queue.
struct Queue {
    way: SpawnWay,
    kind: TaskQueue,
    /// The ending of the symbol of such a function.
    ending: &'static str,
    /// The part of a symbol's name that all must have that look so by what they do.
    within: &'static str,
    /// Those found by what they do, and the argument that has the task.
    functions: BTreeMap<ElfAddr, Register>,
    /// Set if the program has no such tasks.
    unused: bool,
}

impl Queue {
    /// Places the hooks, and returns `true` if such tasks are seen, if there are any.
    fn place(&self, builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) -> bool {
        let by_symbol = symbols.ending(&[self.ending]);
        // A function of that name may only pass the task on.
        let leads_to = |function: ElfAddr| queue::leads_to(code, function);
        let leading: BTreeMap<ElfAddr, BTreeSet<ElfAddr>> = by_symbol.iter().map(|&at| (at, leads_to(at))).collect();
        let agreed = |function: ElfAddr| match leading.is_empty() {
            false => leading.values().any(|led| led.contains(&function)),
            true => symbols.are_missing() || symbols.name_at(function).is_some_and(|name| name.contains(self.within)),
        };
        let (confirmed, doubtful): (Vec<_>, Vec<_>) = self.functions.iter().partition(|(at, _)| agreed(**at));
        for &(&function, &header) in &confirmed {
            let known = if by_symbol.is_empty() { KnownBy::Code } else { KnownBy::CodeAndSymbol };
            at_entry(builder, code, function, header, self.way, Proof::Queue { known });
        }
        let passes_on =
            |at: &ElfAddr| leading.get(at).is_some_and(|led| self.functions.keys().any(|known| led.contains(known)));
        for &function in by_symbol.iter().filter(|at| !passes_on(at)) {
            at_entry(builder, code, function, Register::RSI, self.way, Proof::Queue { known: KnownBy::Symbol });
        }
        for (function, _) in doubtful {
            let named = symbols.name_at(*function).map(str::to_owned);
            let why = MissingReason::QueueDisagrees { function: function.0, queue: self.kind, named };
            builder.missing(Sees::Spawn, why);
        }
        let found = !by_symbol.is_empty() || !confirmed.is_empty();
        if !found && !self.unused {
            builder.missing(Sees::Spawn, MissingReason::NoQueue { queue: self.kind });
        }
        found || self.unused
    }
}

/// `header`: the argument that has it.
fn at_entry(
    builder: &mut Builder<'_, '_>,
    code: &Code<'_, '_>,
    function: ElfAddr,
    header: Register,
    way: SpawnWay,
    proof: Proof,
) {
    match (entry::cheapest(code, function, header), place_in_pt_regs(header)) {
        (Some(at), Some(header)) => {
            let cookie = SpawnCookie { way, header, at_entry: true };
            builder.place(Program::Spawn, &at, cookie.pack(), Sees::Spawn, proof)
        }
        _ => builder.missing(Sees::Spawn, MissingReason::Undecodable { function: function.0 }),
    }
}
