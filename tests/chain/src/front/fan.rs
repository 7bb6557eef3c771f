//! Requests that come to a good end.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{App, Shared};
use crate::log::Open;
use crate::os::spin;
use crate::request::Request;

/// Work of every kind side by side, some of which goes on after the response.
pub(super) async fn fan(
    State(app): Shared,
    Extension(request): Extension<Arc<Request>>,
    Path(number): Path<u64>,
) -> StatusCode {
    let asking = request.spawn(ask(app.clone(), Arc::clone(&request), format!("/work/{number}"), true));
    let user = request.spawn(user(Arc::clone(&request)));
    let mut set = JoinSet::new();
    request.spawn_on(&mut set, ask(app.clone(), Arc::clone(&request), format!("/light/{number}"), true));
    for wait in 1..3 {
        request.spawn_on(&mut set, async move {
            sleep(Duration::from_millis(wait)).await;
            Some(200)
        });
    }
    let here = async {
        sleep(Duration::from_millis(1)).await;
        spin(Duration::from_micros(10));
    };
    let (asked, user, replied, ()) = tokio::join!(asking, user, app.actor.ask(&request), here);
    let all = set.join_all().await;
    request.spawn(audit(app, Arc::clone(&request), Open::new()));
    let fine = asked.is_ok_and(|status| status == Some(200))
        && user.is_ok()
        && replied.is_some()
        && all.iter().all(|status| *status == Some(200));
    if fine { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
}

async fn ask(app: App, request: Arc<Request>, path: String, bear: bool) -> Option<u16> {
    app.middle.ask(&request, &path, bear).await
}

/// A task that spawns another, and one on the blocking pool.
async fn user(request: Arc<Request>) {
    let inner = request.spawn(async {
        sleep(Duration::from_millis(1)).await;
        spin(Duration::from_micros(10));
    });
    let blocking = request.spawn_blocking(|| spin(Duration::from_micros(20)));
    // What they make does not matter, only that they were there.
    let _ = tokio::join!(inner, blocking);
}

/// Not awaited by anybody.
async fn audit(app: App, request: Arc<Request>, open: Open) {
    sleep(Duration::from_millis(5)).await;
    app.actor.tell(&request, open).await;
}

/// Makes up an ID, which only its response bears; calls nobody with it.
pub(super) async fn own(
    State(app): Shared,
    Extension(request): Extension<Arc<Request>>,
    Path(number): Path<u64>,
) -> StatusCode {
    // Set once only: a request has one handler.
    let _ = request.made.set(format!("own-{number}"));
    quiet(State(app), Extension(request), Path(number)).await
}

/// Calls without an ID.
pub(super) async fn quiet(
    State(app): Shared,
    Extension(request): Extension<Arc<Request>>,
    Path(number): Path<u64>,
) -> StatusCode {
    let path = format!("/quiet/{number}");
    let spawned = request.spawn(ask(app.clone(), Arc::clone(&request), format!("/light/{number}"), false));
    let (status, spawned) = tokio::join!(app.middle.ask(&request, &path, false), spawned);
    let fine = status == Some(200) && spawned.is_ok_and(|status| status == Some(200));
    if fine { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
}
