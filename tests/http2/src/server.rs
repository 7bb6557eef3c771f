//! The server: what it answers is in the path.

use std::{collections::HashSet, convert::Infallible};

use anyhow::Result;
use hyper::{HeaderMap, Request, Response, body::Incoming, header::HeaderValue, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    SECRET,
    body::Sent,
    line,
    log::{self, Way},
    say,
};

/// Serves until a line comes.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("ready {}", listener.local_addr()?.port()))?;
    let (hanging, _) = watch::channel(HashSet::new());
    let accept = async {
        loop {
            let (socket, _) = listener.accept().await?;
            let hanging = hanging.clone();
            let service = service_fn(move |request| answer(request, hanging.clone()));
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // A client that closes its connection is no error here.
            tokio::spawn(async move { http2.serve_connection(TokioIo::new(socket), service).await.is_ok() });
        }
    };
    tokio::select! {
        failed = accept => failed,
        line = line() => line,
    }
}

/// The paths are `/<kind>/<exchange>`.
async fn answer(
    request: Request<Incoming>,
    hanging: watch::Sender<HashSet<String>>,
) -> Result<Response<Sent>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut parts = path.split('/').skip(1);
    let (kind, exchange) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    log::request(exchange, Way::Read, &request);
    let is_head = *request.method() == hyper::Method::HEAD;
    let mut response = Response::new(if is_head { Sent::default() } else { Sent::data() });
    let id = request.headers().get("x-request-id").cloned();
    match kind {
        "hang" => {
            hanging.send_modify(|all| all.extend([exchange.to_owned()]));
            std::future::pending::<()>().await;
        }
        "hung" => {
            let wanted = exchange.trim_end_matches('w').to_owned();
            // The sender is held here.
            let _hangs = hanging.subscribe().wait_for(|all| all.contains(&wanted)).await.is_ok();
        }
        "grpc" => response = Response::new(Sent::with_trailers(trailers("0", id.clone()))),
        "grpc-fails" => {
            response = Response::new(Sent::default());
            *response.headers_mut() = trailers("14", None);
        }
        "missing" => *response.status_mut() = hyper::StatusCode::NOT_FOUND,
        _ => {}
    }
    response.headers_mut().insert("set-cookie", HeaderValue::from_static(SECRET));
    if let Some(id) = id.filter(|_| kind != "silent") {
        response.headers_mut().insert("x-request-id", id);
    }
    log::response(exchange, Way::Written, &response);
    if kind == "grpc" {
        log::trailers(exchange, Way::Written, &trailers("0", request.headers().get("x-request-id").cloned()));
    }
    Ok(response)
}

fn trailers(status: &'static str, id: Option<HeaderValue>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers.insert("grpc-message", HeaderValue::from_static(SECRET));
    if let Some(id) = id {
        trailers.insert("x-request-id", id);
    }
    trailers
}
