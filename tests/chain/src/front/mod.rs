//! `front`: HTTP/1 by axum; asks `middle` over pooled connections.

mod actor;
mod ask;
mod fan;
mod faults;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Request as HttpRequest, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, serve};
use tokio::net::TcpListener;

use crate::headers::Correlation;
use crate::request::Serving;
use crate::stage;

/// What all handlers share.
#[derive(Clone, Debug)]
struct App {
    middle: ask::Middle,
    actor: actor::Actor,
}

type Shared = State<App>;

/// Serves; whether its truth is consistent.
pub(crate) fn run(middle: SocketAddr) -> Result<bool> {
    let runtime = stage::runtime()?;
    let address = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let app = App { middle: ask::Middle::at(middle)?, actor: actor::Actor::start() };
        tokio::spawn(serve(listener, router(app)).into_future());
        tokio::spawn(stage::housekeeping());
        anyhow::Ok(address)
    })?;
    Ok(stage::serve(address)?)
}

fn router(app: App) -> Router {
    let timed = Router::new().route("/layered/{number}", get(faults::layered)).layer(from_fn(faults::time_limit));
    Router::new()
        .route("/fan/{number}", get(fan::fan))
        .route("/own/{number}", get(fan::own))
        .route("/quiet/{number}", get(fan::quiet))
        .route("/pass/{what}/{number}", get(faults::pass))
        .route("/retry/{number}", get(faults::retry))
        .route("/redo/{number}", get(faults::redo))
        .route("/late/{number}", get(faults::late))
        .route("/hang/{number}", get(faults::hang))
        .route("/panic/{number}", get(faults::panics))
        .merge(timed)
        .layer(from_fn(served))
        .with_state(app)
}

/// Around every handler.
async fn served(mut http: HttpRequest, next: Next) -> Response {
    let correlation = Correlation::of(http.headers());
    let serving = Serving::begin(http.method().as_str(), http.uri().path(), correlation);
    http.extensions_mut().insert(Arc::clone(&serving.request));
    let mut response = next.run(http).await;
    let made = serving.request.made.get().and_then(|made| HeaderValue::from_str(made).ok());
    if let Some(made) = made {
        response.headers_mut().insert("x-request-id", made);
    }
    serving.answered(response.status().as_u16(), None);
    response
}
