//! The OpenTelemetry Collector itself, which prints all that it gets. `cargo xtask collector` builds it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::collector::free_port;
use crate::debug_exporter::Printed;
use crate::process::Running;

/// Starting takes about a second; printing many spans on a busy machine more.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running one.
#[derive(Debug)]
pub struct Otelcol {
    process: Running,
    grpc: u16,
    http: u16,
}

impl Otelcol {
    /// Starts it, and waits until it takes spans over both protocols.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not get ready.
    pub fn start(program: &Path) -> Result<Self> {
        let (grpc, http) = (free_port()?, free_port()?);
        let mut command = Command::new(program);
        command.arg("--config").arg(format!("yaml:{}", configuration(grpc, http)));
        let mut process = Running::start(&mut command)?;
        let ready = process.stderr.until(|line| line.contains("Everything is ready"), PATIENCE);
        ready.context("the collector does not get ready")?;
        Ok(Self { process, grpc, http })
    }

    /// Returns where it takes spans, by the protocol's name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    #[must_use]
    pub fn url(&self, protocol: &str) -> String {
        format!("http://127.0.0.1:{}", if protocol == "grpc" { self.grpc } else { self.http })
    }

    /// Returns what it answers to a request over HTTP with this body.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn post(&self, body: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head =
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-protobuf";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Ends it: what it printed. It prints what it gets before it answers.
    ///
    /// # Errors
    ///
    /// If it has ended already, or printed what is not known.
    pub fn printed(mut self) -> Result<Printed> {
        self.process.signal(libc::SIGTERM)?;
        // It is ready before it handles signals, so that its exit code may be either; nothing is left to be written.
        self.process.wait(PATIENCE)?;
        Printed::read(self.process.stdout.all(PATIENCE))
    }
}

fn configuration(grpc: u16, http: u16) -> String {
    let protocol = |name: &str, port: u16| format!("{name}: {{endpoint: \"127.0.0.1:{port}\"}}");
    let protocols = [protocol("grpc", grpc), protocol("http", http)].join(", ");
    // It samples what it prints, unless told otherwise.
    let debug = "{verbosity: detailed, use_internal_logger: false, sampling_initial: 1000000000}";
    format!(
        "receivers: {{otlp: {{protocols: {{{protocols}}}}}}}\n\
         exporters: {{debug: {debug}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, \
         pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    )
}
