//! A backend behind TLS.

use std::path::PathBuf;
use std::sync::Arc;

use asyncscope_export::{Destination, Exporter, Protocol};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use otlp_receiver::{Options, Receiver};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::{BOTH, LONG, SHORT, send, settings};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("asyncscope-otlp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn identity() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn receiver(
    server: &rcgen::CertifiedKey<rcgen::KeyPair>,
    client: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>,
) -> Receiver {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![server.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Receiver::start_with(Options { tls: Some(Arc::new(config)), ..Options::default() }).unwrap()
}

#[test]
fn one_that_is_trusted_gets_the_spans() {
    let (scratch, server) = (Scratch::new("trusted"), identity());
    let certificate = scratch.file("ca.pem", &server.cert.pem());
    for protocol in BOTH {
        let receiver = receiver(&server, None);
        let more = [("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", LONG)];
        let settings = settings(protocol, &format!("https://localhost:{}", receiver.port()), &more);
        let account = send(settings, 7);
        assert_eq!((account.accepted, account.all_lost()), (7, 0), "{account}");
    }
}

#[test]
fn one_that_is_not_trusted_gets_nothing() {
    let (scratch, server, other) = (Scratch::new("untrusted"), identity(), identity());
    let certificate = scratch.file("ca.pem", &other.cert.pem());
    for protocol in BOTH {
        let receiver = receiver(&server, None);
        let more = [("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", SHORT)];
        let settings = settings(protocol, &format!("https://localhost:{}", receiver.port()), &more);
        let account = send(settings, 7);
        assert_eq!((account.accepted, account.all_lost()), (0, 7));
        assert!(account.to_string().contains("certificate"), "{account}");
        assert!(receiver.received().is_empty());
    }
}

#[test]
fn one_that_asks_who_this_is_gets_an_answer() {
    let (scratch, server, client) = (Scratch::new("client"), identity(), identity());
    let certificate = scratch.file("ca.pem", &server.cert.pem());
    let (own, key) = (
        scratch.file("client.pem", &client.cert.pem()),
        scratch.file("client.key", &client.signing_key.serialize_pem()),
    );
    for protocol in BOTH {
        let receiver = receiver(&server, Some(&client));
        let more = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", LONG),
        ];
        let settings = settings(protocol, &format!("https://localhost:{}", receiver.port()), &more);
        let account = send(settings, 7);
        assert_eq!((account.accepted, account.all_lost()), (7, 0), "{account}");
    }
}

#[test]
fn a_file_that_holds_no_certificate_is_named() {
    let scratch = Scratch::new("none");
    for (name, text) in
        [("empty.pem", ""), ("text.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    {
        let certificate = scratch.file(name, text);
        let more = [("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.as_str())];
        let settings = settings(Protocol::Grpc, "https://localhost:1", &more);
        let error = Exporter::start(Destination::Backend(Box::new(settings)), ResourceSpans::default()).unwrap_err();
        assert!(format!("{error:#}").contains(name), "{error:#}");
    }
}
