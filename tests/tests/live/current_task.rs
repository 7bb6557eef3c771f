//! Where tokio keeps the running task's id is observed, and is where the symbols say.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::target::Target;
use object::{Object as _, ObjectSymbol as _, SymbolKind};

use crate::Test;

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![("current_task".to_owned(), Box::new(current_task))]
}

fn current_task() -> Result<()> {
    let scratch = Scratch::new()?;
    let binary = paths::truth()?;
    forget(&binary)?;
    let mut target = Target::start("load")?;
    target.go()?;
    let pid = target.process.pid().to_string();
    // Whether a look falls into a poll is chance: several tries.
    let mut found = None;
    for _ in 0..5 {
        let record = scratch.file("events.ascope").into_os_string();
        let args = ["attach", &pid, "--duration", "2s", "--record"].map(Into::into);
        Agent::start(args.into_iter().chain([record]))?.succeed()?;
        found = observed(&pid)?;
        if found.is_some() {
            break;
        }
    }
    target.go()?;
    target.done()?;
    target.finish()?;
    let found = found.context("not observed")?;
    let below = found["below"].as_u64().context("no place")?;
    let (start, end) = context(&binary)?;
    eprintln!("current_task: {found}; the context lies from {start:#x} to {end:#x} below");
    ensure!((end + 8..=start).contains(&below), "{below:#x} is not in the context");
    Ok(())
}

/// What was observed in another run must not pass for what is found now.
fn forget(binary: &Path) -> Result<()> {
    let data = fs::read(binary)?;
    let build_id = object::File::parse(&*data)?.build_id()?.context("no build id")?.to_vec();
    let name: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    match fs::remove_file(format!("/var/cache/asyncscope/{name}.plan")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What `inspect` says of it.
fn observed(pid: &str) -> Result<Option<serde_json::Value>> {
    Ok(Inspection::of(pid, &[])?.current_task)
}

/// How far below `%fs` tokio's context starts and ends.
fn context(binary: &Path) -> Result<(u64, u64)> {
    let data = fs::read(binary)?;
    let file = object::File::parse(&*data)?;
    let is_context = |name: &str| name.contains("tokio7runtime7context7CONTEXT");
    let mut variables = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Tls);
    let context = variables.find(|symbol| symbol.name().is_ok_and(is_context)).context("no symbol of the context")?;
    let block = thread_local_block(&data)?;
    Ok((block - context.address(), block - context.address() - context.size()))
}

/// The length of the executable's thread-local block, up to its alignment.
fn thread_local_block(data: &[u8]) -> Result<u64> {
    use object::read::elf::{FileHeader as _, ProgramHeader as _};
    let header = object::elf::FileHeader64::<object::LittleEndian>::parse(data)?;
    let endian = header.endian()?;
    let headers = header.program_headers(endian, data)?;
    let block = headers.iter().find(|header| header.p_type(endian) == object::elf::PT_TLS).context("no PT_TLS")?;
    Ok(block.p_memsz(endian).next_multiple_of(block.p_align(endian).max(1)))
}
