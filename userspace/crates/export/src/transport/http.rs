//! OTLP/HTTP with protobuf bodies.

use std::io::Write as _;

use ::http::{Method, Request, header};
use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::{Connector, MAX_ANSWER, USER_AGENT};
use crate::{
    settings::{Compression, Settings},
    verdict::{Verdict, chain},
};

pub(super) async fn send(
    client: &Client<Connector, Full<Bytes>>,
    settings: &Settings,
    request: &ExportTraceServiceRequest,
) -> Verdict {
    let request = match built(settings, request.encode_to_vec()) {
        Ok(request) => request,
        Err(why) => return Verdict::Refused { why },
    };
    let response = match client.request(request).await {
        Ok(response) => response,
        Err(error) => return Verdict::Later { after: None, why: chain(&error) },
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Verdict::of_http(head.status, &head.headers, &body.to_bytes()),
        // A refusal stands without the words that go with it; an acceptance does not.
        Err(_) if !head.status.is_success() => Verdict::of_http(head.status, &head.headers, &[]),
        Err(error) => Verdict::Later { after: None, why: chain(error.as_ref()) },
    }
}

fn built(settings: &Settings, body: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::builder().method(Method::POST).uri(settings.to.clone());
    if let Some(headers) = request.headers_mut() {
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT));
        headers.extend(settings.headers.clone());
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-protobuf"));
        if settings.compression == Compression::Gzip {
            headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        }
    }
    let body = match settings.compression {
        Compression::None => body,
        Compression::Gzip => gzip(&body).map_err(|error| error.to_string())?,
    };
    request.body(Full::new(body.into())).map_err(|error| error.to_string())
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
