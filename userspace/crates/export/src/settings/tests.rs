use super::*;

fn settings(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let environment = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::new(url, &environment)
}

#[track_caller]
fn goes_to(url: Option<&str>, variables: &[(&str, &str)], expected: &str) {
    let settings = settings(url, variables).unwrap();
    assert_eq!(format!("{:?} {}", settings.protocol, settings.to), expected);
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[test]
fn the_address_follows_from_option_and_environment() {
    goes_to(None, &[], "Http http://localhost:4318/v1/traces");
    goes_to(None, &[(PROTOCOL, "grpc")], &format!("Grpc http://localhost:4317{GRPC}"));
    goes_to(Some("http://h:4317"), &[], &format!("Grpc http://h:4317{GRPC}"));
    goes_to(Some("http://h:4317"), &[(PROTOCOL, "http/protobuf")], "Http http://h:4317/v1/traces");
    goes_to(Some("http://h:4318/"), &[(ENDPOINT, "http://other")], "Http http://h:4318/v1/traces");
    goes_to(Some("https://h/v1/traces"), &[], "Http https://h/v1/traces");
    goes_to(None, &[(ENDPOINT, "https://h/otlp/")], "Http https://h/otlp/v1/traces");
    goes_to(None, &[(ENDPOINT, "https://h/otlp?key=1")], "Http https://h/otlp/v1/traces?key=1");
    goes_to(None, &[(TRACES_ENDPOINT, "https://h/otlp")], "Http https://h/otlp");
    goes_to(None, &[(TRACES_ENDPOINT, "https://h")], "Http https://h/");
    goes_to(None, &[(TRACES_ENDPOINT, " "), (ENDPOINT, "https://h")], "Http https://h/v1/traces");
    goes_to(None, &[(ENDPOINT, "https://h/x"), (PROTOCOL, "grpc")], &format!("Grpc https://h{GRPC}"));
    goes_to(None, &[(ENDPOINT, "h:1"), (PROTOCOL, "grpc")], &format!("Grpc https://h:1{GRPC}"));
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    goes_to(None, &[(ENDPOINT, "h:1"), (PROTOCOL, "grpc"), insecure], &format!("Grpc http://h:1{GRPC}"));
}

#[test]
fn variables_for_traces_have_precedence() {
    let all = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%2Cc, x-tenant = 7"),
    ];
    let settings = settings(None, &all).unwrap();
    assert_eq!(settings.timeout, Duration::from_millis(1500));
    assert_eq!(settings.compression, Compression::Gzip);
    assert_eq!(settings.certificate, Some("/ca.pem".into()));
    assert_eq!(settings.headers["api-key"], "a b,c");
    assert_eq!(settings.headers["x-tenant"], "7");
}

#[test]
fn secrets_are_not_shown() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2");
    let ok = settings(Some("http://user:hunter2@h:4318/x?key=hunter2"), &[headers]).unwrap();
    assert_eq!(ok.shown(), "http://h:4318/x/v1/traces (HTTP)");
    assert!(!format!("{:?}", ok.headers).contains("hunter2"));
    let no_header = ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2");
    assert!(!settings(None, &[no_header]).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn what_cannot_be_used_is_said() {
    let wrong = |url, variables: &[(&str, &str)]| settings(url, variables).unwrap_err().to_string();
    assert!(wrong(Some("4242"), &[]).starts_with("--otlp is no address"));
    assert!(wrong(Some("ftp://h"), &[]).contains("http:// or https://"));
    assert!(wrong(Some("http://"), &[]).starts_with("--otlp is no address"));
    assert!(wrong(Some("localhost:4317"), &[(PROTOCOL, "grpc")]).contains("http:// or https://"));
    assert_eq!(wrong(None, &[(PROTOCOL, "http/json")]), format!("{PROTOCOL} is not `grpc` or `http/protobuf`"));
    let zero = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0");
    assert!(wrong(None, &[zero]).starts_with("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT is not"));
    assert!(wrong(None, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]).contains("`gzip` or `none`"));
    assert!(wrong(None, &[("OTEL_EXPORTER_OTLP_HEADERS", "a b=1")]).contains("a list of headers"));
    assert_eq!(settings(None, &[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "k")]).unwrap_err(), SettingsError::HalfClient);
}
