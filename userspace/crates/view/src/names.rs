//! Names of tasks and threads, made safe to show.

use std::borrow::Cow;
use std::collections::HashMap;

use asyncscope_model::Graph;
use asyncscope_trace::facts::{Facts, Function, NameSource, TaskType};

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
        self.types.get(&vtable).copied().and_then(known_task_type)
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
    let spawned = if ty.named_by.source == NameSource::SpawnSymbol { "spawned in " } else { "" };
    let another = if ty.or_another { ANOTHER } else { "" };
    Some(match (spawned, another) {
        ("", "") => Cow::Borrowed(name),
        _ => Cow::Owned(format!("{spawned}{name}{another}")),
    })
}

/// Words a function's name, not escaped.
pub(super) fn function(function: &Function) -> Cow<'_, str> {
    match function.or_another {
        false => Cow::Borrowed(&function.name),
        true => Cow::Owned(format!("{}{ANOTHER}", function.name)),
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
