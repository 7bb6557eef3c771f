//! What a backend makes of a batch, and which answers allow to try again.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/v1.8.0/docs/specification.md#failures>

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::error::Error as _;
use tonic::{Code, Status};

/// The outcome of one attempt to send a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken, but for `rejected` spans; with what there is to say about it.
    Accepted { rejected: u64, message: String },
    /// Not now. `after`: not before this time has passed.
    Later { after: Option<Duration>, why: String },
    /// Never.
    Refused { why: String },
    /// Not at this size.
    TooLarge { why: String },
}

impl Verdict {
    pub(super) fn accepted(response: ExportTraceServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        Self::Accepted { rejected: u64::try_from(partial.rejected_spans).unwrap_or(0), message: partial.error_message }
    }

    /// Of an answer over HTTP with its body, or what there is of it.
    pub(super) fn of_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        if status.is_success() {
            // Some backends answer with JSON, or nothing: they took it all the same.
            return Self::accepted(ExportTraceServiceResponse::decode(body).unwrap_or_default());
        }
        let said = RpcStatus::decode(body).map(|status| status.message).unwrap_or_default();
        let why = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Later { after: retry_after(headers, SystemTime::now()), why },
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge { why },
            _ => Self::Refused { why },
        }
    }

    /// Of a failed call.
    pub(super) fn of_grpc(status: &Status) -> Self {
        // What comes from the connection has a source, what comes from the other side has none.
        if let Some(source) = status.source() {
            return Self::Later { after: None, why: chain(source) };
        }
        let after = retry_info(status.details());
        let why = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Self::Later { after, why },
            Code::ResourceExhausted if after.is_some() => Self::Later { after, why },
            _ => Self::Refused { why },
        }
    }
}

/// An error's words with those of its causes, each once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let more = cause.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        at = cause.source();
    }
    said
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    Some(Duration::new(u64::try_from(delay.seconds).unwrap_or(0), nanos.unwrap_or(0)))
}

/// <https://github.com/googleapis/googleapis/blob/common-protos-1_3_1/google/rpc/status.proto>
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// <https://github.com/googleapis/googleapis/blob/common-protos-1_3_1/google/rpc/error_details.proto>
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn http(status: u16, retry_after: Option<&'static str>) -> Verdict {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        Verdict::of_http(StatusCode::from_u16(status).unwrap(), &headers, &[])
    }

    fn after(verdict: Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Later { after, .. } => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn http_answers_that_allow_another_attempt() {
        for status in [429, 502, 503, 504] {
            assert_eq!(after(http(status, None)), None);
            assert_eq!(after(http(status, Some("7"))), Some(Duration::from_secs(7)));
        }
        assert_eq!(after(http(503, Some("Thu, 01 Jan 1970 00:00:00 GMT"))), Some(Duration::ZERO));
        assert_eq!(after(http(503, Some("soon"))), None);
        assert_eq!(after(http(503, Some("99999999999999999999999"))), None);
        for status in [301, 400, 401, 403, 404, 500, 501] {
            assert!(matches!(http(status, Some("7")), Verdict::Refused { .. }), "{status}");
        }
        assert!(matches!(http(413, None), Verdict::TooLarge { .. }));
    }

    #[test]
    fn grpc_answers_that_allow_another_attempt() {
        let of = |code| Verdict::of_grpc(&Status::new(code, "so"));
        let later = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        for code in (0..17).map(Code::from_i32) {
            assert_eq!(matches!(of(code), Verdict::Later { .. }), later.contains(&code), "{code:?}");
        }
    }

    #[test]
    fn an_exhausted_resource_is_tried_again_only_if_it_says_when() {
        let info = RetryInfo { retry_delay: Some(RpcDuration { seconds: 2, nanos: 500_000_000 }) };
        let any = RpcAny { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: info.encode_to_vec() };
        let details = RpcStatus { code: 8, message: String::new(), details: vec![any] }.encode_to_vec();
        let status = Status::with_details(Code::ResourceExhausted, "busy", details.into());
        assert_eq!(after(Verdict::of_grpc(&status)), Some(Duration::from_millis(2500)));
        let hostile = Status::with_details(Code::ResourceExhausted, "busy", vec![0xff; 50].into());
        assert!(matches!(Verdict::of_grpc(&hostile), Verdict::Refused { .. }));
    }

    #[test]
    fn partial_success_counts_what_was_rejected() {
        let partial = opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".into(),
        };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let verdict = Verdict::of_http(StatusCode::OK, &HeaderMap::new(), &body);
        assert_eq!(verdict, Verdict::Accepted { rejected: 3, message: "too old".into() });
        let json = Verdict::of_http(StatusCode::OK, &HeaderMap::new(), b"{}");
        assert_eq!(json, Verdict::Accepted { rejected: 0, message: String::new() });
    }
}
