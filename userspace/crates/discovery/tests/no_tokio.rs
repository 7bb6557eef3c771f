//! Programs without tokio: no task type is found in any of them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use asyncscope_discovery::{discover, image::elf::Elf};

/// Programs of other languages that a system may have, by name on `PATH`.
const SYSTEM: [&str; 24] = [
    "bash",
    "bpftrace",
    "curl",
    "find",
    "gcc",
    "gdb",
    "git",
    "grep",
    "ld",
    "make",
    "node",
    "openssl",
    "perl",
    "python3",
    "rsync",
    "sed",
    "sqlite3",
    "ssh",
    "systemctl",
    "tar",
    "vim",
    "xz",
    "awk",
    "ls",
];
/// How many of them a system is expected to have at least.
const EXPECTED: usize = 10;
/// Programs of the Rust toolchain: the compiler's own are little more than a call into its library.
const RUST: [&str; 6] = ["cargo", "cargo-clippy", "cargo-fmt", "clippy-driver", "rustdoc", "rustfmt"];

/// `None` if the file is no program that asyncscope reads: a script, or one for another machine.
fn task_types(file: &Path) -> Option<usize> {
    let data = std::fs::read(file).unwrap_or_default();
    assert!(!data.is_empty(), "{} cannot be read", file.display());
    let elf = Elf::parse(&data).ok()?;
    Some(discover(&elf).map_or(0, |plan| plan.vtables.len()))
}

/// Looks into each file; how many there were.
fn check(files: impl IntoIterator<Item = PathBuf>) -> usize {
    let looked_into = files.into_iter().filter_map(|file| Some((task_types(&file)?, file)));
    looked_into.map(|(found, file)| assert_eq!(found, 0, "task types in {}", file.display())).count()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[test]
fn none_in_programs_of_other_languages() {
    let (found, missing): (Vec<_>, Vec<_>) =
        SYSTEM.map(|name| (name, on_path(name))).into_iter().partition(|(_, file)| file.is_some());
    let looked_into = check(found.into_iter().filter_map(|(_, file)| file));
    let missing: Vec<_> = missing.into_iter().map(|(name, _)| name).collect();
    println!("{looked_into} programs looked into; not here: {missing:?}");
    assert!(
        looked_into >= EXPECTED || missing.len() > SYSTEM.len() - EXPECTED,
        "only {looked_into} of those that are here are programs"
    );
}

#[test]
fn none_in_rust_programs() {
    let rustc =
        Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).args(["--print", "sysroot"]).output();
    let sysroot = rustc.unwrap_or_else(|error| panic!("rustc: {error}")).stdout;
    let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
    let tools = RUST.map(|name| sysroot.join("bin").join(name)).into_iter().filter(|file| file.is_file());
    let libraries = std::fs::read_dir(sysroot.join("lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    let libraries = libraries.filter(|file| file.extension().is_some_and(|extension| extension == "so"));
    assert!(check(tools.chain(libraries)) > 0, "no program in {}", sysroot.display());
}
