//! Tokios of a target that are not watched: another one in its executable, or one that a library brings along.

use super::{attached::Attached, tokio_file};
use asyncscope_discovery::{
    process::{
        Process,
        libraries::{LibraryTokio, Loaded},
    },
    tokio::plan::Plan,
};
use asyncscope_trace::facts::{Hook, MissingReason, Sees};
use asyncscope_view::{printable, sentences};

/// Returns a sentence for each tokio in a library that the process has loaded since the last time.
pub(crate) fn in_libraries(process: &Process, loaded: &mut Loaded) -> Vec<String> {
    let sentence = |of: LibraryTokio| sentences::library_tokio(&of.name, of.version.as_deref());
    loaded.tokios(process).into_iter().map(sentence).collect()
}

/// Adds them to the plan's list.
pub(crate) fn note(process: &Process, loaded: &mut Loaded, plan: &mut Plan) {
    for LibraryTokio { name, version, .. } in loaded.tokios(process) {
        let image = plan.image(&name);
        plan.hooks.push(Hook::missing(Sees::OtherTokio, image, MissingReason::LibraryTokio { version }));
    }
}

/// Says that tasks of the target's are not seen.
pub(crate) fn announce(sentences: &[String]) {
    for sentence in sentences {
        eprintln!("not all of its tasks are seen: {}", printable(sentence));
    }
}

/// Says which processes that it started have a tokio as well: a server's workers often do the work.
pub(super) fn announce_descendants(process: &Process) {
    for sentence in tokio_file::in_descendants(process) {
        eprintln!("{}", printable(&sentence));
    }
}

/// Says so of what was loaded since the attach. It takes its time, in which no events may wait.
pub(crate) fn announce_late(attached: &mut Attached) {
    // Another program's libraries are no matter of this one's.
    if !attached.process.became_another() {
        announce(&in_libraries(&attached.process, &mut attached.loaded));
    }
}

/// Returns the sentences about these hooks.
pub(crate) fn sentences(hooks: &[Hook], images: &[String]) -> Vec<String> {
    let others = hooks.iter().filter(|hook| hook.sees == Sees::OtherTokio);
    others.map(|hook| sentences::hook(hook, images)).collect()
}
