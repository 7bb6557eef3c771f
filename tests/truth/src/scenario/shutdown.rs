//! Runtimes dropped with tasks alive in every state.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::work::family;
use super::{Deadline, current_thread_runtime, multi_thread_runtime, spin};
use crate::log;
use crate::spawn::{spawn, spawn_blocking_on, spawn_on};

pub(super) fn run(deadline: Deadline) -> Result<()> {
    while deadline.open() {
        end(multi_thread_runtime(2)?, drop);
        end(multi_thread_runtime(2)?, |runtime| runtime.shutdown_timeout(Duration::from_millis(100)));
        end(current_thread_runtime()?, drop);
        end(multi_thread_runtime(2)?, |runtime| {
            spawn_blocking_on(runtime.handle(), || spin(Duration::from_millis(2)));
            runtime.shutdown_background();
        });
        blocking_queue()?;
    }
    Ok(())
}

/// Ends a runtime while tasks come, the last of them too late, from a plain thread.
fn end(runtime: Runtime, drop_runtime: fn(Runtime)) {
    inhabit(&runtime);
    let handle = runtime.handle().clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                spin(Duration::from_micros(100));
                spawn_on(&handle, family(0));
            }
        });
        log::shutdown(|| drop_runtime(runtime));
    });
}

/// Tasks that wait, that are queued, that run, and that spawn when dropped.
fn inhabit(runtime: &Runtime) {
    runtime.block_on(async {
        spawn(pending::<()>());
        spawn(sleep(Duration::from_secs(3600)));
        spawn(family(2));
        spawn(spawns_when_dropped());
        sleep(Duration::from_millis(2)).await;
        spawn(async {
            loop {
                spin(Duration::from_micros(50));
                yield_now().await;
            }
        });
        spawn(family(2));
    });
    for _ in 0..4 {
        spawn_on(runtime.handle(), family(1));
    }
}

async fn spawns_when_dropped() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            spawn(family(1));
        }
    }
    let _last = Last;
    pending::<()>().await;
}

/// One closure runs on through the shutdown, those behind it never run.
fn blocking_queue() -> Result<()> {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build()?;
    let (started, starts) = mpsc::channel();
    spawn_blocking_on(runtime.handle(), move || {
        let reported = started.send(()).is_ok();
        spin(Duration::from_millis(2));
        reported
    });
    spawn_blocking_on(runtime.handle(), || ());
    spawn_blocking_on(runtime.handle(), || ());
    starts.recv()?;
    let handle = runtime.handle().clone();
    log::shutdown(|| drop(runtime));
    spawn_blocking_on(&handle, || ());
    Ok(())
}
