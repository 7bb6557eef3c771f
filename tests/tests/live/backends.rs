//! Backends that do not do as they should: what the agent does then, says at the end, and exits with.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent, Ended};
use asyncscope_tests::kernel;
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::spans::{gathered, parse};
use asyncscope_tests::target::Target;
use otlp_receiver::{Answer, Options, Receiver};

use crate::{Test, named};

const UNAUTHENTICATED: i32 = 16;
const RESOURCE_EXHAUSTED: i32 = 8;
/// How long a slow machine may take to come to a point.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn tests() -> Vec<(String, Test)> {
    named(
        "backends",
        &[
            ("each_ends_as_documented", each_ends_as_documented),
            ("back_after_a_while", back_after_a_while),
            ("memory_is_bounded_behind_a_slow_one", memory_is_bounded_behind_a_slow_one),
        ],
    )
}

/// What a receiver answers, in which protocol, and what the agent says of it: that it sent all, or why none came.
struct Case {
    protocol: &'static str,
    answers: Vec<Answer>,
    none_because: Option<&'static str>,
}

fn cases() -> [Case; 9] {
    let case = |protocol, answers, none_because| Case { protocol, answers, none_because };
    let for_ever = |answer: Answer| vec![answer; 1000];
    let pause = || Answer::Http(429, vec![("retry-after", "1")]);
    let pause_grpc = || Answer::Grpc(RESOURCE_EXHAUSTED, Some(Duration::from_millis(200)));
    let (grpc, http) = ("grpc", "http/protobuf");
    [
        case(http, for_ever(Answer::Http(401, vec![])), Some("401 Unauthorized")),
        case(grpc, for_ever(Answer::Grpc(UNAUTHENTICATED, None)), Some("Unauthenticated")),
        case(http, for_ever(Answer::Http(429, vec![("retry-after", "86400")])), Some("429 Too Many Requests")),
        case(http, vec![pause(), pause()], None),
        case(grpc, vec![pause_grpc(), pause_grpc()], None),
        case(http, vec![Answer::TooLargeAbove(300)], None),
        case(grpc, vec![Answer::TooLargeAbove(0)], Some("ResourceExhausted")),
        case(http, vec![Answer::Close, Answer::Close], None),
        case(grpc, vec![Answer::Close, Answer::Close], None),
    ]
}

/// One recording, sent to each.
fn each_ends_as_documented() -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    let mut target = Target::start("multi_thread")?;
    let mut agent = attach(&target, &["--record", &record.display().to_string()], "")?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    target.finish()?;
    let spans = ids_emitted(&record)?.len();
    for Case { protocol, answers, none_because } in cases() {
        let shown = format!("{protocol} {:?} {none_because:?}", answers.first());
        let receiver = Receiver::answering(answers)?;
        let url = format!("http://127.0.0.1:{}", receiver.port());
        let record = record.display().to_string();
        let args = ["report", &record, "--traces", "tasks", "--otlp", &url];
        let ended = Agent::start_with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)], args)?.exit()?;
        let said = last(&ended)?;
        let (code, start) = match none_because {
            None => (0, format!("sent {spans} spans to {url}")),
            Some(_) => (1, format!("{spans} of {spans} spans did not reach {url}")),
        };
        let right = ended.code == Some(code) && said.contains(&start) && said.contains(none_because.unwrap_or(""));
        ensure!(right, "{shown}: exit code {:?}, said {said:?}", ended.code);
        let came = receiver.received().into_iter().filter(|received| received.accepted);
        let (_, came) = gathered(came.map(|received| received.request))?;
        ensure!(came.len() == if none_because.is_some() { 0 } else { spans }, "{shown}: {} came", came.len());
    }
    Ok(())
}

/// A backend that goes in the middle of a run and comes back gets all.
fn back_after_a_while() -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    let unavailable = vec![Answer::Http(503, vec![]); 1000];
    let first = Receiver::answering([vec![Answer::Accept], unavailable].concat())?;
    let port = first.port();
    let mut target = Target::start("multi_thread")?;
    let mut agent = attach(&target, &["--record", &record.display().to_string()], &format!("http://127.0.0.1:{port}"))?;
    agent.armed()?;
    target.go()?;
    ensure!(first.requests(3) >= 3, "it is not asked again");
    target.done()?;
    let kept = first.received().into_iter().filter(|received| received.accepted).collect::<Vec<_>>();
    drop(first);
    let second = Receiver::start_with(Options { port, ..Options::default() })?;
    ensure!(!second.spans(1).is_empty(), "nothing comes when it is back");
    let ended = agent.interrupt()?;
    target.finish()?;
    let (_, came) = gathered(kept.into_iter().chain(second.received()).map(|received| received.request))?;
    let emitted = ids_emitted(&record)?;
    ensure!(came.keys().eq(&emitted), "{} came, {} emitted", came.len(), emitted.len());
    let said = last(&ended)?;
    ensure!(said.starts_with(&format!("sent {} spans to ", emitted.len())), "said: {said}");
    Ok(())
}

/// A backend that answers nothing for most of the run: what there is no room for is dropped and counted, and all of
/// it is in the recording.
fn memory_is_bounded_behind_a_slow_one() -> Result<()> {
    const FULL: u64 = 192 << 20;
    const MUCH_LATER: u64 = 288 << 20;
    const MAY_GROW_KIB: u64 = 24 << 10;
    const QUEUE: u64 = 65_536;
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    let receiver = Receiver::answering(vec![Answer::Gated; 100_000])?;
    let url = format!("http://127.0.0.1:{}", receiver.port());
    let mut target = Target::start("load")?;
    let mut agent = attach(&target, &["--record", &record.display().to_string()], &url)?;
    agent.armed()?;
    target.go()?;
    let resident = |bytes: u64| -> Result<u64> {
        recorded(&record, bytes)?;
        Ok(kernel::holdings(agent.process.pid())?.resident_kib)
    };
    let (full, later) = (resident(FULL)?, resident(MUCH_LATER)?);
    target.go()?;
    target.done()?;
    agent.process.signal(libc::SIGINT)?;
    (0..100_000).for_each(|_| receiver.let_one_through());
    let ended = agent.exit()?;
    target.finish()?;
    let said = last(&ended)?;
    eprintln!("backends::memory_is_bounded: {full} KiB, then {later} KiB; {said}");
    ensure!(later < full + MAY_GROW_KIB, "{full} KiB, then {later} KiB");
    ensure!(ended.code == Some(1) && said.contains("there was no room for them"), "said: {said}");
    let numbers: Vec<usize> = said.split(' ').filter_map(|word| word.parse().ok()).take(2).collect();
    let [lost, all] = numbers.try_into().map_err(|_| anyhow::anyhow!("no numbers in {said:?}"))?;
    // What was not answered in time is sent again.
    let came = receiver.received().into_iter().flat_map(|received| received.request.resource_spans);
    let came = came.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
    let came = came.map(|span| span.span_id).collect::<BTreeSet<_>>().len();
    ensure!(came + lost == all, "{came} came, {lost} lost, {all} emitted");
    // The queue was full when it was looked at first.
    ensure!(all as u64 * FULL / recorded(&record, 0)? > QUEUE, "{all} spans are too few");
    Ok(())
}

fn attach(target: &Target, more: &[&str], otlp: &str) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let mut args = vec!["attach", &pid];
    args.extend(more);
    if !otlp.is_empty() {
        args.extend(["--traces", "tasks", "--otlp", otlp]);
    }
    Agent::start(args)
}

/// The ids of the spans of a recording.
fn ids_emitted(record: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let record = record.display().to_string();
    let report = agent::run(["report", &record, "--traces", "tasks", "--otlp", "-"])?;
    ensure!(report.code == Some(0), "the report ended with {report:?}");
    Ok(gathered(parse(&report.stdout)?)?.1.into_keys().collect())
}

fn last(ended: &Ended) -> Result<&str> {
    ended.stderr.last().map(String::as_str).context("nothing said")
}

/// Waits until the recording has so many bytes, and says how many it has.
fn recorded(record: &Path, bytes: u64) -> Result<u64> {
    let end = Instant::now() + PATIENCE;
    loop {
        let length = std::fs::metadata(record)?.len();
        if length >= bytes {
            return Ok(length);
        }
        ensure!(Instant::now() < end, "after {PATIENCE:?} only {length} bytes were recorded");
        thread::sleep(Duration::from_millis(20));
    }
}
