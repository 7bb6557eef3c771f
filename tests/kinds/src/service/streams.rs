//! Bodies that come or go while calls are made, and connections that change hands.

use std::convert::Infallible;

use anyhow::Result;
use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use tokio::sync::mpsc;

use super::request::Request;

/// Answers a request of one of these kinds; there are no others.
pub(crate) async fn answer(kind: &str, request: &Request, http: HttpRequest) -> Result<Response> {
    match kind {
        "sse" => Ok(Body::from_stream(calling(request.clone())).into_response()),
        "sseby" => Ok(Body::from_stream(called(request)).into_response()),
        "body" => read_by_another(request, http.into_body()).await,
        // The handler does not care for the body.
        "ignore" | "late" => {
            request.call("now").await?;
            Ok("ok".into_response())
        }
        "early" => {
            let body = http.into_body();
            request.spawn(async |request: Request| count(request, body).await);
            Ok((StatusCode::PAYLOAD_TOO_LARGE, "too much").into_response())
        }
        "upgrade" => Ok(upgrade(request, http)),
        _ => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

/// The body's stream makes a call for each part.
fn calling(request: Request) -> impl stream::Stream<Item = Result<Bytes>> {
    stream::iter(0..3).then(move |_| {
        let call = request.call("slow");
        async move { Ok(Bytes::from(call.await?)) }
    })
}

/// Another task makes the calls, and the body hands on what it gets.
fn called(request: &Request) -> impl stream::Stream<Item = Result<Bytes>> + use<> {
    let (parts, body) = mpsc::channel(1);
    request.spawn(async move |request: Request| {
        for _ in 0..3 {
            let part = request.call("slow").await.map(Bytes::from);
            // Who reads may have gone.
            let _sent = parts.send(part).await;
        }
    });
    stream::unfold(body, async |mut body| Some((body.recv().await?, body)))
}

/// Reads a body to its end, then calls.
async fn count(request: Request, body: Body) -> Result<usize> {
    let mut parts = body.into_data_stream();
    let mut length = 0;
    while let Some(part) = parts.next().await {
        length += part?.len();
    }
    request.call("slow").await?;
    Ok(length)
}

/// Another task reads the request's body, and calls; the handler calls meanwhile.
async fn read_by_another(request: &Request, body: Body) -> Result<Response> {
    let reader = request.spawn(async |request: Request| count(request, body).await);
    request.call("now").await?;
    let length = reader.await??;
    Ok(length.to_string().into_response())
}

/// The connection becomes something else, whose task calls.
fn upgrade(request: &Request, mut http: HttpRequest) -> Response {
    let upgraded = hyper::upgrade::on(&mut http);
    request.spawn(async |request: Request| {
        let connection = upgraded.await;
        drop(request.call("slow").await);
        drop(connection);
    });
    let headers = [("connection", "upgrade"), ("upgrade", "kinds")];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()))
        .into_response()
}
