//! The upstream: HTTP/1 and HTTP/2 on one port, and on a second one HTTP/2 with one stream at a time.

use std::convert::Infallible;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::pause;

/// Longer than any client waits.
const HANG_MS: u64 = 60_000;
/// An empty message, not compressed.
const MESSAGE: [u8; 5] = [0; 5];

/// Serves until it is killed.
pub(crate) async fn run() -> Result<()> {
    let open = TcpListener::bind("127.0.0.1:0").await?;
    let limited = TcpListener::bind("127.0.0.1:0").await?;
    crate::ready(&[open.local_addr()?.port(), limited.local_addr()?.port()]);
    tokio::spawn(one_stream(limited));
    axum::serve(open, routes()).await?;
    Ok(())
}

fn routes() -> Router {
    Router::new()
        .route("/now/{id}", any(async || "now"))
        .route("/slow/{id}", any(|| after(8, "slow".into_response())))
        .route("/late/{id}", any(|| after(150, "late".into_response())))
        .route("/hang/{id}", any(|| after(HANG_MS, "never".into_response())))
        .route("/fail/{id}", any(|| after(2, StatusCode::SERVICE_UNAVAILABLE.into_response())))
        .route("/close/{id}", any(close))
        .route("/parts/{id}", any(async || Body::from_stream(parts(4, "part"))))
        .route("/kinds.Kinds/{id}", any(|| grpc(1)))
        .route("/kinds.Many/{id}", any(|| grpc(3)))
        .route("/kinds.Hang/{id}", any(|| after(HANG_MS, ().into_response())))
        .route("/echo/{id}", get(|Path(id): Path<String>| async { id }))
}

async fn after(milliseconds: u64, answer: Response) -> Response {
    pause(milliseconds).await;
    answer
}

/// Takes the connection, or HTTP/2's stream, down with it.
async fn close() {
    pause(3).await;
    std::panic::resume_unwind(Box::new(()));
}

fn parts(count: u32, text: &'static str) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        pause(3).await;
        Some((Ok(Bytes::from_static(text.as_bytes())), sent + 1))
    })
}

/// This many empty messages, and then trailers that say that all is well.
async fn grpc(count: u32) -> Response {
    let frames = stream::unfold(0, move |sent| async move {
        pause(4).await;
        let frame = match sent.cmp(&count) {
            std::cmp::Ordering::Less => Frame::data(Bytes::from_static(&MESSAGE)),
            std::cmp::Ordering::Equal => Frame::trailers(well()),
            std::cmp::Ordering::Greater => return None,
        };
        Some((Ok::<_, Infallible>(frame), sent + 1))
    });
    ([("content-type", "application/grpc")], Body::new(StreamBody::new(frames))).into_response()
}

fn well() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
}

async fn one_stream(listener: TcpListener) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        let service = TowerToHyperService::new(routes());
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http2().max_concurrent_streams(1);
            // How a connection ends is its client's business.
            let _end = builder.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
