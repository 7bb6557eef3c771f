//! Tokios of a target that are not watched: another one in its executable, or one that a library brings along.

use super::attached::Attached;
use asyncscope_discovery::{OTHER_TOKIO, libraries::Loaded, plan::Plan, process::Process};
use asyncscope_trace::facts::Hook;
use asyncscope_view::printable;

/// Returns a sentence for each tokio in a library that the process has loaded since the last time.
pub(crate) fn in_libraries(process: &Process, loaded: &mut Loaded) -> Vec<String> {
    let told = loaded.tokios(process).into_iter().map(|(library, version)| {
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        format!(
            "{library} has a tokio{version} of its own, whose tasks are not seen: asyncscope watches the executable's"
        )
    });
    told.collect()
}

/// Adds them to the plan's list for people.
pub(crate) fn note(process: &Process, loaded: &mut Loaded, plan: &mut Plan) {
    let missing =
        |how| Hook { sees: OTHER_TOKIO.to_owned(), address: None, instruction: String::new(), emulated: false, how };
    plan.hooks.extend(in_libraries(process, loaded).into_iter().map(missing));
}

/// Says that tasks of the target's are not seen.
pub(crate) fn announce<'a>(sentences: impl IntoIterator<Item = &'a str>) {
    for sentence in sentences {
        eprintln!("not all of its tasks are seen: {}", printable(sentence));
    }
}

/// Says so of what was loaded since the attach. It takes its time, in which no events may wait.
pub(crate) fn announce_late(attached: &mut Attached) {
    // Another program's libraries are no matter of this one's.
    if !attached.process.became_another() {
        let late = in_libraries(&attached.process, &mut attached.loaded);
        announce(late.iter().map(String::as_str));
    }
}

/// Returns the sentences of a plan.
pub(crate) fn sentences(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.hooks.iter().filter(|hook| hook.sees == OTHER_TOKIO).map(|hook| hook.how.as_str())
}
