//! Tools that are attached to a running service from outside, as processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::process::Running;
use object::{Object as _, ObjectSymbol as _, SymbolKind};

use super::build;
use super::clock::cpu_time;
use super::cpus::Half;
use super::variant::Variant;

const ATTACH_MAX: Duration = Duration::from_mins(2);
/// Other profilers write out what they have kept.
const DETACH_MAX: Duration = Duration::from_mins(10);
/// perf does not say when it is ready.
const PERF_STARTS: Duration = Duration::from_millis(500);

/// A tool that is attached.
#[derive(Debug)]
pub(super) struct Tool {
    running: Running,
    /// The file in which it says what went wrong.
    reported: PathBuf,
}

impl Tool {
    /// Attaches it to the process; returns when it is in place.
    pub(super) fn attach(variant: Variant, pid: u32, scratch: &Path) -> Result<Self> {
        let mut command = match variant {
            Variant::Floor => asyncscope(pid, &["--empty-programs"]),
            Variant::Trace => asyncscope(pid, &[]),
            Variant::Sample => asyncscope(pid, &["--mode", "sample"]),
            Variant::Bpftrace => bpftrace(pid, scratch)?,
            Variant::Perf => perf(pid, scratch),
            Variant::Console | Variant::Otel => bail!("{variant:?} is built in"),
        };
        let ready = match variant {
            Variant::Perf => None,
            Variant::Bpftrace => Some(READY),
            _ => Some(ARMED),
        };
        Self::start(&mut command, ready, scratch).with_context(|| format!("{variant:?}"))
    }

    /// Lets the agent record the process, and do nothing else.
    pub(super) fn recording(pid: u32, file: &Path, scratch: &Path) -> Result<Self> {
        let mut command = asyncscope(pid, &["--record"]);
        Self::start(command.arg(file), Some(ARMED), scratch)
    }

    /// Starts it, and waits until it says that it is ready, if it does.
    fn start(command: &mut Command, ready: Option<&str>, scratch: &Path) -> Result<Self> {
        let reported = scratch.join("tool.txt");
        let file = File::create(&reported)?;
        // bpftrace says there that it is ready.
        let out = if ready == Some(READY) { file.try_clone()?.into() } else { Stdio::null() };
        let mut running = Running::start_unread(command.stdout(out).stderr(file))?;
        let Some(ready) = ready else {
            thread::sleep(PERF_STARTS);
            return Ok(Self { running, reported });
        };
        let look = || fs::read_to_string(&reported).ok().filter(|reported| reported.contains(ready));
        let attached = running.until("it was attached", ATTACH_MAX, look);
        attached.with_context(|| fs::read_to_string(&reported).unwrap_or_default())?;
        Ok(Self { running, reported })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The tool's own CPU time until now.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.running.pid())
    }

    /// Ends it as Ctrl-C does, and waits until its hooks are gone.
    pub(super) fn detach(self) -> Result<()> {
        let status = self.running.interrupt(DETACH_MAX)?;
        let reported = fs::read_to_string(&self.reported).unwrap_or_default();
        // perf ends by the signal that it was sent.
        ensure!(status.code().is_none_or(|code| code == 0), "the tool failed: {status}: {reported}");
        Ok(())
    }
}

fn asyncscope(pid: u32, options: &[&str]) -> Command {
    let mut command = Half::Rest.command(build::agent());
    command.args(["attach", &pid.to_string()]).args(options);
    command
}

/// As one would have it for a program without frame pointers, which a release build is.
fn perf(pid: u32, scratch: &Path) -> Command {
    let mut command = Half::Rest.command("perf");
    command.args(["record", "--freq", "99", "--call-graph", "dwarf", "--pid", &pid.to_string(), "--output"]);
    command.arg(scratch.join("perf.data"));
    command
}

/// The word of bpftrace's script when all its probes are in place.
const READY: &str = "counting";
/// The words of asyncscope when all its hooks are in place.
const ARMED: &str = "hooks armed";

/// Counts how often each of the functions is called in which `attach` has hooks. It can place no probe inside of a
/// function, and in one only that has a symbol.
fn bpftrace(pid: u32, scratch: &Path) -> Result<Command> {
    let found = Inspection::of(pid.to_string(), &[])?;
    let executable = fs::read_link(format!("/proc/{pid}/exe"))?;
    let mut hooks: BTreeMap<PathBuf, Vec<u64>> = BTreeMap::new();
    for hook in &found.hooks {
        let Some(address) = hook.address.filter(|_| hook.sees != "logs") else { continue };
        let library = found.images.get(hook.image).filter(|_| hook.image > 0);
        hooks.entry(library.unwrap_or(&executable).clone()).or_default().push(address);
    }
    let mut probes = Vec::new();
    for (file, hooks) in &hooks {
        let entries = entries(&fs::read(file)?, hooks)?;
        probes.extend(entries.iter().map(|entry| format!("uprobe:{}:{entry:#x}", file.display())));
    }
    ensure!(!probes.is_empty(), "there is nothing to count");
    let script = scratch.join("count.bt");
    fs::write(&script, program(&probes, pid))?;
    let mut command = Half::Rest.command("bpftrace");
    command.args(["-B", "line"]).arg(script).env("BPFTRACE_MAX_PROBES", "4096");
    Ok(command)
}

/// Returns where the functions begin that these addresses are in.
fn entries(file: &[u8], addresses: &[u64]) -> Result<BTreeSet<u64>> {
    let file = object::File::parse(file)?;
    let symbols = file.symbols().chain(file.dynamic_symbols());
    let functions = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
    let functions: BTreeMap<u64, u64> = functions.map(|symbol| (symbol.address(), symbol.size())).collect();
    let around = |address: &u64| {
        let (entry, size) = functions.range(..=*address).next_back()?;
        (address - entry < *size).then_some(*entry)
    };
    Ok(addresses.iter().filter_map(around).collect())
}

/// Other processes pass the probes, too: some versions hook these, whatever `-p` says.
fn program(probes: &[String], pid: u32) -> String {
    let count = format!("{}\n/pid == {pid}/\n{{ @[probe] = count(); }}\n", probes.join(",\n"));
    // The first tick comes when all probes are in place.
    count + &format!("interval:ms:100 {{ if (@ready == 0) {{ printf(\"{READY}\\n\"); @ready = 1; }} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_begin_before_what_is_in_them() {
        let file = fs::read("/proc/self/exe").unwrap();
        let here = object::File::parse(&*file).unwrap();
        let of_size = |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Text && symbol.size() > 8;
        let some = here.symbols().find(of_size).unwrap();
        assert_eq!(entries(&file, &[some.address() + 4, 1]).unwrap(), BTreeSet::from([some.address()]));
    }
}
