//! The future that a task vtable is for, from the symbols of the code that its functions reach.
//!
//! Legacy mangling drops the generic arguments of `raw::poll::<T, S>`, but not those of the drop glue:
//! `drop_in_place::<Cell<T, S>>`, `drop_in_place::<Stage<T>>`. The v0 mangling keeps both.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use crate::{addr::ElfAddr, image::elf::Elf};
use asyncscope_trace::facts::TaskKind;

/// The facts that symbols have about a task type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The future's type as demangled; several where their code was folded into one.
    pub futures: BTreeSet<String>,
    /// The kind of task, by what runs it.
    pub kind: TaskKind,
}

/// A name longer than this is cut, in bytes: the v0 mangling can say a megabyte in a few words.
const NAME_MAX: usize = 16 << 10;

/// The name of a symbol without its hash.
#[must_use]
pub fn demangled(name: &str) -> String {
    let mut bounded = Bounded(String::new());
    // An error says that the name was cut.
    let _ = write!(bounded, "{:#}", rustc_demangle::demangle(name));
    bounded.0
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = NAME_MAX - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Returns `true` if this is the body of a closure or an `async` function that is not the libraries' own.
#[must_use]
pub fn is_users_closure(name: &str) -> bool {
    let own = ["tokio::", "std::", "core::", "alloc::", "<"].iter().any(|library| name.starts_with(library));
    !own && (name.ends_with("::{{closure}}") || name.ends_with("::{closure#0}"))
}

/// Generic types that name a future in their first argument, the surest first. Those of the first rank
/// name the scheduler in their second.
const RANKS: [&[&str]; 2] = [
    &[
        "tokio::runtime::task::core::Cell<",
        "tokio::runtime::task::raw::poll::<",
        "tokio::runtime::task::raw::dealloc::<",
    ],
    &[
        "tokio::runtime::task::core::CoreStage<",
        "tokio::runtime::task::core::Stage<",
        "tokio::runtime::task::core::Core<",
    ],
];

/// Reads what the symbols at these addresses say. The addresses come from the vtable's own functions; the
/// surest kind of symbol decides.
#[must_use]
pub fn of_type(elf: &Elf<'_>, addresses: &BTreeSet<ElfAddr>) -> Named {
    let names: Vec<String> =
        addresses.iter().flat_map(|&address| elf.symbols_at(address)).map(|symbol| demangled(symbol.name)).collect();
    let arguments = |types: &[&str]| -> Vec<Vec<String>> {
        let found = names.iter().flat_map(|name| types.iter().filter_map(|ty| generic_arguments(name, ty)));
        // A method of the generic type itself says `Cell<T,S>`, whatever it is for.
        found.filter(|arguments| arguments.first().is_some_and(|future| future != "T")).collect()
    };
    let ranked = RANKS.iter().map(|types| arguments(types)).find(|found| !found.is_empty()).unwrap_or_default();
    let futures: BTreeSet<String> = ranked.iter().filter_map(|arguments| arguments.first().cloned()).collect();
    Named { futures, kind: only(ranked.iter().map(|arguments| kind(arguments)).collect()) }
}

/// The kind of tasks of these futures, by what runs them, from the symbols at these addresses that name both.
#[must_use]
pub fn kind_of(elf: &Elf<'_>, addresses: &BTreeSet<ElfAddr>, futures: &BTreeSet<String>) -> TaskKind {
    let symbols = addresses.iter().flat_map(|&address| elf.symbols_at(address));
    let arguments = symbols.flat_map(|symbol| {
        let name = demangled(symbol.name);
        RANKS[0].iter().filter_map(move |ty| generic_arguments(&name, ty)).collect::<Vec<_>>()
    });
    let named = arguments.filter(|arguments| arguments.first().is_some_and(|future| futures.contains(future)));
    only(named.map(|arguments| kind(&arguments)).collect())
}

pub(super) fn only(kinds: BTreeSet<TaskKind>) -> TaskKind {
    if kinds.len() == 1 { kinds.into_iter().next().unwrap_or_default() } else { TaskKind::Unknown }
}

pub(super) fn kind(arguments: &[String]) -> TaskKind {
    let blocking = |ty: &str| ty.starts_with("tokio::runtime::blocking::");
    match arguments {
        [future, ..] if blocking(future) => TaskKind::Blocking,
        [_, scheduler, ..] if blocking(scheduler) => TaskKind::Blocking,
        [_, scheduler, ..] if scheduler.contains("tokio::task::local::Shared") => TaskKind::Local,
        [_, scheduler, ..] if scheduler.contains("tokio::runtime::scheduler::") => TaskKind::Spawned,
        _ => TaskKind::Unknown,
    }
}

/// The arguments of the first use of a generic type in a name; `ty` ends with its `<`.
fn generic_arguments(name: &str, ty: &str) -> Option<Vec<String>> {
    let start = name.find(ty)? + ty.len();
    split_arguments(&name[start..])
}

/// The generic arguments that a function's name ends with, as debug info has it: `poll<T, S>`.
pub(super) fn arguments_of(function: &str) -> Option<Vec<String>> {
    generic_arguments(function, "<")
}

/// Splits at top-level commas up to the closing `>`.
fn split_arguments(text: &str) -> Option<Vec<String>> {
    let (mut depth, mut from, mut arguments, mut before) = (0u32, 0, Vec::new(), ' ');
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {} // `->` of a function type
            '>' if depth == 0 => {
                arguments.push(text[from..at].trim().to_owned());
                return Some(arguments);
            }
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                arguments.push(text[from..at].trim().to_owned());
                from = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_long_names() {
        assert_eq!(demangled(&"é".repeat(NAME_MAX)).len(), NAME_MAX);
        assert_eq!(demangled("_ZN3svc1a17h0123456789abcdefE"), "svc::a");
    }

    #[test]
    fn finds_a_types_arguments() {
        let check = |name: &str, ty: &str, expected: &[&str]| {
            assert_eq!(generic_arguments(name, ty).unwrap_or_default(), expected, "{name}");
        };
        check("drop_in_place<Cell<svc::a::{{closure}},Arc<H>>>", "Cell<", &["svc::a::{{closure}}", "Arc<H>"]);
        check("drop_in_place<Stage<f<(u8, u16)>>>", "Stage<", &["f<(u8, u16)>"]);
        check("Cell<fn(u8) -> u8,S>", "Cell<", &["fn(u8) -> u8", "S"]);
        check("Cell<never closed", "Cell<", &[]);
        check("nothing", "Cell<", &[]);
    }
}
