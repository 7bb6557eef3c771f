//! Kernels that lack something, one feature at a time: what the agent asks for is noted, and then taken away. It sees
//! the rest, or all in another way, or says what is lacking.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use asyncscope_tests::agent::Ended;
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths;
use asyncscope_tests::supervised::{Feature, Supervised};
use asyncscope_tests::target::Target;

use crate::life::nothing_left;
use crate::{Case, Test, named};

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("attach", || without_each(&[])),
        ("one_by_one", || without_each(&["--one-by-one"])),
        ("tracepoints", || without_each(&["--http-by", "tracepoints"])),
        ("off_cpu", || without_each(&["--off-cpu"])),
        ("samples", || without_each(&["--mode", "sample"])),
        ("forbidden", forbidden),
        ("no_locked_memory", no_locked_memory),
        ("doctor", doctor),
    ];
    named("lacking", tests)
}

/// Each of them, in the words of the agent. None for those that it looks for, and does without.
fn name(feature: &Feature) -> Option<&'static str> {
    Some(match feature {
        Feature::Map(1) => "hash maps",
        Feature::Map(2) => "array maps",
        Feature::Map(3) => "BPF_MAP_TYPE_PROG_ARRAY",
        Feature::Map(5) => "BPF_MAP_TYPE_PERCPU_HASH",
        Feature::Map(6) => "BPF_MAP_TYPE_PERCPU_ARRAY",
        Feature::Map(9) => "BPF_MAP_TYPE_LRU_HASH",
        Feature::Map(12) => "BPF_MAP_TYPE_ARRAY_OF_MAPS",
        Feature::Map(27) => "BPF_MAP_TYPE_RINGBUF",
        Feature::Program(1) => "socket filters",
        Feature::Program(2) => "uprobe programs",
        Feature::Program(5) => "programs on tracepoints",
        Feature::Program(7) => "programs on perf events",
        Feature::Program(17) => "raw tracepoints",
        Feature::RawTracepoint => "raw_tracepoint_open",
        Feature::Helper(1) => "bpf_map_lookup_elem",
        Feature::Helper(2) => "bpf_map_update_elem",
        Feature::Helper(3) => "bpf_map_delete_elem",
        Feature::Helper(5) => "bpf_ktime_get_ns",
        Feature::Helper(8) => "bpf_get_smp_processor_id",
        Feature::Helper(12) => "bpf_tail_call",
        Feature::Helper(14) => "bpf_get_current_pid_tgid",
        Feature::Helper(35) => "bpf_get_current_task",
        Feature::Helper(112) => "bpf_probe_read_user",
        Feature::Helper(113) => "bpf_probe_read_kernel",
        Feature::Helper(120) => "bpf_get_ns_current_pid_tgid",
        Feature::Helper(130) => "bpf_ringbuf_output",
        Feature::Helper(131) => "bpf_ringbuf_reserve",
        Feature::Helper(132) => "bpf_ringbuf_submit",
        Feature::Helper(133) => "bpf_ringbuf_discard",
        Feature::Helper(134) => "bpf_ringbuf_query",
        Feature::Helper(158) => "bpf_get_current_task_btf",
        Feature::Helper(174) => "bpf_get_attach_cookie",
        Feature::Helper(175) => "bpf_task_pt_regs",
        Feature::Helper(181) => "bpf_loop",
        Feature::Multi => "uprobe_multi",
        Feature::PerfLink => "links to perf events",
        Feature::Btf => "BPF_BTF_LOAD",
        Feature::Trace => "ptrace_scope",
        Feature::File(file) => file,
        _ => return None,
    })
}

/// What is looked for in any case, and needed for something.
const LOOKED_FOR: [Feature; 3] = [Feature::PerfLink, Feature::Program(5), Feature::File("/sys/kernel/btf/vmlinux")];

fn start(target: &Target, options: &[&str], without: Option<Feature>) -> Result<(Ended, BTreeSet<Feature>)> {
    let mut command = Command::new(paths::agent()?);
    command.args(["attach", &target.process.pid().to_string(), "--duration", "50ms", "--folded", "/dev/null"]);
    Supervised::start(command.args(options), without)?.exit()
}

/// All that the agent asks for with these options, and not without them.
fn without_each(options: &[&str]) -> Result<()> {
    let objects = bpf_objects()?;
    let mut target = Target::start("load")?;
    target.go()?;
    let (ended, asked) = start(&target, options, None)?;
    let all = ended.stderr.join("\n");
    ensure!(ended.code == Some(0), "with all: {:?}: {all}", ended.code);
    let otherwise = if options.is_empty() { BTreeSet::new() } else { start(&target, &[], None)?.1 };
    let is_new = |feature: &Feature| !otherwise.contains(feature) || LOOKED_FOR.contains(feature);
    let asked: BTreeSet<Feature> = asked.into_iter().filter(is_new).collect();
    ensure!(asked.len() > if options.is_empty() { 20 } else { 0 }, "it asks only for {asked:?}");
    let mut mistakes = Vec::new();
    for feature in asked {
        let (ended, _) = start(&target, options, Some(feature.clone()))?;
        let judged = judge(&feature, &ended, &all).and_then(|()| nothing_left(&objects));
        mistakes.extend(judged.err().map(|error| format!("without {feature:?}: {error:#}")));
    }
    ensure!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    lives_on(target)
}

/// It saw all, or said what it lacks; with code 1 if nothing could be seen.
fn judge(feature: &Feature, ended: &Ended, all: &str) -> Result<()> {
    let (said, last) = (ended.stderr.join("\n"), ended.stderr.last().map_or("", String::as_str));
    let named = name(feature).and_then(|name| ended.stderr.iter().find(|line| line.contains(name)));
    eprintln!("without {feature:?}: {:?}: {}", ended.code, named.map_or("as with it", String::as_str));
    ensure!(!said.contains("panicked") && !said.contains("fault of asyncscope"), "{said}");
    match ended.code {
        Some(0) => {
            // What is missing is said in lines of its own.
            let is_new = |line: &&String| line.contains("not ") && !all.contains(line.as_str());
            let unnamed = ended.stderr.iter().find(is_new).filter(|_| named.is_none());
            ensure!(unnamed.is_none(), "not said why: {said}");
        }
        Some(1) => ensure!(last.starts_with("asyncscope: ") && named.is_some(), "not said: {said}"),
        other => bail!("{other:?}: {said}"),
    }
    Ok(())
}

fn lives_on(mut target: Target) -> Result<()> {
    target.go()?;
    target.done()?;
    ensure!(target.finish()?.answers > 0, "the target gave no answer");
    Ok(())
}

/// What is there and may not be used: by `perf_event_paranoid` or a security module, by `ptrace_scope`, by the
/// kernel's lockdown.
fn forbidden() -> Result<()> {
    const SAMPLES: [&str; 2] = ["--mode", "sample"];
    const ONE_BY_ONE: [&str; 1] = ["--one-by-one"];
    let call = Feature::Call;
    let cases: [(&str, &[&str], Feature, Option<&str>); 6] = [
        ("perf events", &[], call(libc::SYS_perf_event_open, libc::EACCES), None),
        ("perf events", &ONE_BY_ONE, call(libc::SYS_perf_event_open, libc::EACCES), Some("perf_event_paranoid")),
        ("perf events", &SAMPLES, call(libc::SYS_perf_event_open, libc::EACCES), Some("perf_event_paranoid")),
        ("traces", &[], Feature::Trace, Some("ptrace_scope")),
        ("eBPF", &[], call(libc::SYS_bpf, libc::EPERM), Some("not permitted")),
        ("system calls for eBPF", &[], call(libc::SYS_bpf, libc::ENOSYS), Some("lacks")),
    ];
    let objects = bpf_objects()?;
    let mut target = Target::start("load")?;
    target.go()?;
    for (what, options, feature, sentence) in cases {
        let (ended, _) = start(&target, options, Some(feature))?;
        let (said, last) = (ended.stderr.join("\n"), ended.stderr.last().map_or("", String::as_str));
        eprintln!("without {what}, {options:?}: {:?}: {said}", ended.code);
        let is_said = sentence.is_none_or(|words| last.starts_with("asyncscope: ") && last.contains(words));
        ensure!(ended.code == Some(i32::from(sentence.is_some())) && is_said, "without {what}: {said}");
        nothing_left(&objects).with_context(|| format!("without {what}"))?;
    }
    lives_on(target)
}

/// Since Linux 5.11 eBPF's memory does not count as locked.
/// <https://github.com/torvalds/linux/commit/3ac1f01b43b6e2759cc34d3a715ba5eed04c5805>
fn no_locked_memory() -> Result<()> {
    let mut target = Target::start("load")?;
    target.go()?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_resource,-ipc_lock", "--inh-caps=-sys_resource,-ipc_lock", "--"]);
    command.args(["prlimit", "--memlock=0", "--"]).arg(paths::agent()?).arg("attach");
    command.args([&target.process.pid().to_string(), "--duration", "50ms", "--folded", "/dev/null"]);
    let (ended, _) = Supervised::start(&mut command, None)?.exit()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    lives_on(target)
}

/// It names each feature that is taken away from it and that an attach cannot do without.
fn doctor() -> Result<()> {
    let run = |without| Supervised::start(Command::new(paths::agent()?).arg("doctor"), without)?.exit();
    let (ended, asked) = run(None)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    for feature in asked {
        let name = name(&feature);
        let (ended, _) = run(Some(feature.clone()))?;
        let reported = ended.stdout.join("\n");
        eprintln!("doctor without {feature:?}: {:?}: {}", ended.code, ended.stdout.last().map_or("", String::as_str));
        // Where hooks are attached together, nothing takes these.
        let is_unused = name.is_none() || matches!(feature, Feature::PerfLink | Feature::Program(5));
        let is_reported = name.is_some_and(|name| reported.contains(name)) || (is_unused && ended.code == Some(0));
        ensure!(
            ended.code.is_some_and(|code| code <= 1) && is_reported,
            "without {feature:?}: {:?}: {reported}",
            ended.code
        );
    }
    Ok(())
}
