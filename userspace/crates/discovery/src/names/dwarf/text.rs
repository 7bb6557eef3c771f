//! rustc's names for types in debug info, turned into those of symbols.
//! <https://github.com/rust-lang/rust/blob/1.95.0/compiler/rustc_codegen_ssa/src/debuginfo/type_names.rs>

/// Words a type as a symbol would: `svc::f::{async_fn_env#0}` is `svc::f::{{closure}}`.
#[must_use]
pub fn like_a_symbol(ty: &str) -> String {
    translated(ty, |_| Some("{{closure}}".to_owned()))
}

/// Words a type as [`super::super::future`] is to be given it, so that it says what debug info knows better than
/// symbols do: an `async fn`, an `async` block, or a closure.
#[must_use]
pub fn said(ty: &str) -> String {
    translated(ty, |part| {
        let body = "{{closure}}";
        let number = if part.number == "0" { String::new() } else { format!("#{}", part.number) };
        let closure = format!("{{closure{number}}}");
        match (part.kind, part.is_type) {
            // What `future` takes away at the end.
            ("async_fn", true) => Some(body.to_owned()),
            ("closure", true) if number.is_empty() && !part.nested => Some(body.to_owned()),
            ("closure", true) => Some(format!("{closure}::{body}")),
            ("async_fn", false) => None,
            ("closure", false) => Some(closure),
            (kind, is_type) => {
                let kind = kind.replace('_', " ");
                Some(if is_type { format!("{{{kind}{number}}}::{body}") } else { format!("{{{kind}{number}}}") })
            }
        }
    })
}

/// A part of a path that stands for something without a name: `{async_block_env#1}`.
struct UnnamedPart<'a> {
    kind: &'a str,
    number: &'a str,
    /// Set if it stands directly inside of another such part.
    nested: bool,
    /// Set if it is the type itself, not the path to something inside.
    is_type: bool,
}

fn translated(ty: &str, say: impl Fn(&UnnamedPart<'_>) -> Option<String>) -> String {
    let mut text = String::new();
    let mut rest = ty;
    let mut after_part = false;
    while let Some(open) = rest.find('{') {
        let nested = after_part && &rest[..open] == "::";
        text.push_str(&rest[..open]);
        let Some((inside, after)) = rest[open + 1..].split_once('}') else { break };
        rest = after;
        let part = part(inside);
        after_part = part.is_some();
        match part.map(|part| UnnamedPart { nested, ..part }) {
            Some(part) => {
                match say(&part) {
                    Some(said) => text.push_str(&said),
                    None => text.truncate(text.trim_end_matches("::").len()),
                }
                rest = without_generics(rest);
            }
            None => text.extend(["{", inside, "}"]),
        }
    }
    text.push_str(rest);
    without_allocators(&text)
}

fn part(inside: &str) -> Option<UnnamedPart<'_>> {
    let (kind, number) = inside.split_once('#')?;
    let (kind, is_type) = kind.strip_suffix("_env").map_or((kind, false), |kind| (kind, true));
    let known = ["async_fn", "async_block", "async_closure", "closure", "gen_fn", "gen_block", "coroutine"];
    (known.contains(&kind) && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(UnnamedPart {
        kind,
        number,
        is_type,
        nested: false,
    })
}

/// Generic arguments of a function follow the type of its body.
fn without_generics(rest: &str) -> &str {
    if !rest.starts_with('<') {
        return rest;
    }
    super::super::pretty::matching(rest, 0).map_or(rest, |close| &rest[close + 1..])
}

fn without_allocators(text: &str) -> String {
    text.replace(", alloc::alloc::Global>", ">").replace("<(dyn ", "<dyn ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::future;

    #[test]
    fn says_it_as_a_person_would() {
        let check = |ty: &str, name: &str| assert_eq!(future(&said(ty)), (name.to_owned(), false), "{ty}");
        check("svc::fetch_user::{async_fn_env#0}", "svc::fetch_user");
        check("svc::main::{async_block_env#0}", "svc::main::{async block}");
        check("svc::main::{async_block_env#2}", "svc::main::{async block#2}");
        check("svc::main::{async_fn#0}::{async_block_env#0}", "svc::main::{async block}");
        check("svc::main::{async_block#0}::{async_block_env#1}", "svc::main::{async block}::{async block#1}");
        check("svc::work::{closure#1}::{async_block_env#0}", "svc::work::{closure#1}::{async block}");
        check("svc::work::{closure_env#0}", "svc::work");
        check("svc::work::{closure_env#1}", "svc::work::{closure#1}");
        check("svc::work::{async_block#0}::{closure_env#0}", "svc::work::{async block}::{closure}");
        check("svc::generic::{async_fn_env#0}<svc::T<u8>, u16>", "svc::generic");
        check("svc::spawn::{async_block_env#0}<svc::f::{async_fn_env#0}>", "svc::spawn::{async block}");
        check("svc::{impl#2}::run::{async_fn_env#0}", "svc::{impl#2}::run");
        check("tokio::time::timeout::Timeout<svc::f::{async_fn_env#0}>", "Timeout<svc::f>");
        check("svc::Plain", "svc::Plain");
        check("axum::serve::handle_connection::{async_block_env#3}<L, M>", "axum::serve connection");
        check(
            "tokio::runtime::blocking::task::BlockingTask<svc::page::{async_fn#0}::{closure_env#0}>",
            "blocking svc::page::{closure}",
        );
        let boxed = "core::pin::Pin<alloc::boxed::Box<(dyn core::future::future::Future<Output=()> + core::marker::Send), alloc::alloc::Global>>";
        check(boxed, "boxed future");
    }

    #[test]
    fn knows_the_runtimes_workers() {
        let check = |body: &str| {
            let ty = format!(
                "tokio::runtime::blocking::task::BlockingTask<tokio::runtime::scheduler::multi_thread::worker::{body}>"
            );
            assert_eq!(future(&said(&ty)), ("tokio worker".to_owned(), true), "{body}");
        };
        check("{impl#0}::launch::{closure_env#0}");
        check("block_in_place::{closure#0}::{closure_env#1}<f, ()>");
    }

    #[test]
    fn matches_symbols() {
        let check = |ty: &str, symbol: &str| assert_eq!(like_a_symbol(ty), symbol);
        check("svc::f::{async_fn_env#0}", "svc::f::{{closure}}");
        check("svc::f::{async_fn#0}::{closure_env#3}<T>", "svc::f::{{closure}}::{{closure}}");
        check("Wrap<svc::f::{async_fn_env#0}<A<B>>>", "Wrap<svc::f::{{closure}}>");
    }

    #[test]
    fn survives_nonsense() {
        for ty in ["", "{", "}", "{#}", "{async_fn_env#", "{async_fn_env#0}<", "::{async_fn#0}", "{é#0}<<>"] {
            drop(future(&said(ty)));
            drop(like_a_symbol(ty));
        }
    }
}
