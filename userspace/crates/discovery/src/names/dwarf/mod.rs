//! The future that a task vtable is for, from what DWARF calls the vtable's functions:
//! `poll<svc::fetch_user::{async_fn_env#0}, alloc::sync::Arc<…>>`.
//!
//! Debug info keeps all generic arguments, but only one of several functions that were folded into one.
//! So a function says something only about the one vtable that has it for itself.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use super::symbols::{self, Named};
use crate::{
    addr::ElfAddr,
    code::x86_64::code::{Code, Target},
    image::debug::Subprograms,
    tokio::vtables::Vtable,
};
use asyncscope_trace::facts::TaskKind;
pub use text::{like_a_symbol, said};

/// A function that only jumps to the one that it was folded into; such jumps follow one another.
const JUMPS_MAX: u8 = 4;
const ROOTS: usize = 5;

/// The functions of the vtable that are generic over its future, the ones least likely to be folded first.
fn roots(vtable: &Vtable) -> [ElfAddr; ROOTS] {
    [vtable.poll, vtable.dealloc, vtable.try_read_output, vtable.drop_join_handle_slow, vtable.shutdown]
}

/// Reads what DWARF says of some of all vtables, by their indices.
#[must_use]
pub fn of_types(code: &Code<'_, '_>, vtables: &[Vtable], asked: &BTreeSet<usize>) -> BTreeMap<usize, Named> {
    let functions: Vec<[ElfAddr; ROOTS]> =
        vtables.iter().map(|vtable| roots(vtable).map(|function| landing(code, function))).collect();
    let wanted: BTreeSet<ElfAddr> = asked.iter().filter_map(|&at| functions.get(at)).flatten().copied().collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let subprograms = code.elf.subprograms(&wanted);
    asked.iter().map(|&at| (at, named(&functions, at, &subprograms))).collect()
}

/// The function that a call of this one ends up in.
fn landing(code: &Code<'_, '_>, mut function: ElfAddr) -> ElfAddr {
    for _ in 0..JUMPS_MAX {
        let Some(body) = code.body(function) else { break };
        let [jump] = body.instructions.as_slice() else { break };
        match code.target(jump) {
            Target::Known(next) if code.elf.function_at(next).is_some() => function = next,
            _ => break,
        }
    }
    function
}

fn named(functions: &[[ElfAddr; ROOTS]], at: usize, subprograms: &Subprograms) -> Named {
    let arguments = |function: ElfAddr| -> BTreeSet<Vec<String>> {
        let names = subprograms.get(&function).into_iter().flatten();
        names.filter_map(|name| symbols::arguments_of(name)).collect()
    };
    let sharing = |root: usize| functions.iter().filter(|other| other[root] == functions[at][root]).count();
    // Where every vtable that shares the function has its name there, the right one is among them.
    let known = |root: &usize| {
        let found = arguments(functions[at][*root]);
        (!found.is_empty() && found.len() >= sharing(*root)).then_some(found)
    };
    let found = (0..ROOTS).find_map(|root| known(&root)).unwrap_or_default();
    Named { futures: found.iter().filter_map(|arguments| arguments.first().cloned()).collect(), kind: kind(&found) }
}

fn kind(found: &BTreeSet<Vec<String>>) -> TaskKind {
    let kinds: BTreeSet<TaskKind> = found.iter().map(|arguments| symbols::kind(arguments)).collect();
    symbols::only(kinds)
}

/// Those of the futures by symbol that may be this one. Debug info has only a number where symbols have
/// the type of an `impl`.
#[must_use]
pub fn alike(ty: &str, by_symbols: &BTreeSet<String>) -> BTreeSet<String> {
    let (ours, _) = super::future(&like_a_symbol(ty));
    let end = ours.rsplit_once("{impl#").and_then(|(_, number)| number.split_once('}')).map(|(_, end)| end);
    let same = |symbol: &&String| {
        let (theirs, _) = super::future(symbol);
        theirs == ours || end.is_some_and(|end| !end.is_empty() && theirs.ends_with(end))
    };
    by_symbols.iter().filter(same).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str =
        "poll<svc::a::{async_fn_env#0}, alloc::sync::Arc<tokio::runtime::scheduler::current_thread::Handle>>";
    const B: &str = "poll<svc::b::{async_fn_env#0}, alloc::sync::Arc<tokio::task::local::Shared>>";

    /// The futures of the first vtable, where functions have these names.
    fn check(vtables: &[[u64; ROOTS]], names: &[(u64, &str)], futures: &[&str], kind: TaskKind) {
        let functions: Vec<_> = vtables.iter().map(|functions| functions.map(ElfAddr)).collect();
        let mut subprograms = Subprograms::new();
        for &(address, name) in names {
            subprograms.entry(ElfAddr(address)).or_default().insert(name.to_owned());
        }
        let futures = futures.iter().map(|&future| future.to_owned()).collect();
        assert_eq!(named(&functions, 0, &subprograms), Named { futures, kind });
    }

    #[test]
    fn tells_futures_by_functions_of_their_own() {
        let (a, b) = ("svc::a::{async_fn_env#0}", "svc::b::{async_fn_env#0}");
        let alone: &[[u64; ROOTS]] = &[[1, 2, 3, 4, 5]];
        check(alone, &[(1, A)], &[a], TaskKind::Spawned);
        check(alone, &[(2, B)], &[b], TaskKind::Local);
        check(alone, &[(9, A)], &[], TaskKind::Unknown);
        check(alone, &[(1, "no_generics")], &[], TaskKind::Unknown);
        check(alone, &[(1, A), (1, B)], &[a, b], TaskKind::Unknown);
    }

    #[test]
    fn finds_the_symbol_of_the_same_future() {
        let symbols = ["svc::a::{{closure}}", "svc::b::{{closure}}", "<svc::A as svc::T>::run::{{closure}}"];
        let symbols: BTreeSet<String> = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        let check = |ty: &str, expected: &[&str]| assert_eq!(alike(ty, &symbols).iter().collect::<Vec<_>>(), expected);
        check("svc::a::{async_fn_env#0}", &["svc::a::{{closure}}"]);
        check("svc::{impl#3}::run::{async_fn_env#0}", &["<svc::A as svc::T>::run::{{closure}}"]);
        check("svc::{impl#3}::stop::{async_fn_env#0}", &[]);
        check("svc::c::{async_fn_env#0}", &[]);
    }

    #[test]
    fn does_not_trust_one_name_for_two_vtables() {
        let folded: &[[u64; ROOTS]] = &[[1, 2, 3, 4, 5], [1, 6, 3, 4, 5]];
        check(folded, &[(1, B)], &[], TaskKind::Unknown);
        check(folded, &[(1, B), (2, A)], &["svc::a::{async_fn_env#0}"], TaskKind::Spawned);
        check(folded, &[(1, A), (1, B)], &["svc::a::{async_fn_env#0}", "svc::b::{async_fn_env#0}"], TaskKind::Unknown);
    }
}
