//! What the machine runs: the agent, the live tests and their targets with the libraries that they need, and a
//! first process that runs test after test and says what became of each.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::archive::Archive;
use crate::process::{cargo, output, root};

/// The folder of the programs there.
const TARGET: &str = "/target";
/// The time that a test may take, in seconds.
const TEST_WITHIN: u32 = 900;
/// The number of times longer than elsewhere that everything may take.
const PATIENCE: u32 = 10;
/// Lets a test set the clock.
const MAY_SET_CLOCK: &str = "ASYNCSCOPE_MAY_SET_CLOCK";
/// Begins the lines that say what became of a test.
pub(super) const MARK: &str = "@vm ";

/// The names of the live tests that are wanted.
///
/// # Errors
/// Where they are not built.
pub(super) fn tests(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    // One is only there where it may set the clock, as it may in the machine.
    let mut list = Command::new(live()?);
    let listed = output(list.arg("--list").env(MAY_SET_CLOCK, "1").current_dir(root()))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.filter(|name| is_wanted(name)).map(str::to_owned).collect())
}

/// Writes the machine's file system.
///
/// # Errors
/// Where a part is not there, or it cannot be written.
pub(super) fn write(path: &Path, busybox: &Path, tests: &[String]) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(fs::File::create(path)?))?;
    for directory in ["proc", "sys", "tmp", "root"] {
        archive.directory(directory)?;
    }
    archive.file("/init", init(tests).as_bytes())?;
    archive.file("/bin/busybox", &fs::read(busybox)?)?;
    let built = |name: &str| (root().join("target/release").join(name), format!("{TARGET}/release/{name}"));
    let mut programs: Vec<_> = ["asyncscope", "truth", "heads", "logs", "libguest.so"].map(built).into();
    programs.push((live()?, "/live".to_owned()));
    let mut libraries = BTreeSet::new();
    for (from, to) in &programs {
        archive.file(to, &fs::read(from).with_context(|| format!("no {}", from.display()))?)?;
        libraries.extend(needed(from)?);
    }
    for library in libraries {
        archive.file(&library, &fs::read(&library)?)?;
    }
    archive.finish()?;
    Ok(())
}

/// The first process: it must not end before the machine is off.
fn init(tests: &[String]) -> String {
    let mut script = String::from(
        "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin HOME=/root\nmount -t proc proc /proc\n\
         mount -t sysfs sys /sys\nmount -t bpf bpf /sys/fs/bpf\nmount -t tracefs tracefs /sys/kernel/tracing\n\
         mount -t tmpfs tmp /tmp\nmount -t devtmpfs dev /dev\nip link set lo up\n",
    );
    script.push_str(&format!(
        "export CARGO_TARGET_DIR={TARGET} ASYNCSCOPE_PATIENCE={PATIENCE} {MAY_SET_CLOCK}=1\n\
         export ASYNCSCOPE_REQUIRE_LIVE=1\nuname -r\n{TARGET}/release/asyncscope doctor\n\
         sleep 600 | {TARGET}/release/truth idle >/tmp/said &\nuntil grep -q ready /tmp/said; do sleep 1; done\n\
         read word pid </tmp/said\necho '{MARK}begin attach'\n\
         {TARGET}/release/asyncscope attach $pid --duration 1s --folded /dev/null >/tmp/out 2>&1\n\
         code=$?\ncat /tmp/out\necho \"{MARK}end attach $code\"\nkill $pid\n\
         if [ $code -ne 0 ]; then echo '{MARK}done'; poweroff -f; sleep 60; fi\n"
    ));
    for test in tests {
        let run = format!("timeout {TEST_WITHIN} /live --color never --exact {test}");
        script.push_str(&format!(
            "echo; echo '{MARK}begin {test}'\nread start idle </proc/uptime\n{run}\ncode=$?\n\
             read now idle </proc/uptime\necho; echo \"{MARK}took {test} $((${{now%.*}} - ${{start%.*}})) s\"\n\
             echo \"{MARK}end {test} $code\"\n"
        ));
    }
    script.push_str(&format!("echo '{MARK}done'\npoweroff -f\nsleep 60\n"));
    script
}

/// The libraries that a program is linked with, and its loader.
fn needed(program: &Path) -> Result<Vec<String>> {
    let reported = output(Command::new("ldd").arg(program))?;
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(reported.lines().filter_map(path).collect())
}

/// The live tests' program, as cargo reports where it is.
fn live() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--quiet", "--message-format=json", "-p", "asyncscope-tests", "--test", "live"]);
    let messages = output(&mut build)?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    built.filter_map(|message| message.executable).next_back().context("cargo built no live tests")
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}
