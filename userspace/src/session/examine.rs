//! `inspect` and `doctor`: what can be seen, and what this machine allows.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Error, Result, bail};

use crate::{
    facts::Hook,
    probe::{self, Way, missing_capabilities},
    target::{self, debug, elf::Elf, error::TargetError, plan::Plan, process::Process},
};

/// Tells what can be seen in a process (by id or name) or in a file (by path).
///
/// # Errors
///
/// A sentence: it cannot be read, or there is no tokio in it.
pub fn inspect(of: &str, verbose: bool, names: &debug::Options) -> Result<()> {
    let (file, pid, data) = if of.contains('/') || Path::new(of).is_file() {
        (of.to_owned(), None, fs::read(of).with_context(|| format!("cannot read {of}"))?)
    } else {
        let process = match of.parse() {
            Ok(pid) => Process::by_pid(pid)?,
            Err(_) => Process::by_name(of)?,
        };
        let data = process.read_executable()?;
        (process.executable_path().to_owned(), Some(process.pid), data)
    };
    let not_watchable = |why: String| TargetError::NotWatchable { file: file.clone(), why };
    let elf = Elf::parse(&data).map_err(not_watchable)?;
    let here = || fs::canonicalize(&file).ok().filter(|_| pid.is_none());
    let path = here().unwrap_or_else(|| PathBuf::from(&file));
    let debug = debug::find(&elf, &path, pid, names).map_err(Error::msg)?;
    let elf = match &debug {
        Some(debug) => elf.with_debug(debug).map_err(Error::msg)?,
        None => elf,
    };
    let plan = target::discover(&elf).map_err(not_watchable)?;
    show(&file, &elf, &plan, verbose, &mut io::stdout()).context("cannot write to standard output")
}

fn show(file: &str, elf: &Elf<'_>, plan: &Plan, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", file.escape_debug())?;
    writeln!(out, "  build id   {}", elf.build_id.as_deref().unwrap_or("none"))?;
    let tokio = plan.tokio.as_deref().unwrap_or("version not known (no source path of one version in the file)");
    writeln!(out, "  tokio      {tokio}")?;
    writeln!(
        out,
        "  symbols    {}",
        if elf.symbols().is_empty() {
            "none: task types are named by debug info, or else by their vtables"
        } else {
            "yes"
        }
    )?;
    if let Some(file) = elf.debug_file(false) {
        writeln!(out, "  debug file {}", file.to_string_lossy().escape_debug())?;
    }
    writeln!(out, "\ntask types ({})", plan.types.len())?;
    for ty in &plan.types {
        let kind = if ty.runtime { "the runtime's own".to_owned() } else { format!("{:?}", ty.kind).to_lowercase() };
        writeln!(out, "  {:<18} {}  ({})", kind, ty.name.escape_debug(), ty.named_by.escape_debug())?;
    }
    writeln!(out, "\nhooks")?;
    if verbose { each_hook(&plan.hooks, out) } else { hooks_by_kind(&plan.hooks, out) }
}

fn each_hook(hooks: &[Hook], out: &mut dyn Write) -> io::Result<()> {
    for hook in hooks {
        let cost = if hook.emulated { "emulated" } else { "stepped" };
        match hook.address {
            Some(address) => {
                writeln!(out, "  {:<10} {address:#10x}  {cost:<8}  {:<28} {}", hook.sees, hook.instruction, hook.how)?
            }
            None => writeln!(out, "  {:<10} missing: {}", hook.sees, hook.how)?,
        }
    }
    Ok(())
}

fn hooks_by_kind(hooks: &[Hook], out: &mut dyn Write) -> io::Result<()> {
    let mut counts: BTreeMap<(&str, bool, &str), (usize, usize)> = BTreeMap::new();
    for hook in hooks {
        let (all, emulated) = counts.entry((&hook.sees, hook.address.is_none(), &hook.how)).or_default();
        *all += 1;
        *emulated += usize::from(hook.emulated);
    }
    for ((sees, missing, how), (all, emulated)) in counts {
        if missing {
            writeln!(out, "  {sees:<10} missing: {how}")?;
        } else {
            writeln!(
                out,
                "  {sees:<10} {all:>4} ({emulated} emulated by the kernel, {} stepped)  {how}",
                all - emulated
            )?;
        }
    }
    writeln!(out, "\n`--verbose` shows each hook's address and instruction.")
}

/// Tells what this machine allows.
///
/// # Errors
///
/// Something is missing; all of it has been told.
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

/// 5.15 has what every program here needs: cookies.
/// <https://github.com/torvalds/linux/commit/7adfc6c9b315e174cf8743b21b7b691c8766791b>
fn kernel() -> Check {
    let version = procfs::sys::kernel::Version::current()
        .map_err(|error| format!("the kernel's version cannot be read ({error})"))?;
    let text = format!("kernel {}.{}.{}", version.major, version.minor, version.patch);
    if (version.major, version.minor) >= (5, 15) {
        Ok(text)
    } else {
        Err(format!("{text}: asyncscope needs 5.15 or newer"))
    }
}

fn uprobes() -> Check {
    match fs::read_to_string("/sys/bus/event_source/devices/uprobe/type") {
        Ok(_) => Ok("uprobes".to_owned()),
        Err(_) => Err("uprobes: build the kernel with CONFIG_UPROBE_EVENTS, or mount /sys here".to_owned()),
    }
}

fn capabilities() -> Check {
    let missing = missing_capabilities();
    if missing.contains("CAP_") {
        return Err(format!(
            "capabilities: {missing} (CAP_BPF and CAP_PERFMON to load and attach, CAP_SYS_PTRACE to read the target); use sudo"
        ));
    }
    Ok("capabilities CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE".to_owned())
}

fn programs() -> Check {
    match probe::self_test() {
        Ok(Way::Single) => Ok("eBPF programs load; this kernel attaches hooks one by one (uprobe_multi needs 6.10), which makes attaching slower".to_owned()),
        Ok(_) => Ok("eBPF programs load; hooks attach by uprobe_multi".to_owned()),
        Err(error) => Err(format!("eBPF programs: {error}")),
    }
}
