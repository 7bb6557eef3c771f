//! Every way in which a response can end.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::Listener;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Looks like a message, and is a body.
const FAKE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-request-id: fake\r\n\r\n";

pub(crate) async fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L) {
    let router = Router::new()
        .route("/echo/{id}", any(echo))
        .route("/empty/{id}", any(|| async { StatusCode::NO_CONTENT }))
        .route("/stream/{id}", get(stream))
        .route("/upgrade/{id}", get(upgrade))
        .route("/spawn/{id}", get(spawn));
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("heads: {error}");
    }
}

async fn echo(headers: HeaderMap, body: Bytes) -> Response {
    let mut response = body.into_response();
    if let Some(id) = headers.get("x-request-id") {
        response.headers_mut().insert("x-request-id", id.clone());
    }
    response
}

/// Of a length that is not known, in chunks.
async fn stream() -> Body {
    let chunks = [FAKE, "a", FAKE].map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes())));
    Body::new(Chunks(chunks.into_iter().collect()))
}

struct Chunks(std::collections::VecDeque<Result<Bytes, Infallible>>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.pop_front().map(|chunk| chunk.map(hyper::body::Frame::data)))
    }
}

/// The id of a task that was spawned for the request alone.
async fn spawn() -> String {
    let task = tokio::spawn(tokio::task::yield_now());
    let id = task.id();
    // It cannot fail.
    task.await.ok();
    id.to_string()
}

/// Leaves HTTP: sends back what comes.
async fn upgrade(mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut stream = TokioIo::new(upgraded);
        let mut buffer = [0; 256];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..len]).await.is_err() {
                return;
            }
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(header::UPGRADE, "echo"), (header::CONNECTION, "upgrade")]).into_response()
}
