//! Calls that another task makes for whoever asks it, and senders that get in each other's way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, anyhow};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tower::buffer::Buffer;
use tower::{Service, ServiceExt as _};

use super::request::Request;
use crate::log;

/// A message to an actor: for whom to call, and where the answer goes.
type Ask = (Request, oneshot::Sender<Result<String>>);
/// The way to an actor.
pub(crate) type Asks = mpsc::Sender<Ask>;
type Calling = Pin<Box<dyn Future<Output = Result<String, tower::BoxError>> + Send>>;
/// The way to a service behind a task of its own.
pub(crate) type Buffered = Buffer<Request, Calling>;

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    let shared = &request.shared;
    let limited = |what: &str| request.call_by(&shared.limited, shared.limited_port, what, None);
    match kind {
        "actor" => by_actor(request, shared.actor.get_or_init(async || start("actor")).await).await?,
        "semactor" => {
            let _permit = shared.one_at_a_time.acquire().await?;
            by_actor(request, shared.busy_actor.get_or_init(async || start("semactor")).await).await?;
        }
        "buffer" => by_buffer(request).await?,
        "pair" => {
            shared.meeting.meet().await;
            request.call("slow").await?;
        }
        "cancel" => cancel(request).await?,
        "limit" => drop(limited("slow").await?),
        "limitfan" => drop(join_all((0..3).map(|_| limited("slow"))).await),
        // It waits for its turn, and gives up.
        "limittmo" => drop(tokio::time::timeout(std::time::Duration::from_millis(12), limited("slow")).await),
        _ => return Ok(false),
    }
    Ok(true)
}

fn start(name: &'static str) -> Asks {
    let (sender, mut asks) = mpsc::channel::<Ask>(16);
    tokio::spawn(async move {
        log::driver(name);
        while let Some((request, answer)) = asks.recv().await {
            // Who asked may have gone.
            let _sent = answer.send(request.call("slow").await);
        }
    });
    sender
}

async fn by_actor(request: &Request, asks: &Asks) -> Result<()> {
    let (sender, answer) = oneshot::channel();
    asks.send((request.clone(), sender)).await.map_err(|_| anyhow!("no actor"))?;
    answer.await?.map(drop)
}

/// A service that calls.
#[derive(Debug)]
struct Caller;

impl Service<Request> for Caller {
    type Response = String;
    type Error = tower::BoxError;
    type Future = Calling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Calling {
        Box::pin(async move { Ok(request.call("slow").await?) })
    }
}

async fn by_buffer(request: &Request) -> Result<()> {
    let mut buffer = request.shared.buffer.get_or_init(async || Buffer::new(Caller, 16)).await.clone();
    let ready = buffer.ready().await.map_err(|error| anyhow!(error))?;
    ready.call(request.clone()).await.map_err(|error| anyhow!(error)).map(drop)
}

/// Of two that meet, one sends and goes away in the same poll; the other's call is the only one that is heard.
async fn cancel(request: &Request) -> Result<()> {
    let leads = request.shared.meeting.meet().await;
    let mut call = Box::pin(request.call("slow"));
    let first = futures_util::future::poll_fn(|context| Poll::Ready(call.poll_unpin(context))).await;
    if leads {
        return Ok(());
    }
    match first {
        Poll::Ready(answer) => answer.map(drop).context("at once"),
        Poll::Pending => call.await.map(drop),
    }
}
