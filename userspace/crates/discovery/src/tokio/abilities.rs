//! Abilities: the aspects of a target that can be seen with the hooks that were found, and the remedies for the rest.

use std::collections::HashMap;

use super::{plan::Plan, vtables::Vtable};
use crate::{layout::Layouts, syscalls};
use asyncscope_trace::facts::{
    Ability, Aspect, Hook, Http2Part, Http2Unknown, MissingReason, NoLayouts, Proof, Remedy, Sees, Shortfall, Support,
    TaskType,
};

/// All abilities, in the order of their weight. `layouts`: those of the plan's task types, or why there are
/// none.
#[must_use]
pub fn of(plan: &Plan, layouts: &Result<Layouts, NoLayouts>) -> Vec<Ability> {
    let mut abilities = vec![
        by_hooks(plan, Sees::PollStart, Aspect::PollStarts),
        by_hooks(plan, Sees::PollEnd, Aspect::PollEnds),
        by_hooks(plan, Sees::Wake, Aspect::Wakes),
        spawns(plan),
        by_hooks(plan, Sees::Abort, Aspect::Aborts),
        by_hooks(plan, Sees::Panic, Aspect::Panics),
        by_hooks(plan, Sees::Turn, Aspect::DriverWakes),
        http(plan),
        names(plan),
        await_points(plan, layouts),
    ];
    // A program without h2 has no such hook, and none that is missing.
    if plan.hooks.iter().any(|hook| hook.sees == Sees::Http2Head) {
        abilities.push(by_hooks(plan, Sees::Http2Head, Aspect::Http2));
    }
    abilities
}

/// A hook sees what happens, but for those at which the new state is computed beforehand, or the task's end is
/// not seen.
const fn is_exact(proof: &Proof) -> bool {
    !matches!(proof, Proof::PollReturn | Proof::WakerEntry | Proof::TransitionEntry)
}

fn by_hooks(plan: &Plan, sees: Sees, what: Aspect) -> Ability {
    let of_kind = || plan.hooks.iter().filter(|hook| hook.sees == sees);
    let missing = of_kind().find_map(|hook| Some((hook.image, hook.why_missing()?)));
    let is_armed = of_kind().any(|hook| hook.armed().is_some());
    let inexact = of_kind().filter_map(Hook::armed).map(|site| &site.proof).find(|proof| !is_exact(proof));
    let works = match (is_armed, missing, inexact) {
        (false, ..) => Support::No,
        (true, None, None) => Support::Yes,
        (true, ..) => Support::Partly,
    };
    let why = match (missing, inexact) {
        _ if works == Support::Yes => None,
        (Some((image, missing)), _) => Some(Shortfall::Hook { image, missing: missing.clone() }),
        (None, Some(proof)) => Some(Shortfall::Inexact { proof: proof.clone() }),
        (None, None) => Some(Shortfall::NoHook),
    };
    let remedy = why.as_ref().is_some_and(symbols_help).then_some(Remedy::Symbols);
    Ability { what, works, why, remedy }
}

/// As by the hooks, unless some tasks are made beside them.
fn spawns(plan: &Plan) -> Ability {
    let by_hooks = by_hooks(plan, Sees::Spawn, Aspect::Spawns);
    if plan.unseen_types == 0 || by_hooks.works != Support::Yes {
        return by_hooks;
    }
    let why = Some(Shortfall::UnseenSpawns { all: plan.vtables.len(), unseen: plan.unseen_types });
    Ability { works: Support::Partly, why, ..by_hooks }
}

/// Returns `true` if more would be seen with symbols.
fn symbols_help(why: &Shortfall) -> bool {
    match why {
        Shortfall::Hook { missing, .. } => lacks_symbols(missing),
        Shortfall::Inexact { proof } => *proof == Proof::TransitionEntry,
        _ => false,
    }
}

fn lacks_symbols(missing: &MissingReason) -> bool {
    match missing {
        MissingReason::WakerDisagrees { .. }
        | MissingReason::NoWaker
        | MissingReason::NoPanic
        | MissingReason::QueueDisagrees { .. }
        | MissingReason::NoQueue { .. }
        | MissingReason::NoTurn { .. }
        | MissingReason::NoHttp2Symbols
        | MissingReason::Http2Part { part: Http2Part::NoReceive { .. } }
        | MissingReason::Http2Unknown { reason: Http2Unknown::NoQueueFrame } => true,
        MissingReason::Http2Unknown { reason: Http2Unknown::Parts { parts } } => {
            parts.iter().any(|part| matches!(part, Http2Part::NoReceive { .. }))
        }
        _ => false,
    }
}

fn http(plan: &Plan) -> Ability {
    let ability = |works, why| Ability { what: Aspect::Http1, works, why, remedy: None };
    let tls = plan.tls;
    if let Some(why) = &plan.tracepoints {
        let works = if tls.is_some() { Support::Partly } else { Support::Yes };
        return ability(works, Some(Shortfall::Connections { tls, tracepoints: Some(why.clone()) }));
    }
    let calls = syscalls::lacking(&plan.hooks);
    let of_http = || plan.hooks.iter().filter(|hook| hook.sees == Sees::Http);
    if calls.is_empty() {
        let works = if tls.is_some() { Support::Partly } else { Support::Yes };
        return ability(works, tls.map(|tls| Shortfall::Connections { tls: Some(tls), tracepoints: None }));
    }
    if of_http().any(|hook| hook.armed().is_some()) {
        return ability(Support::Partly, Some(Shortfall::CallsWithoutHook { calls }));
    }
    let missing = of_http().find_map(|hook| Some((hook.image, hook.why_missing()?.clone())));
    let why = missing.map_or(Shortfall::NoCalls, |(image, missing)| Shortfall::Hook { image, missing });
    ability(Support::No, Some(why))
}

fn names(plan: &Plan) -> Ability {
    let unnamed = plan.types.iter().filter(|ty| is_unnamed(ty)).count();
    let shared = names_shared(plan);
    let all = plan.types.len();
    let works = if unnamed == all {
        Support::No
    } else if unnamed + shared > 0 {
        Support::Partly
    } else {
        Support::Yes
    };
    let why = (works != Support::Yes).then_some(Shortfall::Names { all, unnamed, shared });
    Ability { what: Aspect::TaskNames, works, why, remedy: (unnamed > 0).then_some(Remedy::Symbols) }
}

/// Returns the number of types whose name, as it is shown, may be another's as well. On one scheduler a future has
/// one type.
fn names_shared(plan: &Plan) -> usize {
    let shown = || plan.vtables.iter().zip(&plan.types).filter(|(_, ty)| !ty.runtime);
    let key = |vtable: &Vtable, ty: &TaskType| (vtable.schedule, ty.name.clone());
    let mut types: HashMap<_, usize> = HashMap::new();
    shown().for_each(|(vtable, ty)| *types.entry(key(vtable, ty)).or_default() += 1);
    let is_shared = |vtable: &Vtable, ty: &TaskType| {
        !ty.folded.is_empty() || ty.or_another || ty.name.is_some() && types.get(&key(vtable, ty)) > Some(&1)
    };
    shown().filter(|(vtable, ty)| is_shared(vtable, ty)).count()
}

/// The runtime's own tasks need no symbol.
pub(super) const fn is_unnamed(ty: &TaskType) -> bool {
    ty.name.is_none() && !ty.runtime
}

fn await_points(plan: &Plan, layouts: &Result<Layouts, NoLayouts>) -> Ability {
    let what = Aspect::AwaitPoints;
    let layouts = match layouts {
        Ok(layouts) => layouts,
        Err(reason) => {
            let why = Some(Shortfall::NoLayouts { reason: *reason });
            return Ability { what, works: Support::No, why, remedy: Some(Remedy::DebugInfo) };
        }
    };
    let tasks = &layouts.program.tasks;
    let known = plan.vtables.iter().filter(|vtable| tasks.iter().any(|&(known, _)| known == vtable.address.0)).count();
    let all = plan.vtables.len();
    let works = if known == all { Support::Yes } else { Support::Partly };
    let why = (known < all).then_some(Shortfall::Layouts { all, unknown: all - known });
    Ability { what, works, why, remedy: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{addr::ElfAddr, tokio::vtables::Vtable};
    use asyncscope_trace::facts::{HookSite, HookState, ImageId, SystemCall, TaskType, TlsLibrary, Tracepoints};

    fn armed(sees: Sees, proof: Proof) -> Hook {
        let site = HookSite { address: 1, instruction: String::new(), emulated: true, proof };
        Hook { sees, image: ImageId::EXECUTABLE, state: HookState::Armed(site) }
    }

    #[test]
    fn hooks_tell_what_works() {
        let check = |hooks: Vec<Hook>, works, remedy: bool| {
            let abilities = of(&Plan { hooks, ..Plan::default() }, &Err(NoLayouts::NoTypes));
            let wake = abilities.iter().find(|ability| ability.what == Aspect::Wakes).unwrap();
            assert_eq!((wake.works, wake.why.is_some(), wake.remedy.is_some()), (works, works != Support::Yes, remedy));
        };
        let exchange = || armed(Sees::Wake, Proof::WakerExchange);
        let missing = || Hook::missing(Sees::Wake, ImageId::EXECUTABLE, MissingReason::NoWaker);
        check(vec![exchange()], Support::Yes, false);
        check(vec![armed(Sees::Wake, Proof::WakerEntry)], Support::Partly, false);
        check(vec![armed(Sees::Wake, Proof::TransitionEntry)], Support::Partly, true);
        check(vec![exchange(), missing()], Support::Partly, true);
        check(vec![missing()], Support::No, true);
        check(vec![armed(Sees::Spawn, Proof::WakerExchange)], Support::No, false);
    }

    #[test]
    fn spawns_beside_the_hooks_are_told() {
        let check = |hooks: Vec<Hook>, unseen_types, works| {
            let told = spawns(&Plan { hooks, unseen_types, ..Plan::default() });
            assert_eq!((told.works, told.why.is_some()), (works, works != Support::Yes), "{told:?}");
        };
        let bind = || armed(Sees::Spawn, Proof::InlinedBind);
        check(vec![bind()], 0, Support::Yes);
        check(vec![bind()], 2, Support::Partly);
        check(vec![], 2, Support::No);
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
            assert_eq!((told.works, told.why.is_some()), (works, works != Support::Yes), "{known:?}");
        };
        check(&[1, 2], Support::Yes);
        check(&[2], Support::Partly);
        let without = await_points(&Plan::default(), &Err(NoLayouts::NoTypes));
        let why = Shortfall::NoLayouts { reason: NoLayouts::NoTypes };
        assert_eq!((without.works, without.why), (Support::No, Some(why)));
        assert!(without.remedy.is_some());
    }

    #[test]
    fn tracepoints_see_http_and_no_more_of_tls_than_hooks() {
        let mut plan = Plan { tracepoints: Some(Tracepoints::AskedFor), ..Plan::default() };
        assert_eq!(http(&plan).works, Support::Yes);
        plan.tls = Some(TlsLibrary::Rustls);
        let Ability { works, why, .. } = http(&plan);
        assert_eq!(works, Support::Partly);
        let tracepoints = Some(Tracepoints::AskedFor);
        assert_eq!(why, Some(Shortfall::Connections { tls: Some(TlsLibrary::Rustls), tracepoints }));
    }

    #[test]
    fn system_calls_tell_whether_http_is_seen() {
        let check = |calls: &[SystemCall], tls: Option<TlsLibrary>, works| {
            let hooks = calls.iter().map(|&call| armed(Sees::Http, Proof::SystemCall { call })).collect();
            let plan = Plan { hooks, tls, ..Plan::default() };
            assert_eq!(http(&plan).works, works, "{calls:?}");
        };
        const ALL: [SystemCall; 7] = [
            SystemCall::Read,
            SystemCall::Write,
            SystemCall::ReadVector,
            SystemCall::WriteVector,
            SystemCall::Receive,
            SystemCall::Send,
            SystemCall::Close,
        ];
        check(&ALL, None, Support::Yes);
        check(&ALL, Some(TlsLibrary::Rustls), Support::Partly);
        check(&ALL[1..], None, Support::Partly);
        check(&[], None, Support::No);
    }

    #[test]
    fn names_tell_what_works() {
        let check = |names: &[Option<&str>], works| {
            let types =
                names.iter().map(|name| TaskType { name: name.map(str::to_owned), ..TaskType::default() }).collect();
            assert_eq!(super::names(&Plan { types, ..Plan::default() }).works, works);
        };
        check(&[Some("svc::a"), Some("svc::b")], Support::Yes);
        check(&[Some("svc::a"), None], Support::Partly);
        check(&[None], Support::No);
    }
}
