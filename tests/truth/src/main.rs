//! Lives one scenario and prints the truth of it: `truth SCENARIO [--seconds N] [--immediately]`.
//!
//! Without `--immediately` it prints `ready <pid>`, waits for a line, works, prints the truth and
//! `done`, and waits for another line or the end of input. The lines of the truth:
//!
//! - `{"spawn":id,"parent":id|null,"thread":tid,"t0":ns,"t1":ns,"poll_began":ns|null}`
//! - `{"task":id,"type":name,"kind":"spawned|local|blocking","polls":n|null,"polls_before":n}`:
//!   polls since the start signal and before it; null where the task does not count
//! - `{"end":id,"how":"completed|cancelled|panicked","time_ns":ns|null}`
//! - `{"abort":id,"thread":tid,"t0":ns,"t1":ns}`, `{"shutdown":{"t0":ns,"t1":ns}}`
//! - `{"caught":id,"poll":n}`: the task's n-th poll caught a panic of its own
//! - `{"answers":n}`: of a load; `{"storm":kind,"of":{"tasks":n,"panicked":n,"cancelled":n,"caught":n,"micros":n}}`: of its panics
//! - `{"guests":n}`: tasks of another tokio, which are not listed
//! - `{"woken":id,"by":[who]}`: who wakes the task, the first one surely, and nobody else: `{"task":id}`, `"io"`, `"time"`,
//!   `"itself"`, `"root"` (the future of `block_on`)
//! - `{"wrong":sentence}`: the truth contradicts itself; the exit code is then 3
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC`.

mod counted;
mod ids;
mod log;
mod names;
mod os;
mod scenario;
mod spawn;
mod stage;

use anyhow::{Context, Result, bail};

use crate::scenario::Scenario;
use crate::stage::Stage;

#[cfg(not(feature = "library"))]
fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(run())
}

/// The whole program, for a host that has loaded it as a library. Returns its exit code.
#[cfg(feature = "library")]
#[unsafe(no_mangle)]
pub extern "C" fn truth_main() -> u8 {
    run()
}

fn run() -> u8 {
    match live() {
        Ok(true) => 0,
        Ok(false) => 3,
        Err(error) => {
            eprintln!("truth: {error:#}");
            1
        }
    }
}

fn live() -> Result<bool> {
    let (scenario, stage) = parse(std::env::args().skip(1))?;
    scenario.run(&stage)?;
    Ok(stage.done()?)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<(Scenario, Stage)> {
    let name = args.next().context("say which scenario")?;
    let scenario = Scenario::by_name(&name).with_context(|| format!("there is no scenario `{name}`"))?;
    let mut stage = Stage { immediately: false, seconds: 1.0 };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--immediately" => stage.immediately = true,
            "--seconds" => stage.seconds = args.next().context("--seconds needs a number")?.parse()?,
            other => bail!("there is no option `{other}`"),
        }
    }
    Ok((scenario, stage))
}
