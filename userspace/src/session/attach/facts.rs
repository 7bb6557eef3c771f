//! The facts of an attached target, which every recording begins with.

use ring::rand::{SecureRandom as _, SystemRandom};

use super::found::FoundTarget;
use crate::session::clock;
use asyncscope_discovery::{
    addr::{Bias, ElfAddr},
    process::{Process, procfs, sockets},
    tokio::plan::Plan,
};
use asyncscope_trace::facts::{Facts, NamedThread, PollFunction, ProcessFacts, Sampling};

/// Returns the facts, with this moment as that of the attach. The build id is the executable's.
pub(super) fn of(found: &FoundTarget, process: &Process, build_id: Option<String>) -> Facts {
    // Threads born since the hooks were armed are among them, which is the safe side.
    let threads = process.threads().into_iter().map(|(tid, name)| NamedThread { tid, name }).collect();
    // Where the kernel does not say, nothing is said of it.
    let asked_for = !found.from_first_instruction && found.purpose.http;
    let in_exchange = asked_for.then(|| sockets::in_exchange(process.pid).ok()).flatten();
    let sampling = found.sampling.map(|sampling| Sampling {
        frequency_hz: sampling.frequency_hz,
        stacks: true,
        requests: found.headers.is_some(),
    });
    Facts {
        sampling,
        process: ProcessFacts {
            pid: process.pid,
            name: process.name.clone(),
            executable: process.executable.clone(),
            build_id,
        },
        armed: clock::moment(),
        run: run_id(),
        host: host_name(),
        from_first_instruction: found.from_first_instruction,
        in_exchange,
        threads,
        frames: found.followed.as_ref().map(|program| program.frames.clone()).unwrap_or_default(),
        off_cpu: found.off_cpu,
        correlation_headers: found.headers.clone().unwrap_or_default(),
        images: found.plan.images(&process.executable),
        logs: found.purpose.logs,
        ..of_plan(found.plan.clone(), found.bias)
    }
}

/// Returns 32 hexadecimal digits that no other run has.
fn run_id() -> String {
    let mut bytes = [0u8; 16];
    // Without them the moment of arming distinguishes one run from another.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    }
}

/// Returns the name of this host, which is empty where it is not known.
fn host_name() -> String {
    procfs::hostname()
}

/// Returns the facts of the file with the tokio, with addresses in memory.
fn of_plan(mut plan: Plan, bias: Bias) -> Facts {
    let moved = |address: u64| ElfAddr(address).at_runtime(bias).0;
    plan.types.iter_mut().for_each(|ty| ty.vtable = moved(ty.vtable));
    for code in &mut plan.drivers {
        (code.start, code.end) = (moved(code.start), moved(code.end));
    }
    let range = |(start, len, vtables): (ElfAddr, u64, Vec<ElfAddr>)| {
        let start = moved(start.0);
        let vtables = vtables.into_iter().map(|vtable| moved(vtable.0)).collect();
        PollFunction { start, end: start.saturating_add(len), vtables }
    };
    Facts {
        polls: plan.polls.into_iter().map(range).collect(),
        running: plan.running,
        tokio: plan.tokio,
        tokio_versions: plan.tokio_versions,
        types: plan.types,
        drivers: plan.drivers,
        hooks: plan.hooks,
        unseen_spawns: plan.unseen_spawns,
        current_task: plan.current_task,
        ..Facts::default()
    }
}
