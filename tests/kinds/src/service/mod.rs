//! A service on hyper whose handler does what the path's kind says: `/w/KIND/RID`.
//!
//! With `-h2` behind its kind, a request's calls go over HTTP/2.

mod actors;
mod direct;
mod fan;
mod grpc;
mod meeting;
mod own;
mod raw;
mod request;
mod shared;
mod streams;
mod tasks;

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use tokio::net::TcpListener;

use request::{Request, Shared};

/// Serves until a line comes on standard input, then says.
pub(crate) async fn run(port: u16, limited: u16) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let shared = Arc::new(Shared::new(port, limited)?);
    let app = Router::new()
        .route("/w/{kind}/{rid}", any(handle))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), tasks::around))
        .with_state(shared);
    let end = crate::first_line();
    crate::ready(&[listener.local_addr()?.port()]);
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        () = end => {}
    }
    // What the last requests left behind goes on meanwhile.
    crate::pause(100).await;
    crate::report()
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    Path((kind, rid)): Path<(String, String)>,
    http: HttpRequest,
) -> Response {
    let request = Request::new(shared, &kind, rid);
    request.spawn(|_| crate::pause(1));
    let kind = kind.trim_end_matches("-h2").to_owned();
    answer(&kind, &request, http)
        .await
        .unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

async fn answer(kind: &str, request: &Request, http: HttpRequest) -> Result<Response> {
    let known = direct::answer(kind, request).await?
        || fan::answer(kind, request).await?
        || own::answer(kind, request).await?
        || raw::answer(kind, request).await?
        || actors::answer(kind, request).await?
        || shared::answer(kind, request).await?
        || grpc::answer(kind, request).await?
        || tasks::answer(kind, request, http.headers()).await?;
    if known {
        return Ok("ok".into_response());
    }
    streams::answer(kind, request, http).await
}
