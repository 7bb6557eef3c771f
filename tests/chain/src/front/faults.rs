//! Requests that do not.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::request::Request;

const PATIENCE: Duration = Duration::from_millis(300);

type Of = Extension<Arc<Request>>;

/// Has `middle` do it, and says what it said.
pub(super) async fn pass(State(app): Shared, Extension(request): Of, path: Path<(String, u64)>) -> StatusCode {
    let Path((what, number)) = path;
    status(app.middle.ask(&request, &format!("/{what}/{number}"), true).await)
}

/// The first attempt is answered 503.
pub(super) async fn retry(State(app): Shared, Extension(request): Of, Path(number): Path<u64>) -> StatusCode {
    let path = format!("/flaky/{number}");
    let first = app.middle.ask(&request, &path, true).await;
    let again = if first == Some(503) { app.middle.ask(&request, &path, true).await } else { None };
    status(again)
}

/// The first attempt's connection is dropped.
pub(super) async fn redo(State(app): Shared, Extension(request): Of, Path(number): Path<u64>) -> StatusCode {
    let path = format!("/drop/{number}");
    let first = app.middle.ask(&request, &path, true).await;
    let again = if first.is_none() { app.middle.ask(&request, &path, true).await } else { None };
    status(again)
}

/// Gives up on `middle`.
pub(super) async fn late(State(app): Shared, Extension(request): Of, Path(number): Path<u64>) -> StatusCode {
    let path = format!("/hang/{number}");
    let answered = timeout(PATIENCE, app.middle.ask_now(&request, &path, true)).await;
    answered.map_or(StatusCode::GATEWAY_TIMEOUT, status)
}

/// Is given up on by [`time_limit`].
pub(super) async fn layered(State(app): Shared, Extension(request): Of, Path(number): Path<u64>) -> StatusCode {
    request.spawn(sleep(Duration::from_millis(1)));
    status(app.middle.ask_now(&request, &format!("/hang/{number}"), true).await)
}

/// Around a handler: answers itself when that takes too long, and drops it.
pub(super) async fn time_limit(http: HttpRequest, next: Next) -> Response {
    let answered = timeout(PATIENCE, next.run(http)).await;
    answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// Is not done before its client has gone.
pub(super) async fn hang(Extension(request): Of, _: Path<u64>) -> StatusCode {
    request.spawn(sleep(Duration::from_millis(1)));
    sleep(Duration::from_secs(600)).await;
    StatusCode::OK
}

#[expect(clippy::panic, reason = "it is there to panic")]
pub(super) async fn panics(Extension(request): Of, _: Path<u64>) -> StatusCode {
    request.spawn(sleep(Duration::from_millis(1)));
    sleep(Duration::from_millis(1)).await;
    panic!("as asked")
}

fn status(of_middle: Option<u16>) -> StatusCode {
    of_middle.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}
