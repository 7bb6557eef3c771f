//! OTLP/gRPC.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::{Code, Status, body::Body};

use crate::Answer;
use crate::serve::Connection;
use crate::store::Received;

pub(crate) async fn answer(request: Request<Incoming>, connection: Connection) -> Response<Body> {
    let handler = Handler { connection, headers: request.headers().clone(), path: request.uri().path().to_owned() };
    let server = TraceServiceServer::new(handler).accept_compressed(CompressionEncoding::Gzip);
    let Ok(response) = server.max_decoding_message_size(usize::MAX).call(request).await;
    response
}

struct Handler {
    connection: Connection,
    headers: http::HeaderMap,
    path: String,
}

#[tonic::async_trait]
impl TraceService for Handler {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (headers, path) = (self.headers.clone(), self.path.clone());
        let received = Received { request: request.into_inner(), headers, path, accepted: false };
        let partial_success = match self.connection.store.take(received) {
            Answer::Accept => None,
            Answer::Partly(rejected_spans, error_message) => {
                Some(ExportTracePartialSuccess { rejected_spans, error_message })
            }
            Answer::Gated => {
                self.connection.store.gate.acquire().await.map_err(|_| Status::aborted("no gate"))?.forget();
                None
            }
            Answer::Http(code, _) => return Err(Status::internal(format!("{code} is for HTTP"))),
            Answer::Grpc(code, after) => return Err(status(Code::from_i32(code), after)),
            Answer::TooLargeAbove(_) => return Err(Status::resource_exhausted("too large")),
            Answer::Hang => std::future::pending().await,
            Answer::Close => {
                self.connection.close.notify_one();
                std::future::pending().await
            }
        };
        Ok(tonic::Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn status(code: Code, after: Option<Duration>) -> Status {
    let Some(after) = after else {
        return Status::new(code, "as told");
    };
    let retry_delay =
        Some(RpcDuration { seconds: after.as_secs().cast_signed(), nanos: after.subsec_nanos().cast_signed() });
    let value = RetryInfo { retry_delay }.encode_to_vec();
    let any = RpcAny { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
    let details = RpcStatus { code: code.into(), message: "as told".to_owned(), details: vec![any] };
    Status::with_details(code, "as told", details.encode_to_vec().into())
}

/// <https://github.com/googleapis/googleapis/blob/common-protos-1_3_1/google/rpc/status.proto>
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
