//! How many places a new event touches.
//!
//! - Two lines: its row in `event/table.rs`, and `mod` of its file in `event/kinds/mod.rs`.
//! - Its own file in `event/kinds`.
//! - One arm: where the graph takes each event, on which the compiler insists.
//! - One that a program in the kernel notices has a row in `probe-common/src/record/mod.rs` and a program besides.
//!
//! Whoever makes an event, or does something of their own with it, names it as well: [`NAMED`] says how many do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::event::table::events;

/// In how many files an event is named outside of the table and of its own file: in the one where the graph takes it.
const NAMED_ONCE: usize = 1;
/// Those that are named in more files, for their own sake: in as many.
const NAMED: [(&str, usize); 19] = [
    ("PollStart", 3),
    ("PollEnd", 3),
    ("Wake", 3),
    ("Spawn", 2),
    ("SpawnedBy", 2),
    ("Sample", 2),
    ("Stack", 2),
    ("Typed", 2),
    ("Code", 2),
    ("Shutdown", 2),
    ("Message", 3),
    ("Stream", 2),
    ("Print", 2),
    ("Awaited", 3),
    ("Frames", 3),
    ("OffCpu", 3),
    ("Gap", 5),
    ("ThreadName", 2),
    ("ThreadAtRest", 2),
];

macro_rules! names {
    ($($(#[$doc:meta])* $event:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty),* })?
        $(($inner:ident: $of:ty))? in $file:ident, from $origin:ident, shows $reach:ident;)*) => {
        const EVENTS: &[(&str, &str)] = &[$((stringify!($event), stringify!($file))),*];
    };
}

events!(names);

/// All sources of userspace but those of tests, without the tests at their ends and without comments.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut folders, mut sources) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_of_tests = ["tests", "tests.rs", "testing", "benches", "arbitrary.rs", "target"].contains(&name);
            if is_of_tests {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let lines: Vec<&str> = text[..end].lines().filter(is_code).collect();
                sources.push((path, lines.join("\n")));
            }
        }
    }
    sources
}

fn names(text: &str, event: &str) -> bool {
    let named = format!("What::{event}");
    text.match_indices(&named).any(|(at, _)| {
        let next = text[at + named.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

#[test]
fn a_new_event_is_a_row_a_file_and_an_arm() {
    let sources = sources();
    for &(event, file) in EVENTS {
        let own = format!("event/kinds/{file}.rs");
        let is_elsewhere =
            |path: &Path| !path.ends_with(&own) && !path.ends_with("event/table.rs") && !path.ends_with("tests.rs");
        let elsewhere: Vec<&PathBuf> = sources
            .iter()
            .filter(|(path, text)| is_elsewhere(path) && names(text, event))
            .map(|(path, _)| path)
            .collect();
        let stated = NAMED.iter().find(|(name, _)| *name == event).map(|&(_, count)| count);
        let stated = stated.unwrap_or(NAMED_ONCE);
        assert!(elsewhere.len() <= stated, "{event} is named in {elsewhere:#?}, and {stated} files are stated");
        assert!(sources.iter().any(|(path, _)| path.ends_with(&own)), "{event} has no file {own}");
    }
}

#[test]
fn a_file_of_an_event_names_no_other() {
    let sources = sources();
    let of_events = sources.iter().filter(|(path, _)| path.parent().is_some_and(|in_| in_.ends_with("event/kinds")));
    for (path, text) in of_events.filter(|(path, _)| !path.ends_with("mod.rs")) {
        let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(EVENTS.iter().any(|(_, of)| *of == file), "{file}.rs is no event's");
        let others = EVENTS.iter().filter(|&&(event, of)| of != file && names(text, event));
        assert_eq!(others.count(), 0, "{file}.rs names another event");
    }
}
