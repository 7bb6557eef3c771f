//! Names of tasks and threads, made safe to show.

use std::borrow::Cow;
use std::collections::HashMap;

use asyncscope_model::Graph;
#[cfg(feature = "otlp")]
use asyncscope_trace::facts::SourcePlace;
use asyncscope_trace::facts::{BodyStands, Facts, Function, FunctionName, NameSource, TaskType};

/// Stands behind a name that another has as well, where their code is one.
const ANOTHER: &str = " | another with the same code";

/// The names in one recording.
#[derive(Debug)]
pub(super) struct DisplayNames<'a> {
    types: HashMap<u64, &'a TaskType>,
    threads: HashMap<u32, &'a str>,
    graph: &'a Graph,
}

impl<'a> DisplayNames<'a> {
    pub(super) fn new(graph: &'a Graph, facts: &'a Facts) -> Self {
        let threads = facts.threads.iter();
        Self {
            types: facts.types.iter().map(|ty| (ty.vtable, ty)).collect(),
            threads: threads.map(|thread| (thread.tid, thread.name.as_str())).collect(),
            graph,
        }
    }

    /// A task type's name as it is, or by its vtable's address in memory. 0: of a task of which only its id was
    /// seen.
    pub(super) fn task_type(&self, vtable: u64) -> String {
        if vtable == 0 {
            return "[task type not known]".to_owned();
        }
        self.types.get(&vtable).map_or_else(|| unnamed(vtable), |ty| task_type(ty).into_owned())
    }

    /// A task type's name as it is, if it is that of a function.
    #[cfg(feature = "otlp")]
    pub(super) fn known_task_type(&self, vtable: u64) -> Option<Cow<'a, str>> {
        let ty = self.types.get(&vtable).copied().filter(|ty| ty.named_by.source != NameSource::PanicLocation)?;
        known_task_type(ty)
    }

    /// The place of the body that is a task type's future, where nothing else names it.
    #[cfg(feature = "otlp")]
    pub(super) fn body(&self, vtable: u64) -> Option<&'a SourcePlace> {
        let ty = self.types.get(&vtable).copied().filter(|ty| ty.named_by.source == NameSource::PanicLocation)?;
        ty.body.as_ref().filter(|body| body.stands == BodyStands::Alone).map(|body| &body.place)
    }

    /// A thread's newest name as it is.
    pub(super) fn thread(&self, tid: u32) -> Option<&'a str> {
        let armed = || self.threads.get(&tid).copied();
        self.graph.thread_name(tid).or_else(armed).filter(|name| !name.is_empty())
    }
}

/// A task type's name as it is, or by its vtable's ELF address.
pub(super) fn task_type(ty: &TaskType) -> Cow<'_, str> {
    known_task_type(ty).unwrap_or_else(|| Cow::Owned(unnamed(ty.key.address)))
}

fn unnamed(vtable: u64) -> String {
    format!("task#{vtable:x}")
}

fn known_task_type(ty: &TaskType) -> Option<Cow<'_, str>> {
    let Some(name) = &ty.name else { return ty.runtime.then_some(Cow::Borrowed("tokio worker")) };
    let is_inside = ty.body.as_ref().is_some_and(|body| body.stands == BodyStands::Inside);
    let relation = match ty.named_by.source {
        NameSource::SpawnSymbol => "spawned in ",
        NameSource::PanicLocation if is_inside => "contains ",
        _ => "",
    };
    let another = if ty.or_another { ANOTHER } else { "" };
    Some(match (relation, another) {
        ("", "") => Cow::Borrowed(name),
        _ => Cow::Owned(format!("{relation}{name}{another}")),
    })
}

/// tokio's version for people, or what is known of it.
pub(super) fn tokio(facts: &Facts) -> String {
    match (&facts.tokio, &facts.tokio_versions[..]) {
        (Some(version), _) => printable(version),
        (None, []) => "of unknown version".to_owned(),
        (None, several) => printable(&several.join(" or ")),
    }
}

/// Words a function's name, not escaped: one that nothing names by its file and the address at which it starts there.
pub(super) fn function(function: &Function) -> Cow<'_, str> {
    match (function_alone(&function.name), function.or_another) {
        (name, false) => name,
        (name, true) => Cow::Owned(format!("{name}{ANOTHER}")),
    }
}

/// Words the name without what it may be beside.
pub(super) fn function_alone(name: &FunctionName) -> Cow<'_, str> {
    match name {
        FunctionName::Symbol(name) => Cow::Borrowed(name),
        FunctionName::Unnamed { module, start } => Cow::Owned(format!("{module}+{start:#x}")),
    }
}

/// Bytes as text: UTF-8 as it is, every other byte as `\\xNN`. To be escaped by whoever shows it.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The text with everything escaped that does not simply show as itself.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if shows_as_itself(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

fn shows_as_itself(c: char) -> bool {
    let turns_or_hides = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !turns_or_hides
}

/// The text as one frame of a folded stack: no `;`, which divides frames, and no number for a last
/// word, which would pass for a weight.
pub(super) fn frame(text: &str) -> String {
    let text = printable(text.trim()).replace(';', ",");
    match text.rsplit_once(char::is_whitespace) {
        Some((start, last)) if last.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            format!("{start}_{last}")
        }
        _ if text.is_empty() => "?".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use asyncscope_trace::facts::{AsyncBody, NamedBy};

    use super::*;

    #[test]
    fn code_that_nothing_names_is_said_by_its_place() {
        let unnamed = FunctionName::Unnamed { module: "libc.so.6".into(), start: 0x8a3e0 };
        let check = |name: FunctionName, or_another, expected: &str| {
            assert_eq!(function(&Function { name, or_another, ..Function::default() }), expected);
        };
        check(unnamed, false, "libc.so.6+0x8a3e0");
        check("svc::work".into(), false, "svc::work");
        check("svc::work".into(), true, "svc::work | another with the same code");
    }

    #[test]
    fn a_place_says_what_it_is_to_the_future() {
        let check = |stands, expected: &str| {
            let body = Some(AsyncBody { stands, ..AsyncBody::default() });
            let named_by = NamedBy { source: NameSource::PanicLocation, debug_file: None };
            let ty = TaskType { name: Some("svc/src/a.rs:9".into()), named_by, body, ..TaskType::default() };
            assert_eq!(task_type(&ty), expected);
        };
        check(BodyStands::Alone, "svc/src/a.rs:9");
        check(BodyStands::Inside, "contains svc/src/a.rs:9");
    }
}
