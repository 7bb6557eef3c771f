//! Who blocks whom: long polls, and the tasks that they delayed, the worst first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::awaits::shown;
use super::names::{self, DisplayNames, printable};
use super::units::human;
use asyncscope_model::{Graph, LongPoll, Stack};
use asyncscope_trace::chain::frame_name;
use asyncscope_trace::facts::Function;
use asyncscope_trace::facts::{AwaitFrame, AwaitKind, Facts};

/// Rows shown; the rest is counted.
const MAX_ROWS: usize = 40;
/// Types of delayed tasks shown in each.
const MAX_DELAYED: usize = 8;

/// The place at which a thread was off the CPU inside a poll.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OffCpuFunction<'a> {
    /// The innermost function that is of neither a library nor the standard library; or else the innermost that
    /// is known.
    pub(super) function: &'a Function,
    /// The function that this one had called.
    pub(super) calls: Option<&'a Function>,
}

/// The await of a task before a poll, at the innermost `.await` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumed<'a> {
    pub(super) name: &'a str,
    pub(super) frame: &'a AwaitFrame,
}

impl<'a> OffCpuFunction<'a> {
    /// `None` where no stack was taken, or nothing names its code, and where asyncscope's own trap took longer.
    pub(super) fn of(graph: &'a Graph, poll: &LongPoll) -> Option<Self> {
        let stack = graph.samples().stack(poll.off_cpu_at?.stack()?)?;
        let all: Vec<&Function> = functions(graph, stack).collect();
        let own = all.iter().position(|function| is_own(function));
        let place = own.or_else(|| all.iter().position(|function| !function.file.is_empty()));
        let place = place.unwrap_or(0);
        let calls = place.checked_sub(1).and_then(|inner| all.get(inner)).copied();
        Some(Self { function: all.get(place)?, calls })
    }
}

/// The functions of a stack, the innermost first.
pub(super) fn functions<'a>(graph: &'a Graph, stack: &'a Stack) -> impl Iterator<Item = &'a Function> {
    stack.frames.iter().flat_map(|&address| graph.samples().code(address))
}

/// Returns `true` if a function is the program's by where its source lies: neither with the standard library's nor with
/// that of a package from a registry or a repository.
fn is_own(function: &Function) -> bool {
    const OTHERS: [&str; 5] = ["/rustc/", "/library/std/", "/registry/src/", "/git/checkouts/", "/vendor/"];
    !function.file.is_empty() && !OTHERS.iter().any(|other| function.file.contains(other))
}

impl<'a> Resumed<'a> {
    pub(super) fn of(graph: &'a Graph, facts: &'a Facts, poll: &LongPoll) -> Option<Self> {
        let chain = graph.chain(poll.awaited?)?;
        let way = chain.trunk();
        let of = |place: &usize| facts.frames.get(chain.frames.get(*place)?.frame as usize);
        let awaits = |own: bool| {
            let is_it = move |frame: &AwaitFrame| {
                frame.kind == AwaitKind::Await
                    && !frame.name.ends_with('!')
                    && !(own && frame.name.starts_with("tokio::"))
            };
            way.iter().rev().copied().find(|place| of(place).is_some_and(is_it))
        };
        let place = awaits(true).or_else(|| awaits(false))?;
        let numbers = chain.frames.iter().map(|frame| (frame.frame, frame.depth.into()));
        Some(Self { name: frame_name(&facts.frames, numbers, place), frame: of(&place)? })
    }
}

/// Long polls of one task type at one place.
#[derive(Clone, Debug, Default)]
struct LongPollRow {
    polls: u64,
    open: u64,
    own_ns: u64,
    longest_ns: u64,
    off_cpu_ns: u64,
    trap_ns: u64,
    delays_ns: u64,
    /// By the type of the delayed task.
    delayed: BTreeMap<String, Delays>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    times: u64,
    ns: u64,
    longest_ns: u64,
}

impl Delays {
    fn add(&mut self, ns: u64) {
        self.times += 1;
        self.ns = self.ns.saturating_add(ns);
        self.longest_ns = self.longest_ns.max(ns);
    }
}

impl std::fmt::Display for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ns, longest) = (human(self.ns), human(self.longest_ns));
        match self.times {
            1 => write!(f, "once, {ns}"),
            times => write!(f, "{times} times, {ns} in all, {longest} at most"),
        }
    }
}

/// The common traits of a row's polls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LongPollKey {
    task_type: String,
    off_cpu_in: Option<String>,
    resumed: Option<String>,
}

/// Writes the polls of at least `min_ns` nanoseconds, by task type and place.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, min_ns: u64, out: &mut dyn Write) -> io::Result<()> {
    let long_polls = graph.long_polls();
    let rows = rows(graph, facts);
    if rows.is_empty() {
        writeln!(out, "no poll took {} or longer", human(min_ns))?;
    } else {
        writeln!(
            out,
            "polls of {} or longer, by task type and place; first what delayed other tasks most",
            human(min_ns)
        )?;
        writeln!(
            out,
            "\n{:>9} {:>7} {:>7} {:>9} {:>9} {:>9}  TASK TYPE",
            "DELAYED", "TASKS", "POLLS", "TOOK", "LONGEST", "OFF-CPU"
        )?;
    }
    for (key, row) in rows.iter().take(MAX_ROWS) {
        write_row(key, row, facts.off_cpu, out)?;
    }
    if rows.len() > MAX_ROWS {
        writeln!(out, "… and {} rows more", rows.len() - MAX_ROWS)?;
    }
    if long_polls.doubtful > 0 {
        writeln!(
            out,
            "{} polls and delays are left out, because events of their time are missing",
            long_polls.doubtful
        )?;
    }
    if long_polls.polls_not_kept + long_polls.delays_not_kept > 0 {
        let (polls, delays) = (long_polls.polls_not_kept, long_polls.delays_not_kept);
        writeln!(out, "{polls} polls and {delays} delays are not kept: there were too many")?;
    }
    Ok(())
}

fn rows(graph: &Graph, facts: &Facts) -> Vec<(LongPollKey, LongPollRow)> {
    let names = DisplayNames::new(graph, facts);
    let type_of =
        |task| graph.task(task).map_or_else(|| "?".to_owned(), |task| printable(&names.task_type(task.vtable)));
    let mut rows: BTreeMap<LongPollKey, LongPollRow> = BTreeMap::new();
    for poll in graph.long_polls().polls() {
        let key = LongPollKey {
            task_type: type_of(poll.task),
            off_cpu_in: OffCpuFunction::of(graph, poll).map(|place| place.to_string()),
            resumed: Resumed::of(graph, facts, poll).map(|resumed| shown(resumed.name, resumed.frame)),
        };
        let row = rows.entry(key).or_default();
        row.polls += 1;
        row.open += u64::from(poll.open);
        row.own_ns = row.own_ns.saturating_add(poll.own_ns);
        row.longest_ns = row.longest_ns.max(poll.own_ns);
        row.off_cpu_ns = row.off_cpu_ns.saturating_add(poll.off_cpu_ns);
        row.trap_ns = row.trap_ns.saturating_add(poll.trap_ns);
        for delayed in &poll.delayed {
            let ns = poll.delay_ns(delayed);
            row.delays_ns = row.delays_ns.saturating_add(ns);
            row.delayed.entry(type_of(delayed.task)).or_default().add(ns);
        }
    }
    let mut rows: Vec<(LongPollKey, LongPollRow)> = rows.into_iter().collect();
    rows.sort_by_key(|(_, row)| Reverse((row.delays_ns, row.own_ns)));
    rows
}

fn write_row(key: &LongPollKey, row: &LongPollRow, off_cpu_is_known: bool, out: &mut dyn Write) -> io::Result<()> {
    let off_cpu = if off_cpu_is_known { human(row.off_cpu_ns) } else { "-".to_owned() };
    let tasks: u64 = row.delayed.values().map(|delays| delays.times).sum();
    writeln!(
        out,
        "{:>9} {tasks:>7} {:>7} {:>9} {:>9} {off_cpu:>9}  {}",
        human(row.delays_ns),
        row.polls,
        human(row.own_ns),
        human(row.longest_ns),
        key.task_type,
    )?;
    let mut more = Vec::new();
    more.extend(key.off_cpu_in.as_ref().map(|place| format!("off the CPU in {place}")));
    more.extend(key.resumed.as_ref().map(|place| format!("after it had awaited at {place}")));
    if row.trap_ns > 0 {
        more.push(format!("off the CPU in asyncscope's own trap for {} of that", human(row.trap_ns)));
    }
    if row.open > 0 {
        more.push(format!("{} not over at the end of the recording", row.open));
    }
    let mut delayed: Vec<(&String, &Delays)> = row.delayed.iter().collect();
    delayed.sort_by_key(|(_, delays)| Reverse(delays.ns));
    let types = delayed.len();
    for (name, delays) in delayed.into_iter().take(MAX_DELAYED) {
        more.push(format!("delayed {name}: {delays}"));
    }
    if types > MAX_DELAYED {
        more.push(format!("delayed tasks of {} types more", types - MAX_DELAYED));
    }
    more.iter().try_for_each(|line| writeln!(out, "{:57}{line}", ""))
}

impl std::fmt::Display for OffCpuFunction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { function, calls } = self;
        let Function { file, line, .. } = function;
        f.write_str(&printable(&names::function(function)))?;
        match (file.is_empty(), line) {
            (true, _) => {}
            (false, 0) => write!(f, " {}", printable(file))?,
            (false, line) => write!(f, " {}:{line}", printable(file))?,
        }
        calls.map_or(Ok(()), |calls| write!(f, ", in {}", printable(&names::function(calls))))
    }
}
