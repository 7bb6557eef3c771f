//! Names that are no UTF-8, which the kernel passes on as they are: nothing else is hidden by them.

use std::ffi::OsStr;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Build, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_tests::target::Target;

use crate::privileges::{as_user, everybodys, lend_capabilities};
use crate::sampling::{self, PATIENCE, check_reached, sampled};
use crate::{Test, named};

/// Part of no character in UTF-8.
const ODD: &[u8] = b"odd-\xff";

pub(crate) fn tests() -> Vec<(String, Test)> {
    named("odd_names", &[("mapped_file", mapped_file), ("abstract_socket", abstract_socket), ("comm", comm)])
}

/// Stacks are unwound although a library's directory has such a name.
fn mapped_file() -> Result<()> {
    let scratch = Scratch::new()?;
    let directory = scratch.file("").join(OsStr::from_bytes(ODD));
    fs::create_dir(&directory)?;
    fs::copy(own_library("libgcc_s.so.1")?, directory.join("libgcc_s.so.1"))?;
    let target = sampling::started(Command::new(paths::burn(Build::Release)?).env("LD_LIBRARY_PATH", &directory))?;
    let maps = fs::read(format!("/proc/{}/maps", target.pid()))?;
    ensure!(holds(&maps, ODD), "the library is not mapped");
    let (folded, recording) = (scratch.file("cpu.folded"), scratch.file("cpu.ascope"));
    sampled(target, &folded, &recording, Agent::armed)?;
    check_reached(&agent::run(["report".as_ref(), recording.as_os_str()])?.stdout)
}

/// A library that this program has loaded.
fn own_library(name: &str) -> Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
    paths.map(PathBuf::from).find(|path| path.ends_with(name)).with_context(|| format!("{name} is not loaded"))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Log lines are followed into a socket although another socket of the machine has such a name.
fn abstract_socket() -> Result<()> {
    let scratch = Scratch::new()?;
    let logs = scratch.file("logs.txt");
    let name = [ODD, std::process::id().to_string().as_bytes()].concat();
    let _odd = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    ensure!(holds(&fs::read("/proc/net/unix")?, &name), "the kernel does not list the socket");
    let mut target = Running::start_on_socket(&mut Command::new(paths::logs()?))?;
    target.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
    let pid = target.pid().to_string();
    let args = ["attach", &pid, "--no-http", "--logs"].map(OsStr::new);
    let mut agent = Agent::start(args.into_iter().chain([logs.as_os_str()]))?;
    agent.armed()?;
    target.say("go")?;
    target.stdout.until(|line| line == "alone", PATIENCE)?;
    target.say("stop")?;
    target.stdout.until(|line| line == "end", PATIENCE)?;
    agent.interrupt()?;
    target.close_input();
    ensure!(target.wait(PATIENCE)?.success(), "the target failed");
    let logs = fs::read_to_string(&logs)?;
    for (stream, line) in [("stdout", "alone"), ("stderr", "begin")] {
        let is_it = |logged: &str| logged.contains(stream) && logged.ends_with(line);
        ensure!(logs.lines().any(is_it), "{stream} has no {line}: {logs}");
    }
    Ok(())
}

/// Its owner may attach to a program of such a name, by the capabilities of the agent's file.
fn comm() -> Result<()> {
    let (scratch, agent) = everybodys()?;
    lend_capabilities(&agent)?;
    let truth = scratch.file("").join(OsStr::from_bytes(ODD));
    fs::copy(paths::truth()?, &truth)?;
    // As its first argument the name would be one that the standard library does not take.
    let own = Target::start_command(Command::new(&truth).arg0("truth").arg("idle").uid(65534).gid(65534), "idle")?;
    let pid = own.process.pid().to_string();
    ensure!(fs::read(format!("/proc/{pid}/comm"))?.trim_ascii_end() == ODD, "the target has another name");
    for args in
        [&["attach", &pid, "--duration", "50ms", "--folded", "/dev/null"][..], &["dump", &pid], &["inspect", &pid]]
    {
        let ended = Agent { process: Running::start(as_user(65534).arg(&agent).args(args))? }.exit()?;
        ensure!(ended.code == Some(0), "{args:?}: {:?}: {:?}", ended.code, ended.stderr);
    }
    Ok(())
}
