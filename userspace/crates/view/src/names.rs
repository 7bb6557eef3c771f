//! Names of tasks and threads, made safe to show.

use std::collections::HashMap;

use asyncscope_model::Graph;
use asyncscope_trace::facts::Facts;

/// The names in one recording.
#[derive(Debug)]
pub(super) struct Names<'a> {
    types: HashMap<u64, &'a str>,
    threads: HashMap<u32, &'a str>,
    graph: &'a Graph,
}

impl<'a> Names<'a> {
    pub(super) fn new(graph: &'a Graph, facts: &'a Facts) -> Self {
        let types = facts.types.iter().filter(|ty| !ty.name.is_empty());
        let threads = facts.threads.iter();
        Self {
            types: types.map(|ty| (ty.vtable, ty.name.as_str())).collect(),
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
        let name = self.types.get(&vtable).copied();
        name.map_or_else(|| format!("task#{vtable:x}"), str::to_owned)
    }

    /// A task type's name as it is, if it is that of a function.
    pub(super) fn known_task_type(&self, vtable: u64) -> Option<&'a str> {
        self.types.get(&vtable).copied().filter(|name| !name.starts_with("task#"))
    }

    /// A thread's newest name as it is.
    pub(super) fn thread(&self, tid: u32) -> Option<&'a str> {
        let armed = || self.threads.get(&tid).copied();
        self.graph.thread_name(tid).or_else(armed).filter(|name| !name.is_empty())
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
