//! What this process lived, kept in memory and printed at the end.

use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::Id;

use crate::headers::Correlation;

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());
/// How many [`Open`] there are.
static OPEN: AtomicI64 = AtomicI64::new(0);
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How a request or a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    /// With a response.
    Answered,
    /// Its future was dropped.
    Cancelled,
    /// A panic went through it.
    Panicked,
    /// A call for which no response came.
    Failed,
}

/// Whose work a task is, or how it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Spawned by a request's handler or by a task of that request.
    Spawned,
    /// The same on a `LocalSet`.
    Local,
    /// The same on the blocking pool.
    Blocking,
    /// Spawned by the actor for the request whose message it was about.
    ByActor,
    /// Long-lived: serves the requests that ask it, in turn.
    Actor,
    /// Serves no single request.
    Background,
    /// Spawned by a client library: a connection, or what it needs for one.
    Library,
}

/// One line of the truth. Times are nanoseconds of `CLOCK_MONOTONIC`; `request` is a number of this
/// process's own.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Row {
    /// A request that was served.
    Request(Served),
    /// A task; `request` is `None` if it serves none, or not a single one. `parent` is the task that spawned it.
    Task { task: u64, parent: Option<u64>, request: Option<u64>, role: Role },
    /// An outgoing call made for a request.
    Call(Called),
    /// From when the actor had taken a message to when it was done with it, just before its reply.
    Segment { task: Option<u64>, request: u64, begin_ns: u64, end_ns: u64, replied: bool },
    /// The process contradicts itself.
    Wrong { wrong: String },
}

/// A served request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Served {
    pub(crate) request: u64,
    /// What it bore.
    #[serde(flatten)]
    pub(crate) correlation: Correlation,
    /// The ID that the service made up and wrote in the response, as `x-request-id`.
    pub(crate) made: Option<String>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The task that its handler ran in.
    pub(crate) task: Option<u64>,
    /// When its handler began: its head had been read.
    pub(crate) begin_ns: u64,
    /// When its handler was done: an answer had not been written yet.
    pub(crate) end_ns: u64,
    pub(crate) how: How,
    pub(crate) status: Option<u16>,
    pub(crate) grpc: Option<i32>,
}

/// An outgoing call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Called {
    pub(crate) request: u64,
    /// What its head bore.
    #[serde(flatten)]
    pub(crate) correlation: Correlation,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The task that awaited it.
    pub(crate) task: Option<u64>,
    /// Before anything of it was written.
    pub(crate) begin_ns: u64,
    /// After its response had been read whole, or it had been given up.
    pub(crate) end_ns: u64,
    pub(crate) how: How,
    pub(crate) status: Option<u16>,
    pub(crate) grpc: Option<i32>,
}

/// A number that no other request of this process has.
pub(crate) fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// A span's id that no other call has, of this process or of another on this machine: each agent takes it
/// for the call's own.
pub(crate) fn span() -> u64 {
    u64::from(std::process::id()) << 32 | number() & u64::from(u32::MAX)
}

/// Something of which a row is still to come: the truth is not told before.
#[derive(Debug)]
pub(crate) struct Open(());

impl Open {
    pub(crate) fn new() -> Self {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Adds a row.
pub(crate) fn add(row: Row) {
    lock().push(row);
}

/// Adds the row of a task that the running one has just spawned.
pub(crate) fn task(id: Id, request: Option<u64>, role: Role) {
    match plain(id) {
        Some(task) => add(Row::Task { task, parent: current_task(), request, role }),
        None => wrong(format!("tokio shows a task's id as {id}")),
    }
}

/// The process contradicts itself.
pub(crate) fn wrong(wrong: String) {
    add(Row::Wrong { wrong });
}

/// The running task's id.
pub(crate) fn current_task() -> Option<u64> {
    tokio::task::try_id().and_then(plain)
}

/// tokio does not give the number away but by showing it.
fn plain(id: Id) -> Option<u64> {
    id.to_string().parse().ok()
}

/// Waits until nothing is open, then prints all rows and returns how many are wrong.
pub(crate) fn print(out: &mut dyn Write) -> io::Result<u64> {
    for _ in 0..1000 {
        if OPEN.load(Ordering::SeqCst) == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let open = OPEN.load(Ordering::SeqCst);
    if open != 0 {
        wrong(format!("{open} requests, calls or messages have not ended"));
    }
    let rows = std::mem::take(&mut *lock());
    for row in &rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    Ok(rows.iter().filter(|row| matches!(row, Row::Wrong { .. })).count() as u64)
}

fn lock() -> MutexGuard<'static, Vec<Row>> {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner)
}
