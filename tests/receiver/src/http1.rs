//! OTLP/HTTP with protobuf bodies.

use std::io::Read as _;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tonic::body::Body;

use crate::Answer;
use crate::serve::Connection;
use crate::store::Received;

pub(crate) async fn answer(request: Request<Incoming>, connection: Connection) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return response(StatusCode::BAD_REQUEST, &[], Vec::new());
    };
    let zipped = head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let Some(request) = decoded(&body.to_bytes(), zipped) else {
        return response(StatusCode::BAD_REQUEST, &[], Vec::new());
    };
    let received = Received { request, headers: head.headers, path: head.uri.path().to_owned(), accepted: false };
    match connection.store.take(received) {
        Answer::Accept => accepted(None),
        Answer::Partly(rejected_spans, error_message) => {
            accepted(Some(ExportTracePartialSuccess { rejected_spans, error_message }))
        }
        Answer::Gated => {
            if let Ok(permit) = connection.store.gate.acquire().await {
                permit.forget();
            }
            accepted(None)
        }
        Answer::Http(code, headers) => {
            response(StatusCode::from_u16(code).unwrap_or(StatusCode::IM_A_TEAPOT), &headers, Vec::new())
        }
        Answer::Grpc(..) => response(StatusCode::IM_A_TEAPOT, &[], Vec::new()),
        Answer::TooLargeAbove(_) => response(StatusCode::PAYLOAD_TOO_LARGE, &[], Vec::new()),
        Answer::Hang => std::future::pending().await,
        Answer::Close => {
            connection.close.notify_one();
            std::future::pending().await
        }
    }
}

fn decoded(body: &[u8], zipped: bool) -> Option<ExportTraceServiceRequest> {
    let mut plain = Vec::new();
    match zipped {
        true => flate2::read::GzDecoder::new(body).read_to_end(&mut plain).ok()?,
        false => body.as_ref().read_to_end(&mut plain).ok()?,
    };
    ExportTraceServiceRequest::decode(plain.as_slice()).ok()
}

fn accepted(partial_success: Option<ExportTracePartialSuccess>) -> Response<Body> {
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    response(StatusCode::OK, &[("content-type", "application/x-protobuf")], body)
}

fn response(status: StatusCode, headers: &[(&str, &str)], body: Vec<u8>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::new(Full::new(Bytes::from(body)))).unwrap_or_default()
}
