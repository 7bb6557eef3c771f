//! One request and its answer. Connections are made when needed, and kept.

mod grpc;
mod http;
mod lines;
mod tls;

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::settings::{Protocol, Settings};
use super::verdict::Verdict;

/// The user agent.
const USER_AGENT: &str = concat!("asyncscope/", env!("CARGO_PKG_VERSION"));
/// The longest answer that is read. What counts of it is short.
const MAX_ANSWER: usize = 256 << 10;

type Connector = HttpsConnector<HttpConnector>;

/// The way to a backend.
#[derive(Debug)]
pub(super) struct Transport {
    kind: TransportKind,
    /// The means to begin anew; nothing for lines.
    backend: Option<(Settings, rustls::ClientConfig)>,
}

enum TransportKind {
    Grpc(Client<Connector, tonic::body::Body>),
    Http(Client<Connector, http_body_util::Full<bytes::Bytes>>),
    Lines(Box<dyn Write + Send>),
}

impl std::fmt::Debug for TransportKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Grpc(_) => "Grpc",
            Self::Http(_) => "Http",
            Self::Lines(_) => "Lines",
        })
    }
}

impl Transport {
    /// Reads certificates; connects to nothing.
    ///
    /// # Errors
    ///
    /// Which certificate or key cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let tls = tls::config(settings)?;
        Ok(Self { kind: client(settings, &tls), backend: Some((settings.clone(), tls)) })
    }

    /// One request a line.
    pub(super) fn lines(to: Box<dyn Write + Send>) -> Self {
        Self { kind: TransportKind::Lines(to), backend: None }
    }

    /// Sends a batch, once.
    pub(super) async fn send(&mut self, request: &ExportTraceServiceRequest) -> Verdict {
        let Some((settings, tls)) = &self.backend else {
            return match &mut self.kind {
                TransportKind::Lines(to) => lines::send(to, request),
                TransportKind::Grpc(_) | TransportKind::Http(_) => {
                    Verdict::Refused { why: "there is no address".to_owned() }
                }
            };
        };
        let answer = async {
            match &mut self.kind {
                TransportKind::Grpc(client) => grpc::send(client, settings, request).await,
                TransportKind::Http(client) => http::send(client, settings, request).await,
                TransportKind::Lines(to) => lines::send(to, request),
            }
        };
        match tokio::time::timeout(settings.timeout, answer).await {
            Ok(verdict) => verdict,
            Err(_) => {
                // The connection may be a dead one: the next attempt gets one of its own.
                self.kind = client(settings, tls);
                Verdict::Later { after: None, why: format!("no answer within {}", shown(settings.timeout)) }
            }
        }
    }
}

fn shown(timeout: Duration) -> String {
    humantime::format_duration(timeout).to_string()
}

fn client(settings: &Settings, tls: &rustls::ClientConfig) -> TransportKind {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(settings.timeout));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    match settings.protocol {
        Protocol::Grpc => TransportKind::Grpc(builder.http2_only(true).build(https.enable_http2().wrap_connector(tcp))),
        Protocol::Http => TransportKind::Http(builder.build(https.enable_http1().enable_http2().wrap_connector(tcp))),
    }
}
