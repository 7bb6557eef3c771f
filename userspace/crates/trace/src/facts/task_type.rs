//! Task types: what they are called, and by what.

use serde::{Deserialize, Serialize};

use super::{FOLDED_MAX, ImageId, TaskKind, bounded};

/// A task type: a future and the scheduler it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, from = "TypeFields")]
pub struct TaskType {
    /// The address of its vtable in the target's memory, by which events name it.
    pub vtable: u64,
    /// The place of its vtable in its file, which is the same in every run of that file.
    pub key: TypeKey,
    /// The future, as a person would call it, or, for [`NameSource::SpawnSymbol`], the functions that spawn it.
    /// `None` where nothing names it.
    pub name: Option<String>,
    /// All names that share this code, where the linker folded several into one; else empty.
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

/// A task type as JSON has it. Recordings of earlier versions have texts for `name` and `named_by`, and no `key`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TypeFields {
    vtable: u64,
    key: Option<TypeKey>,
    name: Option<String>,
    #[serde(deserialize_with = "bounded::<FOLDED_MAX, _, _>")]
    folded: Vec<String>,
    or_another: bool,
    named_by: NameOrigin,
    body: Option<AsyncBody>,
    kind: TaskKind,
    runtime: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NameOrigin {
    Typed(NamedBy),
    Text(String),
}

impl Default for NameOrigin {
    fn default() -> Self {
        Self::Typed(NamedBy::default())
    }
}

impl From<TypeFields> for TaskType {
    fn from(fields: TypeFields) -> Self {
        let TypeFields { vtable, key, name, folded, or_another, named_by, body, kind, runtime } = fields;
        let named_by = match named_by {
            NameOrigin::Typed(named_by) => named_by,
            NameOrigin::Text(text) => by_text(&text),
        };
        let (name, key) = match key {
            Some(key) => (name, key),
            None => by_name(name.unwrap_or_default(), vtable, named_by.source),
        };
        Self { vtable, key, name, folded, or_another, named_by, body, kind, runtime }
    }
}

/// The source as earlier versions wrote it.
fn by_text(text: &str) -> NamedBy {
    let (source, debug_file) = match text.split_once(" in debug file ") {
        Some((source, file)) => (source, Some(file.to_owned())),
        None => (text, None),
    };
    let source = match source {
        "symbols" => NameSource::Symbols,
        "v0 symbol" => NameSource::V0Symbol,
        "dwarf" => NameSource::Dwarf,
        "symbol of its spawn's function" => NameSource::SpawnSymbol,
        _ => NameSource::Vtable,
    };
    NamedBy { source, debug_file }
}

/// The name and the key as earlier versions wrote them: `task#` and the address, or `spawned in` and a function.
fn by_name(name: String, vtable: u64, source: NameSource) -> (Option<String>, TypeKey) {
    let key = |address| TypeKey { image: ImageId::EXECUTABLE, address };
    let address = name.strip_prefix("task#").and_then(|address| u64::from_str_radix(address, 16).ok());
    match address {
        Some(address) => (None, key(address)),
        None if name.is_empty() => (None, key(vtable)),
        None if source == NameSource::SpawnSymbol => {
            let function = name.strip_prefix("spawned in ").map(str::to_owned);
            (Some(function.unwrap_or(name)), key(vtable))
        }
        None => (Some(name), key(vtable)),
    }
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

    #[test]
    fn task_types_of_earlier_recordings_are_read() {
        let check = |name: &str, by: &str, expected: (Option<&str>, u64, NameSource, Option<&str>)| {
            let text = format!(r#"{{"vtable":80,"name":"{name}","folded":[],"named_by":"{by}","kind":"spawned"}}"#);
            let ty: TaskType = serde_json::from_str(&text).unwrap();
            let NamedBy { source, debug_file } = &ty.named_by;
            assert_eq!((ty.name.as_deref(), ty.key.address, *source, debug_file.as_deref()), expected, "{text}");
        };
        check("svc::a", "symbols", (Some("svc::a"), 80, NameSource::Symbols, None));
        check("svc::a", "v0 symbol in debug file /a b", (Some("svc::a"), 80, NameSource::V0Symbol, Some("/a b")));
        check("task#1f", "vtable", (None, 0x1f, NameSource::Vtable, None));
        check("", "", (None, 80, NameSource::Vtable, None));
        let by = "symbol of its spawn's function";
        check("spawned in svc::b", by, (Some("svc::b"), 80, NameSource::SpawnSymbol, None));
    }
}
