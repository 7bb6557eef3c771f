//! Calls that the handler itself makes and awaits, or gives up.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::request::Request;

fn within<F: Future>(milliseconds: u64, work: F) -> tokio::time::Timeout<F> {
    timeout(Duration::from_millis(milliseconds), work)
}

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    match kind {
        "plain" => {}
        "sleep" => crate::pause(5).await,
        "call" => drop(request.call("slow").await?),
        "now" => drop(request.call("now").await?),
        "twice" => {
            request.call("now").await?;
            request.call("slow").await?;
        }
        "tmo" => drop(within(4, request.call("slow")).await),
        "sel" => tokio::select! {
            _ = request.call("slow") => {}
            () = crate::pause(5) => {}
        },
        "hang" => drop(within(150, request.call("hang")).await),
        // Its client goes away meanwhile.
        "gone" => drop(within(1000, request.call("hang")).await),
        // For good, or until its client goes.
        "stuck" => drop(request.call("hang").await),
        "close" => drop(request.call("close").await),
        "half" => drop(request.call_head("parts").await?),
        "parts" => drop(request.call("parts").await?),
        "retry" => retry(request).await?,
        "hedge" => hedge(request).await,
        "nested" => nested(request).await,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Tries one that goes away, one that fails, one that takes too long, and one that works.
async fn retry(request: &Request) -> Result<()> {
    drop(request.call("close").await);
    drop(request.call("fail").await);
    drop(within(3, request.call("slow")).await);
    request.call("slow").await.map(drop)
}

/// A second call, where the first takes too long; the first answer counts, the other is dropped.
async fn hedge(request: &Request) {
    let first = Box::pin(request.call("late"));
    let second = Box::pin(async {
        crate::pause(3).await;
        request.call("slow").await
    });
    match select(first, second).await {
        Either::Left((_, second)) => drop(second),
        Either::Right((_, first)) => drop(first),
    }
}

/// An inner limit passes, the next call falls under the outer one.
async fn nested(request: &Request) {
    let inner = async {
        drop(within(3, request.call("slow")).await);
        drop(within(50, request.call("slow")).await);
    };
    drop(within(7, inner).await);
}
