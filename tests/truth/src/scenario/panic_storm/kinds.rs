//! The kinds of panics.
#![expect(clippy::panic, reason = "the scenario is about panics")]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use anyhow::{Result, ensure};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, LocalSet, block_in_place, spawn_blocking, spawn_local, yield_now};

use super::Tally;
use crate::scenario::{current_thread_runtime, multi_thread_runtime};

type Kind = fn(u64) -> Result<Tally>;

pub(super) const ALL: [(&str, Kind); 13] = [
    ("poll", |rounds| joined(rounds, || tokio::spawn(async { raise() }))),
    ("later_poll", |rounds| joined(rounds, || tokio::spawn(later()))),
    ("resumed", |rounds| joined(rounds, || tokio::spawn(async { resume_unwind(Box::new(())) }))),
    ("closure", |rounds| joined(rounds, || spawn_blocking(raise))),
    ("drop_of_a_future_that_is_done", |rounds| joined(rounds, || tokio::spawn(Done(PanicsInDrop)))),
    ("drop_of_a_future_that_is_aborted", |rounds| joined(rounds, aborted)),
    ("drop_of_an_output", outputs),
    ("drop_of_a_payload", payloads),
    ("drop_of_a_payload_in_the_harness", escaping),
    ("waker", wakers),
    ("hooked_functions_in_an_unwinding", unwinding),
    ("nested_poll", nested),
    ("caught_by_the_task", caught_by_the_task),
];

/// Panics raised where tokio catches them and says nobody.
static RAISED: AtomicU64 = AtomicU64::new(0);

fn raise() {
    panic_any("a panic of the storm");
}

async fn later() {
    yield_now().await;
    raise();
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        RAISED.fetch_add(1, Ordering::Relaxed);
        raise();
    }
}

/// A future that is done at once, and whose drop panics.
struct Done(PanicsInDrop);

impl Future for Done {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

fn aborted() -> JoinHandle<()> {
    let guard = PanicsInDrop;
    let task = tokio::spawn(async move {
        let _guard = guard;
        pending().await
    });
    task.abort();
    task
}

/// Half of the rounds on each kind of runtime.
fn on_both(rounds: u64, half: impl Fn(&Runtime, u64) -> Result<Tally>) -> Result<Tally> {
    let mut sum = Tally::default();
    for runtime in [current_thread_runtime()?, multi_thread_runtime(2)?] {
        let Tally { tasks, panicked, cancelled, caught } = half(&runtime, rounds / 2)?;
        sum.tasks += tasks;
        sum.panicked += panicked;
        sum.cancelled += cancelled;
        sum.caught += caught;
    }
    Ok(sum)
}

/// Tasks that tokio has to say as panicked, some at a time.
fn joined(rounds: u64, start: fn() -> JoinHandle<()>) -> Result<Tally> {
    const WIDTH: u64 = 10;
    on_both(rounds, |runtime, rounds| {
        runtime.block_on(async {
            let mut panicked = 0;
            for _ in 0..rounds / WIDTH {
                let tasks: Vec<_> = (0..WIDTH).map(|_| start()).collect();
                for task in tasks {
                    panicked += u64::from(task.await.is_err_and(|error| error.is_panic()));
                }
            }
            let tasks = rounds / WIDTH * WIDTH;
            ensure!(panicked == tasks, "{panicked} of {tasks} tasks panicked");
            Ok(Tally { tasks, panicked, cancelled: 0, caught: panicked })
        })
    })
}

/// Tasks that complete, and whose output nobody takes: its drop panics inside of tokio, which says nothing of it.
fn outputs(rounds: u64) -> Result<Tally> {
    on_both(rounds, |runtime, rounds| {
        let before = RAISED.load(Ordering::Relaxed);
        runtime.block_on(async {
            for round in 0..rounds {
                let task = tokio::spawn(async { PanicsInDrop });
                if round % 2 == 0 {
                    // Then it is the drop of the handle that drops the output.
                    until(|| task.is_finished()).await;
                }
                drop(task);
            }
            until(|| RAISED.load(Ordering::Relaxed) - before >= rounds).await;
        });
        Ok(Tally { tasks: rounds, panicked: 0, cancelled: 0, caught: rounds })
    })
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        yield_now().await;
    }
}

/// A payload whose drop panics with the next, down to the last.
struct Payload(u8);

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some(next) = self.0.checked_sub(1) {
            panic_any(Self(next));
        }
    }
}

/// The payload is dropped by the task that joins.
fn payloads(rounds: u64) -> Result<Tally> {
    on_both(rounds, |runtime, rounds| {
        let joins = async move {
            let (mut panicked, mut caught) = (0, 0);
            for _ in 0..rounds {
                let ended = tokio::spawn(async { panic_any(Payload(1)) }).await;
                panicked += u64::from(matches!(&ended, Err(error) if error.is_panic()));
                caught += u64::from(catch_unwind(AssertUnwindSafe(|| drop(ended))).is_err());
                // A panic that is caught in the very poll that ends a task cannot be known from one that ends it.
                yield_now().await;
            }
            (panicked, caught)
        };
        let (panicked, caught) = runtime.block_on(async { tokio::spawn(joins).await })?;
        Ok(Tally { tasks: rounds + 1, panicked, cancelled: 0, caught: panicked + caught })
    })
}

/// Nobody joins: tokio drops the payload, catches what that raises, and drops this payload, which raises a
/// panic that leaves `raw::poll` and comes out of `block_on`.
fn escaping(rounds: u64) -> Result<Tally> {
    let mut tally = Tally::default();
    for _ in 0..rounds / 10 {
        let runtime = current_thread_runtime()?;
        let escaped = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                drop(tokio::spawn(async { panic_any(Payload(2)) }));
                for _ in 0..100 {
                    yield_now().await;
                }
            });
        }));
        tally.tasks += 1;
        tally.panicked += 1;
        tally.caught += u64::from(escaped.is_err());
        drop(runtime);
    }
    Ok(tally)
}

struct PanicsInWake;

impl Wake for PanicsInWake {
    fn wake(self: Arc<Self>) {
        RAISED.fetch_add(1, Ordering::Relaxed);
        raise();
    }
}

/// The waker of who joins panics: inside of tokio, at the end of the task.
fn wakers(rounds: u64) -> Result<Tally> {
    let waker = Waker::from(Arc::new(PanicsInWake));
    let before = RAISED.load(Ordering::Relaxed);
    let tally = on_both(rounds, |runtime, rounds| {
        runtime.block_on(async {
            for _ in 0..rounds {
                let (let_go, gone) = oneshot::channel();
                let mut task = pin!(tokio::spawn(async { drop(gone.await) }));
                let pending = task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
                ensure!(let_go.send(()).is_ok(), "a task that waits is gone");
                until(|| task.is_finished()).await;
                ensure!(pending, "a task that waits is done");
            }
            Ok(Tally { tasks: rounds, panicked: 0, cancelled: 0, caught: 0 })
        })
    })?;
    Ok(Tally { caught: RAISED.load(Ordering::Relaxed) - before, ..tally })
}

/// Wakes, spawns and aborts while it is dropped. The closure is handed on: one that is still to run when its runtime
/// goes would be cancelled.
struct ActsInDrop<'a>(&'a Notify, Option<oneshot::Sender<JoinHandle<()>>>);

impl Drop for ActsInDrop<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
        let task = tokio::spawn(pending::<()>());
        task.abort();
        let closure = spawn_blocking(|| ());
        if let Some(hand_on) = self.1.take() {
            drop(hand_on.send(closure));
        }
    }
}

fn unwinding(rounds: u64) -> Result<Tally> {
    on_both(rounds, |runtime, rounds| {
        runtime.block_on(async {
            let (mut panicked, heard) = (0, Arc::new(Notify::new()));
            for _ in 0..rounds {
                let notify = Arc::clone(&heard);
                let (hand_on, closure) = oneshot::channel();
                let task = tokio::spawn(async move {
                    let _guard = ActsInDrop(&notify, Some(hand_on));
                    yield_now().await;
                    raise();
                });
                heard.notified().await;
                panicked += u64::from(task.await.is_err_and(|error| error.is_panic()));
                closure.await?.await?;
            }
            Ok(Tally { tasks: 3 * rounds, panicked, cancelled: rounds, caught: panicked })
        })
    })
}

/// Through one poll into another: a `block_on` inside a task, and a `LocalSet`.
fn nested(rounds: u64) -> Result<Tally> {
    let rounds = rounds / 2;
    let mut panicked = 0;
    multi_thread_runtime(2)?.block_on(async {
        for _ in 0..rounds {
            let task = tokio::spawn(async { block_in_place(|| Handle::current().block_on(later())) });
            panicked += u64::from(task.await.is_err_and(|error| error.is_panic()));
        }
    });
    current_thread_runtime()?.block_on(LocalSet::new().run_until(async {
        for _ in 0..rounds {
            panicked += u64::from(spawn_local(later()).await.is_err_and(|error| error.is_panic()));
        }
    }));
    Ok(Tally { tasks: 2 * rounds, panicked, cancelled: 0, caught: panicked })
}

fn caught_by_the_task(rounds: u64) -> Result<Tally> {
    let catches = |rounds| async move {
        let mut caught = 0;
        for _ in 0..rounds {
            caught += u64::from(catch_unwind(raise).is_err());
            yield_now().await;
        }
        caught
    };
    on_both(rounds, |runtime, rounds| {
        let caught = runtime.block_on(async { tokio::spawn(catches(rounds)).await })?;
        Ok(Tally { tasks: 1, panicked: 0, cancelled: 0, caught })
    })
}
