//! What can be seen in a target with the hooks that were found, and what to do about the rest.

use serde::Serialize;

use super::plan::Plan;
use crate::facts::Hook;

/// One thing that a user may want to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// What.
    pub what: &'static str,
    /// How far it can be seen.
    pub works: Works,
    /// Why, where it is not all.
    pub why: Option<String>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

/// How far something can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// As it is.
    Yes,
    /// Not all of it.
    Partly,
    /// Not at all.
    No,
}

const WITH_SYMBOLS: &str =
    "give the unstripped file of the same build with --debug-file, or keep the symbol table (`strip = \"debuginfo\"`)";

/// All abilities, in the order of their weight.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Ability> {
    vec![
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
        names(plan),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::TaskType;

    fn hook(sees: &str, how: &str, address: Option<u64>) -> Hook {
        Hook { sees: sees.into(), address, instruction: String::new(), emulated: true, how: how.into() }
    }

    #[test]
    fn hooks_tell_what_works() {
        let check = |hooks: Vec<Hook>, works, remedy: bool| {
            let abilities = of(&Plan { hooks, ..Plan::default() });
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
    fn names_tell_what_works() {
        let check = |names: &[&str], works| {
            let types = names.iter().map(|&name| TaskType { name: name.into(), ..TaskType::default() }).collect();
            let abilities = of(&Plan { types, ..Plan::default() });
            assert_eq!(abilities.last().unwrap().works, works);
        };
        check(&["svc::a", "svc::b"], Works::Yes);
        check(&["svc::a", "task#10"], Works::Partly);
        check(&["task#10"], Works::No);
    }
}
