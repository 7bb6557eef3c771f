//! Work that several requests wait for, or that goes through several hands.

use std::sync::PoisonError;

use anyhow::{Result, anyhow};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::Client;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use super::request::Request;
use crate::log;

/// The call that all who come meanwhile wait for. Whoever polls it, it is of the request that began it.
pub(crate) type Flight = Shared<BoxFuture<'static, bool>>;
/// Asks for the next state of a cache, and is answered.
pub(crate) type Cache = (mpsc::UnboundedSender<()>, watch::Receiver<u64>);

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    match kind {
        "flight" => {
            request.shared.meeting.meet().await;
            flight(request).await;
        }
        "cache" => {
            let (asks, states) = request.shared.cache.get_or_init(async || refresh(request)).await;
            let mut states = states.clone();
            states.mark_unchanged();
            asks.send(())?;
            states.changed().await?;
        }
        "hops" => hops(request).await?,
        "ownrt" => own_runtime(request).await?,
        // Its client goes away, and what is dropped then cleans up.
        "gonecleanup" => {
            let _cleanup = Cleanup(request);
            request.call("hang").await?;
        }
        "cleanup" => {
            let _cleanup = Cleanup(request);
            request.call("now").await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn flight(request: &Request) -> Flight {
    let mut current = request.shared.flight.lock().unwrap_or_else(PoisonError::into_inner);
    match current.as_ref().filter(|flight| flight.peek().is_none()) {
        Some(flight) => flight.clone(),
        None => {
            let call = request.call("slow");
            current.insert(call.map(|answer| answer.is_ok()).boxed().shared()).clone()
        }
    }
}

/// Starts what refreshes a cache: its calls are nobody's.
fn refresh(request: &Request) -> Cache {
    let (asks, mut asked) = mpsc::unbounded_channel();
    let (states, state) = watch::channel(0);
    let nobody = Request::new(request.shared.clone(), "cache", "nobody".to_owned());
    tokio::spawn(async move {
        log::driver("cache");
        while asked.recv().await.is_some() {
            while asked.try_recv().is_ok() {}
            drop(nobody.call("slow").await);
            states.send_modify(|state| *state += 1);
        }
    });
    (asks, state)
}

/// A task of the request hands it to a second one, which calls and answers through both.
async fn hops(request: &Request) -> Result<()> {
    let (first, mut asks) = mpsc::channel::<oneshot::Sender<Result<String>>>(1);
    request.spawn(async move |request: Request| {
        while let Some(answer) = asks.recv().await {
            let (second, asked) = oneshot::channel::<oneshot::Sender<Result<String>>>();
            request.spawn(async |request: Request| {
                let Ok(answer) = asked.await else { return };
                drop(answer.send(request.call("slow").await));
            });
            drop(second.send(answer));
        }
    });
    let (sender, answer) = oneshot::channel();
    first.send(sender).await?;
    answer.await?.map(drop)
}

/// A runtime of its own on a thread that may block, and a client there.
async fn own_runtime(request: &Request) -> Result<()> {
    let request = request.clone();
    let blocking = move || {
        request.is_served_here();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder().no_proxy().build()?;
        runtime.block_on(request.call_by(&client, request.shared.port, "slow", None))
    };
    tokio::task::spawn_blocking(blocking).await?.map(drop).map_err(|error: anyhow::Error| anyhow!("{error:#}"))
}

/// Spawns a task that calls when it is dropped.
struct Cleanup<'a>(&'a Request);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        self.0.spawn(async |request: Request| drop(request.call("now").await));
    }
}
