//! Names with the generic arguments that a name for people leaves out, as short as tells them apart.

use super::pretty::{blocking, cut, inherent, matching, observed};

/// Arguments of arguments further inside never tell two names apart here: a hostile name may nest without end.
const LEVELS_MAX: u8 = 4;
/// Qualified paths further inside each other are left as they are.
const QUALIFIED_MAX: u8 = 16;
/// The numbers of parts that are shown of an argument's path, in the order in which they are tried.
const PATHS: [usize; 3] = [1, 2, usize::MAX];

/// The part of generic arguments that is shown.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Arguments, those of arguments, and so on.
    levels: u8,
    /// The last parts of each argument's path, but for closures.
    parts: usize,
    /// Qualified paths in each other, as in `<A as B>::c`, that are looked into.
    qualified: u8,
}

impl Depth {
    /// That of an argument's own arguments.
    fn inside(self) -> Self {
        Self { levels: self.levels - 1, ..self }
    }
}

/// For each of these future types, which have one name for people, the shortest name with generic arguments by which
/// most of them differ; `None` where arguments tell nothing apart. A demangled name longer than 16 KiB has none.
#[must_use]
pub fn told_apart(futures: &[&str]) -> Option<Vec<String>> {
    let mut best: Option<(usize, Vec<String>)> = None;
    let depths = PATHS
        .into_iter()
        .flat_map(|parts| (1..=LEVELS_MAX).map(move |levels| Depth { levels, parts, qualified: QUALIFIED_MAX }));
    for depth in depths {
        let names: Vec<String> = futures.iter().map(|future| with_arguments(future, depth)).collect();
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let distinct = sorted.len();
        if distinct > best.as_ref().map_or(1, |(most, _)| *most) {
            best = Some((distinct, names));
        }
        if distinct == futures.len() {
            break;
        }
    }
    best.map(|(_, names)| names)
}

/// A future's type with its generic arguments.
fn with_arguments(demangled: &str, depth: Depth) -> String {
    const LEN_MAX: usize = 16 << 10;
    if demangled.len() > LEN_MAX {
        return super::future(demangled).0;
    }
    let future = observed(demangled);
    let closure = blocking(future);
    let future = inherent(closure.unwrap_or(future)).replace("{{closure}}", "{closure}");
    let body = future.strip_suffix("::{closure}").or_else(|| future.strip_suffix("::{closure#0}")).unwrap_or(&future);
    let name = arguments(body, depth);
    cut(if closure.is_some() { format!("blocking {name}") } else { name })
}

/// The path with its arguments shortened, deeper ones left out.
fn arguments(path: &str, depth: Depth) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(open) = rest.find('<') {
        let Some(close) = matching(rest, open) else { break };
        let (before, inside, after) = (&rest[..open], &rest[open + 1..close], &rest[close + 1..]);
        out.push_str(before.trim_end_matches("::"));
        // `<A as B>::c` is a path, and no list.
        if out.is_empty() || out.ends_with([' ', '(', '&', ',']) {
            let within = depth.qualified.checked_sub(1).map(|qualified| Depth { qualified, ..depth });
            let inside = within.map_or_else(|| inside.to_owned(), |within| arguments(inside, within));
            out.push_str(&format!("<{inside}>"));
        } else if depth.levels > 0 {
            let list: Vec<String> = split(inside).into_iter().map(|one| argument(one, depth.inside())).collect();
            out.push_str(&format!("<{}>", list.join(", ")));
        }
        rest = after;
    }
    out + rest
}

/// One argument: the last parts of its path, of which a closure is none, and what follows.
fn argument(ty: &str, depth: Depth) -> String {
    let ty = ty.trim();
    let body = ty.strip_suffix("::{closure}").or_else(|| ty.strip_suffix("::{closure#0}")).unwrap_or(ty);
    let plain = |character: char| character.is_alphanumeric() || "_:{}#".contains(character);
    let path = body.find(|character| !plain(character)).map_or(body, |end| &body[..end]);
    let mut places = path.match_indices("::").map(|(at, _)| at + 2).collect::<Vec<_>>();
    places.insert(0, 0);
    // A closure alone says nothing.
    let named = places.into_iter().rev().filter(|&at| !path[at..].is_empty() && !path[at..].starts_with('{'));
    let from = named.take(depth.parts).last().unwrap_or_default();
    arguments(&body[from..], depth)
}

/// The arguments of a list.
fn split(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut before) = (0_i32, 0, ' ');
    let mut parts = Vec::new();
    for (at, character) in list.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    parts.push(&list[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_apart_what_differs_in_arguments() {
        let check = |futures: &[&str], names: Option<&[&str]>| {
            let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            assert_eq!(told_apart(futures), names, "{futures:?}");
        };
        check(
            &["svc::run<svc::jobs::Mail>::{{closure}}", "svc::run<svc::jobs::Bill>::{{closure}}"],
            Some(&["svc::run<Mail>", "svc::run<Bill>"]),
        );
        // v0 mangling.
        check(
            &["svc::run::<svc::jobs::Mail>::{closure#0}", "svc::run::<svc::jobs::Bill>::{closure#0}"],
            Some(&["svc::run<Mail>", "svc::run<Bill>"]),
        );
        // Deeper ones only where they are needed.
        check(
            &["svc::run<a::Box<b::C>, d::E>::{{closure}}", "svc::run<a::Box<b::F>, d::E>::{{closure}}"],
            Some(&["svc::run<Box<C>, E>", "svc::run<Box<F>, E>"]),
        );
        check(
            &["svc::run<a::Box<b::C>, d::E>::{{closure}}", "svc::run<a::Rc<b::C>, d::E>::{{closure}}"],
            Some(&["svc::run<Box, E>", "svc::run<Rc, E>"]),
        );
        // More of a path only where the last part is the same.
        check(
            &["svc::run<a::b::Task>::{{closure}}", "svc::run<a::c::Task>::{{closure}}"],
            Some(&["svc::run<b::Task>", "svc::run<c::Task>"]),
        );
        check(
            &["svc::run<a::b::Task>::{{closure}}", "svc::run<d::b::Task>::{{closure}}"],
            Some(&["svc::run<a::b::Task>", "svc::run<d::b::Task>"]),
        );
        // Bodies as arguments.
        check(
            &[
                "svc::wrap<svc::a::{{closure}}>::{{closure}}",
                "svc::wrap<svc::b::{{closure}}::{{closure}}>::{{closure}}",
            ],
            Some(&["svc::wrap<a>", "svc::wrap<b::{closure}>"]),
        );
        check(
            &["<svc::A<x::T> as svc::B>::c::{{closure}}", "<svc::A<x::U> as svc::B>::c::{{closure}}"],
            Some(&["<svc::A<T> as svc::B>::c", "<svc::A<U> as svc::B>::c"]),
        );
        check(
            &["svc::call<fn(a::X) -> b::Y>::{{closure}}", "svc::call<fn(a::X) -> b::Z>::{{closure}}"],
            Some(&["svc::call<fn(a::X) -> b::Y>", "svc::call<fn(a::X) -> b::Z>"]),
        );
        let blocking = "tokio::runtime::blocking::task::BlockingTask";
        check(
            &[
                &format!("{blocking}<svc::read<x::T>::{{{{closure}}}}>"),
                &format!("{blocking}<svc::read<x::U>::{{{{closure}}}}>"),
            ],
            Some(&["blocking svc::read<T>", "blocking svc::read<U>"]),
        );
        // What arguments do not tell apart.
        check(&["svc::a::{{closure}}", "svc::a::{{closure}}"], None);
        check(&["svc::a<T>::{{closure}}", "svc::a<T>::{{closure}}"], None);
        // As many as can be.
        check(&["svc::a<T>", "svc::a<U>", "svc::a<U>"], Some(&["svc::a<T>", "svc::a<U>", "svc::a<U>"]));
    }

    #[test]
    fn survives_hostile_names() {
        for ty in
            ["a<".repeat(100_000), "a<b>::".repeat(100_000), "a<é".repeat(1000), "->".repeat(900), ">,<".repeat(900)]
        {
            let other = format!("{ty}x");
            let names = told_apart(&[&ty, &other]).unwrap_or_default();
            assert!(names.iter().all(|name| name.chars().count() <= 201), "{} bytes", ty.len());
        }
        let deep = format!("{}x{}", "a<".repeat(4000), ">".repeat(4000));
        assert_eq!(told_apart(&[&deep, &deep]), None);
        let qualified = format!("{}x{}", "<".repeat(8000), ">".repeat(8000));
        assert_eq!(told_apart(&[&qualified, &qualified]), None);
    }
}
