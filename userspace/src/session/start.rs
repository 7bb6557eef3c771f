//! From a process to armed hooks.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::{Error, Result, anyhow, bail};
use probe_common::config::{EntryCookie, TransitionCookie, Watch};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{clock, http, live::Live, logs, others, privileges, sampler::Sampler, traps::Traps};
use crate::probe::{BlockedTasks, Image, Probe, Sampling, Watched};
use asyncscope_discovery::{
    addr::{Bias, ElfAddr, RuntimeAddr},
    cache,
    calls::{self, LOGS},
    debug, discover,
    elf::Elf,
    error::TargetError,
    h2,
    layout::{self, Layouts},
    libraries::Loaded,
    lines::Lines,
    plan::{Placement, Plan, Program},
    process::Process,
    rest::PollCode,
    room::{self, Room},
    sockets,
};
use asyncscope_trace::facts::{
    Facts, PollCode as FactsPollCode, Process as ProcessFacts, RunningTask, Sampling as SamplingFacts, TaskKind,
    TaskType, Thread,
};

/// Of 4 KiB, beside the one with the stack pointer: what is below a task's poll is seldom more.
const STACK_PAGES: u32 = 6;

/// An armed target.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) process: Process,
    /// What it had loaded when it was looked at last.
    pub(super) loaded: Loaded,
    pub(super) probe: Probe,
    pub(super) facts: Facts,
    pub(super) poll_code: PollCode,
    /// Each task vtable's address in memory, and the offset of a task's id from its header.
    pub(super) vtables: HashMap<u64, u32>,
    pub(super) bias: Bias,
    /// The layouts of the target's futures, or why there are none. Addresses are the file's.
    pub(super) layouts: Result<Layouts, String>,
    /// How many bytes each thread has for variables of its own, as the executable wants it.
    pub(super) thread_local_len: u64,
    /// How many bytes its thread-local variables take.
    pub(super) thread_local: u32,
    /// Whether values of headers are replaced by hashes.
    pub(super) redacted: bool,
    /// What makes events of samples.
    pub(super) sampler: Option<Sampler>,
}

impl Armed {
    /// Whether there is nothing to find out about where tokio keeps the running task's id, or no way to.
    pub(super) fn knows_running(&self) -> bool {
        self.facts.current_task.is_some() || self.facts.sampling.is_some()
    }
}

/// Finds the hooks in the process and arms them.
pub(super) fn arm(process: Process, from_first_instruction: bool, live: &Live) -> Result<Armed> {
    privileges::check_caller(&process)?;
    let data = process.read_executable()?;
    let not_watchable = |why: String| TargetError::NotWatchable { file: process.executable.clone(), why };
    let elf = Elf::parse(&data).map_err(not_watchable)?;
    let debug =
        debug::find(&elf, Path::new(process.executable_path()), Some(process.pid), &live.names).map_err(Error::msg)?;
    let elf = match &debug {
        Some(debug) => elf.with_debug(debug).map_err(Error::msg)?,
        None => elf,
    };
    let mut loaded = Loaded::default();
    let in_libraries =
        |why| [vec![why], others::in_libraries(&process, &mut Loaded::default())].concat().join("; but ");
    let mut plan = cache::plan(&elf, discover).map_err(|why| not_watchable(in_libraries(why)))?;
    let bias = process.bias(&elf)?;
    others::note(&process, &mut loaded, &mut plan);
    let with_requests = live.http.is_some();
    let sampling = live.sampling.map(|hz| sampling(&mut plan, hz, with_requests)).transpose()?;
    let mut seen = http::For { http: live.http.is_some(), logs: live.logs };
    let mut libraries = match seen.is_nothing() {
        true => Vec::new(),
        false => http::see_calls(&process, &mut plan, from_first_instruction, live.by, seen)?,
    };
    let prints = live.logs.then(|| logs::place(&process, &mut plan, &mut libraries)).transpose();
    let tracepoints = plan.tracepoints.clone();
    if !seen.http {
        http::leave_out(&mut plan, &mut libraries);
    }
    check_memory(&process, &process.executable, &plan.placements, bias)?;
    let layouts = if live.awaits { layouts(&elf, &plan) } else { Err("not asked for".to_owned()) };
    let followed = layouts.as_ref().ok().filter(|_| live.follow);
    let followed = followed.map(|layouts| layouts.program.clone().moved(bias.0));
    let placements = placements(&plan, followed.is_some());
    let frames = followed.as_ref().map(|program| program.frames.clone()).unwrap_or_default();
    let watched = Watched {
        pid: process.pid,
        vtables: plan.vtables.iter().map(|vtable| (vtable.address.at_runtime(bias).0, vtable.id_offset)).collect(),
        layouts: followed,
        blocked: live.blocked.then(|| blocked_tasks(&plan, bias)),
        http: live.http.as_ref().map(|http| http::watched(http, &plan, process.pid)),
        prints: prints.as_ref().ok().copied().flatten(),
        sampling,
        running: plan.running_task().ok(),
    };
    let executable = Image { path: process.executable_link(), held: None, placements };
    let images: Vec<Image> = std::iter::once(executable).chain(libraries).collect();
    check_room(&process, &images)?;
    let probe = Probe::attach(&watched, &images, &live.options).map_err(|error| gone_or(&process, error.into()))?;
    process.with_first_thread()?;
    if process.became_another() {
        return Err(TargetError::BecameAnother(process.pid).into());
    }
    let headers = live.http.as_ref().filter(|_| probe.without_http().is_none()).map(|http| http.headers.clone());
    if let Some(error) = probe.without_http() {
        eprintln!("HTTP is not watched: {error}");
        http::leave_out(&mut plan, &mut Vec::new());
        seen.http = false;
    }
    let refused = probe.without_prints().map(ToString::to_string);
    if let Some(why) = prints.err().or(refused) {
        eprintln!("standard output and error are not captured: {why}");
        plan.hooks.retain(|hook| hook.sees != LOGS);
        seen.logs = false;
    }
    http::announce(tracepoints.as_deref(), seen);
    let blocked = live.blocked && probe.without_blocked().is_none();
    if let Some(error) = probe.without_blocked() {
        eprintln!("time blocked inside polls is not observed: {error}");
    }
    others::announce(others::sentences(&plan));
    // Threads born since the hooks were armed are among them, which is the safe side.
    let threads = process.threads().into_iter().map(|(tid, name)| Thread { tid, name }).collect();
    let (poll_code, thread_local) = (PollCode::new(&plan, bias), plan.thread_local);
    // What takes stacks has them unwound and named.
    let takes_stacks = sampling.is_some() || live.blocked;
    let lines = takes_stacks.then(|| Lines::new(&elf, bias));
    let sampling = sampling.map(|sampling| SamplingFacts {
        frequency_hz: sampling.frequency_hz,
        stacks: true,
        requests: headers.is_some(),
    });
    // Where the kernel does not tell, nothing is said of it.
    let asked_for = !from_first_instruction && seen.http;
    let in_exchange = asked_for.then(|| sockets::in_exchange(process.pid).ok()).flatten();
    let facts = Facts {
        sampling,
        process: ProcessFacts {
            pid: process.pid,
            name: process.name.clone(),
            executable: process.executable.clone(),
            build_id: elf.build_id.clone(),
        },
        armed: clock::moment(),
        run: run_id(),
        host: host_name(),
        from_first_instruction,
        in_exchange,
        threads,
        frames,
        blocked,
        correlation_headers: headers.unwrap_or_default(),
        logs: seen.logs,
        ..facts_of(plan, bias)
    };
    let redacted = live.http.as_ref().is_some_and(|http| http.redact);
    let vtables: HashMap<u64, u32> = watched.vtables.into_iter().collect();
    let traps = Traps::of(&images, bias, &probe);
    let sampler = lines.map(|lines| Sampler::new(&process, lines, &facts.polls, vtables.clone(), traps));
    let thread_local_len = elf.thread_local_len();
    Ok(Armed {
        process,
        loaded,
        probe,
        facts,
        poll_code,
        vtables,
        bias,
        layouts,
        thread_local_len,
        thread_local,
        redacted,
        sampler,
    })
}

/// Names of types do not tell of which tokio they are: where there are several, no runtime's list is looked for.
fn layouts(elf: &Elf<'_>, plan: &Plan) -> Result<Layouts, String> {
    let layouts = layout::compile(elf, &plan.vtables)?;
    Ok(if plan.several_tokios { Layouts { owned: None, ..layouts } } else { layouts })
}

/// Leaves out all hooks but those on spawns and shutdowns, which are rare next to polls; and, where samples are to
/// be told by request, those on the ends of tasks. What sees HTTP is left out elsewhere.
fn sampling(plan: &mut Plan, frequency_hz: u32, with_requests: bool) -> Result<Sampling> {
    let place = plan.running_task().map_err(|why| {
        Error::msg(format!("CPU time cannot be sampled by task: {why}; --mode trace does not need that"))
    })?;
    const COMPLETE: [u64; 2] = [EntryCookie::Complete as u64, EntryCookie::CompleteUnsets as u64];
    plan.placements.retain_mut(|placement| match placement.program {
        Program::Spawn => {
            placement.program = Program::SpawnBy;
            true
        }
        Program::Shutdown => true,
        Program::Transition => with_requests && TransitionCookie::unpack(placement.cookie).watch == Watch::TaskEnd,
        Program::TransitionEntry => with_requests && COMPLETE.contains(&placement.cookie),
        program => program.sees_http(),
    });
    let ends = plan
        .placements
        .iter()
        .filter(|placement| matches!(placement.program, Program::Transition | Program::TransitionEntry));
    let ends: HashSet<u64> = ends.map(|placement| placement.address.0).collect();
    plan.hooks.retain_mut(|hook| match hook.sees.as_str() {
        "spawn" | "shutdown" | calls::TRANSFER | calls::DESCRIPTOR | h2::HEAD => true,
        "poll-end" if hook.address.is_some_and(|address| ends.contains(&address)) => {
            hook.sees = "task-end".to_owned();
            true
        }
        _ => false,
    });
    if with_requests && ends.is_empty() {
        eprintln!("the ends of tasks cannot be seen in this build: no task that a request spawned is told as its");
    }
    let RunningTask { below, tagged, .. } = place;
    plan.running = Some(place);
    Ok(Sampling { frequency_hz, below, tagged, stack_pages: STACK_PAGES })
}

/// The plan's probes, those at polls' starts telling what is awaited if that is to be followed.
fn placements(plan: &Plan, follow: bool) -> Vec<Placement> {
    let mut placements = plan.placements.clone();
    for placement in placements.iter_mut().filter(|placement| follow && placement.program == Program::PollStart) {
        placement.program = Program::PollStartChain;
    }
    placements
}

/// The tasks that are the runtime's own, and those that are there to block.
fn blocked_tasks(plan: &Plan, bias: Bias) -> BlockedTasks {
    let of = |is_it: fn(&TaskType) -> bool| {
        plan.types.iter().filter(|ty| is_it(ty)).map(|ty| ElfAddr(ty.vtable).at_runtime(bias).0).collect()
    };
    BlockedTasks { runtime: of(|ty| ty.runtime), closures: of(|ty| !ty.runtime && ty.kind == TaskKind::Blocking) }
}

/// 32 hexadecimal digits that no other run has.
fn run_id() -> String {
    let mut bytes = [0u8; 16];
    // Without them the moment of arming tells one run from another.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    }
}

/// Empty where it is not known.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

fn facts_of(mut plan: Plan, bias: Bias) -> Facts {
    let moved = |address: u64| ElfAddr(address).at_runtime(bias).0;
    plan.types.iter_mut().for_each(|ty| ty.vtable = moved(ty.vtable));
    for code in &mut plan.drivers {
        (code.start, code.end) = (moved(code.start), moved(code.end));
    }
    let range = |(start, len, vtables): (ElfAddr, u64, Vec<ElfAddr>)| {
        let start = moved(start.0);
        let vtables = vtables.into_iter().map(|vtable| moved(vtable.0)).collect();
        FactsPollCode { start, end: start.saturating_add(len), vtables }
    };
    Facts {
        polls: plan.polls.into_iter().map(range).collect(),
        running: plan.running,
        tokio: plan.tokio,
        types: plan.types,
        drivers: plan.drivers,
        hooks: plan.hooks,
        unseen_spawns: plan.unseen_spawns,
        current_task: plan.current_task,
        ..Facts::default()
    }
}

/// An error that may only be a consequence of the target's end, or of its becoming another program.
pub(super) fn gone_or(process: &Process, error: Error) -> Error {
    let first = process.with_first_thread();
    if process.became_another() {
        return TargetError::BecameAnother(process.pid).into();
    }
    if process.is_ending() {
        return TargetError::Ended(process.pid).into();
    }
    first.map_or_else(Error::from, |()| error)
}

/// There must be room for a copy of each page with a hook in it. Twice as much is asked for, and a little more
/// for the kernel's own, as the target goes on meanwhile.
fn check_room(process: &Process, images: &[Image]) -> Result<()> {
    const KIB: u64 = 1024;
    const PAGE: u64 = 4 * KIB;
    const MORE: u64 = 256 * KIB;
    let pages = |image: &Image| image.placements.iter().map(|at| at.offset.0 / PAGE).collect::<HashSet<_>>().len();
    let needed = images.iter().map(|image| pages(image) as u64).sum::<u64>() * 2 * PAGE + MORE;
    match room::of(process) {
        Some(Room { cgroup, left }) if left < needed => Err(TargetError::NoRoom {
            pid: process.pid,
            cgroup: cgroup.display().to_string(),
            left: left / KIB,
            needed: needed / KIB,
        }
        .into()),
        _ => Ok(()),
    }
}

/// The code in memory must be the file's at every hook, or a probe would sit inside an instruction. A
/// breakpoint of another tracer at an instruction's first byte is no difference: the kernel keeps both.
pub(super) fn check_memory(process: &Process, file: &str, placements: &[Placement], bias: Bias) -> Result<()> {
    const BREAKPOINT: u8 = 0xcc;
    if !process.is_readable() {
        if process.is_ending() {
            return Err(TargetError::Ended(process.pid).into());
        }
        return Err(TargetError::NotPermitted { pid: process.pid, missing: privileges::why_not_traced() }.into());
    }
    for placement in placements {
        let RuntimeAddr(address) = placement.address.at_runtime(bias);
        let mut bytes = vec![0; placement.bytes.len()];
        if process.read_memory(RuntimeAddr(address), &mut bytes) < bytes.len() {
            let error = anyhow!("the code of process {} at {address:#x} cannot be read", process.pid);
            return Err(gone_or(process, error));
        }
        let same = bytes == placement.bytes || (bytes[0] == BREAKPOINT && bytes[1..] == placement.bytes[1..]);
        if !same {
            bail!(
                "the code of process {} at {address:#x} is not that of {}: something has patched it, and asyncscope \
                 does not place probes in patched code",
                process.pid,
                file.escape_debug()
            );
        }
    }
    Ok(())
}
