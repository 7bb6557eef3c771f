//! 100 000 tasks that mostly sleep. `/idle/{ms}` waits for so long, and says what they did meanwhile.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use instrument::task;
use tokio::time::{Instant, sleep, sleep_until};

const TASKS: u32 = 100_000;
/// Between two wake-ups of a task, in milliseconds.
const SLEEP_MS: std::ops::Range<u64> = 1_000..3_000;
/// One wake-up out of this many has its lateness noted.
const NOTED: u64 = 16;

static WAKE_UPS: AtomicU64 = AtomicU64::new(0);
/// In microseconds.
static LATE: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// The service, and its tasks.
pub(crate) fn router() -> Router {
    for _ in 0..TASKS {
        tokio::spawn(task("sleeper", sleeper()));
    }
    Router::new().route("/idle/{ms}", get(watch))
}

async fn sleeper() {
    let mut due = Instant::now() + Duration::from_millis(fastrand::u64(0..SLEEP_MS.end));
    loop {
        sleep_until(due).await;
        let now = Instant::now();
        if WAKE_UPS.fetch_add(1, Ordering::Relaxed).is_multiple_of(NOTED) {
            let late = u64::try_from((now - due).as_micros()).unwrap_or(u64::MAX);
            LATE.lock().unwrap_or_else(PoisonError::into_inner).push(late);
        }
        due = now + Duration::from_millis(fastrand::u64(SLEEP_MS));
    }
}

/// How many wake-ups there were, and how late they came: median and 99th percentile, in microseconds.
async fn watch(Path(ms): Path<u64>) -> String {
    let before = WAKE_UPS.load(Ordering::Relaxed);
    drop(take_late());
    sleep(Duration::from_millis(ms)).await;
    let mut late = take_late();
    late.sort_unstable();
    let quantile = |percent: usize| late.get(late.len() * percent / 100).copied().unwrap_or_default();
    let wake_ups = WAKE_UPS.load(Ordering::Relaxed) - before;
    format!("{wake_ups} {} {}", quantile(50), quantile(99))
}

fn take_late() -> Vec<u64> {
    std::mem::take(&mut LATE.lock().unwrap_or_else(PoisonError::into_inner))
}
