//! A service that calls, its upstream, and an agent that watches it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::truth::Truth;
use crate::agent::{Agent, Ended};
use crate::chain::claims::Claims;
use crate::paths::{self, Scratch};
use crate::process::Running;

const PATIENCE: Duration = Duration::from_mins(1);

/// The way in which the agent comes to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// From the first instruction on.
    Run,
    /// Attached before the first request.
    Attach,
}

/// The upstream.
#[derive(Debug)]
pub struct Upstream {
    _process: Running,
    /// Its ports: the open one, and the one that takes one stream at a time.
    pub ports: [u16; 2],
}

impl Upstream {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started.
    pub fn start() -> Result<Self> {
        let mut process = Running::start(Command::new(paths::kinds()?).arg("up"))?;
        let ports = ports(&mut process)?;
        let ports = ports.try_into().map_err(|ports| anyhow::anyhow!("its ports are {ports:?}"))?;
        Ok(Self { _process: process, ports })
    }
}

/// The ports that a program says that it is ready at.
///
/// # Errors
///
/// If it does not say so.
pub fn ports(process: &mut Running) -> Result<Vec<u16>> {
    let ready = process.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
    ready.split(' ').skip(1).map(|port| Ok(port.parse()?)).collect()
}

/// A service of one of the roles that the program has.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// On hyper, with so many workers; with none on a current-thread runtime.
    Axum(u16),
    /// On actix-web.
    Actix,
}

impl Role {
    /// The arguments of the program.
    #[must_use]
    pub fn arguments(self, upstream: &Upstream) -> Vec<String> {
        let [open, limited] = upstream.ports;
        match self {
            Self::Axum(workers) => vec!["axum".into(), open.to_string(), limited.to_string(), workers.to_string()],
            Self::Actix => vec!["actix".into(), open.to_string()],
        }
    }
}

/// The life of a service, and the claims about it.
#[derive(Debug)]
pub struct Lived {
    /// As it says itself.
    pub truth: Truth,
    /// As the agent says.
    pub claims: Claims,
    /// The agent's end.
    pub ended: Ended,
}

/// Lets an agent with these options watch a service under a load.
///
/// # Errors
///
/// If the service, the load or the agent fails.
pub fn watch(role: Role, watch: Watch, options: &[&str], load: impl FnOnce(u16) -> Result<()>) -> Result<Lived> {
    let upstream = Upstream::start()?;
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut args: Vec<OsString> = vec!["--json".into(), json.clone().into()];
    args.extend(options.iter().map(Into::into));
    args.extend(kept("ascope").map(|recording| ["--record".into(), recording.into()]).into_iter().flatten());
    let (truth, ended) = match watch {
        Watch::Run => run(role, &upstream, args, load)?,
        Watch::Attach => attach(role, &upstream, args, load)?,
    };
    ensure!(!truth.requests.is_empty(), "it served nobody");
    if let Some(kept) = kept("json") {
        std::fs::copy(&json, kept)?;
    }
    Ok(Lived { truth, claims: Claims::read(&json)?, ended })
}

/// The path at which the agent's lines or recording are to be kept, for whoever wants to know why: `ASYNCSCOPE_KEEP`
/// with this extension.
fn kept(extension: &str) -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("ASYNCSCOPE_KEEP")?).with_extension(extension))
}

type Watched = (Truth, Ended);

fn run(
    role: Role,
    upstream: &Upstream,
    options: Vec<OsString>,
    load: impl FnOnce(u16) -> Result<()>,
) -> Result<Watched> {
    let mut args: Vec<OsString> = vec!["run".into()];
    args.extend(options);
    args.extend(["--".into(), paths::kinds()?.into()]);
    args.extend(role.arguments(upstream).into_iter().map(Into::into));
    let mut agent = Agent::start(args)?;
    let truth = live(&mut agent.process, load)?;
    Ok((truth, agent.succeed()?))
}

fn attach(
    role: Role,
    upstream: &Upstream,
    options: Vec<OsString>,
    load: impl FnOnce(u16) -> Result<()>,
) -> Result<Watched> {
    let mut service = Running::start(Command::new(paths::kinds()?).args(role.arguments(upstream)))?;
    let mut args: Vec<OsString> = vec!["attach".into(), service.pid().to_string().into()];
    args.extend(options);
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    let truth = live(&mut service, load)?;
    Ok((truth, agent.interrupt()?))
}

fn live(process: &mut Running, load: impl FnOnce(u16) -> Result<()>) -> Result<Truth> {
    let port = ports(process)?.first().copied().context("no port")?;
    load(port)?;
    process.say("end")?;
    process.stdout.until(|line| line == "done", PATIENCE)?;
    Truth::parse(process.stdout.read())
}
