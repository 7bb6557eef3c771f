//! The agent's own faults: killed at any moment, refused by the kernel.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent, Ended};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_tests::target::Target;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::life::nothing_left;
use crate::{Case, Test, named};

/// How often to kill, unless `ASYNCSCOPE_KILLS` says otherwise.
const KILLS: u64 = 8;
/// The moments lie between the start of the agent and this: it arms, records and detaches within.
const KILLED_WITHIN: Duration = Duration::from_millis(1200);
const DURATION: &str = "400ms";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("killed_at_any_moment", killed_at_any_moment),
        ("a_program_is_refused", a_program_is_refused),
        ("a_system_call_is_refused", a_system_call_is_refused),
        ("disk_full", disk_full),
    ];
    named("faults", tests)
}

/// A multiplicative hash of the round: the same moments in every run, spread evenly.
pub(crate) fn moment(round: u64, within: Duration) -> Duration {
    let spread = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    within.mul_f64(spread as f64 / f64::from(u32::MAX))
}

/// The target goes on and ends well, the kernel is clean, and what was flushed can be read.
fn killed_at_any_moment() -> Result<()> {
    let kills = std::env::var("ASYNCSCOPE_KILLS").map_or(Ok(KILLS), |kills| kills.parse())?;
    let mut target = Target::start("load")?;
    target.go()?;
    let pid = target.process.pid().to_string();
    let objects = bpf_objects()?;
    let (mut unarmed, mut readable, mut ended) = (0, 0, 0);
    for round in 1..=kills {
        let scratch = Scratch::new()?;
        let (record, folded) = (scratch.file("events.ascope"), scratch.file("out.folded"));
        let args = ["attach", &pid, "--duration", DURATION].map(Into::into);
        let outputs = ["--record".into(), record.clone().into_os_string(), "--folded".into(), folded.into_os_string()];
        let mut agent = Agent::start(args.into_iter().chain(outputs))?;
        sleep(moment(round, KILLED_WITHIN));
        if agent.process.alive()? {
            agent.process.signal(libc::SIGKILL)?;
        }
        let end = agent.exit()?;
        ensure!(end.code.is_none_or(|code| code == 0), "round {round}: {end:?}");
        ended += u64::from(end.code.is_some());
        unarmed += u64::from(!end.stderr.iter().any(|line| line.contains("armed")));
        ensure!(target.process.alive()?, "round {round}: the target is gone");
        readable += u64::from(read_again(&record).with_context(|| format!("round {round}"))?);
        nothing_left(&objects).with_context(|| format!("round {round}"))?;
    }
    eprintln!("killed_at_any_moment: {kills} times, {unarmed} not armed, {ended} had ended, {readable} readable");
    unharmed(target)
}

/// Whether anything was flushed; then all of it is read, or it is said that there is no end.
fn read_again(record: &Path) -> Result<bool> {
    if fs::metadata(record).map_or(0, |file| file.len()) == 0 {
        return Ok(false);
    }
    let ended = agent::run(["report".as_ref(), record.as_os_str()])?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(0) || said.contains("no end"), "{:?}: {said}", ended.code);
    Ok(true)
}

/// It goes on, answers, and ends well.
fn unharmed(mut target: Target) -> Result<()> {
    target.go()?;
    target.done()?;
    ensure!(target.finish()?.answers > 0, "the target gave no answer");
    Ok(())
}

/// The program is named and the verifier's log shown. Each program begins with a read through a register
/// that nothing was put into.
fn a_program_is_refused() -> Result<()> {
    const READ_THROUGH_R9: [u8; 8] = [0x79, 0x90, 0, 0, 0, 0, 0, 0];
    let scratch = Scratch::new()?;
    let built = paths::bpf_object();
    let mut bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let places: Vec<u64> = {
        let file = object::File::parse(&*bytes)?;
        let section = |name: &str| name.starts_with("uprobe");
        let place = |symbol: object::Symbol<'_, '_>| {
            let of = file.section_by_index(symbol.section_index()?).ok()?;
            of.name().is_ok_and(section).then_some(of.file_range()?.0 + symbol.address())
        };
        file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text).filter_map(place).collect()
    };
    ensure!(!places.is_empty(), "no program found");
    for at in places {
        let at = usize::try_from(at)?;
        bytes.get_mut(at..at + 8).context("no instruction")?.copy_from_slice(&READ_THROUGH_R9);
    }
    let broken = scratch.file("broken.o");
    fs::write(&broken, bytes)?;
    let objects = bpf_objects()?;
    let target = Target::start("idle")?;
    let pid = target.process.pid().to_string();
    let variables = [("ASYNCSCOPE_BPF_OBJECT", broken.to_str().context("not UTF-8")?)];
    let ended =
        Agent::start_with(&variables, ["attach", &pid, "--duration", "50ms", "--folded", "/dev/null"])?.exit()?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(1), "exit code {:?}: {said}", ended.code);
    ensure!(said.contains("refused the eBPF program"), "the program is not named: {said}");
    ensure!(said.contains("R9 !read_ok"), "the verifier's log is not shown: {said}");
    nothing_left(&objects)
}

/// The recording ends with the reason, which is said at once and at the end; the other outputs are whole.
fn disk_full() -> Result<()> {
    let scratch = Scratch::new()?;
    let (small, json) = (scratch.file("small"), scratch.file("json"));
    fs::create_dir(&small)?;
    let record = small.join("events.ascope");
    let mut target = Target::start("load")?;
    target.go()?;
    let mut agent = Command::new("unshare");
    // Only this process and those that it starts see the small file system.
    let mount = "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\"";
    agent.args(["--mount", "sh", "-c", mount]).arg(&small).arg(paths::agent()?);
    agent.args(["attach", &target.process.pid().to_string(), "--json"]).arg(&json).arg("--record").arg(&record);
    let mut agent = Agent { process: Running::start(&mut agent)? };
    agent.process.stderr.until(|line| line.starts_with("the recording ends here"), PATIENCE)?;
    agent.process.signal(libc::SIGINT)?;
    let ended = agent.exit()?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(1), "exit code {:?}: {said}", ended.code);
    let last = ended.stderr.last().map_or("", String::as_str);
    ensure!(last.contains("cannot write the recording: No space left on device"), "the reason is not said: {said}");
    let lines = fs::read_to_string(&json)?;
    let whole = lines.lines().map(serde_json::from_str::<serde_json::Value>).collect::<Result<Vec<_>, _>>()?;
    ensure!(whole.len() > 100, "only {} lines", whole.len());
    unharmed(target)
}

/// Filters a system call, or one of its commands, away before the agent is there.
fn without(number: i64, command: Option<u32>, errno: i32, pid: &str) -> Result<Ended> {
    let mut agent = Command::new(paths::agent()?);
    agent.args(["attach", pid, "--duration", "50ms", "--folded", "/dev/null"]);
    let number = u32::try_from(number)?;
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { agent.pre_exec(move || deny(number, command, errno)) };
    Agent { process: Running::start(&mut agent)? }.exit()
}

/// Source: `struct seccomp_data` in <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/seccomp.h>
fn deny(number: u32, command: Option<u32>, errno: i32) -> io::Result<()> {
    const NUMBER_AT: u32 = 0;
    const FIRST_ARGUMENT_AT: u32 = 16;
    let load = |k| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k };
    let unless = |k, jf| libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf, k };
    let end = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let refused = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let of_all = [load(NUMBER_AT), unless(number, 1), end(refused), end(libc::SECCOMP_RET_ALLOW)];
    let of_one = command.map(|command| {
        let argument = [load(FIRST_ARGUMENT_AT), unless(command, 1)];
        let [load_argument, unless_command] = argument;
        let allowed = end(libc::SECCOMP_RET_ALLOW);
        [load(NUMBER_AT), unless(number, 3), load_argument, unless_command, end(refused), allowed]
    });
    let filter: &[libc::sock_filter] = of_one.as_ref().map_or(&of_all, |of_one| of_one);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the filter lives until the call is over, and the kernel copies it.
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// What the kernel may lack or forbid, one by one: it attaches in another way, or says with code 1 what it was
/// refused. Nothing is left either way.
fn a_system_call_is_refused() -> Result<()> {
    // Source: `enum bpf_cmd` in <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>
    let (bpf, perf) = (libc::SYS_bpf, libc::SYS_perf_event_open);
    let cases = [
        ("maps", bpf, Some(0), libc::EPERM, Some("not permitted to create the eBPF maps")),
        ("maps of that kind", bpf, Some(0), libc::EINVAL, Some("cannot create the eBPF maps")),
        ("programs", bpf, Some(5), libc::EPERM, Some("not permitted to load eBPF programs")),
        ("programs of that kind", bpf, Some(5), libc::EINVAL, Some("cannot load eBPF programs")),
        ("BTF", bpf, Some(18), libc::EINVAL, Some("cannot create the eBPF maps")),
        ("links", bpf, Some(28), libc::EINVAL, Some("lacks links to perf events")),
        ("BPF", bpf, None, libc::ENOSYS, Some("lacks the system call bpf")),
        ("perf events", perf, None, libc::EACCES, None),
        ("perf events at all", perf, None, libc::ENOSYS, None),
    ];
    let objects = bpf_objects()?;
    let mut target = Target::start("load")?;
    target.go()?;
    let pid = target.process.pid().to_string();
    for (what, number, command, errno, sentence) in cases {
        let ended = without(number, command, errno, &pid).with_context(|| format!("without {what}"))?;
        let (said, last) = (ended.stderr.join("\n"), ended.stderr.last().map_or("", String::as_str));
        eprintln!("without {what} (errno {errno}): {:?}: {last}", ended.code);
        ensure!(!said.contains("panicked"), "without {what}: {said}");
        match sentence {
            Some(sentence) => {
                let is_said = last.starts_with("asyncscope: ") && last.contains(sentence);
                ensure!(ended.code == Some(1) && is_said, "without {what}: {:?}: {said}", ended.code);
            }
            None => ensure!(ended.code == Some(0), "without {what}: {:?}: {said}", ended.code),
        }
        nothing_left(&objects).with_context(|| format!("without {what}"))?;
    }
    unharmed(target)
}
