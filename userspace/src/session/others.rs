//! Tokios of a target that are not watched: another one in its executable, or one that a library brings along.

use super::start::Armed;
use asyncscope_discovery::{libraries::Loaded, plan::Plan, process::Process};
use asyncscope_trace::facts::{Hook, MissingReason, Sees};
use asyncscope_view::{printable, sentences};

/// What is said of the libraries that the process has loaded since the last time, a sentence each.
pub(super) fn in_libraries(process: &Process, loaded: &mut Loaded) -> Vec<String> {
    let sentence =
        |(library, version): (String, Option<String>)| sentences::library_tokio(&library, version.as_deref());
    loaded.tokios(process).into_iter().map(sentence).collect()
}

/// Adds them to the plan's list.
pub(super) fn note(process: &Process, loaded: &mut Loaded, plan: &mut Plan) {
    for (library, version) in loaded.tokios(process) {
        let image = plan.image(&library);
        plan.hooks.push(Hook::missing(Sees::OtherTokio, image, MissingReason::LibraryTokio { version }));
    }
}

/// That tasks of the target's are not seen has to be said.
pub(super) fn announce(sentences: &[String]) {
    for sentence in sentences {
        eprintln!("not all of its tasks are seen: {}", printable(sentence));
    }
}

/// The same of what was loaded meanwhile. It takes its time, in which no events may wait.
pub(super) fn announce_late(armed: &mut Armed) {
    // Another program's libraries are no matter of this one's.
    if !armed.process.became_another() {
        announce(&in_libraries(&armed.process, &mut armed.loaded));
    }
}

/// The sentences about these hooks.
pub(super) fn sentences(hooks: &[Hook], images: &[String]) -> Vec<String> {
    let others = hooks.iter().filter(|hook| hook.sees == Sees::OtherTokio);
    others.map(|hook| sentences::hook(hook, images)).collect()
}
