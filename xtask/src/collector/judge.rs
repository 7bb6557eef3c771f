//! Spans of running programs, sent to the collector, against the same spans as lines.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::debug_exporter::Printed;
use asyncscope_tests::otelcol::Otelcol;
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::spans::parse;
use asyncscope_tests::target::Target;

use crate::demo::Service;

/// Programs that print their truth: their spans have links, exceptions, errors.
const SCENARIOS: [&str; 5] = ["multi_thread", "panics", "aborts", "blocking", "local_set"];
/// The time that the demo service is under load.
const LOAD: Duration = Duration::from_secs(2);
/// Both of OTLP's protocols, as its environment variables call them.
const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// Sends spans of each program over both protocols.
///
/// # Errors
/// Where a part fails, or what arrives is not what was sent.
pub(super) fn run(program: &Path) -> Result<()> {
    refuses_what_is_no_protobuf(program)?;
    for scenario in SCENARIOS {
        let scratch = Scratch::new()?;
        let record = scratch.file("events.ascope");
        let live = live(program, scenario, &record).with_context(|| scenario.to_owned())?;
        let reported = lines(&record, "tasks")?;
        live.equal(&reported).with_context(|| format!("{scenario}, live over gRPC"))?;
        reports(program, scenario, &record, "tasks", &reported)?;
    }
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    demo(&scratch, &record)?;
    let reported = lines(&record, "requests")?;
    for kind in ["Server", "Client", "Internal"] {
        ensure!(
            reported.spans_with(&format!("    Kind           : {kind}\n")) > 0,
            "the demo service has no {kind} spans"
        );
    }
    reports(program, "demo service", &record, "requests", &reported)
}

/// Checks that it looks at what it gets: only then does it mean something what it accepts.
fn refuses_what_is_no_protobuf(program: &Path) -> Result<()> {
    let collector = Otelcol::start(program)?;
    let answer = collector.post(b"no protobuf")?;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "to what is no protobuf it answered {answer:?}");
    collector.printed().map(drop)
}

/// Records a program while its spans leave over gRPC: what the collector printed.
fn live(program: &Path, scenario: &str, record: &Path) -> Result<Printed> {
    let collector = Otelcol::start(program)?;
    let mut target = Target::start(scenario)?;
    let mut agent = attach(target.process.pid(), record, Some((&collector, PROTOCOLS[0])))?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    target.finish()?;
    collector.printed()
}

/// Records the demo service under load.
fn demo(scratch: &Scratch, record: &Path) -> Result<()> {
    let service = Service::start("typed", &scratch.file("truth.jsonl"))?;
    let mut agent = attach(service.pid(), record, None)?;
    agent.armed()?;
    service.load(LOAD)?.end()?;
    agent.interrupt()?;
    service.stop().map(drop)
}

fn attach(pid: u32, record: &Path, to: Option<(&Otelcol, &str)>) -> Result<Agent> {
    let mut args = vec!["attach".to_owned(), pid.to_string(), "--record".into(), record.display().to_string()];
    let Some((collector, protocol)) = to else { return Agent::start(args) };
    args.extend(["--traces".into(), "tasks".into(), "--otlp".into(), collector.url(protocol)]);
    Agent::start_with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)], args)
}

/// Returns what the recording says as OTLP/JSON, as the collector would print it.
fn lines(record: &Path, traces: &str) -> Result<Printed> {
    let record = record.display().to_string();
    let report = agent::run(["report", &record, "--traces", traces, "--otlp", "-"])?;
    ensure!(report.code == Some(0), "the report ended with {report:?}");
    Printed::of(&parse(&report.stdout)?)
}

fn reports(program: &Path, name: &str, record: &Path, traces: &str, reported: &Printed) -> Result<()> {
    for protocol in PROTOCOLS {
        let collector = Otelcol::start(program)?;
        let args = ["report", &record.display().to_string(), "--traces", traces, "--otlp", &collector.url(protocol)];
        let ended = Agent::start_with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)], args)?.succeed()?;
        let sent = format!("sent {} spans to ", reported.spans());
        ensure!(ended.stderr.iter().any(|line| line.starts_with(&sent)), "not said: {sent:?}: {:?}", ended.stderr);
        collector.printed()?.equal(reported).with_context(|| format!("{name}, report over {protocol}"))?;
    }
    println!("{name}: {reported}, as sent over gRPC and over HTTP");
    Ok(())
}
