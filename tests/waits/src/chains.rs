//! Every way in which a future holds the one it waits for, each in a task of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::log::{spawn, spawn_from};
use crate::trail::{Trail, here};
use crate::{FOREVER, nap};

pub(crate) fn start() {
    drop(spawn("deep", one));
    drop(spawn("spawns", grandparent));
    drop(spawn("boxed", boxed));
    drop(spawn("pinned", pinned));
    drop(spawn("borrowed", borrowed));
    drop(spawn("recursive", |trail| recursive(trail, 4)));
    drop(spawn("join", joined));
    drop(spawn("try_join", try_joined));
    drop(spawn("select", selected));
    drop(spawn("select_off", selected_off));
    drop(spawn("timeout", timed));
    drop(spawn("instrumented", instrumented));
    drop(spawn("by_hand", by_hand));
    drop(spawn("optional", optional));
    drop(spawn("blocks", blocks));
    drop(spawn("in_a_trait", |trail| async move { trail.at(here!(), |trail| Unit.wait(trail)).await }));
    drop(spawn("join_set", join_set));
    drop(spawn("unordered", unordered));
    drop(spawn("boxed_task", |trail| -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(one(trail)) }));
}

async fn one(trail: Trail) {
    trail.at(here!(), two).await;
}

async fn two(trail: Trail) {
    let kept = vec![1_u8; 3];
    trail.at(here!(), three).await;
    drop(kept);
}

async fn three(trail: Trail) {
    sleep(std::time::Duration::from_millis(1)).await;
    trail.at(here!(), four).await;
}

async fn four(trail: Trail) -> u32 {
    trail.at(here!(), five).await + 1
}

async fn five(trail: Trail) -> u32 {
    trail.leaf(here!(2), "Sleep", ());
    loop {
        sleep(nap()).await;
    }
}

async fn grandparent(trail: Trail) {
    let child = spawn_from(&trail, "parent", parent);
    drop(trail.leaf(here!(), "JoinHandle", child).await);
}

async fn parent(trail: Trail) {
    let child = spawn_from(&trail, "child", child);
    drop(trail.leaf(here!(), "JoinHandle", child).await);
}

async fn child(trail: Trail) {
    trail.at(here!(), four).await;
}

type Boxed = Pin<Box<dyn Future<Output = u32> + Send>>;

async fn boxed(trail: Trail) {
    let futures: Vec<fn(Trail) -> Boxed> = vec![|trail| Box::pin(five(trail)), |trail| Box::pin(four(trail))];
    for make in futures.into_iter().rev() {
        trail.at(here!(), make).await;
    }
}

async fn pinned(trail: Trail) {
    trail.at(here!(), |trail| Box::pin(four(trail))).await;
}

async fn borrowed(trail: Trail) {
    let inner = trail.at(here!(2), five);
    let inner = std::pin::pin!(inner);
    inner.await;
}

async fn recursive(trail: Trail, left: u32) -> u32 {
    if left == 0 {
        return trail.at(here!(), five).await;
    }
    trail.at(here!(), |trail| Box::pin(recursive(trail, left - 1))).await + 1
}

async fn joined(trail: Trail) {
    let here = here!(2);
    let place = trail.at(here, |t| t);
    tokio::join!(three(place.clone()), five(place.clone()), done());
}

async fn done() {}

async fn fallible(trail: Trail) -> Result<u32, ()> {
    Ok(trail.at(here!(), five).await)
}

async fn try_joined(trail: Trail) {
    let here = here!(2);
    let place = trail.at(here, |t| t);
    let both = tokio::try_join!(fallible(place.clone()), fallible(place.clone()));
    both.map(drop).unwrap_or_default();
}

async fn selected(trail: Trail) {
    let here = here!(2);
    let place = trail.at(here, |t| t);
    tokio::select! {
        _ = four(place.clone()) => {}
        _ = five(place.clone()) => {}
    }
}

/// A branch whose condition does not hold is no place where the task waits.
async fn selected_off(trail: Trail) {
    let off = trail_is_off();
    let here = here!(2);
    let place = trail.at(here, |t| t);
    tokio::select! {
        () = three(Trail::default()), if off => {}
        _ = five(place.clone()) => {}
    }
}

fn trail_is_off() -> bool {
    std::env::args().count() > 1000
}

async fn timed(trail: Trail) {
    // The time limit is waited for as well.
    trail.leaf(here!(1), "Sleep", ());
    drop(trail.at(here!(), |trail| timeout(FOREVER, four(trail))).await);
}

async fn instrumented(trail: Trail) {
    trail.at(here!(), |trail| four(trail).instrument(tracing::Span::none())).await;
}

struct ByHand<F> {
    _before: [u64; 3],
    inner: F,
}

impl<F: Future + Unpin> Future for ByHand<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.inner).poll(context)
    }
}

async fn by_hand(trail: Trail) {
    trail.at(here!(), |trail| ByHand { _before: [7; 3], inner: Box::pin(five(trail)) }).await;
}

struct Optional<F>(Option<F>);

impl<F: Future + Unpin> Future for Optional<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        match &mut self.0 {
            Some(inner) => Pin::new(inner).poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}

async fn optional(trail: Trail) {
    trail.at(here!(), |trail| Optional(Some(Box::pin(five(trail))))).await;
}

async fn blocks(trail: Trail) {
    let block = |trail: Trail| async move { trail.at(here!(), five).await };
    trail.at(here!(), block).await;
}

trait Waits {
    fn wait(&self, trail: Trail) -> impl Future<Output = ()> + Send;
}

struct Unit;

impl Waits for Unit {
    async fn wait(&self, trail: Trail) {
        trail.at(here!(), five).await;
    }
}

async fn join_set(trail: Trail) {
    let mut set = JoinSet::new();
    set.spawn(five(Trail::default()));
    set.spawn(five(Trail::default()));
    drop(trail.leaf(here!(), "JoinHandle", set.join_next()).await);
}

async fn unordered(trail: Trail) {
    let here = here!(3);
    let place = trail.at(here, |t| t);
    let mut all: FuturesUnordered<_> = [four(place.clone()), four(place.clone())].into_iter().collect();
    all.next().await;
}
