//! Spans from a target that prints its truth, through a collector that is not ours, to a receiver that is.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::collector::{Collector, free_port};
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::spans::{differences, gathered, parse};
use asyncscope_tests::target::Target;
use otlp_receiver::Receiver;

use crate::{Test, scenarios};

/// The scenarios whose spans go through the collector.
const SCENARIOS: [&str; 5] = ["multi_thread", "panics", "aborts", "blocking", "local_set"];

pub(crate) fn tests() -> Vec<(String, Test)> {
    let both = |scenario: &'static str| {
        ["grpc", "http"].map(|protocol| {
            let test: Test = Box::new(move || through_a_collector(scenario, protocol));
            (format!("spans::{protocol}::{scenario}"), test)
        })
    };
    let more: [(&str, Test); 3] = [
        ("spans::leave_while_the_target_runs", Box::new(leave_while_the_target_runs)),
        ("spans::backend_down", Box::new(backend_down)),
        ("spans::memory_is_flat", Box::new(memory_is_flat)),
    ];
    let more = more.into_iter().map(|(name, test)| (name.to_owned(), test));
    SCENARIOS.into_iter().flat_map(both).chain(more).collect()
}

/// Whether this test sends through the collector.
pub(crate) fn needs_collector(name: &str) -> bool {
    name.starts_with("spans::grpc::") || name.starts_with("spans::http::")
}

fn attach(target: &Target, record: &Path, url: &str, variables: &[(&str, &str)]) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let args: [OsString; 8] = [
        "attach".into(),
        pid.into(),
        "--record".into(),
        record.into(),
        "--traces".into(),
        "tasks".into(),
        "--otlp".into(),
        url.into(),
    ];
    let mut agent = Agent::start_with(variables, args)?;
    agent.armed()?;
    Ok(agent)
}

fn through_a_collector(scenario: &str, protocol: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let (record, json) = (scratch.file("events.ascope"), scratch.file("events.json"));
    let receiver = Receiver::start()?;
    let collector = Collector::start(protocol, receiver.port())?;
    let url = match protocol {
        // Its port is not the registered one: the protocol has to be said.
        "grpc" => format!("http://127.0.0.1:{}", collector.grpc),
        _ => format!("http://127.0.0.1:{}/v1/traces", collector.http),
    };
    let mut target = Target::start(scenario)?;
    let name = if protocol == "grpc" { "grpc" } else { "http/protobuf" };
    let agent = attach(&target, &record, &url, &[("OTEL_EXPORTER_OTLP_PROTOCOL", name)])?;
    target.go()?;
    target.done()?;
    let ended = agent.interrupt()?;
    let truth = target.finish()?;

    let report = agent::run([
        "report".as_ref(),
        record.as_os_str(),
        "--json".as_ref(),
        json.as_os_str(),
        "--traces".as_ref(),
        "tasks".as_ref(),
        "--otlp".as_ref(),
        "-".as_ref(),
    ])?;
    ensure!(report.code == Some(0), "the report ended with {report:?}");
    let seen = Seen::read(&json)?;
    scenarios::judge(&format!("spans::{scenario}"), &truth, &seen)?;
    let (envelopes, emitted) = gathered(parse(&report.stdout)?)?;
    let sent = ended.stderr.iter().any(|line| line.starts_with(&format!("sent {} spans to ", emitted.len())));
    ensure!(sent, "not said that {} spans were sent: {:?}", emitted.len(), ended.stderr);
    // The collector answers before it passes on.
    ensure!(receiver.spans(emitted.len()).len() == emitted.len(), "not all came through the collector");
    let (got_envelopes, got) = gathered(receiver.received().into_iter().map(|received| received.request))?;
    for (id, span) in &emitted {
        ensure!(got.get(id) == Some(span), "changed on the way:\n{span:?}\n{:?}", got.get(id));
    }
    ensure!(got.len() == emitted.len() && got_envelopes == envelopes, "{got_envelopes:?}\n{envelopes:?}");
    let wrong = differences(&got, &seen);
    ensure!(wrong.is_empty(), "{} differences: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    let count = |of: fn(&opentelemetry_proto::tonic::trace::v1::Span) -> usize| got.values().map(of).sum::<usize>();
    eprintln!(
        "spans::{protocol}::{scenario}: {} spans, {} links, {} events",
        got.len(),
        count(|span| span.links.len()),
        count(|span| span.events.len())
    );
    Ok(())
}

/// What has ended is reported before the run does.
fn leave_while_the_target_runs() -> Result<()> {
    let (scratch, receiver) = (Scratch::new()?, Receiver::start()?);
    let mut target = Target::start("multi_thread")?;
    let agent = attach(&target, &scratch.file("events.ascope"), &format!("http://127.0.0.1:{}", receiver.port()), &[])?;
    target.go()?;
    target.done()?;
    let before = receiver.spans(1).len();
    ensure!(before > 0, "no span before the end of the run");
    agent.interrupt()?;
    let truth = target.finish()?;
    ensure!(receiver.spans(0).len() >= truth.tasks.len(), "spans are missing");
    Ok(())
}

/// Without a backend the run goes on, nothing of the recording is missing, and it is said what was lost.
fn backend_down() -> Result<()> {
    let scratch = Scratch::new()?;
    let (record, json) = (scratch.file("events.ascope"), scratch.file("events.json"));
    let mut target = Target::start("multi_thread")?;
    let mut agent = attach(&target, &record, &format!("http://127.0.0.1:{}", free_port()?), &[])?;
    target.go()?;
    target.done()?;
    agent.process.signal(libc::SIGINT)?;
    let ended = agent.exit()?;
    let truth = target.finish()?;
    ensure!(ended.code == Some(1), "it ended with {ended:?}");
    let said = ended.stderr.last().context("nothing said")?;
    ensure!(said.contains("spans did not reach") && said.contains("Connection refused"), "said: {said}");
    let report = agent::run(["report".as_ref(), record.as_os_str(), "--json".as_ref(), json.as_os_str()])?;
    ensure!(report.code == Some(0), "the report ended with {report:?}");
    scenarios::judge("spans::backend_down", &truth, &Seen::read(&json)?)
}

/// What has been reported is forgotten, so that a run can go on for ever.
fn memory_is_flat() -> Result<()> {
    const FEW: usize = 20_000;
    const MANY: usize = 120_000;
    const MAY_GROW_KIB: u64 = 24 << 10;
    let receiver = Receiver::start()?;
    let mut target = Target::start("load")?;
    let pid = target.process.pid().to_string();
    let mut agent = Agent::start([
        "attach",
        &pid,
        "--traces",
        "tasks",
        "--otlp",
        &format!("http://127.0.0.1:{}", receiver.port()),
    ])?;
    agent.armed()?;
    target.go()?;
    let resident = |after: usize| -> Result<u64> {
        let spans = receiver.spans(after).len();
        ensure!(spans >= after, "only {spans} spans came");
        Ok(asyncscope_tests::kernel::holdings(agent.process.pid())?.resident_kib)
    };
    let (few, many) = (resident(FEW)?, resident(MANY)?);
    eprintln!("spans::memory_is_flat: {few} KiB after {FEW} spans, {many} KiB after {MANY}");
    ensure!(many < few + MAY_GROW_KIB, "{few} KiB after {FEW} spans, {many} KiB after {MANY}");
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    target.finish().map(drop)
}
