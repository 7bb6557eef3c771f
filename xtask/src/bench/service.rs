//! The services that are measured, and what each is asked for.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use asyncscope_tests::process::Running;
use serde::Deserialize;

use super::clock::cpu_time;
use super::cpus::Half;
use super::load::{Load, Reported};

const START_MAX: Duration = Duration::from_mins(1);
/// Tasks in each request of the storm.
const STORM: u32 = 256;
const CONNECTIONS: u32 = 8;

/// A service under a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Service {
    /// axum's hello world
    Hello,
    /// The demo service: each page fans out into tasks, another request and a blocking task
    Demo,
    /// 100 000 tasks, each waking up every two seconds
    Idle,
    /// Requests that spawn 256 tasks each
    Storm,
}

/// The surroundings of a service.
#[derive(Debug)]
pub(super) struct Around {
    /// A folder for what is written meanwhile.
    pub(super) scratch: PathBuf,
    /// The backend of spans, where they are built in.
    pub(super) spans_to: String,
    /// The length of a stretch.
    pub(super) stretch: Duration,
}

/// A running service and its load.
#[derive(Debug)]
pub(super) struct Loaded {
    service: Service,
    running: Running,
    load: Load,
}

/// The figures of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    /// The service's CPU time for each unit of work, in microseconds.
    pub(super) cpu_us: f64,
    /// Units of work a second.
    pub(super) per_second: f64,
    /// The median latency, in microseconds.
    pub(super) p50_us: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub(super) p99_us: f64,
    /// The number of units.
    pub(super) units: f64,
}

#[derive(Deserialize)]
struct Listening {
    pages: SocketAddr,
}

impl Service {
    pub(super) const ALL: [Self; 4] = [Self::Hello, Self::Demo, Self::Idle, Self::Storm];

    /// As the document calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hello => "hello world",
            Self::Demo => "demo service",
            Self::Idle => "idle tasks",
            Self::Storm => "spawn storm",
        }
    }

    /// Returns what it does, in the document.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Hello => "Hello world: a request is little else than polls and system calls",
            Self::Demo => "The demo service: each page fans out",
            Self::Idle => "100 000 tasks that sleep for one to three seconds at a time",
            Self::Storm => "A storm of spawns",
        }
    }

    /// Returns what the CPU time is divided by.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Hello | Self::Demo => "request",
            Self::Idle => "wake-up",
            Self::Storm => "task",
        }
    }

    fn arguments(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Hello => ("bench-service", &["hello"]),
            Self::Demo => ("demo-service", &["serve"]),
            Self::Idle => ("bench-service", &["idle"]),
            Self::Storm => ("bench-service", &["storm"]),
        }
    }

    fn paths(self, stretch: Duration) -> Vec<String> {
        match self {
            Self::Hello => vec!["/".to_owned()],
            Self::Demo => vec!["/page/1".into(), "/page/2".into(), "/page/3".into(), "/summary/4".into()],
            Self::Idle => vec![format!("/idle/{}", stretch.as_millis())],
            Self::Storm => vec![format!("/storm/{STORM}")],
        }
    }

    /// Returns how many units of work there were, and the latencies' median and 99th percentile, in microseconds.
    fn work(self, reported: &Reported) -> Result<(f64, f64, f64)> {
        let requests = reported.requests as f64;
        match self {
            Self::Hello | Self::Demo => Ok((requests, reported.p50_us, reported.p99_us)),
            Self::Storm => Ok((requests * f64::from(STORM), reported.p50_us, reported.p99_us)),
            Self::Idle => {
                let mut words = reported.last.split(' ').map(str::parse::<f64>);
                let mut word = || words.next().context("the idle service says something else");
                Ok((word()??, word()??, word()??))
            }
        }
    }
}

impl Loaded {
    /// Starts the service from its file in the folder, and connects its load.
    pub(super) fn start(service: Service, folder: &Path, around: &Around) -> Result<Self> {
        let (program, arguments) = service.arguments();
        let reported = around.scratch.join("service.txt");
        let mut command = Half::Measured.command(folder.join(program));
        command.args(arguments).env("OTEL_EXPORTER_OTLP_ENDPOINT", &around.spans_to);
        let mut running = Running::start_unread(command.stdout(File::create(&reported)?))?;
        let listening = || {
            let reported = fs::read_to_string(&reported).ok()?;
            let line = reported.lines().next().filter(|_| reported.ends_with('\n'))?;
            serde_json::from_str(line.strip_prefix("listening ")?).ok()
        };
        let Listening { pages } = running.until("it listened", START_MAX, listening)?;
        let connections = if service == Service::Idle { 1 } else { CONNECTIONS };
        let load = Load::start(pages, connections, &service.paths(around.stretch))?;
        Ok(Self { service, running, load })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Loads it for so long.
    pub(super) fn stretch(&mut self, time: Duration) -> Result<Stretch> {
        // The idle service's one request takes as long as it says.
        let time = if self.service == Service::Idle { Duration::from_millis(1) } else { time };
        let before = cpu_time(self.pid())?;
        let reported = self.load.stretch(time)?;
        let cpu = cpu_time(self.pid())?.saturating_sub(before);
        let (units, p50_us, p99_us) = self.service.work(&reported)?;
        anyhow::ensure!(units > 0.0, "the {} did nothing in {time:?}", self.service.title());
        Ok(Stretch {
            cpu_us: cpu.as_secs_f64() * 1e6 / units,
            per_second: units / reported.seconds,
            p50_us,
            p99_us,
            units,
        })
    }
}
