//! `unwinding PID SAMPLES`: stops the threads of a running tokio program for a moment, again and again, and unwinds
//! the stacks of those that poll a task, from the same registers and the same bytes by asyncscope's unwinder and by
//! framehop. What comes of it is one line of JSON.

mod compare;
mod framehop;
mod stop;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use asyncscope_discovery::{
    addr::RuntimeAddr,
    discover,
    image::elf::Elf,
    process::{Process, procfs},
};
use asyncscope_trace::facts::RunningTask;
use asyncscope_unwind::{Modules, Registers, unwind};

use compare::Counts;
use framehop::Framehop;
use stop::{Stopped, Threads};

/// As much of a stack is looked at as a sample takes.
const STACK: usize = 28 << 10;
/// A program that polls nothing is no use.
const PATIENCE: Duration = Duration::from_secs(240);
/// The longest between two rounds, so that the program comes to other places.
const PAUSE_NS: u64 = 2_000_000;

/// A thread's registers, and the bytes of its stack from the stack pointer on.
#[derive(Debug)]
struct Taken {
    registers: Registers,
    stack: Vec<u8>,
}

impl Taken {
    fn word(&self, address: u64) -> Result<u64, ()> {
        let from = usize::try_from(address.wrapping_sub(self.registers.sp)).map_err(drop)?;
        let word = from.checked_add(8).and_then(|to| self.stack.get(from..to)).ok_or(())?;
        word.try_into().map(u64::from_le_bytes).map_err(drop)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pid, samples] = &arguments[..] else { return Err(anyhow!("a process id and a number of samples are wanted")) };
    let counts = look(&Process::by_pid(pid.parse()?)?, samples.parse()?)?;
    report(&serde_json::to_string(&counts)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the chore reads it")]
fn report(line: &str) {
    println!("{line}");
}

fn look(process: &Process, samples: u64) -> Result<Counts> {
    let data = process.read_executable()?;
    let elf = Elf::parse(&data).map_err(|why| anyhow!("{why:?}"))?;
    let plan = discover(&elf).map_err(|why| anyhow!("{why:?}"))?;
    let (running, bias) = (plan.running_task().map_err(|why| anyhow!("{why:?}"))?, process.bias(&elf)?);
    let polls: Vec<_> = plan.polls.iter().map(|(at, len, _)| (at.at_runtime(bias).0, *len)).collect();
    let is_poll = |address: u64| polls.iter().any(|&(start, len)| address.wrapping_sub(start) < len);
    let maps = procfs::maps(process.pid);
    let modules = Modules::find(&maps, &mut |at, to| process.read_memory(RuntimeAddr(at), to));
    let mut framehop = Framehop::new(process.pid, &maps);
    let (mut counts, mut threads, start) = (Counts::default(), Threads::of(process.pid), Instant::now());
    while counts.samples < samples {
        ensure!(start.elapsed() < PATIENCE, "only {} samples of tasks in {PATIENCE:?}", counts.samples);
        threads.look_for_new()?;
        threads.each(|stopped| {
            let Some(taken) = take(process, &running, stopped) else { return };
            let ours = unwind(&modules, taken.registers, |at| taken.word(at), is_poll);
            let theirs = framehop.unwind(&taken);
            counts.add(&ours, &theirs);
        })?;
        sleep(Duration::from_nanos(fastrand::u64(..PAUSE_NS)));
    }
    Ok(counts)
}

/// The stack of a thread that polls a task.
fn take(process: &Process, running: &RunningTask, stopped: &Stopped) -> Option<Taken> {
    let word = |address: u64| {
        let mut bytes = [0; 8];
        (process.read_memory(RuntimeAddr(address), &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
    };
    let place = stopped.thread_pointer.wrapping_sub(running.below.into());
    let is_there = !running.tagged || word(place.wrapping_sub(8))? == 1;
    if !is_there || word(place)? == 0 {
        return None;
    }
    let mut stack = vec![0; STACK];
    let len = process.read_memory(RuntimeAddr(stopped.registers.sp), &mut stack);
    stack.truncate(len);
    Some(Taken { registers: stopped.registers, stack })
}
