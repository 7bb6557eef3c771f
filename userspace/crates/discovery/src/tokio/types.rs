//! A name and a kind for each task type.
//!
//! Drop glue names the future, but the linker folds glue that is the same for several futures, and then
//! one name stands for all. The poll function calls the future's own body, which is never the same.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use super::{abilities::is_unnamed, bodies, flows::Flows, sites, vtables::Vtable};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        FIRST,
        code::{Code, Target},
        flow,
        worker::{self, Runs},
    },
    image::elf::Elf,
    names::{self, Named},
};
use asyncscope_trace::facts::{BodyStands, FOLDED_MAX, ImageId, NameSource, NamedBy, TaskKind, TaskType, TypeKey};

const BOXED: &str = "boxed future";
/// No more functions than this are looked at for a name.
const NEAREST_MAX: usize = 256;

/// The evidence that symbols give of one vtable.
struct TypeEvidence {
    /// By the poll function's own symbol where that has the type (v0 mangling), else by the glue that tears the task
    /// down.
    named: Named,
    /// Bodies of futures that its poll function calls.
    polled: BTreeSet<String>,
}

/// The types of these vtables, in their order.
///
/// `local`: the `schedule` functions of `LocalSet`'s tasks.
pub(super) fn name(code: &Code<'_, '_>, polls: &Flows, vtables: &[Vtable], local: &BTreeSet<ElfAddr>) -> Vec<TaskType> {
    let evidence: Vec<TypeEvidence> = vtables.iter().map(|vtable| evidence(code, polls, vtable)).collect();
    let by_symbols: Vec<BTreeSet<String>> = (0..vtables.len()).map(|at| futures(vtables, &evidence, at)).collect();
    let unsettled = (0..vtables.len()).filter(|&at| !is_settled(vtables, &by_symbols, at)).collect();
    let by_debug_info = names::dwarf::of_types(code, vtables, &unsettled);
    let doubtful: BTreeSet<usize> =
        (0..vtables.len()).filter(|&at| is_doubtful(vtables, &evidence, &by_symbols, at)).collect();
    let found: Vec<TypeFindings> = vtables
        .iter()
        .zip(by_symbols)
        .enumerate()
        .map(|(at, (vtable, by_symbols))| {
            let by_debug_info = by_debug_info.get(&at);
            settle(code.elf, vtable, by_symbols, &evidence[at], by_debug_info, doubtful.contains(&at))
        })
        .collect();
    let mut types: Vec<TaskType> = vtables.iter().zip(&found).map(|(vtable, found)| task_type(vtable, found)).collect();
    add_generics(&found, &mut types);
    share_kinds(vtables, &mut types);
    kinds_by_shape(code, vtables, local, &mut types);
    bodies::find(code, vtables, &mut types);
    bodies::doubt_names(&mut types);
    bodies::name(&mut types, BodyStands::Alone);
    names_by_site(code, &mut types);
    bodies::name(&mut types, BodyStands::Inside);
    types
}

fn evidence(code: &Code<'_, '_>, polls: &Flows, vtable: &Vtable) -> TypeEvidence {
    // The functions that only tear down mention no other task's type; the poll function may.
    let around = |root: ElfAddr| -> BTreeSet<ElfAddr> {
        let flow = flow::follow(code, root, FIRST);
        flow.reached.into_iter().chain(flow.mentioned).chain([root]).collect()
    };
    let elf = code.elf;
    let own = names::of_type(elf, &BTreeSet::from([vtable.poll]));
    let roots = [vtable.dealloc, vtable.shutdown, vtable.drop_join_handle_slow, vtable.try_read_output];
    let torn_down = roots.iter().map(|&root| names::of_type(elf, &around(root)));
    let found = [own].into_iter().chain(torn_down).find(|named| !named.futures.is_empty());
    let poll = polls.0.get(&vtable.poll);
    let polling: BTreeSet<ElfAddr> =
        poll.map(|flow| flow.reached.iter().chain(&flow.mentioned).copied().collect()).unwrap_or_default();
    let found = found.or_else(|| nearest(code, vtable.dealloc));
    let mut named = found.unwrap_or_else(|| names::of_type(elf, &polling));
    if named.kind == TaskKind::Unknown {
        named.kind = names::kind_of(elf, &polling, &named.futures);
    }
    TypeEvidence { named, polled: polled(code, &polling) }
}

/// The nearest functions called from `dealloc` that name a type. Where nothing was inlined the header
/// goes through return values and cannot be followed; but what frees a cell drops its own first.
fn nearest(code: &Code<'_, '_>, dealloc: ElfAddr) -> Option<Named> {
    let (mut seen, mut level) = (BTreeSet::from([dealloc]), BTreeSet::from([dealloc]));
    while !level.is_empty() && seen.len() < NEAREST_MAX {
        let called: BTreeSet<ElfAddr> = level.iter().flat_map(|&function| calls(code, function)).collect();
        level = called.difference(&seen).copied().collect();
        seen.extend(&level);
        let named = names::of_type(code.elf, &level);
        if !named.futures.is_empty() {
            return Some(named);
        }
    }
    None
}

/// Bodies of futures among these functions, and among what `Core::poll` calls if that is one of them.
fn polled(code: &Code<'_, '_>, polling: &BTreeSet<ElfAddr>) -> BTreeSet<String> {
    let bodies = |address: ElfAddr| {
        let names = code.elf.symbols_at(address).iter().map(|symbol| names::demangled(symbol.name));
        names.filter(|name| names::is_users_closure(name)).collect::<Vec<_>>()
    };
    let is_core_poll = |address: &&ElfAddr| {
        let mut names = code.elf.symbols_at(**address).iter().map(|symbol| names::demangled(symbol.name));
        names.any(|name| name.contains("task::core::Core<") && name.ends_with("::poll"))
    };
    let called = polling.iter().filter(is_core_poll).flat_map(|&address| calls(code, address));
    polling.iter().copied().chain(called).flat_map(bodies).collect()
}

fn calls(code: &Code<'_, '_>, function: ElfAddr) -> Vec<ElfAddr> {
    let Some(body) = code.body(function) else { return Vec::new() };
    let targets = body.instructions.iter().map(|instruction| code.target(instruction));
    targets.filter_map(|target| if let Target::Known(address) = target { Some(address) } else { None }).collect()
}

/// The futures that a vtable may be for.
fn futures(vtables: &[Vtable], evidence: &[TypeEvidence], at: usize) -> BTreeSet<String> {
    let TypeEvidence { named, polled } = &evidence[at];
    let both: BTreeSet<String> = named.futures.intersection(polled).cloned().collect();
    if !both.is_empty() {
        return both;
    }
    // On one scheduler a future has one vtable: the same glue for two of them was folded.
    let shares = |(other, vtable): (usize, &Vtable)| {
        other != at
            && vtable.schedule == vtables[at].schedule
            && !evidence[other].named.futures.is_disjoint(&named.futures)
    };
    if !polled.is_empty() && vtables.iter().enumerate().any(shares) {
        return polled.clone();
    }
    named.futures.clone()
}

/// Returns `true` if symbols alone tell one future, more than that it is in a box, and not the same one for
/// another vtable on that scheduler.
fn is_settled(vtables: &[Vtable], by_symbols: &[BTreeSet<String>], at: usize) -> bool {
    let mut same = vtables
        .iter()
        .zip(by_symbols)
        .filter(|&(vtable, futures)| vtable.schedule == vtables[at].schedule && *futures == by_symbols[at]);
    let boxed = by_symbols[at].iter().any(|future| names::future(future).0 == BOXED);
    by_symbols[at].len() == 1 && !boxed && same.nth(1).is_none()
}

/// Returns `true` if the only name is that of glue which another vtable on that scheduler has as well. On one
/// scheduler a future has one vtable, so their glue was folded: it may be of several closures of one function, which
/// have one name, or of others, of whose glue the compiler kept no symbol.
fn is_doubtful(vtables: &[Vtable], evidence: &[TypeEvidence], by_symbols: &[BTreeSet<String>], at: usize) -> bool {
    let (vtable, futures) = (&vtables[at], &by_symbols[at]);
    let shares_glue = |(other, of): (usize, &Vtable)| {
        other != at && (of.schedule, of.dealloc) == (vtable.schedule, vtable.dealloc) && by_symbols[other] == *futures
    };
    futures.len() == 1 && futures.is_disjoint(&evidence[at].polled) && vtables.iter().enumerate().any(shares_glue)
}

/// The findings about one vtable.
struct TypeFindings {
    futures: BTreeSet<String>,
    /// Set if it may also be another one, which no symbol names.
    or_another: bool,
    kind: TaskKind,
    named_by: NamedBy,
}

/// Symbols decide where they can, then debug info; in the symbols' words, where these have the same future.
fn settle(
    elf: &Elf<'_>,
    vtable: &Vtable,
    by_symbols: BTreeSet<String>,
    evidence: &TypeEvidence,
    by_debug_info: Option<&Named>,
    doubtful: bool,
) -> TypeFindings {
    let kind = match evidence.named.kind {
        TaskKind::Unknown => by_debug_info.map_or(TaskKind::Unknown, |named| named.kind),
        known => known,
    };
    let adds = |named: &&Named| !named.futures.is_empty() && (by_symbols.is_empty() || !is_boxed(&named.futures));
    let Some(named) = by_debug_info.filter(adds) else {
        let named_by = if by_symbols.is_empty() { NamedBy::default() } else { by_symbol(elf, vtable) };
        return TypeFindings { futures: by_symbols, or_another: doubtful, kind, named_by };
    };
    let alike: Vec<BTreeSet<String>> =
        named.futures.iter().map(|future| names::dwarf::alike(future, &by_symbols)).collect();
    let all = alike.iter().all(|symbols| symbols.len() == 1);
    let said = || named.futures.iter().map(|future| names::dwarf::said(future)).collect();
    let futures = if all { alike.into_iter().flatten().collect() } else { said() };
    TypeFindings { futures, or_another: false, kind, named_by: sourced(NameSource::Dwarf, elf.debug_file(false)) }
}

fn is_boxed(futures: &BTreeSet<String>) -> bool {
    futures.iter().all(|future| names::future(&names::dwarf::said(future)).0 == BOXED)
}

fn by_symbol(elf: &Elf<'_>, vtable: &Vtable) -> NamedBy {
    let functions = [vtable.poll, vtable.dealloc, vtable.shutdown];
    let v0 =
        functions.iter().flat_map(|&function| elf.symbols_at(function)).any(|symbol| symbol.name.starts_with("_R"));
    sourced(if v0 { NameSource::V0Symbol } else { NameSource::Symbols }, elf.debug_file(true))
}

fn sourced(source: NameSource, file: Option<&Path>) -> NamedBy {
    NamedBy { source, debug_file: file.map(|file| file.display().to_string()) }
}

fn task_type(vtable: &Vtable, found: &TypeFindings) -> TaskType {
    let pretty: BTreeSet<(String, bool)> = found.futures.iter().map(|future| names::future(future)).collect();
    let runtime = !pretty.is_empty() && pretty.iter().all(|&(_, runtime)| runtime);
    let mut names: Vec<String> = pretty.into_iter().map(|(name, _)| name).take(FOLDED_MAX).collect();
    let name = (!names.is_empty()).then(|| names.join(" | "));
    if names.len() == 1 {
        names.clear();
    }
    let named_by = found.named_by.clone();
    let address = vtable.address.0;
    TaskType {
        vtable: address,
        key: TypeKey { image: ImageId::EXECUTABLE, address },
        name,
        folded: names,
        or_another: found.or_another,
        named_by,
        body: None,
        kind: found.kind,
        runtime,
    }
}

/// Adds generic arguments to the names of different futures that have one name without.
fn add_generics(found: &[TypeFindings], types: &mut [TaskType]) {
    let mut by_name: HashMap<String, BTreeMap<String, Vec<usize>>> = HashMap::new();
    for (at, (ty, found)) in types.iter().zip(found).enumerate() {
        if let (Some(name), Some(future), false) = (&ty.name, found.futures.first(), ty.runtime)
            && found.futures.len() == 1
            && name != BOXED
        {
            by_name.entry(name.clone()).or_default().entry(future.clone()).or_default().push(at);
        }
    }
    for futures in by_name.into_values().filter(|futures| futures.len() > 1) {
        let names = names::told_apart(&futures.keys().map(String::as_str).collect::<Vec<_>>());
        for (name, places) in names.into_iter().flatten().zip(futures.into_values()) {
            places.into_iter().for_each(|at| types[at].name = Some(name.clone()));
        }
    }
}

/// Without names: `LocalSet`'s tasks, blocking ones, and among them the workers that run the others.
fn kinds_by_shape(code: &Code<'_, '_>, vtables: &[Vtable], local: &BTreeSet<ElfAddr>, types: &mut [TaskType]) {
    let mut blocking: HashMap<ElfAddr, bool> = HashMap::new();
    let mut runners = Vec::new();
    for (at, (vtable, ty)) in vtables.iter().zip(&mut *types).enumerate() {
        let schedule = vtable.schedule;
        if ty.kind != TaskKind::Unknown {
            continue;
        }
        if local.contains(&schedule) {
            ty.kind = TaskKind::Local;
        } else if *blocking.entry(schedule).or_insert_with(|| worker::is_never_scheduled(code, schedule)) {
            ty.kind = TaskKind::Blocking;
            if is_unnamed(ty) {
                runners.push((at, worker::runs_tasks(code, vtable.poll)));
            }
        }
    }
    for at in workers(&runners) {
        if let Some(ty) = types.get_mut(at) {
            ty.runtime = true;
        }
    }
}

/// The blocking tasks among these that are the runtime's workers. A closure of the program's may run tasks as
/// well, on a runtime of its own; only a worker does so in the multi-thread scheduler's source file.
/// Returns the workers. Where no source is named, one that alone runs tasks is taken for a worker.
fn workers(runners: &[(usize, Runs)]) -> Vec<usize> {
    let running = |as_worker: Runs| runners.iter().filter(move |&&(_, runs)| runs == as_worker).map(|&(at, _)| at);
    let alone = || Some(running(Runs::Tasks).collect()).filter(|alone: &Vec<_>| alone.len() == 1).unwrap_or_default();
    let known = running(Runs::AsWorker).collect::<Vec<_>>();
    if known.is_empty() && runners.iter().all(|&(_, runs)| runs != Runs::Elsewhere) { alone() } else { known }
}

/// Names those that are still unnamed after the functions that spawn them.
fn names_by_site(code: &Code<'_, '_>, types: &mut [TaskType]) {
    let unnamed = types.iter().filter(|ty| is_unnamed(ty)).map(|ty| ElfAddr(ty.vtable)).collect();
    let names = sites::names(code, &unnamed);
    for ty in types.iter_mut().filter(|ty| is_unnamed(ty)) {
        if let Some(name) = names.get(&ElfAddr(ty.vtable)) {
            ty.name = Some(name.clone());
            ty.named_by = sourced(NameSource::SpawnSymbol, code.elf.debug_file(true));
        }
    }
}

/// `schedule` is one function for each scheduler: what is known of one type holds for all that share it.
fn share_kinds(vtables: &[Vtable], types: &mut [TaskType]) {
    let mut kinds: HashMap<ElfAddr, BTreeSet<TaskKind>> = HashMap::new();
    for (vtable, ty) in vtables.iter().zip(&*types).filter(|(_, ty)| ty.kind != TaskKind::Unknown) {
        kinds.entry(vtable.schedule).or_default().insert(ty.kind);
    }
    for (vtable, ty) in vtables.iter().zip(types).filter(|(_, ty)| ty.kind == TaskKind::Unknown) {
        if let Some(known) = kinds.get(&vtable.schedule).filter(|known| known.len() == 1) {
            ty.kind = known.first().copied().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vtable(address: u64, schedule: u64, dealloc: u64) -> Vtable {
        let none = ElfAddr(0);
        Vtable {
            address: ElfAddr(address),
            poll: none,
            schedule: ElfAddr(schedule),
            dealloc: ElfAddr(dealloc),
            try_read_output: none,
            drop_join_handle_slow: none,
            shutdown: none,
            id_offset: 0,
        }
    }

    #[test]
    fn generic_arguments_tell_types_of_one_name_apart() {
        let found = |future: &str| TypeFindings {
            futures: BTreeSet::from([future.to_owned()]),
            or_another: false,
            kind: TaskKind::Unknown,
            named_by: NamedBy::default(),
        };
        // The first on two schedulers.
        let futures =
            ["svc::run<svc::A>::{{closure}}", "svc::run<svc::A>::{{closure}}", "svc::run<svc::B>::{{closure}}"];
        let found: Vec<TypeFindings> =
            futures.into_iter().chain(["svc::other<svc::A>::{{closure}}"]).map(found).collect();
        let mut types: Vec<TaskType> = found.iter().map(|found| task_type(&vtable(8, 1, 2), found)).collect();
        add_generics(&found, &mut types);
        let names: Vec<&str> = types.iter().filter_map(|ty| ty.name.as_deref()).collect();
        assert_eq!(names, ["svc::run<A>", "svc::run<A>", "svc::run<B>", "svc::other"]);
    }

    #[test]
    fn a_name_that_two_types_have_from_the_same_glue_is_doubtful() {
        let check = |others: [Vtable; 2], polled: &[&str], doubtful| {
            let one = |name: &str| BTreeSet::from([name.to_owned()]);
            let evidence = |polled: &[&str]| TypeEvidence {
                named: Named { futures: one("svc::a"), kind: TaskKind::Blocking },
                polled: polled.iter().map(|&name| name.to_owned()).collect(),
            };
            let names = [one("svc::a"), one("svc::a")];
            assert_eq!(is_doubtful(&others, &[evidence(polled), evidence(&[])], &names, 0), doubtful, "{others:?}");
        };
        check([vtable(8, 1, 2), vtable(16, 1, 2)], &[], true);
        check([vtable(8, 1, 2), vtable(16, 1, 3)], &[], false);
        check([vtable(8, 1, 2), vtable(16, 4, 2)], &[], false);
        check([vtable(8, 1, 2), vtable(16, 1, 2)], &["svc::a"], false);
    }
}
