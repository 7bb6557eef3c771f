//! OTLP/gRPC.

use hyper_util::client::legacy::Client;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::{Request, body::Body, client::Grpc, codec::CompressionEncoding, metadata::MetadataMap};
use tonic_prost::ProstCodec;

use super::{Connector, MAX_ANSWER, USER_AGENT};
use crate::{
    settings::{Compression, Settings},
    verdict::Verdict,
};

pub(super) async fn send(
    client: &Client<Connector, Body>,
    settings: &Settings,
    request: &ExportTraceServiceRequest,
) -> Verdict {
    let Some(path) = settings.to.path_and_query().cloned() else {
        return Verdict::Refused { why: "the address has no path".to_owned() };
    };
    let mut grpc = Grpc::with_origin(client.clone(), origin(settings)).max_decoding_message_size(MAX_ANSWER);
    if settings.compression == Compression::Gzip {
        grpc = grpc.send_compressed(CompressionEncoding::Gzip);
    }
    if let Err(error) = grpc.ready().await {
        return Verdict::Later { after: None, why: crate::verdict::chain(&error) };
    }
    let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
    match grpc.unary(with_metadata(settings, request), path, codec).await {
        Ok(response) => Verdict::accepted(response.into_inner()),
        Err(status) => Verdict::of_grpc(&status),
    }
}

fn with_metadata(settings: &Settings, request: &ExportTraceServiceRequest) -> Request<ExportTraceServiceRequest> {
    let mut request = Request::new(request.clone());
    *request.metadata_mut() = MetadataMap::from_headers(settings.headers.clone());
    request.metadata_mut().insert("user-agent", tonic::metadata::MetadataValue::from_static(USER_AGENT));
    request.set_timeout(settings.timeout);
    request
}

/// The address without its path, which the method brings.
fn origin(settings: &Settings) -> ::http::Uri {
    let mut parts = settings.to.clone().into_parts();
    parts.path_and_query = Some(::http::uri::PathAndQuery::from_static("/"));
    ::http::Uri::from_parts(parts).unwrap_or_default()
}
