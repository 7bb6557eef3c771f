//! Locks for readers and writers, and semaphores: tasks that wait in a ring, and such as only look like it.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::log::spawn;
use crate::trail::{Trail, here};

type Lock = Arc<RwLock<u64>>;

/// Rings first, then what can go on.
pub(crate) async fn start() {
    write_waits_for_write().await;
    write_waits_for_read().await;
    read_waits_behind_write().await;
    permit_may_be_added().await;
    permit_in_a_struct().await;
    reader_in_a_struct().await;
}

async fn write_waits_for_write() {
    let lock = Lock::default();
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&lock);
    let other = spawn("second_writer", |trail| writes_after(trail, gone, theirs));
    drop(spawn("first_writer", |trail| keeps_writing(trail, lock, go, other)));
}

async fn keeps_writing(trail: Trail, lock: Lock, go: oneshot::Sender<()>, other: JoinHandle<()>) {
    let guard = lock.write().await;
    go.send(()).unwrap_or_default();
    drop(trail.leaf(here!(), "JoinHandle", other).await);
    drop(guard);
}

async fn writes_after(trail: Trail, gone: oneshot::Receiver<()>, lock: Lock) {
    gone.await.unwrap_or_default();
    drop(trail.leaf(here!(), "RwLock", lock.write()).await);
}

async fn write_waits_for_read() {
    let lock = Lock::default();
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&lock);
    let other = spawn("writer", |trail| writes_after(trail, gone, theirs));
    drop(spawn("reader", |trail| keeps_reading(trail, lock, go, other)));
}

async fn keeps_reading(trail: Trail, lock: Lock, go: oneshot::Sender<()>, other: JoinHandle<()>) {
    let guard = lock.read_owned().await;
    go.send(()).unwrap_or_default();
    drop(trail.leaf(here!(), "JoinHandle", other).await);
    drop(guard);
}

/// The reader's second guard has to wait for the writer, which waits for the first.
async fn read_waits_behind_write() {
    let lock = Lock::default();
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&lock);
    drop(spawn("writer_between", |trail| writes_after(trail, gone, theirs)));
    drop(spawn("reader_twice", |trail| reads_twice(trail, lock, go)));
}

async fn reads_twice(trail: Trail, lock: Lock, go: oneshot::Sender<()>) {
    let first = lock.read().await;
    go.send(()).unwrap_or_default();
    while lock.try_read().is_ok() {
        tokio::task::yield_now().await;
    }
    let second = trail.leaf(here!(), "RwLock", lock.read()).await;
    drop((first, second));
}

/// Somebody may add a permit at any time.
async fn permit_may_be_added() {
    let semaphore = Arc::new(Semaphore::new(1));
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&semaphore);
    let other = spawn("acquires", |trail| acquires_after(trail, gone, theirs));
    drop(spawn("permitted", |trail| keeps_permit(trail, semaphore, go, other)));
}

async fn keeps_permit(trail: Trail, semaphore: Arc<Semaphore>, go: oneshot::Sender<()>, other: JoinHandle<()>) {
    let Ok(permit) = semaphore.acquire().await else { return };
    go.send(()).unwrap_or_default();
    drop(trail.leaf(here!(), "JoinHandle", other).await);
    drop(permit);
}

async fn acquires_after(trail: Trail, gone: oneshot::Receiver<()>, semaphore: Arc<Semaphore>) {
    gone.await.unwrap_or_default();
    drop(trail.leaf(here!(), "Semaphore", semaphore.acquire()).await);
}

/// A thing that keeps a share without being a guard.
struct Lease<T> {
    _kept: T,
}

/// The other of two permits comes back by itself.
async fn permit_in_a_struct() {
    let semaphore = Arc::new(Semaphore::new(2));
    let Ok(permit) = Arc::clone(&semaphore).acquire_owned().await else { return };
    drop(spawn("leases_permit", |trail| leases::<OwnedSemaphorePermit>(trail, Lease { _kept: permit })));
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&semaphore);
    let other = spawn("acquires_last", |trail| acquires_after(trail, gone, theirs));
    drop(spawn("permitted_last", |trail| keeps_permit(trail, semaphore, go, other)));
}

/// One of two that may read keeps waiting for the third, but the other does not.
async fn reader_in_a_struct() {
    let lock = Arc::new(RwLock::with_max_readers(0, 2));
    let guard = Arc::clone(&lock).read_owned().await;
    drop(spawn("leases_reader", |trail| leases::<OwnedRwLockReadGuard<u64>>(trail, Lease { _kept: guard })));
    let (go, gone) = oneshot::channel();
    let theirs = Arc::clone(&lock);
    let other = spawn("third_reader", |trail| reads_after(trail, gone, theirs));
    drop(spawn("second_reader", |trail| keeps_reading(trail, lock, go, other)));
}

async fn leases<T>(trail: Trail, lease: Lease<T>) {
    trail.leaf(here!(), "Sleep", tokio::time::sleep(crate::FOREVER)).await;
    drop(lease);
}

async fn reads_after(trail: Trail, gone: oneshot::Receiver<()>, lock: Lock) {
    gone.await.unwrap_or_default();
    drop(trail.leaf(here!(), "RwLock", lock.read()).await);
}
