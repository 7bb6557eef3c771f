//! Tasks that are reported about, and their telling.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::{AbortHandle, JoinHandle};

use crate::trail::Trail;

/// How often the same has to be seen before it is reported, and the time between.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

struct Reported {
    name: &'static str,
    id: String,
    parent: Option<Trail>,
    trail: Trail,
}

static REPORTED: Mutex<Vec<Reported>> = Mutex::new(Vec::new());

/// Spawns what `make` makes, under a name, from no task.
pub(crate) fn spawn<F>(name: &'static str, make: impl FnOnce(Trail) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    spawned(None, name, make)
}

/// The same from the task with this trail.
pub(crate) fn spawn_from<F>(parent: &Trail, name: &'static str, make: impl FnOnce(Trail) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    spawned(Some(parent.clone()), name, make)
}

fn spawned<F>(parent: Option<Trail>, name: &'static str, make: impl FnOnce(Trail) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let trail = Trail::default();
    let handle = tokio::spawn(make(trail.clone()));
    lock().push(Reported { name, id: id(&handle.abort_handle()), parent, trail });
    handle
}

/// A task's id as its handle's `Debug` shows it: calls that return ids are stable since 1.41 only.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.28.2/tokio/src/runtime/task/abort.rs#L74-L81>
pub(crate) fn id(handle: &AbortHandle) -> String {
    let shown = format!("{handle:?}");
    let number = shown.split_once("Id(").and_then(|(_, rest)| rest.split_once(')'));
    number.map_or_else(|| format!("no id in {shown:?}"), |(number, _)| number.to_owned())
}

/// Waits until no task has come to a new place for a while, and prints a line for each.
#[expect(clippy::print_stdout, reason = "the tests read it")]
pub(crate) async fn report() {
    let (mut lines, mut same) = (lines(), 0);
    while same < LOOKS {
        tokio::time::sleep(PAUSE).await;
        let now = self::lines();
        same = if now == lines { same + 1 } else { 0 };
        lines = now;
    }
    lines.iter().for_each(|line| println!("{line}"));
    println!("reported");
}

fn lines() -> Vec<String> {
    let reported = lock();
    let id_of = |trail: &Trail| reported.iter().find(|other| other.trail.is(trail)).map(|other| other.id.as_str());
    let line = |reported: &Reported| {
        let Reported { name, id, parent, trail } = reported;
        let parent = parent.as_ref().and_then(id_of);
        json!({ "name": name, "task": id, "parent": parent, "waits": trail.report() }).to_string()
    };
    reported.iter().map(line).collect()
}

fn lock() -> MutexGuard<'static, Vec<Reported>> {
    REPORTED.lock().unwrap_or_else(PoisonError::into_inner)
}
