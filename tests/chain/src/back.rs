//! `back`: gRPC by tonic, over HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::headers::Correlation;
use crate::os::spin;
use crate::request::{Request, Serving};
use crate::stage;
use crate::wire::{Ask, Reply, SERVICE};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves; whether its truth is consistent.
pub(crate) fn run() -> Result<bool> {
    let runtime = stage::runtime()?;
    let address = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(Server::builder().add_service(Back).serve_with_incoming(TcpIncoming::from(listener)));
        tokio::spawn(stage::housekeeping());
        anyhow::Ok(address)
    })?;
    Ok(stage::serve(address)?)
}

/// What `tonic-build` would have made of a `service Back` in a `.proto` file.
#[derive(Clone, Copy, Debug)]
struct Back;

impl NamedService for Back {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Back {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(served(request).await) })
    }
}

async fn served(request: http::Request<Body>) -> http::Response<Body> {
    let correlation = Correlation::of(request.headers());
    let serving = Serving::begin(request.method().as_str(), request.uri().path(), correlation);
    let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let code = Arc::new(AtomicI32::new(0));
    let method = Method { name, request: Arc::clone(&serving.request), code: Arc::clone(&code) };
    let response = Grpc::new(ProstCodec::<Reply, Ask>::default()).unary(method, request).await;
    serving.answered(response.status().as_u16(), Some(code.load(Ordering::Relaxed)));
    response
}

/// One method for one request.
struct Method {
    name: String,
    request: Arc<Request>,
    /// The gRPC status that it ended with.
    code: Arc<AtomicI32>,
}

impl Service<tonic::Request<Ask>> for Method {
    type Response = Response<Reply>;
    type Error = Status;
    type Future = Boxed<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: tonic::Request<Ask>) -> Self::Future {
        let (name, request, code) = (self.name.clone(), Arc::clone(&self.request), Arc::clone(&self.code));
        Box::pin(async move {
            let result = answer(&name, &request, ask.into_inner().number).await;
            let status = result.as_ref().err().map_or(0, |status| i32::from(status.code()));
            code.store(status, Ordering::Relaxed);
            Ok(Response::new(Reply { text: result? }))
        })
    }
}

async fn answer(method: &str, request: &Request, number: u64) -> Result<String, Status> {
    match method {
        "Price" => Ok(price(number).await),
        "Stock" => Ok(stock(request, number).await),
        "Refuse" => Err(Status::not_found("there is none")),
        "Hang" => {
            request.spawn(price(number));
            sleep(Duration::from_secs(600)).await;
            Ok(String::new())
        }
        "Limited" => {
            let late = timeout(Duration::from_millis(50), sleep(Duration::from_secs(600))).await;
            late.map(|()| String::new()).map_err(|_| Status::deadline_exceeded("too slow"))
        }
        "Panic" => boom(request).await,
        other => Err(Status::unimplemented(other)),
    }
}

async fn price(number: u64) -> String {
    spin(Duration::from_micros(20));
    sleep(Duration::from_millis(1)).await;
    format!("price {number}")
}

/// Asks three shelves side by side, one of which asks a drawer.
async fn stock(request: &Request, number: u64) -> String {
    let drawer = request.spawn(price(number));
    let mut shelves = JoinSet::new();
    for shelf in 0..3 {
        request.spawn_on(&mut shelves, async move {
            sleep(Duration::from_millis(shelf)).await;
            spin(Duration::from_micros(20));
            number % 7 + shelf
        });
    }
    let drawn = drawer.await.map_or(0, |text| text.len());
    let total: u64 = shelves.join_all().await.iter().sum();
    format!("stock {total} {drawn}")
}

#[expect(clippy::panic, reason = "it is there to panic")]
async fn boom(request: &Request) -> Result<String, Status> {
    request.spawn(price(0));
    sleep(Duration::from_millis(1)).await;
    panic!("as asked")
}
