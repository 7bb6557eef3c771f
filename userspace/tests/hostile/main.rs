//! Bytes that anyone may have written: no panic, an end, no more memory than a bound. Stands
//! in for the fuzz targets (`fuzz/`), with their corpus and mutations of it.

mod allocated;
mod input;
mod mutate;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

#[global_allocator]
static ALLOCATOR: allocated::Counting = allocated::Counting;

/// How many mutations in all, shared out among a target's files.
const MUTATIONS: u64 = 2_000;
/// Whatever the input's length. A block of a recording may be as long as that when decompressed.
const ALLOCATED_MAX: usize = 64 << 20;
/// And this many times the input's length: a decoded instruction is 40 bytes, and may stand for one.
const ALLOCATED_PER_BYTE: usize = 40;

fn check(target: &str, run: fn(&[u8])) {
    let files = corpus(target);
    assert!(!files.is_empty(), "no corpus for {target}");
    let each = MUTATIONS.div_ceil(files.len() as u64);
    for file in &files {
        let bytes = fs::read(file).unwrap_or_default();
        assert!(!bytes.is_empty(), "{}", file.display());
        let name = file.display().to_string();
        one(&name, &bytes, run);
        for seed in 0..each {
            let mut mutated = bytes.clone();
            mutate::Random::new(seed).mutate(&mut mutated);
            one(&format!("{name}, mutated with seed {seed}"), &mutated, run);
        }
    }
}

fn one(name: &str, bytes: &[u8], run: fn(&[u8])) {
    let mut done = Ok(());
    let peak = allocated::peak(|| done = catch_unwind(AssertUnwindSafe(|| run(bytes))));
    assert!(done.is_ok(), "a panic: {name}");
    let allowed = ALLOCATED_MAX + ALLOCATED_PER_BYTE * bytes.len();
    assert!(peak <= allowed, "{peak} bytes allocated, {allowed} are allowed: {name}");
}

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let Ok(files) = fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
    files.sort();
    files
}

#[test]
fn discovery() {
    check("discovery", input::discovery);
}

#[test]
fn layouts() {
    check("layouts", input::layouts);
}

#[test]
fn records() {
    check("records", input::records);
}

#[test]
fn recordings() {
    check("recording", input::recording);
}

#[test]
fn knows_what_was_allocated() {
    let peak = allocated::peak(|| drop(vec![0_u8; 1 << 20]));
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
