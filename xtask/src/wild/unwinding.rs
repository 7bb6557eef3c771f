//! `unwinding`: stacks of three programs under load, unwound by asyncscope and by framehop from the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::drive;
use super::programs::{PROGRAMS, Program};
use crate::demo::Service;
use crate::document;
use crate::process::{cargo, is_root, output, root, run as execute};

/// Stacks of threads that poll a task, of each program.
const SAMPLES: u64 = 10_000;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// Longer than that takes.
const LOAD: Duration = Duration::from_mins(5);
/// The share of stacks that has to reach the poll function.
const REACHED_PERCENT: f64 = 99.0;
/// Programs in which tokio's place for the running task's id is found: not in the third, as it is built for size.
const OF_WILD: [&str; 2] = ["static-web-server", "bore-cli"];

/// The numbers that the comparison prints.
#[derive(Debug, Deserialize)]
struct Counts {
    samples: u64,
    reached: u64,
    ended: BTreeMap<String, u64>,
    frames: u64,
    equal: u64,
    framehop_shorter: u64,
    different: u64,
    framehop_longer: u64,
}

/// Compares the stacks of each program, and writes what came of it into docs/sampling.md.
///
/// # Errors
/// Where this is not root, a part fails, too few stacks reach the poll function, or frames differ.
pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "`unwinding` stops other processes' threads: run it as root");
    execute(cargo().args(["build", "--release", "-p", "unwinding", "-p", "demo-service"]))?;
    let mut rows = vec![("demo-service".to_owned(), of_demo()?)];
    for program in PROGRAMS.iter().filter(|program| OF_WILD.contains(&program.name)) {
        let counts = of_wild(program).with_context(|| program.name.to_owned())?;
        rows.push((format!("{} {}", program.name, program.version), counts));
    }
    let table = markdown(&rows);
    println!("{table}");
    document::put(&root().join("docs/sampling.md"), "unwinding", &table)?;
    rows.iter().try_for_each(|(name, counts)| counts.verdict().with_context(|| name.clone()))
}

fn of_demo() -> Result<Counts> {
    let folder = root().join("target/unwinding");
    fs::create_dir_all(&folder)?;
    let service = Service::start("release", &folder.join("truth.jsonl"))?;
    let _load = service.load(LOAD)?;
    compare(service.pid(), &folder.join("demo-service.json"))
}

fn of_wild(program: &Program) -> Result<Counts> {
    program.install()?;
    let folder = super::folder(program)?;
    let server = program.start(&folder)?;
    let address = server.address();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // One that is not answered is no part of the comparison.
                    let _ = drive::get(address);
                }
            });
        }
        let counts = compare(server.pid(), &folder.join("unwinding.json"));
        over.store(true, Ordering::Relaxed);
        counts
    })
}

fn compare(pid: u32, keep: &Path) -> Result<Counts> {
    let program = root().join("target/release/unwinding");
    let reported = output(Command::new(program).args([pid.to_string(), SAMPLES.to_string()]))?;
    fs::write(keep, &reported)?;
    Ok(serde_json::from_str(&reported)?)
}

impl Counts {
    fn reached_percent(&self) -> f64 {
        self.reached as f64 * 100.0 / self.samples.max(1) as f64
    }

    fn verdict(&self) -> Result<()> {
        let reached = self.reached_percent();
        ensure!(
            reached >= REACHED_PERCENT,
            "only {reached:.2} % of the stacks reach the poll function: {:?}",
            self.ended
        );
        ensure!(self.different == 0, "{} stacks have other frames than framehop's", self.different);
        Ok(())
    }
}

fn markdown(rows: &[(String, Counts)]) -> String {
    let mut table = "| program | stacks | reach the poll function | frames | equal | framehop ends earlier | other \
                     frames | framehop goes on by frame pointers |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (name, counts) in rows {
        let Counts { samples, reached, frames, equal, framehop_shorter, different, framehop_longer, .. } = counts;
        let percent = counts.reached_percent();
        table.push_str(&format!(
            "| {name} | {samples} | {reached} ({percent:.2} %) | {frames} | {equal} | {framehop_shorter} | {different} \
             | {framehop_longer} |\n"
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(reached: u64, different: u64) -> Counts {
        let reported = format!(
            r#"{{"samples":1000,"reached":{reached},"ended":{{}},"frames":1,"equal":1,"framehop_shorter":0,
            "different":{different},"framehop_longer":0,"examples":[]}}"#
        );
        serde_json::from_str(&reported).unwrap()
    }

    #[test]
    fn the_verdict_is_on_the_whole() {
        assert!(counts(990, 0).verdict().is_ok());
        assert!(counts(989, 0).verdict().is_err());
        assert!(counts(1000, 1).verdict().is_err());
        assert!(markdown(&[("a".to_owned(), counts(990, 0))]).contains("| a | 1000 | 990 (99.00 %) | 1 |"));
    }
}
