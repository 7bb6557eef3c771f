//! The client: several connections at once, several times, with all exchanges of one at once.

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, Method, Request,
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
    header::HeaderValue,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    SECRET,
    body::Sent,
    log::{self, Way},
};

/// Connections are closed between rounds: what they lay in is used again.
const ROUNDS: u32 = 4;
const CONNECTIONS: u32 = 4;
const METHODS: [&str; 9] = ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "POST", "PURGE"];

/// All of them.
pub(crate) async fn run(port: u16) -> Result<()> {
    for round in 0..ROUNDS {
        let mut connections = JoinSet::new();
        (0..CONNECTIONS).for_each(|place| drop(connections.spawn(connection(port, format!("r{round}c{place}")))));
        while let Some(ended) = connections.join_next().await {
            ended??;
        }
    }
    Ok(())
}

async fn connection(port: u16, name: String) -> Result<()> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let mut exchanges = JoinSet::new();
    let plain = METHODS.map(|method| ("plain", method));
    let kinds = [("grpc", "POST"), ("grpc-fails", "POST"), ("missing", "GET"), ("silent", "GET"), ("hang", "GET")];
    for (place, (kind, method)) in plain.into_iter().chain(kinds).enumerate() {
        let exchange = format!("{name}-{place}");
        exchanges.spawn(one(sender.clone(), kind, Method::from_bytes(method.as_bytes())?, exchange));
    }
    drop(sender);
    while let Some(ended) = exchanges.join_next().await {
        ended??;
    }
    connection.await?.context("the connection failed")
}

async fn one(sender: SendRequest<Sent>, kind: &'static str, method: Method, exchange: String) -> Result<()> {
    if kind == "hang" {
        let waiting = exchanged(sender.clone(), kind, method, &exchange);
        let until = format!("{exchange}w");
        tokio::select! {
            ended = waiting => ended,
            seen = exchanged(sender, "hung", Method::GET, &until) => seen, // the other stream is reset
        }
    } else {
        exchanged(sender, kind, method, &exchange).await
    }
}

async fn exchanged(mut sender: SendRequest<Sent>, kind: &str, method: Method, exchange: &str) -> Result<()> {
    let has_body = method == Method::POST || method == Method::PUT;
    let mut request = Request::new(if has_body { Sent::data() } else { Sent::default() });
    // A path that is longer than what is recorded, now and then.
    let more = if kind == "missing" { "x".repeat(300) } else { String::new() };
    *request.uri_mut() = format!("http://127.0.0.1/{kind}/{exchange}/{more}?token={SECRET}").parse()?;
    *request.method_mut() = method;
    fill(request.headers_mut(), exchange)?;
    log::request(exchange, Way::Written, &request);
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    log::response(exchange, Way::Read, &response);
    read(response.into_body(), exchange).await
}

async fn read(mut body: Incoming, exchange: &str) -> Result<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(trailers) = frame?.into_trailers() {
            log::trailers(exchange, Way::Read, &trailers);
        }
    }
    Ok(())
}

/// Headers that are recorded among such that must not be.
fn fill(headers: &mut HeaderMap, exchange: &str) -> Result<()> {
    let secret = HeaderValue::from_static(SECRET);
    headers.insert("authorization", secret.clone());
    headers.insert("x-request-id", format!("id-{exchange}").parse()?);
    for name in ["cookie", "x-api-key", "x-request-idea", "x-request-i"] {
        headers.insert(name, secret.clone());
    }
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?);
    if exchange.ends_with('3') {
        headers.insert("x-correlation-id", format!("{exchange}{}", "y".repeat(200)).parse()?);
    }
    Ok(())
}
