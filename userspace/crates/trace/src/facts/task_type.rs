//! Task types: what they are called, and by what.

use serde::{Deserialize, Serialize};

use super::{FOLDED_MAX, ImageId, TaskKind, bounded};

/// A task type: a future and the scheduler it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskType {
    /// The address of its vtable in the target's memory, by which events name it.
    pub vtable: u64,
    /// The place of its vtable in its file, which is the same in every run of that file.
    pub key: TypeKey,
    /// The future, as a person would call it, or, for [`NameSource::SpawnSymbol`], the functions that spawn it.
    /// `None` where nothing names it.
    pub name: Option<String>,
    /// All names that share this code, where the linker folded several into one; else empty.
    #[serde(deserialize_with = "bounded::<FOLDED_MAX, _, _>")]
    pub folded: Vec<String>,
    /// True if it may also be another future, which no symbol names.
    pub or_another: bool,
    /// The source of the name.
    pub named_by: NamedBy,
    /// The async body that its poll function resumes first, where a panic in there states its place.
    pub body: Option<AsyncBody>,
    /// The kind of task, by what runs it.
    pub kind: TaskKind,
    /// True if it is the runtime's own: a worker thread of the multi-thread scheduler, which is a
    /// blocking task that polls others. Never a parent and never a waker.
    pub runtime: bool,
}

/// A task type's vtable in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeKey {
    /// The file.
    pub image: ImageId,
    /// Its ELF address.
    pub address: u64,
}

/// The source of a task type's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedBy {
    /// The kind of source.
    pub source: NameSource,
    /// The path of the separate debug file that has it; `None` for the executable.
    pub debug_file: Option<String>,
}

/// The async body that a task's poll function resumes first, as `panic!`s of it state it: no stripping removes that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AsyncBody {
    /// The place where the body begins.
    pub place: SourcePlace,
    /// The relation of the body to the task's future.
    pub stands: BodyStands,
}

/// The relation of an async body to a task's future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyStands {
    /// Polls do nothing with the future but resume this body.
    Alone,
    /// The body is part of a future that does more.
    #[default]
    Inside,
}

/// A place in a source file, its path from the crate on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourcePlace {
    /// The file's path.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// The kinds of sources of a task type's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameSource {
    /// Symbols in the legacy mangling.
    Symbols,
    /// Symbols in the v0 mangling.
    V0Symbol,
    /// Debug info.
    Dwarf,
    /// The symbols of the functions that spawn it.
    SpawnSymbol,
    /// The place that panics of the async body state which its poll function resumes first: [`TaskType::body`].
    PanicLocation,
    /// None: there is only its vtable.
    #[default]
    Vtable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_types_are_read_as_they_were_written() {
        let named_by = NamedBy { source: NameSource::Dwarf, debug_file: Some("/d".into()) };
        let key = TypeKey { image: ImageId(2), address: 0x10 };
        let ty = TaskType { vtable: 0x5010, key, name: Some("svc::a".into()), named_by, ..TaskType::default() };
        for ty in [ty, TaskType { vtable: 1, ..TaskType::default() }] {
            let text = serde_json::to_string(&ty).unwrap();
            assert_eq!(serde_json::from_str::<TaskType>(&text).unwrap(), ty, "{text}");
        }
    }
}
