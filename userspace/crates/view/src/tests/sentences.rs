//! Facts in words, and only there.

use std::{fs, path::Path};

use crate::sentences::{hook, shortfall};
use asyncscope_trace::facts::{
    Ability, Aspect, Hook, ImageId, MissingReason, Sees, Shortfall, Support, TlsLibrary, Tracepoints, Unreadable,
};

#[test]
fn hooks_in_libraries_name_their_file() {
    let images = ["/bin/svc".to_owned(), "/usr/lib/libc.so.6".to_owned()];
    let check = |image, why: MissingReason, expected: &str| {
        assert_eq!(hook(&Hook::missing(Sees::Http, ImageId(image), why), &images), expected);
    };
    let few = || MissingReason::CallsWithoutPlace { count: 2 };
    check(0, few(), "2 system calls have no instruction beside them for a probe");
    check(1, few(), "libc.so.6: 2 system calls have no instruction beside them for a probe");
    check(7, few(), "a library: 2 system calls have no instruction beside them for a probe");
    let reason = Unreadable::NotElf;
    let unreadable = "/usr/lib/libc.so.6 is not an ELF file; asyncscope watches native Linux programs";
    check(1, MissingReason::LibraryUnreadable { reason }, unreadable);
}

#[test]
fn tls_and_tracepoints_are_reported_together() {
    let check = |tls: Option<TlsLibrary>, why: Option<Tracepoints>, expected: &str| {
        let why = Shortfall::Connections { tls, tracepoints: why };
        let ability = Ability { what: Aspect::Http1, works: Support::Partly, why: Some(why), remedy: None };
        assert_eq!(shortfall(&ability, &[]).as_deref(), Some(expected));
    };
    let encrypted = "connections under TLS (rustls is in it) cannot be read: they are only counted";
    let by = "by the kernel's tracepoints, at a cost for every process of the machine (as was asked for)";
    check(Some(TlsLibrary::Rustls), None, encrypted);
    check(None, Some(Tracepoints::AskedFor), by);
    check(Some(TlsLibrary::Rustls), Some(Tracepoints::AskedFor), &format!("{encrypted}; {by}"));
}

/// Sentences are for people: a decision that searches one for its words changes when it is reworded.
#[test]
fn nothing_is_decided_by_words() {
    let userspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut files, mut found) = (0, Vec::new());
    let mut folders = vec![userspace.join("src"), userspace.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.extend(Some(entry).filter(|folder| !folder.ends_with("tests")));
            } else if entry.extension().is_some_and(|kind| kind == "rs") && !entry.ends_with("tests.rs") {
                files += 1;
                let text = fs::read_to_string(&entry).unwrap();
                found.extend(searches(&text).map(|line| format!("{}: {line}", entry.display())));
            }
        }
    }
    assert!(files > 100 && found.is_empty(), "{files} files, {found:#?}");
}

/// The lines of a source, but for its tests, that search a text for words.
fn searches(text: &str) -> impl Iterator<Item = &str> {
    let (code, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    code.lines().filter(|line| {
        [".contains(\"", ".starts_with(\"", ".ends_with(\""].iter().any(|call| {
            line.split(call).skip(1).any(|rest| rest.split_once('"').is_some_and(|(literal, _)| is_prose(literal)))
        })
    })
}

/// Whether two words stand side by side.
fn is_prose(literal: &str) -> bool {
    let is_word = |word: &str| word.len() > 1 && word.chars().all(char::is_alphabetic);
    literal.split(' ').zip(literal.split(' ').skip(1)).any(|(one, next)| is_word(one) && is_word(next))
}

#[test]
fn searches_for_words_are_found() {
    let check = |line: &str, found: usize| assert_eq!(searches(line).count(), found, "{line}");
    check(r#"if how.contains("not seen") {"#, 1);
    check(r#"name.contains(" as ") || name.starts_with("&mut ")"#, 0);
    check(r#"a.contains("x") && reported.starts_with("behind the system call")"#, 1);
    check("fn a() {}\n#[cfg(test)]\nmod tests {\n    said.contains(\"1 passed\");\n", 0);
}
