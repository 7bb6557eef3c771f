//! On what it was measured, and with which versions.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::process::output;

/// A paragraph.
pub(super) fn described(rounds: usize, stretch: Duration, minutes: f64) -> Result<String> {
    let line = |command: &mut Command| Ok::<_, anyhow::Error>(output(command)?.lines().next().unwrap_or("").to_owned());
    let kernel = line(Command::new("uname").args(["-sr"]))?;
    let rustc = line(Command::new("rustc").arg("-V"))?;
    let bpftrace = line(Command::new("bpftrace").arg("--version"))?;
    let perf = line(Command::new("perf").arg("--version"))?;
    let commit = line(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "Measured on {}{}, {cpus} CPUs, {kernel}; {rustc}, {bpftrace}, {perf}; asyncscope {} at commit {commit}. {} \
         rounds, stretches of {} ms, {minutes:.0} minutes.\n",
        processor(),
        if is_virtual() { " in a virtual machine" } else { "" },
        env!("CARGO_PKG_VERSION"),
        rounds,
        stretch.as_millis(),
    ))
}

fn processor() -> String {
    let reported = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = reported.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "an unnamed processor".to_owned(), |(_, name)| name.to_owned())
}

fn is_virtual() -> bool {
    let reported = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    reported.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "hypervisor"))
}
