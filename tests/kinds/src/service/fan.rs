//! Many calls at once.

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use tokio::task::JoinSet;

use super::request::Request;

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    let calls = |count: u32| (0..count).map(|_| request.call("slow"));
    match kind {
        "fan" => {
            let mut calls: FuturesUnordered<_> = calls(3).collect();
            while calls.next().await.is_some() {}
        }
        "join" => drop(join_all(calls(3)).await),
        "join30" => drop(join_all(calls(30)).await),
        "join40" => drop(try_join_all(calls(40)).await?),
        "macro" => drop(tokio::join!(request.call("slow"), request.call("now"))),
        "bufun" => drop(stream::iter(calls(40)).buffer_unordered(10).collect::<Vec<_>>().await),
        "each" => stream::iter(calls(20)).for_each_concurrent(5, async |call| drop(call.await)).await,
        "set" => set(request).await,
        "abort" => abort(request).await,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn set(request: &Request) {
    let mut set = JoinSet::new();
    for _ in 0..3 {
        set.spawn(request.task(async |request: Request| request.call("slow").await));
    }
    while set.join_next().await.is_some() {}
}

/// The set is dropped while its tasks' calls are open.
async fn abort(request: &Request) {
    let mut set = JoinSet::new();
    for what in ["now", "hang", "hang"] {
        set.spawn(request.task(async move |request: Request| request.call(what).await));
    }
    crate::pause(5).await;
    set.join_next().await;
}
