//! Tokios of a target that are not watched: another one in its executable, or one that a library brings along.

use super::start::Armed;
use asyncscope_discovery::{OTHER_TOKIO, libraries::Loaded, plan::Plan, process::Process};
use asyncscope_trace::facts::Hook;
use asyncscope_view::printable;

/// What is said of the libraries that the process has loaded since the last time, a sentence each.
pub(super) fn in_libraries(process: &Process, loaded: &mut Loaded) -> Vec<String> {
    let told = loaded.tokios(process).into_iter().map(|(library, version)| {
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        format!(
            "{library} has a tokio{version} of its own, whose tasks are not seen: asyncscope watches the executable's"
        )
    });
    told.collect()
}

/// Adds them to the plan's list for people.
pub(super) fn note(process: &Process, loaded: &mut Loaded, plan: &mut Plan) {
    let missing =
        |how| Hook { sees: OTHER_TOKIO.to_owned(), address: None, instruction: String::new(), emulated: false, how };
    plan.hooks.extend(in_libraries(process, loaded).into_iter().map(missing));
}

/// That tasks of the target's are not seen has to be said.
pub(super) fn announce<'a>(sentences: impl IntoIterator<Item = &'a str>) {
    for sentence in sentences {
        eprintln!("not all of its tasks are seen: {}", printable(sentence));
    }
}

/// The same of what was loaded meanwhile. It takes its time, in which no events may wait.
pub(super) fn announce_late(armed: &mut Armed) {
    // Another program's libraries are no matter of this one's.
    if !armed.process.became_another() {
        let late = in_libraries(&armed.process, &mut armed.loaded);
        announce(late.iter().map(String::as_str));
    }
}

/// The sentences of a plan.
pub(super) fn sentences(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.hooks.iter().filter(|hook| hook.sees == OTHER_TOKIO).map(|hook| hook.how.as_str())
}
