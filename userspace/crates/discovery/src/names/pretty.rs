//! A future's type as a person would say it: `svc::fetch_user`, not
//! `svc::fetch_user::{{closure}}`.

/// A name longer than this is cut: frames have to be read.
const LEN_MAX: usize = 200;
/// Generic arguments further inside are left as they are: a hostile name may nest without end.
const NESTED_MAX: u8 = 32;
const BLOCKING: &str = "tokio::runtime::blocking::task::BlockingTask<";
/// Blocking tasks that run a worker of the multi-thread scheduler: at its start, and in place of a
/// worker that blocks.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/scheduler/multi_thread/worker.rs#L330-L460>
const WORKERS: [&str; 3] = [
    "tokio::runtime::scheduler::multi_thread::worker::Launch::launch",
    // As debug info has it.
    "tokio::runtime::scheduler::multi_thread::worker::{impl#0}::launch",
    "tokio::runtime::scheduler::multi_thread::worker::maybe_move_runtime",
];

/// Futures that do nothing but note that another one is polled. tokio puts them around every task: the outer one where
/// it was built with `tracing`, the inner one for task dumps.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.54.1/tokio/src/task/spawn.rs#L207-L209>
const OBSERVERS: [&str; 2] = ["tracing::instrument::Instrumented<", "tokio::runtime::task::trace::Root<"];

/// A demangled future type's name, and whether it is a worker of the runtime.
#[must_use]
pub fn future(demangled: &str) -> (String, bool) {
    let demangled = observed(demangled);
    if let Some(body) = blocking(demangled).map(inherent) {
        let worker = WORKERS.iter().any(|worker| body.contains(worker)) || body.contains("block_in_place");
        let name =
            if worker { "tokio worker".to_owned() } else { cut(format!("blocking {}", path(&body, NESTED_MAX))) };
        return (name, worker);
    }
    (cut(path(&inherent(demangled), NESTED_MAX)), false)
}

/// The closure of a blocking task.
pub(super) fn blocking(demangled: &str) -> Option<&str> {
    demangled.strip_prefix(BLOCKING)?.strip_suffix('>')
}

/// The future that is polled inside of [`OBSERVERS`].
pub(super) fn observed(mut ty: &str) -> &str {
    let inside = |ty: &'_ str| -> Option<(usize, usize)> {
        let observer = OBSERVERS.iter().find(|observer| ty.starts_with(**observer))?;
        let close = matching(ty, observer.len() - 1)?;
        (close + 1 == ty.len()).then_some((observer.len(), close))
    };
    for _ in 0..NESTED_MAX {
        let Some((from, to)) = inside(ty) else { break };
        ty = &ty[from..to];
    }
    ty
}

/// The v0 mangling's `<svc::Type>::method` as legacy mangling has it: `svc::Type::method`.
#[must_use]
pub fn inherent(name: &str) -> String {
    let close = name.strip_prefix('<').and_then(|_| matching(name, 0));
    let parts = close.map(|close| (&name[1..close], &name[close + 1..]));
    match parts.filter(|(ty, method)| method.starts_with("::") && !ty.contains(" as ")) {
        Some((ty, method)) => format!("{ty}{method}"),
        None => name.to_owned(),
    }
}

/// Looks into as many levels of generic arguments.
fn path(ty: &str, levels: u8) -> String {
    if ty.contains("alloc::boxed::Box<dyn ") && ty.contains("future::Future") && ty.starts_with("core::pin::Pin<") {
        return "boxed future".to_owned();
    }
    let short = without_function_generics(ty, levels).replace("{{closure}}", "{closure}");
    // The body of an `async fn` is a closure of the function's; that of a block is one more inside.
    let body = short.strip_suffix("::{closure}").or_else(|| short.strip_suffix("::{closure#0}")).unwrap_or(&short);
    let connection = body.strip_prefix("axum::serve::handle_connection::");
    if connection.is_some_and(|inside| inside == "{closure}" || inside.starts_with("{async block")) {
        return "axum::serve connection".to_owned();
    }
    body.to_owned()
}

/// Drops the generic arguments of functions and methods (`f<T>::{{closure}}` → `f::{{closure}}`), and keeps
/// those of a type that the name ends with (`Timeout<svc::f>`).
fn without_function_generics(ty: &str, levels: u8) -> String {
    let Some(levels) = levels.checked_sub(1) else { return ty.to_owned() };
    let Some(open) = ty.find('<').filter(|&open| open > 0) else { return ty.to_owned() };
    let Some(close) = matching(ty, open) else { return ty.to_owned() };
    let (before, inside, after) = (&ty[..open], &ty[open + 1..close], &ty[close + 1..]);
    if after.starts_with("::") {
        return format!("{}{}", before.trim_end_matches("::"), without_function_generics(after, levels));
    }
    let wrapper = before.trim_end_matches("::").rsplit("::").next().unwrap_or(before);
    format!("{wrapper}<{}>{after}", path(inside, levels))
}

/// The place at which the bracket at `open` closes.
pub(super) fn matching(text: &str, open: usize) -> Option<usize> {
    let (mut depth, mut before) = (0u32, ' ');
    for (at, character) in text[open..].char_indices() {
        match character {
            '<' => depth += 1,
            '>' if before == '-' => {}
            '>' if depth == 1 => return Some(open + at),
            '>' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

pub(super) fn cut(name: String) -> String {
    match name.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_as_a_person_would() {
        let check = |ty: &str, name: &str| assert_eq!(future(ty), (name.to_owned(), false));
        check("svc::fetch_user::{{closure}}", "svc::fetch_user");
        check("svc::main::{{closure}}::{{closure}}", "svc::main::{closure}");
        check("svc::generic<svc::T>::{{closure}}", "svc::generic");
        check(
            "tokio::runtime::blocking::task::BlockingTask<svc::page::{{closure}}::{{closure}}>",
            "blocking svc::page::{closure}",
        );
        check(
            "core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future+Output = ()+core::marker::Send>>",
            "boxed future",
        );
        check("axum::serve::handle_connection<L,M>::{{closure}}::{{closure}}", "axum::serve connection");
        check("tokio::time::timeout::Timeout<svc::f::{{closure}}>", "Timeout<svc::f>");
        check("<svc::A as svc::B>::c::{{closure}}", "<svc::A as svc::B>::c");
        check("<svc::A>::c::{closure#0}", "svc::A::c");
        check("svc::Plain", "svc::Plain");
        check("broken<", "broken<");
    }

    #[test]
    fn knows_the_runtimes_workers() {
        let launch = "tokio::runtime::blocking::task::BlockingTask<tokio::runtime::scheduler::multi_thread::worker::Launch::launch::{{closure}}>";
        assert_eq!(future(launch), ("tokio worker".to_owned(), true));
        let v0 = launch.replace("Task<tokio", "Task<<tokio").replace("Launch::", "Launch>::");
        assert_eq!(future(&v0), ("tokio worker".to_owned(), true));
    }

    #[test]
    fn takes_observers_off() {
        let check = |ty: &str, name: &str| {
            let root = format!("tokio::runtime::task::trace::Root<{ty}>");
            assert_eq!(future(&format!("tracing::instrument::Instrumented<{root}>")), future(ty));
            assert_eq!(future(&root).0, name);
        };
        check("svc::fetch_user::{closure#0}", "svc::fetch_user");
        check("tokio::time::timeout::Timeout<svc::f::{{closure}}>", "Timeout<svc::f>");
        let worker = "tokio::runtime::scheduler::multi_thread::worker::block_in_place::<svc::f, ()>::{closure#1}";
        check(&format!("tokio::runtime::blocking::task::BlockingTask<{worker}>"), "tokio worker");
        // A method of it is no future inside of it, and what is broken stays.
        let method = "tracing::instrument::Instrumented<svc::f>::poll";
        assert_eq!(future(method).0, "tracing::instrument::Instrumented::poll");
        assert_eq!(future("tokio::runtime::task::trace::Root<svc::f").0, "tokio::runtime::task::trace::Root<svc::f");
    }

    #[test]
    fn survives_hostile_names() {
        let check = |ty: String| assert!(future(&ty).0.chars().count() <= LEN_MAX + 1, "{} bytes", ty.len());
        check(format!("{}x{}", "a<".repeat(100_000), ">".repeat(100_000)));
        check("a<b>::".repeat(100_000));
        check("<".repeat(100_000));
        check("->".repeat(100_000));
        check("a<é".repeat(1000));
        check(format!("{}x{}", OBSERVERS[1].repeat(10_000), ">".repeat(10_000)));
    }

    #[test]
    fn cuts_long_names() {
        assert_eq!(future(&"é".repeat(500)).0.chars().count(), LEN_MAX + 1);
    }
}
