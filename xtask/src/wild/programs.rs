//! The programs: what is published, how it is started, what it has to do.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use asyncscope_tests::process::Running;

use super::drive;
use crate::process::{cargo, root, run as execute};

const START_MAX: Duration = Duration::from_secs(20);
/// The port of `bore server`, which cannot be chosen.
const BORE_PORT: u16 = 7835;

/// A published program.
#[derive(Debug)]
pub(super) struct Program {
    /// The crate's name.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    binary: &'static str,
    serves: Serves,
}

#[derive(Clone, Copy, Debug)]
enum Serves {
    /// Files, by HTTP; its arguments before the folder, without the port.
    Files(&'static [&'static str]),
    /// A tunnel: the one that is watched is the server between the two.
    Tunnel,
}

/// Three that differ: miniserve is stripped, with fat LTO, for size, on actix (a `LocalSet` a thread);
/// static-web-server is stripped, with fat LTO, for speed; bore is a plain release build, with an old
/// tokio.
pub(super) const PROGRAMS: [Program; 3] = [
    Program {
        name: "miniserve",
        version: "0.35.0",
        binary: "miniserve",
        serves: Serves::Files(&["--interfaces", "127.0.0.1"]),
    },
    Program {
        name: "static-web-server",
        version: "2.43.0",
        binary: "static-web-server",
        serves: Serves::Files(&["--host", "127.0.0.1", "--root"]),
    },
    Program { name: "bore-cli", version: "0.6.0", binary: "bore", serves: Serves::Tunnel },
];

/// A program that runs and can be driven.
#[derive(Debug)]
pub(super) struct Server {
    running: Running,
    /// The other processes it needs.
    _others: Vec<Running>,
    address: SocketAddr,
}

impl Program {
    /// Builds and installs it as its authors ship it: with their profile and their lock file.
    pub(super) fn install(&self) -> Result<()> {
        let what = format!("{}@{}", self.name, self.version);
        execute(cargo().args(["install", "--locked", "--quiet", "--root"]).arg(self.folder()).arg(what))
    }

    pub(super) fn executable(&self) -> PathBuf {
        self.folder().join("bin").join(self.binary)
    }

    fn folder(&self) -> PathBuf {
        root().join("target/wild").join(self.name)
    }

    /// Starts it, and waits until it answers.
    pub(super) fn start(&self, folder: &Path) -> Result<Server> {
        let port = free_port()?;
        let mut server = match self.serves {
            Serves::Files(arguments) => self.files(arguments, port, folder)?,
            Serves::Tunnel => self.tunnel(port)?,
        };
        let address = server.address;
        server.running.until("it answered", START_MAX, || drive::get(address).ok())?;
        Ok(server)
    }

    fn files(&self, arguments: &[&str], port: u16, folder: &Path) -> Result<Server> {
        let served = folder.join("served");
        fs::create_dir(&served)?;
        fs::write(served.join("index.html"), "<p>served</p>\n".repeat(100))?;
        let mut command = self.command();
        let running = Running::start_unread(command.args(["--port", &port.to_string()]).args(arguments).arg(served))?;
        Ok(Server { running, _others: Vec::new(), address: local(port) })
    }

    fn tunnel(&self, port: u16) -> Result<Server> {
        let behind = drive::answering()?;
        let mut running = Running::start_unread(self.command().args(["server", "--bind-addr", "127.0.0.1"]))?;
        let connected = || TcpStream::connect(local(BORE_PORT)).ok();
        running.until("the tunnel's server listened", START_MAX, connected)?;
        let (behind, port_text) = (behind.port().to_string(), port.to_string());
        let arguments = ["local", &behind, "--local-host", "127.0.0.1", "--to", "127.0.0.1", "--port", &port_text];
        let other = Running::start_unread(self.command().args(arguments))?;
        Ok(Server { running, _others: vec![other], address: local(port) })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.executable());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Returns where it answers.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// One request.
    pub(super) fn ask(&self) -> Result<()> {
        drive::get(self.address)
    }

    /// The whole work; how many requests that was.
    pub(super) fn drive(&self) -> Result<usize> {
        drive::all(self.address)
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(local(0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
