//! Await chains, compared with what the tasks say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_discovery::{code::x86_64::code::Code, image::elf::Elf, layout, layout_from_code, tokio::vtables};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::chains::{Dump, Reported, Way, compare, compare_waits, reported};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;

use crate::Test;

/// Where the target's own source is.
pub(crate) const SOURCE: &str = "tests/waits/";
/// How often to dump the busy target, unless `ASYNCSCOPE_DUMPS` says otherwise.
const DUMPS: u32 = 300;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![
        ("chains::dump".to_owned(), Box::new(dump)),
        ("chains::deadlocks".to_owned(), Box::new(deadlocks)),
        ("chains::shares".to_owned(), Box::new(shares)),
        ("chains::under_load".to_owned(), Box::new(under_load)),
        ("chains::waits".to_owned(), Box::new(waits)),
        ("chains::no_time".to_owned(), Box::new(no_time)),
        ("chains::by_code".to_owned(), Box::new(by_code)),
    ]
}

/// A target whose tasks have said where they are.
pub(crate) struct Waits {
    pub(crate) process: Running,
    pub(crate) reported: Vec<Reported>,
}

impl Waits {
    pub(crate) fn start(scenario: &str) -> Result<Self> {
        let mut process = Running::start(Command::new(paths::waits()?).arg(scenario))?;
        process.stdout.until(|line| line.starts_with("ready "), PATIENCE).context("the target does not get ready")?;
        let reported = reported(process.stdout.read())?;
        ensure!(!reported.is_empty(), "the target has no tasks");
        Ok(Self { process, reported })
    }

    fn dumps(&self, times: u32) -> Result<Vec<Dump>> {
        let (pid, times) = (self.process.pid().to_string(), times.to_string());
        let ended = agent::run(["dump", &pid, "--json", "--times", &times])?;
        ensure!(ended.code == Some(0), "the dump failed: {:?}", ended.stderr);
        ended.stdout.iter().map(|line| serde_json::from_str(line).context("no dump")).collect()
    }

    fn dump(&self) -> Result<Dump> {
        self.dumps(1)?.pop().context("no dump")
    }
}

/// What the machine code says of the futures is what type information says.
fn by_code() -> Result<()> {
    let file = std::fs::read(paths::waits()?)?;
    let elf = Elf::parse(&file).ok().context("no ELF file")?;
    let vtables = vtables::scan(&elf);
    let by_types = layout::compile(&elf, &vtables).ok().context("no type information")?.program;
    let by_code = layout_from_code::compile(&Code::new(&elf), &vtables);
    let agreement = layout_from_code::compare::compare(&by_code, &by_types);
    ensure!(agreement.wrong.is_empty(), "not as type information has it: {:#?}", agreement.wrong);
    ensure!(by_code.tasks.len() >= 80 && agreement.right >= 100, "little is known: {agreement:?}");
    ensure!(agreement.unknown * 4 < agreement.states, "little is known of states: {agreement:?}");
    Ok(())
}

/// Where there is no time to read any task, all that were found are counted as left.
fn no_time() -> Result<()> {
    let target = Waits::start("chains")?;
    let pid = target.process.pid().to_string();
    let ended = agent::run(["dump", &pid, "--json", "--read-timeout", "0s"])?;
    ensure!(ended.code == Some(0), "the dump failed: {:?}", ended.stderr);
    let dump: Dump = serde_json::from_str(ended.stdout.first().context("no dump")?)?;
    ensure!(dump.tasks.is_empty() && dump.search.listed > 0, "{} tasks: {:?}", dump.tasks.len(), dump.search);
    ensure!(dump.search.unread >= dump.search.listed, "{:?}", dump.search);
    Ok(())
}

/// Every kind of await, nested and across spawns: the same functions, files, lines and leaves.
fn dump() -> Result<()> {
    let target = Waits::start("chains")?;
    let dump = target.dump()?;
    let compared = compare(&target.reported, &dump, SOURCE)?;
    ensure!(dump.deadlocks.iter().all(|ring| ring.iter().all(|link| link.keeps.is_some())), "{:?}", dump.deadlocks);
    // Older tokios, which a build from elsewhere may be with, do not count their tasks.
    let may_count_none = std::env::var_os("ASYNCSCOPE_WAITS").is_some() && dump.search.stated.is_none();
    ensure!(may_count_none || dump.search.stated == Some(dump.search.listed), "{:?}", dump.search);
    ensure!(dump.search.listed >= compared, "{:?}", dump.search);
    let joins = dump.tasks.iter().flat_map(|task| &task.chain).filter(|frame| frame.joins.is_some()).count();
    eprintln!("chains::dump: {compared} tasks compared, {joins} joins, {:?}", dump.search);
    ensure!(joins >= 4, "only {joins} joins");
    Ok(())
}

fn deadlocks() -> Result<()> {
    let target = Waits::start("deadlocks")?;
    let dump = target.dump()?;
    compare(&target.reported, &dump, SOURCE)?;
    let names = names(&target)?;
    let expected = [vec!["left", "right"], vec!["to_itself"], vec!["first", "second", "third"]];
    ensure!(rings(&dump, &names) == BTreeSet::from(expected), "other deadlocks: {:?}", rings(&dump, &names));
    let waits = |who: &str| {
        let task = dump.tasks.iter().find(|task| names.get(&task.task) == Some(&who));
        task.and_then(|task| task.chain.iter().find_map(|frame| frame.waits_for)).and_then(|id| names.get(&id).copied())
    };
    ensure!(waits("waiter") == Some("holder"), "the waiter waits for {:?}", waits("waiter"));
    Ok(())
}

/// Of locks for readers and writers only rings that none can leave; of semaphores none, as a permit may be added.
fn shares() -> Result<()> {
    let target = Waits::start("shares")?;
    let dump = target.dump()?;
    compare(&target.reported, &dump, SOURCE)?;
    let names = names(&target)?;
    let expected =
        [vec!["first_writer", "second_writer"], vec!["reader", "writer"], vec!["reader_twice", "writer_between"]];
    ensure!(rings(&dump, &names) == BTreeSet::from(expected), "other deadlocks: {:?}", rings(&dump, &names));
    let holds = |who: &str| {
        let tasks = dump.tasks.iter().filter(|task| names.get(&task.task) == Some(&who));
        let held: Vec<_> = tasks.flat_map(|task| &task.chain).flat_map(|frame| &frame.holds).collect();
        held.iter().map(|share| (share.what.clone(), share.count)).collect::<Vec<_>>()
    };
    for (who, guard, count) in [
        ("permitted", "SemaphorePermit", Some(1)),
        ("permitted_last", "SemaphorePermit", Some(1)),
        ("reader", "OwnedRwLockReadGuard", Some(1)),
        ("reader_twice", "RwLockReadGuard", Some(1)),
        ("first_writer", "RwLockWriteGuard", None),
    ] {
        let held = holds(who);
        ensure!(matches!(&held[..], [(what, n)] if what.contains(guard) && *n == count), "{who} holds {held:?}");
    }
    Ok(())
}

fn names(target: &Waits) -> Result<BTreeMap<u64, &str>> {
    target.reported.iter().map(|reported| Ok((reported.id()?, reported.name.as_str()))).collect()
}

/// The names of the tasks in each ring, in order.
fn rings<'a>(dump: &Dump, names: &BTreeMap<u64, &'a str>) -> BTreeSet<Vec<&'a str>> {
    let rings = dump.deadlocks.iter().map(|ring| {
        let mut ring: Vec<&str> = ring.iter().map(|link| names.get(&link.task).copied().unwrap_or("?")).collect();
        ring.sort_unstable();
        ring
    });
    rings.collect()
}

/// Again and again while all tasks move: every chain is one that the source allows.
fn under_load() -> Result<()> {
    let times = std::env::var("ASYNCSCOPE_DUMPS").map_or(Ok(DUMPS), |times| times.parse())?;
    let mut target = Waits::start("busy")?;
    let allowed: BTreeSet<Way> = target.reported.iter().flat_map(Reported::ways).collect();
    let (mut chains, mut torn, mut running, mut thrown_away, mut kinds) = (0, 0, 0, 0, BTreeSet::new());
    for dump in target.dumps(times)? {
        thrown_away += dump.thrown_away;
        for task in &dump.tasks {
            ensure!(task.cut.is_none(), "a chain was cut: {task:?}");
            task.is_among(SOURCE, &allowed)?;
            let unread = task.unread.as_deref().unwrap_or_default();
            torn += u32::from(unread.starts_with("polled again"));
            running += u32::from(unread.starts_with("running"));
            chains += u32::from(!task.chain.is_empty());
            kinds.insert(task.chain.last().map(|frame| frame.name.clone()));
        }
    }
    eprintln!(
        "chains::under_load: {times} dumps, {chains} chains, {torn} torn, {running} running, {thrown_away} readings thrown away, leaves {kinds:?}"
    );
    ensure!(target.process.alive()?, "the target has ended");
    ensure!(chains > times, "only {chains} chains in {times} dumps");
    ensure!(kinds.len() >= 3, "only {kinds:?}");
    Ok(())
}

/// What the probes say at each poll: each task's waits, all of them, at the awaits it says it is at, live and
/// from a recording.
fn waits() -> Result<()> {
    let target = Waits::start("rounds")?;
    let scratch = Scratch::new()?;
    let file = |name: &str| scratch.file(name).display().to_string();
    let (pid, json, record, folded) = (target.process.pid().to_string(), file("json"), file("ascope"), file("folded"));
    let outputs = ["--weight", "wait", "--json", &json, "--folded", &folded];
    Agent::start(["attach", &pid, "--duration", "1500ms", "--record", &record].into_iter().chain(outputs))?
        .succeed()?;
    let lines = std::fs::read_to_string(&json)?;
    let known = compare_waits(&target.reported, lines.lines(), SOURCE)?;
    eprintln!("chains::waits: {known:?}");
    ensure!(known.tasks >= 15 && known.waits >= 15 * 10, "too little was seen: {known:?}");
    let stacks = std::fs::read_to_string(&folded)?;
    for expected in ["waits::chains::five tests/waits/src/chains.rs:", ";join! tests/waits/src/chains.rs:", ";Sleep "] {
        ensure!(stacks.contains(expected), "no {expected} in {stacks}");
    }
    let again = [file("json2"), file("folded2")];
    let outputs = ["report", &record, "--weight", "wait", "--json", &again[0], "--folded", &again[1]];
    Agent::start(outputs)?.succeed()?;
    ensure!(std::fs::read_to_string(&again[0])? == lines, "the recording says otherwise");
    ensure!(std::fs::read_to_string(&again[1])? == stacks, "the recording folds otherwise");
    Ok(())
}
