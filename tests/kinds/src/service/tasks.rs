//! Calls that tasks, threads and middlewares of a request make.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Request as HttpRequest, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use tokio::runtime::Handle;

use super::request::{Request, Shared};
use crate::log;

/// How long after its request was answered a task calls.
const LATER_MS: u64 = 15;
/// How long one is open that does nothing.
const HOLD_MS: u64 = 60;

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request, headers: &HeaderMap) -> Result<bool> {
    match kind {
        "hold" => crate::pause(HOLD_MS).await,
        "child" => drop(request.spawn(async |request: Request| request.call("slow").await).await?),
        "bg" => drop(request.spawn(async |request: Request| later(request, None).await)),
        "bgid" => {
            let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            request.spawn(async |request: Request| later(request, id).await);
        }
        // The client's own future is the task.
        "fire" => drop(tokio::spawn(request.call("slow"))),
        "deep" => {
            let outer = request.spawn(async |request: Request| {
                request.spawn(async |request: Request| request.call("slow").await).await
            });
            outer.await???;
        }
        "blk" => {
            let (request, runtime) = (request.clone(), Handle::current());
            let blocking = move || {
                request.is_served_here();
                runtime.block_on(request.call("slow"))
            };
            tokio::task::spawn_blocking(blocking).await??;
        }
        "bip" => drop(tokio::task::block_in_place(|| Handle::current().block_on(request.call("slow")))?),
        // What a middleware does is in `around`.
        "mid" => {}
        "midrun" => drop(request.call("slow").await?),
        _ => return Ok(false),
    }
    Ok(true)
}

async fn later(request: Request, id: Option<String>) -> Result<String> {
    crate::pause(LATER_MS).await;
    let shared = Arc::clone(&request.shared);
    request.call_by(&shared.poolless, shared.port, "slow", id.as_deref()).await
}

/// A middleware around all handlers, in the task that serves the request: around `mid` it lets a task call before the handler and one after it; `midrun` is handled by a task
/// of its own.
pub(crate) async fn around(State(shared): State<Arc<Shared>>, http: HttpRequest, next: Next) -> Response {
    let path = http.uri().path().to_owned();
    let mut words = path.split('/').skip(2);
    let (kind, rid) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    log::request(rid, kind);
    let request = || Request::new(Arc::clone(&shared), kind, format!("{rid}.m"));
    match kind.trim_end_matches("-h2") {
        "mid" => {
            let request = request();
            let before = request.spawn(async |request: Request| request.call("now").await);
            drop(before.await);
            let answer = next.run(http).await;
            request.spawn(async |request: Request| request.call("slow").await);
            answer
        }
        "midrun" => {
            let handled = request().spawn(|_| next.run(http)).await;
            handled.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        _ => next.run(http).await,
    }
}
