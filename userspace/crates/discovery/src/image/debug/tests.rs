//! On this very test program, which has debug info and spawns tasks of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use object::{LittleEndian as LE, elf, read::elf::FileHeader as _};

use super::*;
use crate::{image::elf::Elf, tokio::plan::Plan};
use asyncscope_trace::facts::NameSource;

async fn spawned_by_a_test(number: u64) -> u64 {
    tokio::task::yield_now().await;
    number
}

fn spawned_by_a_test_too(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
}

/// The test program, in which tasks are spawned.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { tokio::spawn(spawned_by_a_test(7)).await.unwrap() }), 7);
        spawned_by_a_test_too(&runtime);
        fs::read(std::env::current_exe().unwrap()).unwrap()
    })
}

/// The program without its symbols and debug info.
fn stripped() -> &'static [u8] {
    static STRIPPED: OnceLock<Vec<u8>> = OnceLock::new();
    STRIPPED.get_or_init(|| without(program(), |name| name == ".symtab" || name.starts_with(".debug_")))
}

/// The program without these sections: their headers say that they have no bytes.
fn without(program: &[u8], goes: impl Fn(&str) -> bool) -> Vec<u8> {
    let header = elf::FileHeader64::<LE>::parse(program).unwrap();
    let sections = header.sections(LE, program).unwrap();
    let start = usize::try_from(header.e_shoff(LE)).unwrap();
    let mut data = program.to_vec();
    for (at, section) in sections.iter().enumerate() {
        let name = sections.section_name(LE, section).unwrap();
        if goes(&String::from_utf8_lossy(name)) {
            let kind = start + at * size_of::<elf::SectionHeader64<LE>>() + size_of::<u32>();
            data[kind..kind + size_of::<u32>()].copy_from_slice(&elf::SHT_NOBITS.0.to_le_bytes());
        }
    }
    data
}

/// A directory that is gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("asyncscope-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("inside")).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, data).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn position_of_build_id(data: &[u8]) -> usize {
    let id = open::build_id_of(data).unwrap();
    data.windows(id.len()).position(|window| window == id).unwrap()
}

fn found(data: &[u8], debug_file: Option<&Path>) -> Result<Option<DebugFile>, DebugError> {
    let options = Options { debug_file: debug_file.map(Path::to_owned) };
    find(&Elf::parse(data).unwrap(), Path::new("/no/such/program"), None, &options)
}

fn plan(data: &[u8], debug: Option<&DebugFile>) -> Plan {
    let elf = Elf::parse(data).unwrap();
    let elf = match debug {
        Some(debug) => elf.with_debug(debug).unwrap(),
        None => elf,
    };
    crate::discover(&elf).unwrap()
}

#[test]
fn a_debug_file_gives_what_stripping_took() {
    let directory = Directory::new("twin");
    let file = directory.file("inside/program.debug", program());
    let own = plan(program(), None);
    for given in [&file, &directory.0] {
        let debug = found(stripped(), Some(given)).unwrap().unwrap();
        assert_eq!(debug.path(), file);
        let plan = plan(stripped(), Some(&debug));
        assert_eq!(plan.hooks, own.hooks);
        let names = |plan: &Plan| plan.types.iter().map(|ty| (ty.name.clone(), ty.kind)).collect::<Vec<_>>();
        assert_eq!(names(&plan), names(&own));
        assert!(
            plan.types.iter().all(|ty| ty.named_by.debug_file.as_ref().is_some_and(|file| file.starts_with('/'))),
            "{:?}",
            plan.types
        );
    }
    let bare = plan(stripped(), None);
    assert!(
        bare.types.iter().all(|ty| ty.named_by.source == NameSource::Vtable && ty.name.is_none()),
        "{:?}",
        bare.types
    );
}

#[test]
fn dwarf_alone_names_futures() {
    let nameless = without(program(), |name| name == ".symtab");
    let (plan, own) = (plan(&nameless, None), plan(program(), None));
    let this = "asyncscope_discovery::image::debug::tests::spawned_by_a_test";
    assert!(plan.types.iter().all(|ty| ty.named_by.source == NameSource::Dwarf), "{:?}", plan.types);
    let kinds = |plan: &Plan| plan.types.iter().map(|ty| ty.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&plan), kinds(&own));
    let named = |name: &str| plan.types.iter().any(|ty| ty.name.as_deref() == Some(name));
    assert!(named(this) && named(&format!("blocking {this}_too")), "{:?}", plan.types);
}

#[test]
fn tasks_without_names_are_called_after_their_spawns() {
    let own = |symbol: &str| crate::names::demangled(symbol).starts_with("asyncscope_discovery::image::debug::tests::");
    let nameless = without(program(), |name| name.starts_with(".debug_"));
    let mut elf = Elf::parse(&nameless).unwrap();
    elf.keep_symbols(own);
    let types = crate::discover(&elf).unwrap().types;
    let check = |name: &str| {
        let found = types.iter().find(|ty| ty.name.as_deref() == Some(name));
        assert!(found.is_some_and(|ty| ty.named_by.source == NameSource::SpawnSymbol), "{name}: {types:?}");
    };
    check("asyncscope_discovery::image::debug::tests::spawned_by_a_test_too");
    check("asyncscope_discovery::image::debug::tests::program::{closure}");
    elf.keep_symbols(|_| false);
    let types = crate::discover(&elf).unwrap().types;
    assert!(types.iter().all(|ty| ty.name.is_none()), "{types:?}");
}

#[test]
fn refuses_what_does_not_fit() {
    let directory = Directory::new("misfits");
    let check = |path: &Path, expected: &str| {
        let error = found(stripped(), Some(path)).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    };
    let mut other = program().to_vec();
    other[position_of_build_id(program())] ^= 1;
    check(&directory.file("other", &other), "its build id is ");
    check(&directory.file("stripped", stripped()), "neither symbols nor debug info");
    check(&directory.file("text", b"#!/bin/sh"), "not an ELF file");
    check(&directory.0.join("missing"), "cannot be read (No such file");
    check(&directory.0, "no file in this directory");
    let pipe = directory.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    check(&pipe, "not a regular file");
}

#[test]
fn compares_layouts_where_there_is_no_build_id() {
    let mut unidentified = stripped().to_vec();
    let id = position_of_build_id(&unidentified);
    // Before the id come the note's type and its owner, `GNU`.
    unidentified[id - 8] = 0x77;
    assert_eq!(open::build_id_of(unidentified.as_slice()), None);
    assert_eq!(fits::check(&unidentified, &unidentified), Ok(()));
    let mut other = unidentified.clone();
    let function = Elf::parse(&other).unwrap().functions()[0].start;
    let at = Elf::parse(&other).unwrap().file_offset(function).unwrap().0;
    other[usize::try_from(at).unwrap()] ^= 1;
    assert_eq!(fits::check(&unidentified, &other), Err(BuildMismatch::Bytes { section: ".text" }));
}

#[test]
fn an_executable_with_debug_info_needs_no_other() {
    assert!(found(program(), None).unwrap().unwrap().data().is_none());
    assert!(found(stripped(), None).unwrap().is_none());
}
