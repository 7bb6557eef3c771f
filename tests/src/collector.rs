//! A collector that is not ours, between the agent and a receiver: `rotel` from `PyPI`.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::paths;
use crate::process::Running;

/// Starting is a matter of tenths of a second.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// The sentence for where it is not there.
pub const MISSING: &str = "no collector: `cargo xtask setup-collector` brings one";

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    _process: Running,
    /// The port for OTLP over gRPC.
    pub grpc: u16,
    /// The port for OTLP over HTTP.
    pub http: u16,
}

/// Its program, if it is there: `cargo xtask setup-collector` brings it.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let lib = paths::workspace().join("target/collector/lib");
    let pythons = std::fs::read_dir(lib).ok()?.filter_map(Result::ok);
    let programs = pythons.map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    programs.into_iter().find(|program| program.is_file())
}

impl Collector {
    /// Starts one that forwards to this port of a receiver, by `grpc` or `http`.
    ///
    /// # Errors
    ///
    /// If it is not there, or does not listen.
    pub fn start(protocol: &str, to: u16) -> Result<Self> {
        let program = program().context(MISSING)?;
        let (grpc, http) = (free_port()?, free_port()?);
        let mut command = Command::new(program);
        command.args(["start", "--exporter", "otlp", "--disable-batching"]);
        command.args(["--otlp-exporter-protocol", protocol]);
        command.args(["--otlp-exporter-endpoint", &format!("http://127.0.0.1:{to}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
        let mut collector = Self { _process: Running::start(&mut command)?, grpc, http };
        collector.up()?;
        Ok(collector)
    }

    fn up(&mut self) -> Result<()> {
        let until = Instant::now() + UP_WITHIN;
        for port in [self.grpc, self.http] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if Instant::now() > until {
                    bail!("the collector does not listen on port {port}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

/// A port on which nobody listens.
///
/// # Errors
///
/// If the system has none.
pub fn free_port() -> Result<u16> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    ensure!(port != 0, "no port");
    Ok(port)
}
