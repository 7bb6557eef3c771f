//! The fuzz target `heads` on its corpus and on fixed mutations of it, where no fuzzer runs.

use std::{fs, path::Path};

use crate::drive::in_whole_calls_and_byte_by_byte;

/// How many mutations in all, shared out among the files.
const MUTATIONS: u64 = 20_000;

/// Marsaglia's xorshift: the same changes in every run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..=random(&mut state) % 6 {
        let at = random(&mut state) as usize % bytes.len().max(1);
        match random(&mut state) % 5 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (random(&mut state) % 8),
            1 if at < bytes.len() => bytes[at] = b"\r\n:,; 0f\t\x1b"[random(&mut state) as usize % 10],
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                let end = bytes.len().min(at + 24);
                let copied = bytes[at.min(end)..end].to_vec();
                bytes.splice(at.min(end)..at.min(end), copied);
            }
            _ => bytes.insert(at.min(bytes.len()), random(&mut state) as u8),
        }
    }
    bytes
}

#[test]
fn the_corpus_and_its_mutations_are_the_same_in_whole_calls_and_byte_by_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/heads");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus");
    for file in &files {
        let (name, bytes) = (file.display(), fs::read(file).unwrap());
        in_whole_calls_and_byte_by_byte(&bytes, &name.to_string());
        for seed in 0..MUTATIONS.div_ceil(files.len() as u64) {
            in_whole_calls_and_byte_by_byte(&mutated(&bytes, seed), &format!("{name}, mutated with seed {seed}"));
        }
    }
}
