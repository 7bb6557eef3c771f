//! A backend that does as it should.

use asyncscope_export::{Destination, Exporter, Protocol, around};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use otlp_receiver::Receiver;

use crate::{BOTH, LONG, finish, local, numbers, send, settings, span};

#[test]
fn spans_arrive_unchanged_in_bounded_batches() {
    for protocol in BOTH {
        let receiver = Receiver::start().unwrap();
        let account = send(local(protocol, receiver.port(), LONG), 5000);
        assert_eq!((account.accepted, account.all_lost()), (5000, 0));
        let mut spans = receiver.spans(5000);
        spans.sort_by_key(|span| span.start_time_unix_nano);
        assert!(spans.into_iter().eq((1..=5000).map(span)));
        let received = receiver.received();
        let batch = |request: &ExportTraceServiceRequest| request.resource_spans[0].scope_spans[0].spans.len();
        assert!(received.iter().all(|received| batch(&received.request) <= 2000), "{protocol:?}");
    }
}

#[test]
fn the_envelope_and_the_headers_go_with_every_request() {
    let paths = ["/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/v1/traces"];
    for (protocol, path) in BOTH.into_iter().zip(paths) {
        let receiver = Receiver::start().unwrap();
        let more = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", LONG),
        ];
        let settings = settings(protocol, &format!("http://127.0.0.1:{}", receiver.port()), &more);
        let scope = InstrumentationScope { name: "me".into(), ..InstrumentationScope::default() };
        let scope = ScopeSpans { scope: Some(scope), schema_url: "https://schema".into(), ..ScopeSpans::default() };
        let envelope = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let exporter = Exporter::start(Destination::Backend(Box::new(settings)), envelope.clone()).unwrap();
        exporter.offer(span(1));
        assert_eq!(finish(exporter).accepted, 1);
        let [received] = receiver.received().try_into().unwrap();
        assert_eq!(received.request, around(&envelope, vec![span(1)]));
        assert_eq!(received.path, path);
        assert_eq!(received.headers["x-tenant"], "a b");
        assert!(received.headers["user-agent"].to_str().unwrap().starts_with("asyncscope/"));
        let encoding = if protocol == Protocol::Grpc { "grpc-encoding" } else { "content-encoding" };
        assert_eq!(received.headers[encoding], "gzip");
    }
}

#[test]
fn spans_leave_while_the_run_goes_on() {
    for protocol in BOTH {
        let receiver = Receiver::start().unwrap();
        let exporter = crate::exporter(local(protocol, receiver.port(), LONG));
        for number in 1..=3 {
            exporter.offer(span(number));
            assert_eq!(numbers(&receiver.spans(number as usize)), (1..=number).collect::<Vec<_>>());
        }
        assert_eq!(finish(exporter).accepted, 3);
    }
}

#[test]
fn nothing_to_send_makes_no_connection() {
    let receiver = Receiver::start().unwrap();
    assert_eq!(send(local(Protocol::Http, receiver.port(), LONG), 0).accepted, 0);
    assert!(receiver.received().is_empty());
}

#[test]
fn lines_are_otlp_json() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let exporter = Exporter::start(Destination::Lines(Box::new(writer)), ResourceSpans::default()).unwrap();
    exporter.offer(span(258));
    assert_eq!(finish(exporter).accepted, 1);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let json: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["spanId"], "0000000000000102");
    assert_eq!(span["traceId"], "01".repeat(16));
    assert_eq!(span["startTimeUnixNano"], "258");
}
