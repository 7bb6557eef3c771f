//! Three services in a row under three agents: which request did each task and call serve, as the
//! services lived it ([`truth`]) and as the agents claim it ([`claims`]), one by one ([`compare`]); and what
//! a tracing backend gets of it ([`spans`]).

pub mod claims;
pub mod compare;
pub mod spans;
pub mod truth;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_receiver::Receiver;
use serde::Deserialize;

use self::claims::Claims;
use self::truth::{Left, Truth};
use crate::agent::Agent;
use crate::paths::Scratch;
use crate::process::Running;

/// Under hooks, and on a busy machine, a thousand requests at once take their time.
const PATIENCE: Duration = Duration::from_mins(3);

/// One of the services, in the order in which they are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// tonic.
    Back,
    /// actix-web.
    Middle,
    /// axum.
    Front,
}

impl Service {
    const ALL: [Self; 3] = [Self::Back, Self::Middle, Self::Front];

    /// The program's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Middle => "middle",
            Self::Front => "front",
        }
    }

    /// The one that asks it.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        match self {
            Self::Back => Some(Self::Middle),
            Self::Middle => Some(Self::Front),
            Self::Front => None,
        }
    }
}

/// Both accounts of a service, and its spans.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    /// Its own account.
    pub truth: Truth,
    /// Its agent's claims.
    pub claims: Claims,
    /// The spans that its agent sent to a backend that no other agent sent to.
    pub spans: Vec<Span>,
}

impl Lived {
    /// A moment of the truth as spans have it.
    #[must_use]
    pub fn unix(&self, monotonic_ns: u64) -> u64 {
        let armed = self.claims.recording.armed;
        (monotonic_ns + armed.unix_ns).saturating_sub(armed.monotonic_ns)
    }
}

/// A service, its agent, and what the agent writes and sends.
struct Watched {
    service: Service,
    process: Running,
    agent: Agent,
    json: std::path::PathBuf,
    backend: Receiver,
}

/// Returns what each service lived under this load, and what its agent claims.
///
/// # Errors
///
/// If a service, the load or an agent fails.
pub fn run(chain: &Path, load: &[u64], options: &[&str]) -> Result<BTreeMap<Service, Lived>> {
    let scratch = Scratch::new()?;
    let mut watched = Vec::new();
    let mut next = None;
    for service in Service::ALL {
        let (process, address) = start(chain, service, next.as_deref())?;
        let json = scratch.file(&format!("{}.json", service.name()));
        let backend = Receiver::start()?;
        let agent = attach(process.pid(), &json, &format!("http://127.0.0.1:{}", backend.port()), options)?;
        watched.push(Watched { service, process, agent, json, backend });
        next = Some(address);
    }
    for watched in &mut watched {
        watched.agent.armed()?;
    }
    let front = next.context("no front")?;
    let load: Vec<String> = load.iter().map(u64::to_string).collect();
    let left = ask(chain, &front, &load)?;
    // Each says its truth only when all it began has ended, while its agent still watches.
    let finished = watched.into_iter().rev().map(|watched| Ok((watched.service, finish(watched)?)));
    let mut sides: BTreeMap<Service, Lived> = finished.collect::<Result<_>>()?;
    let (mut left, mut next) = (Some(left), None::<Truth>);
    for service in Service::ALL {
        let Some(Lived { truth, .. }) = sides.get_mut(&service) else { continue };
        if let Some(next) = &next {
            truth.mark_unsent(next);
        }
        if service == Service::Front {
            truth.add_left(left.take().unwrap_or_default());
        }
        next = Some(truth.clone());
    }
    Ok(sides)
}

fn start(chain: &Path, service: Service, next: Option<&str>) -> Result<(Running, String)> {
    let mut process = Running::start(Command::new(chain).arg(service.name()).args(next))?;
    let ready = process.stdout.until(|line| line.starts_with("ready "), PATIENCE);
    let ready = ready.with_context(|| format!("{} does not get ready", service.name()))?;
    let address = ready.split(' ').nth(1).context("no address")?;
    Ok((process, address.to_owned()))
}

fn attach(pid: u32, json: &Path, backend: &str, options: &[&str]) -> Result<Agent> {
    let pid = pid.to_string();
    let mut args = vec!["attach".as_ref(), pid.as_ref(), "--json".as_ref(), json.as_os_str()];
    args.extend(["--otlp", backend].into_iter().chain(options.iter().copied()).map(std::ffi::OsStr::new));
    Agent::start(args)
}

/// Returns what was asked for by clients that left.
fn ask(chain: &Path, front: &str, options: &[String]) -> Result<Vec<Left>> {
    #[derive(Deserialize)]
    struct Said {
        left: Vec<Left>,
    }

    let mut load = Running::start(Command::new(chain).args(["load", front]).args(options))?;
    let status = load.wait(PATIENCE)?;
    let said = load.stdout.all(PATIENCE).join("\n");
    ensure!(status.success(), "the load ended with {status}: {said} {:?}", load.stderr.all(PATIENCE));
    let said: Said = serde_json::from_str(&said).with_context(|| format!("the load says {said}"))?;
    Ok(said.left)
}

fn finish(mut watched: Watched) -> Result<Lived> {
    let name = watched.service.name();
    watched.process.say("stop")?;
    watched.process.stdout.until(|line| line == "done", PATIENCE).with_context(|| format!("{name} is not done"))?;
    // All its spans have come when it has exited: it fails if one did not.
    watched.agent.interrupt().with_context(|| format!("the agent of {name}"))?;
    watched.process.close_input();
    let status = watched.process.wait(PATIENCE)?;
    ensure!(status.success(), "{name} ended with {status}");
    let truth = Truth::parse(watched.process.stdout.all(PATIENCE)).with_context(|| format!("the truth of {name}"))?;
    let claims = Claims::read(&watched.json).with_context(|| format!("the claims about {name}"))?;
    Ok(Lived { truth, claims, spans: watched.backend.spans(0) })
}
