//! `inspect` and `doctor`: what can be seen, and what this machine allows.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    attach::{not_watchable, other_tokios, syscalls, tokio_file::TokioFile},
    plan::SyscallSource,
    privileges,
};
use crate::probe::{self, AttachMode, SINCE, Tested, kernel, lacking_capabilities, missing_capabilities};
use asyncscope_discovery::{
    image::{debug, elf::Elf},
    layout,
    process::{Process, libraries::Loaded},
    tokio::{abilities, plan::Plan},
};
use asyncscope_view::inspect::{self, Inspection};

/// The format of what `inspect` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectFormat {
    /// One JSON object.
    Json,
    /// Text.
    Text {
        /// Each hook on a line of its own.
        each_hook: bool,
    },
}

/// Prints what can be seen in a process (by id or name) or in a file (by path).
///
/// # Errors
///
/// A sentence: it cannot be read, or there is no tokio in it.
pub fn inspect(of: &str, format: InspectFormat, names: &debug::Options) -> Result<()> {
    if of.contains('/') || Path::new(of).is_file() {
        let data = fs::read(of).with_context(|| format!("cannot read {of}"))?;
        let path = fs::canonicalize(of).unwrap_or_else(|_| PathBuf::from(of));
        let file = TokioFile::unloaded(of.to_owned(), path, data);
        return file.planned(None, names, |elf, plan| {
            let mut plan = plan.map_err(|why| not_watchable(of, &why.to_string()))?;
            syscalls::note_file(&mut plan);
            print(&file, of, elf, &plan, format)
        });
    }
    let process = match of.parse() {
        Ok(pid) => Process::by_pid(pid)?,
        Err(_) => Process::by_name(of)?,
    };
    privileges::check_caller(&process)?;
    let executable = TokioFile::executable(&process)?;
    let inspected = |file: &TokioFile, loaded: &mut Loaded| {
        file.planned(Some(process.pid), names, |elf, plan| {
            let mut plan = match plan {
                Ok(plan) => plan,
                Err(why) => return Ok(Some(why)),
            };
            other_tokios::note(&process, loaded, &mut plan);
            drop(syscalls::see(&process, &mut plan, false, SyscallSource::Either, syscalls::SyscallUses::EVERYTHING)?);
            print(file, &process.executable_path().display().to_string(), elf, &plan, format)?;
            Ok(None)
        })
    };
    let mut loaded = Loaded::default();
    let Some(why) = inspected(&executable, &mut loaded)? else { return Ok(()) };
    let library = TokioFile::library(&process, &loaded.tokios(&process), why)?;
    match inspected(&library, &mut loaded)? {
        Some(why) => Err(not_watchable(&library.name, &why.to_string())),
        None => Ok(()),
    }
}

fn print(file: &TokioFile, executable: &str, elf: &Elf<'_>, plan: &Plan, format: InspectFormat) -> Result<()> {
    let shown = &file.path().display().to_string();
    let inspection = Inspection {
        file: shown,
        build_id: elf.build_id.as_deref(),
        tokio: plan.tokio.as_deref(),
        tokio_versions: &plan.tokio_versions,
        current_task: plan.current_task,
        running: plan.running_task(),
        symbols: elf.symbols().len(),
        function_starts: plan.starts,
        debug_file: elf.debug_file(false).map(|file| file.to_string_lossy().into_owned()),
        abilities: &abilities::of(plan, &layout::compile(elf, &plan.vtables)),
        types: &plan.types,
        images: &plan.images(executable),
        hooks: &plan.hooks,
    };
    let out = &mut io::stdout().lock();
    let written = match format {
        InspectFormat::Json => inspect::json(&inspection, out),
        InspectFormat::Text { each_hook } => inspect::text(&inspection, each_hook, out),
    };
    written.context("cannot write to standard output")
}

/// Prints what this machine allows.
///
/// # Errors
///
/// Something is missing; all of it has been reported.
pub fn doctor() -> Result<()> {
    let mut out = io::stdout();
    let checks = [architecture(), kernel(), uprobes(), capabilities(), programs()];
    for check in &checks {
        let (mark, text) = match check {
            Ok(text) => ("ok     ", text),
            Err(text) => ("MISSING", text),
        };
        writeln!(out, "{mark}  {text}").context("cannot write to standard output")?;
    }
    match checks.iter().filter(|check| check.is_err()).count() {
        0 => Ok(()),
        1 => bail!("one thing is missing; see above"),
        several => bail!("{several} things are missing; see above"),
    }
}

type Check = Result<String, String>;

fn architecture() -> Check {
    match std::env::consts::ARCH {
        "x86_64" => Ok("architecture x86_64".to_owned()),
        other => Err(format!("architecture {other}: asyncscope knows x86_64 only")),
    }
}

fn kernel() -> Check {
    let text = format!("kernel {}", kernel::release());
    if kernel::is_since(SINCE) {
        Ok(text)
    } else {
        Err(format!("{text}: asyncscope needs {}.{} or newer", SINCE.0, SINCE.1))
    }
}

fn uprobes() -> Check {
    const FILE: &str = "/sys/bus/event_source/devices/uprobe/type";
    match fs::read_to_string(FILE) {
        Ok(_) => Ok("uprobes".to_owned()),
        Err(_) => Err(format!("uprobes: no {FILE}; build the kernel with CONFIG_UPROBE_EVENTS, or mount /sys here")),
    }
}

fn capabilities() -> Check {
    if !lacking_capabilities().is_empty() {
        let missing = missing_capabilities();
        return Err(format!(
            "capabilities: {missing} (CAP_BPF and CAP_PERFMON to load and attach, CAP_SYS_PTRACE to read the target); use sudo"
        ));
    }
    Ok("capabilities CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE".to_owned())
}

fn programs() -> Check {
    let Tested { way, http, off_cpu, sampling } =
        probe::self_test().map_err(|error| format!("eBPF programs: {error}"))?;
    if let Err(error) = http {
        return Err(format!("eBPF programs for HTTP and log lines (the others load; bpf_loop needs 5.17): {error}"));
    }
    let how = match way {
        AttachMode::Single => {
            "this kernel attaches hooks one by one (uprobe_multi needs 6.10), which makes attaching slower"
        }
        _ => "hooks attach by uprobe_multi",
    };
    let without = [("--off-cpu", off_cpu), ("--mode sample", sampling)].into_iter().filter_map(|(option, loaded)| {
        let error = loaded.err()?;
        Some(format!("; but not that of {option}: {error}"))
    });
    Ok(format!("eBPF programs load; {how}{}", without.collect::<String>()))
}
