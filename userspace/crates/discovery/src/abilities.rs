//! What can be seen in a target with the hooks that were found, and what to do about the rest.

use super::{
    calls::{self, TRANSFER},
    h2,
    layout::Layouts,
    plan::Plan,
    turns,
};
use asyncscope_trace::facts::{Ability, Hook, Works};

const WITH_SYMBOLS: &str =
    "give the unstripped file of the same build with --debug-file, or keep the symbol table (`strip = \"debuginfo\"`)";

const WITH_TYPES: &str = "or give the debug file of such a build with --debug-file";

/// All abilities, in the order of their weight. `layouts`: those of the plan's task types, or why there are
/// none.
#[must_use]
pub fn of(plan: &Plan, layouts: &Result<Layouts, String>) -> Vec<Ability> {
    let mut abilities = vec![
        by_hooks(plan, "poll-start", "starts of polls", "raw::poll cannot be decoded"),
        by_hooks(
            plan,
            "poll-end",
            "ends of polls and of tasks",
            "neither exchanges of the state word nor the functions that make them were found",
        ),
        by_hooks(plan, "wake", "wakes and who made them", "the waker's functions were not found"),
        by_hooks(plan, "spawn", "spawns and parents", "no function that binds tasks was found"),
        by_hooks(plan, "abort", "aborts", "no code that sets CANCELLED and NOTIFIED was found"),
        by_hooks(plan, "panic", "panics", "the function that starts them was not found"),
        by_hooks(plan, turns::TURN, "wakes by drivers through any waker", "no driver's turn was found"),
        http(plan),
        names(plan),
        await_points(plan, layouts),
    ];
    // A program without h2 has no such hook, and none that is missing.
    if plan.hooks.iter().any(|hook| hook.sees == h2::HEAD) {
        abilities.push(by_hooks(plan, h2::HEAD, "HTTP/2 requests and responses (h2)", "h2 was not found"));
    }
    abilities
}

/// A hook sees what happens unless it says itself that it foretells or cannot tell something.
fn is_exact(hook: &Hook) -> bool {
    !hook.how.contains("foretold") && !hook.how.contains("not seen")
}

fn by_hooks(plan: &Plan, sees: &str, what: &'static str, without: &str) -> Ability {
    let of_kind: Vec<&Hook> = plan.hooks.iter().filter(|hook| hook.sees == sees).collect();
    let armed: Vec<&&Hook> = of_kind.iter().filter(|hook| hook.address.is_some()).collect();
    let missing = of_kind.iter().find(|hook| hook.address.is_none());
    let inexact = armed.iter().find(|hook| !is_exact(hook));
    let (works, why) = match (armed.is_empty(), missing, inexact) {
        (true, reason, _) => (Works::No, Some(reason.map_or(without, |hook| &hook.how))),
        (false, Some(hook), _) => (Works::Partly, Some(hook.how.as_str())),
        (false, None, Some(hook)) => (Works::Partly, Some(hook.how.as_str())),
        (false, None, None) => (Works::Yes, None),
    };
    let by_symbol = why.is_some_and(|why| why.contains("symbol") && works != Works::Yes);
    Ability { what, works, why: why.map(str::to_owned), remedy: by_symbol.then_some(WITH_SYMBOLS) }
}

fn http(plan: &Plan) -> Ability {
    let what = "HTTP/1 requests and responses on plain connections";
    let encrypted = plan
        .tls
        .as_ref()
        .map(|tls| format!("connections under TLS ({tls} is in it) are seen encrypted, and told nothing of"));
    if let Some(why) = &plan.tracepoints {
        let works = if encrypted.is_some() { Works::Partly } else { Works::Yes };
        let by = format!("by the kernel's tracepoints, at a cost for every process of the machine ({why})");
        let why = encrypted.map_or_else(|| by.clone(), |encrypted| format!("{encrypted}; {by}"));
        return Ability { what, works, why: Some(why), remedy: None };
    }
    let missing = calls::lacking(&plan.hooks);
    let armed = plan.hooks.iter().any(|hook| hook.sees == TRANSFER && hook.address.is_some());
    let reason = plan.hooks.iter().find(|hook| hook.sees == TRANSFER && hook.address.is_none());
    let (works, why) = match (missing.is_empty(), encrypted) {
        (true, None) => (Works::Yes, None),
        (true, encrypted) => (Works::Partly, encrypted),
        (false, _) if !armed => {
            let why = reason.map_or("no system call with a known number was found", |hook| &hook.how);
            (Works::No, Some(why.to_owned()))
        }
        (false, _) => (Works::Partly, Some(format!("the system calls {} have no hook", missing.join(", ")))),
    };
    Ability { what, works, why, remedy: None }
}

fn names(plan: &Plan) -> Ability {
    let unnamed = plan.types.iter().filter(|ty| ty.name.starts_with("task#")).count();
    let folded = plan.types.iter().filter(|ty| !ty.folded.is_empty()).count();
    let all = plan.types.len();
    let works = if unnamed == all {
        Works::No
    } else if unnamed + folded > 0 {
        Works::Partly
    } else {
        Works::Yes
    };
    let why = (works != Works::Yes)
        .then(|| format!("of {all} task types, {unnamed} have no name and {folded} share one with others"));
    Ability { what: "names of tasks", works, why, remedy: (unnamed > 0).then_some(WITH_SYMBOLS) }
}

fn await_points(plan: &Plan, layouts: &Result<Layouts, String>) -> Ability {
    let what = "await points, with file and line";
    let layouts = match layouts {
        Ok(layouts) => layouts,
        Err(why) => return Ability { what, works: Works::No, why: Some(why.clone()), remedy: Some(WITH_TYPES) },
    };
    let tasks = &layouts.program.tasks;
    let known = plan.vtables.iter().filter(|vtable| tasks.iter().any(|&(known, _)| known == vtable.address.0)).count();
    let all = plan.vtables.len();
    let works = if known == all { Works::Yes } else { Works::Partly };
    let why = (known < all).then(|| format!("how the futures of {} of {all} task types lie is not known", all - known));
    Ability { what, works, why, remedy: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{addr::ElfAddr, vtables::Vtable};
    use asyncscope_trace::facts::TaskType;

    fn hook(sees: &str, how: &str, address: Option<u64>) -> Hook {
        Hook { sees: sees.into(), address, instruction: String::new(), emulated: true, how: how.into() }
    }

    #[test]
    fn hooks_tell_what_works() {
        let check = |hooks: Vec<Hook>, works, remedy: bool| {
            let abilities = of(&Plan { hooks, ..Plan::default() }, &Err(String::new()));
            let wake = abilities.iter().find(|ability| ability.what.starts_with("wakes")).unwrap();
            assert_eq!((wake.works, wake.why.is_some(), wake.remedy.is_some()), (works, works != Works::Yes, remedy));
        };
        check(vec![hook("wake", "exchange", Some(1))], Works::Yes, false);
        check(vec![hook("wake", "state foretold from the entry", Some(1))], Works::Partly, false);
        check(vec![hook("wake", "exchange", Some(1)), hook("wake", "no symbol", None)], Works::Partly, true);
        check(vec![hook("wake", "no symbol", None)], Works::No, true);
        check(vec![hook("spawn", "exchange", Some(1))], Works::No, false);
    }

    #[test]
    fn layouts_tell_whether_await_points_are_seen() {
        let check = |known: &[u64], works| {
            let vtable = |address| Vtable {
                address: ElfAddr(address),
                poll: ElfAddr(0),
                schedule: ElfAddr(0),
                dealloc: ElfAddr(0),
                try_read_output: ElfAddr(0),
                drop_join_handle_slow: ElfAddr(0),
                shutdown: ElfAddr(0),
                id_offset: 0,
            };
            let plan = Plan { vtables: vec![vtable(1), vtable(2)], ..Plan::default() };
            let mut layouts = Layouts::default();
            layouts.program.tasks = known.iter().map(|&address| (address, 0)).collect();
            let told = await_points(&plan, &Ok(layouts));
            assert_eq!((told.works, told.why.is_some()), (works, works != Works::Yes), "{known:?}");
        };
        check(&[1, 2], Works::Yes);
        check(&[2], Works::Partly);
        let without = await_points(&Plan::default(), &Err("no types".into()));
        assert_eq!((without.works, without.why.as_deref()), (Works::No, Some("no types")));
        assert!(without.remedy.is_some());
    }

    #[test]
    fn tracepoints_see_http_and_no_more_of_tls_than_hooks() {
        let mut plan = Plan { tracepoints: Some("musl".into()), ..Plan::default() };
        assert_eq!(http(&plan).works, Works::Yes);
        plan.tls = Some("rustls".into());
        let Ability { works, why, .. } = http(&plan);
        assert_eq!(works, Works::Partly);
        assert!(why.is_some_and(|why| why.contains("rustls") && why.contains("musl")));
    }

    #[test]
    fn system_calls_tell_whether_http_is_seen() {
        let check = |calls: &[&str], tls: Option<&str>, works| {
            let hooks = calls.iter().map(|call| hook(TRANSFER, call, Some(1))).collect();
            let plan = Plan { hooks, tls: tls.map(str::to_owned), ..Plan::default() };
            assert_eq!(http(&plan).works, works, "{calls:?}");
        };
        const ALL: [&str; 7] = [
            "libc.so.6: behind the system call read",
            "libc.so.6: behind the system call write",
            "behind the system calls readv, preadv2",
            "behind the system calls writev, pwritev2",
            "behind the system call recvfrom",
            "behind the system call sendto",
            "before the system call close",
        ];
        check(&ALL, None, Works::Yes);
        check(&ALL, Some("rustls"), Works::Partly);
        check(&ALL[1..], None, Works::Partly);
        check(&[], None, Works::No);
    }

    #[test]
    fn names_tell_what_works() {
        let check = |names: &[&str], works| {
            let types = names.iter().map(|&name| TaskType { name: name.into(), ..TaskType::default() }).collect();
            assert_eq!(super::names(&Plan { types, ..Plan::default() }).works, works);
        };
        check(&["svc::a", "svc::b"], Works::Yes);
        check(&["svc::a", "task#10"], Works::Partly);
        check(&["task#10"], Works::No);
    }
}
