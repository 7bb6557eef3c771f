//! Asking `back`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::call::Calling;
use crate::log::{self, Role};
use crate::request::Request;
use crate::wire::{Ask, Reply, SERVICE};

/// A channel to `back`.
#[derive(Clone, Debug)]
pub(crate) struct Back(Option<Channel>);

impl Back {
    /// Connects when it is first asked. To be made on the thread that uses it.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        Self(endpoint.ok().map(|endpoint| endpoint.executor(Spawn).connect_lazy()))
    }

    /// Asks, with the request's correlation ID or without; the gRPC status.
    pub(crate) async fn ask(&self, request: &Request, method: &str, number: u64, bear: bool) -> Code {
        let path = format!("/{SERVICE}/{method}");
        let calling = Calling::begin(request, "POST", &path, bear);
        let status = match self.unary(&calling, path, number).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        };
        match status {
            // tonic's word for a stream that was reset, or a connection that is gone.
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => calling.failed(),
            answered => calling.answered(200, Some(i32::from(answered))),
        }
        status
    }

    async fn unary(&self, calling: &Calling, path: String, number: u64) -> Result<Reply, Status> {
        let channel = self.0.clone().ok_or_else(|| Status::unavailable("no address"))?;
        let mut request = tonic::Request::new(Ask { number });
        let correlation = calling.correlation();
        if let (Some(name), Some(id)) = (correlation.header, correlation.id) {
            let value = MetadataValue::try_from(id).map_err(|_| Status::invalid_argument("the ID"))?;
            request.metadata_mut().insert(MetadataKey::from_static(name), value);
        }
        let path = PathAndQuery::try_from(path).map_err(|_| Status::invalid_argument("the path"))?;
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let response = client.unary(request, path, ProstCodec::<Ask, Reply>::default()).await?;
        Ok(response.into_inner())
    }
}

/// Spawns what the client library needs, as it would itself, and notes it.
#[derive(Clone, Copy, Debug)]
struct Spawn;

impl hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for Spawn {
    fn execute(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        log::task(tokio::spawn(future).id(), None, Role::Library);
    }
}
