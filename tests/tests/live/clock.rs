//! The wall clock steps while a target is watched, as when a machine's time is set right: by an hour ahead, and by
//! two back. Events are on another clock, which does not step.

use std::ffi::OsString;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;

use crate::{Case, Test, named, scenarios};

const HOUR: i64 = 3600;

/// There are any only in a virtual machine: the clock is for all that runs on a machine.
pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[("steps", steps)];
    let may_set = std::env::var_os("ASYNCSCOPE_MAY_SET_CLOCK").is_some_and(|value| value == "1");
    named("clock", if may_set { tests } else { &[] })
}

fn now() -> Result<libc::timespec> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to write.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    ensure!(done == 0, "the clock cannot be read");
    Ok(time)
}

fn step(seconds: i64) -> Result<()> {
    let mut time = now()?;
    time.tv_sec += seconds;
    // SAFETY: `time` is a valid timespec for the call to read.
    let done = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) };
    ensure!(done == 0, "the clock cannot be set: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Live, and from the recording, all is reported as it was, and the recording is from the time at which it began.
fn steps() -> Result<()> {
    let scratch = Scratch::new()?;
    let (json, record) = (scratch.file("events.json"), scratch.file("events.ascope"));
    let mut target = Target::start("multi_thread")?;
    let before = now()?.tv_sec;
    let mut args: Vec<OsString> = vec!["attach".into(), target.process.pid().to_string().into()];
    args.extend(["--json".into(), json.clone().into(), "--record".into(), record.clone().into()]);
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    let after = now()?.tv_sec;
    target.go()?;
    for seconds in [HOUR, -2 * HOUR, HOUR] {
        sleep(Duration::from_millis(250));
        step(seconds)?;
    }
    target.done()?;
    agent.interrupt()?;
    let truth = target.finish()?;
    let again = scratch.file("again.json");
    let report = ["report".into(), record.into(), "--json".into(), OsString::from(&again)];
    asyncscope_tests::agent::run(report)?;
    for (name, path) in [("clock::steps", &json), ("clock::steps, replayed", &again)] {
        let seen = Seen::read(path)?;
        let began = i64::try_from(seen.recording.armed.unix_ns / 1_000_000_000)?;
        ensure!((before..=after).contains(&began), "it began at {began}, not from {before} to {after}");
        scenarios::judge(name, &truth, &seen)?;
    }
    Ok(())
}
