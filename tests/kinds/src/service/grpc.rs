//! gRPC by tonic, whose calls have paths of their own here.

use std::time::Duration;

use anyhow::Result;
use futures_util::stream;
use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::request::Request;

type Codec = ProstCodec<(), ()>;

/// Answers a request of one of these kinds. Returns whether it was of one.
pub(crate) async fn answer(kind: &str, request: &Request) -> Result<bool> {
    match kind {
        // The first of all calls makes the connection.
        "grpc" => unary(request, shared(request).await?, "Kinds").await?,
        "grpcnew" => unary(request, endpoint(request)?.connect().await?, "Kinds").await?,
        "grpclazy" => {
            let channel = endpoint(request)?.connect_lazy();
            let (one, other) =
                tokio::join!(unary(request, channel.clone(), "Kinds"), unary(request, channel.clone(), "Kinds"));
            one.and(other)?;
            unary(request, channel, "Kinds").await?;
        }
        "grpcstream" => streaming(request, shared(request).await?).await?,
        "grpcboth" => both(request, shared(request).await?).await?,
        "grpctmo" => {
            let call = unary(request, shared(request).await?, "Hang");
            drop(timeout(Duration::from_millis(5), call).await);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn endpoint(request: &Request) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://127.0.0.1:{}", request.shared.port))?)
}

async fn shared(request: &Request) -> Result<Channel> {
    let channel =
        request.shared.channel.get_or_try_init(async || anyhow::Ok(endpoint(request)?.connect_lazy())).await?;
    Ok(channel.clone())
}

fn path(what: &str, name: &str) -> Result<PathAndQuery> {
    Ok(PathAndQuery::try_from(format!("/kinds.{what}/{name}"))?)
}

async fn unary(request: &Request, channel: Channel, what: &str) -> Result<()> {
    let (name, mut call) = request.begin();
    let mut client = Grpc::new(channel);
    client.ready().await?;
    client.unary(tonic::Request::new(()), path(what, &name)?, Codec::default()).await?;
    call.answered();
    Ok(())
}

async fn streaming(request: &Request, channel: Channel) -> Result<()> {
    let (name, mut call) = request.begin();
    let mut client = Grpc::new(channel);
    client.ready().await?;
    let answer = client.server_streaming(tonic::Request::new(()), path("Many", &name)?, Codec::default()).await?;
    call.answered();
    let mut messages = answer.into_inner();
    while messages.message().await?.is_some() {
        request.call("now").await?;
    }
    Ok(())
}

async fn both(request: &Request, channel: Channel) -> Result<()> {
    let (name, mut call) = request.begin();
    let mut client = Grpc::new(channel);
    client.ready().await?;
    let said = stream::iter([(), (), ()]);
    let answer = client.streaming(tonic::Request::new(said), path("Many", &name)?, Codec::default()).await?;
    call.answered();
    let mut messages = answer.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}
