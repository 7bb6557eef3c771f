//! What this process knows about its own tasks, measured by them.
//!
//! The measuring future stands *inside* each task's `async fn`, so that the task's type keeps the
//! name the program gave it. It misses what tokio does around a poll, well below a microsecond, and
//! the tasks that were dropped before they finished.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// Rows beyond these are counted, not kept: about 80 MiB.
const MAX_ROWS: usize = 1 << 20;

static LOG: Mutex<Log> = Mutex::new(Log { rows: Vec::new(), dropped: 0 });

struct Log {
    rows: Vec<Row>,
    dropped: u64,
}

/// One finished task, or a finished part of one; times in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Serialize)]
struct Row {
    id: u64,
    r#type: &'static str,
    /// Whether it is a part: a future that its task awaited.
    awaited: bool,
    /// The task that spawned it; `None`: no task did.
    parent: Option<u64>,
    spawned_ns: u64,
    start_ns: u64,
    end_ns: u64,
    busy_ns: u64,
    polls: u64,
}

/// Sums over the finished tasks of a type.
#[derive(Debug, Default, Serialize)]
struct Sum {
    r#type: &'static str,
    tasks: u64,
    busy_ns: u64,
    /// From spawn to end, less `busy_ns`.
    wait_ns: u64,
    polls: u64,
}

/// Where and when a task is about to be spawned: made by the parent, handed to the child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spawned {
    parent: Option<u64>,
    at_ns: u64,
}

impl Spawned {
    /// Here and now.
    pub(crate) fn here() -> Self {
        Self { parent: current_task(), at_ns: now_ns() }
    }
}

/// Runs a task's whole body, and notes it when it finishes.
pub(crate) async fn measured<F: Future>(name: &'static str, spawned: Spawned, body: F) -> F::Output {
    run(Row::started(name, spawned), body).await
}

/// Runs a future that a task awaits, and notes it when it finishes.
pub(crate) async fn awaited<F: Future>(name: &'static str, body: F) -> F::Output {
    let row = Row { awaited: true, ..Row::started(name, Spawned::here()) };
    run(row, body).await
}

async fn run<F: Future>(mut row: Row, body: F) -> F::Output {
    let mut body = pin!(body);
    let output = poll_fn(|context| {
        let start = now_ns();
        let poll = body.as_mut().poll(context);
        row.polled(start);
        poll
    })
    .await;
    note(row);
    output
}

/// Runs a blocking task's whole body, and notes it.
pub(crate) fn measured_blocking<T>(name: &'static str, spawned: Spawned, body: impl FnOnce() -> T) -> T {
    let mut row = Row::started(name, spawned);
    let output = body();
    row.polled(row.start_ns);
    note(row);
    output
}

/// Keeps the CPU busy for about this time, by a number of steps that is always the same: so what a request costs does
/// not depend on who else wants the CPU.
pub(crate) fn spin(time: Duration) {
    const STEPS_A_MICROSECOND: u128 = 1400;
    let steps = u64::try_from(time.as_micros() * STEPS_A_MICROSECOND).unwrap_or(u64::MAX);
    let mut word = 1u64;
    for _ in 0..steps {
        word = std::hint::black_box(word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

/// Writes one line for each task type: `truth {…}`.
pub(crate) fn write_sums(out: &mut impl Write) -> io::Result<()> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    for sum in sums(&log.rows).values() {
        writeln!(out, "truth {}", serde_json::to_string(sum)?)?;
    }
    if log.dropped > 0 {
        writeln!(out, "truth of {} more tasks was not kept", log.dropped)?;
    }
    Ok(())
}

/// Writes one JSON object a line for each finished task.
pub(crate) fn write_rows(out: &mut impl Write) -> io::Result<()> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    for row in &log.rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

impl Row {
    fn started(r#type: &'static str, spawned: Spawned) -> Self {
        let start_ns = now_ns();
        Self {
            id: current_task().unwrap_or_default(),
            r#type,
            awaited: false,
            parent: spawned.parent,
            spawned_ns: spawned.at_ns,
            start_ns,
            end_ns: start_ns,
            busy_ns: 0,
            polls: 0,
        }
    }

    fn polled(&mut self, start_ns: u64) {
        self.end_ns = now_ns();
        self.busy_ns += self.end_ns.saturating_sub(start_ns);
        self.polls += 1;
    }
}

fn note(row: Row) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if log.rows.len() < MAX_ROWS {
        log.rows.push(row);
    } else {
        log.dropped += 1;
    }
}

fn sums(rows: &[Row]) -> BTreeMap<&'static str, Sum> {
    let mut sums = BTreeMap::<_, Sum>::new();
    for row in rows.iter().filter(|row| !row.awaited) {
        let sum = sums.entry(row.r#type).or_default();
        sum.r#type = row.r#type;
        sum.tasks += 1;
        sum.busy_ns += row.busy_ns;
        sum.wait_ns += (row.end_ns - row.spawned_ns).saturating_sub(row.busy_ns);
        sum.polls += row.polls;
    }
    sums
}

/// tokio shows a task's id only as text.
fn current_task() -> Option<u64> {
    tokio::task::try_id()?.to_string().parse().ok()
}

/// The clock that profilers of the kernel stamp events with.
fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to write to; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[(u64, u64, u64)], busy: u64, wait: u64) {
        let row = |&(spawned_ns, end_ns, busy_ns)| Row {
            id: 1,
            r#type: "t",
            awaited: false,
            parent: None,
            spawned_ns,
            start_ns: spawned_ns,
            end_ns,
            busy_ns,
            polls: 2,
        };
        let rows: Vec<_> = times.iter().map(row).collect();
        let sum = &sums(&rows)["t"];
        assert_eq!((sum.busy_ns, sum.wait_ns), (busy, wait));
        assert_eq!((sum.tasks, sum.polls), (times.len() as u64, 2 * times.len() as u64));
    }

    #[test]
    fn sums_busy_and_wait() {
        check(&[(10, 110, 30)], 30, 70);
        check(&[(10, 110, 30), (20, 30, 10)], 40, 70);
    }

    #[tokio::test]
    async fn a_task_measures_itself() {
        let here = Spawned::here();
        let id = tokio::spawn(measured("test", here, async {
            std::thread::sleep(Duration::from_millis(2));
            tokio::time::sleep(Duration::from_millis(5)).await;
            current_task()
        }));
        let id = id.await.unwrap().unwrap();
        let log = LOG.lock().unwrap();
        let row = log.rows.iter().find(|row| row.id == id).unwrap();
        assert_eq!((row.polls, row.parent), (2, None));
        assert!(row.busy_ns >= 2_000_000, "{row:?}");
        assert!(row.end_ns - row.start_ns >= row.busy_ns + 4_000_000, "{row:?}");
    }
}
