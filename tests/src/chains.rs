//! Where tasks say that they wait, and where a dump says so.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A task as it describes itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Reported {
    /// Its name.
    pub name: String,
    /// tokio's id.
    pub task: String,
    /// The task that spawned it.
    pub parent: Option<String>,
    /// The awaits it is at.
    pub waits: Vec<Place>,
}

/// An await.
#[derive(Clone, Debug, Deserialize)]
pub struct Place {
    /// The function it is in, as Rust's `type_name` has it.
    pub function: String,
    /// The source file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// The future that is waited for, if none of the program's own.
    pub leaf: Option<String>,
    /// Futures that are waited for inside.
    pub inside: Vec<Place>,
}

/// A dump.
#[derive(Clone, Debug, Deserialize)]
pub struct Dump {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The deadlocks.
    pub deadlocks: Vec<Vec<Link>>,
    /// Readings that were thrown away.
    pub thrown_away: u64,
    /// Places in which tasks were looked for.
    pub search: Search,
}

/// Places in which tasks were looked for.
#[derive(Clone, Debug, Deserialize)]
pub struct Search {
    /// Tasks in the runtimes' lists.
    pub listed: usize,
    /// The number that the runtimes say they have.
    pub stated: Option<usize>,
    /// Tasks that were left when the time was over.
    pub unread: usize,
}

/// A task that waits for another in a ring.
#[derive(Clone, Debug, Deserialize)]
pub struct Link {
    /// The task.
    pub task: u64,
    /// The other.
    pub waits_for: u64,
    /// The thing that the other keeps.
    pub keeps: Option<String>,
}

/// A task of a dump.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    /// tokio's id.
    pub task: u64,
    /// Its state.
    pub state: String,
    /// The task that spawned it.
    pub parent: Option<u64>,
    /// The reason why its chain could not be read.
    pub unread: Option<String>,
    /// The reason why it ends early.
    pub cut: Option<String>,
    /// Its futures, each before those inside it.
    pub chain: Vec<Frame>,
}

/// A future of a dump.
#[derive(Clone, Debug, Deserialize)]
pub struct Frame {
    /// The number of futures that it lies in.
    pub depth: usize,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub is: String,
    /// The source file.
    pub file: Option<String>,
    /// The line of the await, or the first of the function's body.
    pub line: Option<u32>,
    /// The last line of the function's body.
    pub until_line: Option<u32>,
    /// The task whose end is waited for.
    pub joins: Option<u64>,
    /// The task that keeps what is waited for.
    pub waits_for: Option<u64>,
    /// Things it keeps that others may wait for.
    #[serde(default)]
    pub holds: Vec<Share>,
}

/// Something kept.
#[derive(Clone, Debug, Deserialize)]
pub struct Share {
    /// The thing, and its place.
    pub what: String,
    /// The number of those that others may have as well.
    pub count: Option<u64>,
}

/// Reads what the target says.
///
/// # Errors
///
/// A line that is not as it should be.
pub fn reported(lines: &[String]) -> Result<Vec<Reported>> {
    let own = lines.iter().filter(|line| line.starts_with('{'));
    own.map(|line| serde_json::from_str(line).with_context(|| format!("not understood: {line}"))).collect()
}

/// One way from a task to a leaf: functions with lines, and the leaf.
pub type Way = (Vec<(String, u32)>, Option<String>);

impl Reported {
    /// Its id as a number.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn id(&self) -> Result<u64> {
        self.task.parse().with_context(|| format!("{} has the id {}", self.name, self.task))
    }

    /// The innermost place at which it waits whatever of the things beyond that comes first.
    #[must_use]
    pub fn trunk(&self) -> Option<(String, u32)> {
        let first = self.waits.first()?;
        let here = |place: &Place| (function(&place.function), place.line);
        // Several at the outermost level are one await of several things.
        if self.waits.iter().any(|place| here(place) != here(first)) {
            return None;
        }
        let mut innermost = first;
        while let ([only], true) = (innermost.inside.as_slice(), self.waits.len() == 1) {
            innermost = only;
        }
        Some(here(innermost))
    }

    /// All ways to its leaves.
    #[must_use]
    pub fn ways(&self) -> BTreeSet<Way> {
        let mut ways = BTreeSet::new();
        self.waits.iter().for_each(|place| place.ways(&mut Vec::new(), &mut ways));
        ways
    }
}

impl Place {
    fn ways(&self, around: &mut Vec<(String, u32)>, into: &mut BTreeSet<Way>) {
        around.push((function(&self.function), self.line));
        self.inside.iter().for_each(|inside| inside.ways(around, into));
        if self.inside.is_empty() {
            into.insert((around.clone(), self.leaf.clone()));
        }
        around.pop();
    }
}

/// A function without the closures inside it, which Rust and debug info number differently.
#[must_use]
pub fn function(name: &str) -> String {
    name.split("::{").next().unwrap_or(name).to_owned()
}

/// A future and what is inside it.
#[derive(Debug)]
struct Tree<'a> {
    frame: &'a Frame,
    inside: Vec<Tree<'a>>,
}

fn trees(frames: &[Frame]) -> Vec<Tree<'_>> {
    let Some(depth) = frames.first().map(|frame| frame.depth) else { return Vec::new() };
    let starts: Vec<usize> = (0..frames.len()).filter(|&at| frames[at].depth == depth).collect();
    let ends = starts.iter().copied().skip(1).chain([frames.len()]);
    let tree = |(start, end): (&usize, usize)| Tree { frame: &frames[*start], inside: trees(&frames[*start + 1..end]) };
    starts.iter().zip(ends).map(tree).collect()
}

impl Tree<'_> {
    /// Returns whether it is an await of the target's own source.
    fn is_own(&self, source: &str) -> bool {
        let own = self.frame.file.as_deref().is_some_and(|file| file.starts_with(source));
        own && !self.frame.name.ends_with('!') && self.frame.is == "await"
    }

    /// All ways to its leaves, by frames in the target's own source. A macro's lines are those of the function.
    fn ways(&self, source: &str, around: &mut Vec<(String, u32, u32)>, into: &mut Vec<SeenWay>) {
        let own = self.is_own(source);
        if own {
            let line = self.frame.line.unwrap_or(0);
            around.push((function(&self.frame.name), line, self.frame.until_line.unwrap_or(line)));
        }
        self.inside.iter().for_each(|inside| inside.ways(source, around, into));
        if self.inside.is_empty() {
            into.push((around.clone(), self.frame.name.clone()));
        }
        if own {
            around.pop();
        }
    }
}

type SeenWay = (Vec<(String, u32, u32)>, String);

impl Task {
    /// The task's ways to its leaves.
    fn ways(&self, source: &str) -> Vec<SeenWay> {
        let mut ways = Vec::new();
        trees(&self.chain).iter().for_each(|tree| tree.ways(source, &mut Vec::new(), &mut ways));
        ways
    }

    /// Returns whether each of its ways is one of these.
    ///
    /// # Errors
    ///
    /// One that is not.
    pub fn is_among(&self, source: &str, allowed: &BTreeSet<Way>) -> Result<()> {
        for seen in self.ways(source) {
            ensure!(
                allowed.iter().any(|reported| is_same(reported, &seen)),
                "task {} is at {seen:?}; {:?}",
                self.task,
                self.chain
            );
        }
        Ok(())
    }
}

fn is_same((reported, leaf): &Way, (seen, name): &SeenWay) -> bool {
    let places = reported.len() == seen.len()
        && reported
            .iter()
            .zip(seen)
            .all(|((function, line), (seen, first, last))| function == seen && (first..=last).contains(&line));
    places && leaf.as_deref().is_none_or(|leaf| name == leaf)
}

/// Compares each task one by one; says what differs.
///
/// # Errors
///
/// A task that is missing, or is not where it says it is.
pub fn compare(reported: &[Reported], dump: &Dump, source: &str) -> Result<usize> {
    let by_id: BTreeMap<u64, &Task> = dump.tasks.iter().map(|task| (task.task, task)).collect();
    let mut wrong = Vec::new();
    for one in reported {
        let Some(task) = by_id.get(&one.id()?) else {
            wrong.push(format!("{} (task {}) is not in the dump", one.name, one.task));
            continue;
        };
        let (expected, seen) = (one.ways(), task.ways(source));
        let all = expected.iter().all(|way| seen.iter().any(|seen| is_same(way, seen)));
        let only = task.is_among(source, &expected);
        if !all || only.is_err() || task.cut.is_some() {
            wrong.push(format!(
                "{}: reported {expected:?}, seen {seen:?} ({:?}, {:?})",
                one.name, task.unread, task.cut
            ));
        }
    }
    if wrong.is_empty() {
        Ok(reported.len())
    } else {
        bail!("{} of {} differ:\n{}", wrong.len(), reported.len(), wrong.join("\n"))
    }
}

/// The part of the tasks' waits that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Tasks that were polled.
    pub tasks: usize,
    /// Waits that were reported.
    pub waits: u64,
    /// Nanoseconds that tasks waited, and those of them that belong to an await.
    pub ns: (u64, u64),
    /// Chains that go on in a way that the probes do not follow.
    pub partial: usize,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Task(TaskLine),
    Await(AwaitLine),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct TaskLine {
    task: u64,
    polls: u64,
    ready_ns: u64,
    waiting_ns: u64,
}

#[derive(Deserialize)]
struct AwaitLine {
    task: u64,
    wait_ns: u64,
    times: u64,
    partial: bool,
    chain: Vec<SeenFrame>,
}

#[derive(Deserialize)]
struct SeenFrame {
    depth: usize,
    name: String,
    is: String,
    file: Option<String>,
    line: Option<u32>,
    until_line: Option<u32>,
}

/// Compares the awaits of a recording's JSON lines with what the tasks say, one by one.
///
/// # Errors
///
/// A wait at another place than the task says, or more waiting than there was.
pub fn compare_waits<'l>(reported: &[Reported], lines: impl Iterator<Item = &'l str>, source: &str) -> Result<Known> {
    let reported: BTreeMap<u64, BTreeSet<Way>> =
        reported.iter().map(|reported| Ok((reported.id()?, reported.ways()))).collect::<Result<_>>()?;
    let mut known = Known::default();
    let (mut waited, mut awaited): (BTreeMap<u64, u64>, BTreeMap<u64, u64>) = Default::default();
    for line in lines {
        match serde_json::from_str(line).with_context(|| format!("not a line: {line}"))? {
            Line::Task(task) if reported.contains_key(&task.task) => {
                known.tasks += usize::from(task.polls > 0);
                waited.insert(task.task, task.ready_ns + task.waiting_ns);
            }
            Line::Await(line) => {
                let Some(ways) = reported.get(&line.task) else { continue };
                *awaited.entry(line.task).or_default() += line.wait_ns;
                (known.waits, known.partial) = (known.waits + line.times, known.partial + usize::from(line.partial));
                let partial = line.partial;
                let task = Task::from(line);
                if !partial {
                    task.is_among(source, ways)?;
                }
                ensure!(!task.chain.is_empty(), "a chain without frames");
            }
            Line::Task(_) | Line::Other => {}
        }
    }
    for (task, ns) in &awaited {
        let all = waited.get(task).copied().unwrap_or(0);
        ensure!(*ns <= all, "task {task} awaited {ns} ns, and waited {all}");
    }
    known.ns = (waited.values().sum(), awaited.values().sum());
    Ok(known)
}

impl From<AwaitLine> for Task {
    fn from(line: AwaitLine) -> Self {
        let frame = |frame: SeenFrame| Frame {
            depth: frame.depth,
            name: frame.name,
            is: frame.is,
            file: frame.file,
            line: frame.line,
            until_line: frame.until_line,
            joins: None,
            waits_for: None,
            holds: Vec::new(),
        };
        let chain = line.chain.into_iter().map(frame).collect();
        Self { task: line.task, state: String::new(), parent: None, unread: None, cut: None, chain }
    }
}
