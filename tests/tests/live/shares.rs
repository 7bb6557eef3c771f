//! Samples of CPU time by request, against the time that a service counted itself.
//!
//! No claim may be wrong: every task that a sample of a request fell in has to be one that burned for that very
//! request, and no stack under a route may be in the function that burns for nobody. And the shares have to be right,
//! by the test of `sampling`: of n samples in tasks, those of each route, of each route and sort of task, of each
//! route and function, and of each request are binomially distributed about the part that the service counted, and
//! none may be off by more than four standard deviations and one sample.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Build, Scratch};
use asyncscope_tests::process::Running;
use serde_json::Value;

use crate::Test;
use crate::sampling::{FREQUENCY, PATIENCE, judge, stacks};

/// Connections at a time, each of which asks for all routes so often.
const CONNECTIONS: usize = 4;
const TIMES: usize = 16;
const UNKNOWN: &str = "[request not known]";
const ANSWER_MAX: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    let case = |name: &str, build| {
        let test: Test = Box::new(move || of_requests(build, ask_all));
        (format!("shares::{name}"), test)
    };
    let mut tests =
        vec![case("release", Build::Release), case("fat_lto", Build::FatLto), case("stripped", Build::Stripped)];
    // Nothing sees HTTP/2 in a stripped program.
    let http2: Test = Box::new(|| of_requests(Build::Release, ask_all_by_http2));
    tests.push(("shares::http2".to_owned(), http2));
    let losses: Test = Box::new(losses);
    tests.push(("shares::losses".to_owned(), losses));
    tests
}

/// What a task burned in one function for one request, or, where `request` is empty, for nobody.
#[derive(Debug, serde::Deserialize)]
struct Burned {
    request: String,
    route: String,
    sort: String,
    task: u64,
    function: String,
    ns: f64,
}

impl Burned {
    fn route(&self) -> String {
        if self.request.is_empty() { UNKNOWN.to_owned() } else { format!("GET {}", self.route) }
    }
}

/// Samples of one task for one request.
#[derive(Debug)]
struct Seen {
    task: u64,
    /// The request's id as its client chose it, and its route; `None`: it is not known.
    request: Option<(String, String)>,
    samples: f64,
}

/// Asks the service at a port for all routes, while the agent watches.
type Ask = fn(&Path, u16, &mut Agent) -> Result<()>;

fn of_requests(build: Build, ask: Ask) -> Result<()> {
    let scratch = Scratch::new()?;
    let (folded, json, recording) = (scratch.file("folded"), scratch.file("json"), scratch.file("ascope"));
    let burned = watched(&paths::burn(build)?, ask, &[], &folded, &json, &recording)?;
    let again = |options: &[&str]| -> Result<String> {
        let args = ["report".as_ref(), recording.as_os_str()].into_iter().chain(options.iter().map(AsRef::as_ref));
        Ok(agent::run(args)?.stdout.join("\n"))
    };
    let (folded, json) = (std::fs::read_to_string(folded)?, std::fs::read_to_string(json)?);
    ensure!(
        again(&["--group-by", "route", "--folded", "-"])? == folded.trim_end(),
        "a recording folds to something else"
    );
    ensure!(again(&["--json", "-"])? == json.trim_end(), "a recording says something else");
    let seen = seen(&json)?;
    ensure!(no_claim_is_wrong(&seen, &burned)? > 100, "hardly anything is claimed");
    shares_are_right(&seen, &burned)?;
    match build {
        Build::Stripped => Ok(()),
        Build::Release | Build::FatLto => functions_are_right(&folded, &burned),
    }
}

/// An agent that stands still while half of the requests are served loses events. What it claims then has to be right
/// all the same.
fn losses() -> Result<()> {
    let scratch = Scratch::new()?;
    let (folded, json, recording) = (scratch.file("folded"), scratch.file("json"), scratch.file("ascope"));
    let ask: Ask = |_, port, agent| {
        agent.process.signal(libc::SIGSTOP)?;
        ask_by(port, 0..CONNECTIONS)?;
        agent.process.signal(libc::SIGCONT)?;
        ask_by(port, CONNECTIONS..2 * CONNECTIONS)
    };
    // All that is reported the first half does not fit.
    let burned = watched(&paths::burn(Build::Release)?, ask, &["--buffer", "64"], &folded, &json, &recording)?;
    let (folded, json) = (std::fs::read_to_string(folded)?, std::fs::read_to_string(json)?);
    let reported: Value = serde_json::from_str(json.lines().next().context("no line")?)?;
    let gaps = reported["totals"]["gaps"].as_u64().context("no gaps")?;
    eprintln!("shares: {gaps} gaps");
    ensure!(gaps > 0, "nothing was lost");
    no_claim_is_wrong(&seen(&json)?, &burned)?;
    stacks(&folded)?.iter().try_for_each(|(stack, _)| nobodys_is_under_no_route(stack))
}

/// Runs the service under the agent, asks for all routes, and says what burned.
fn watched(
    binary: &Path,
    ask: Ask,
    options: &[&str],
    folded: &Path,
    json: &Path,
    recording: &Path,
) -> Result<Vec<Burned>> {
    let mut target = Running::start(Command::new(binary).arg("serve"))?;
    let ready = target.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
    let port = ready.trim_start_matches("ready ").parse()?;
    let pid = target.pid().to_string();
    let args = ["attach", &pid, "--mode", "sample", "--frequency", FREQUENCY, "--requests", "--group-by", "route"];
    let outputs = [("--folded", folded), ("--json", json), ("--record", recording)];
    let outputs = outputs.iter().flat_map(|(option, path)| [option.as_ref(), path.as_os_str()]);
    let mut agent = Agent::start(args.iter().chain(options).map(AsRef::as_ref).chain(outputs))?;
    agent.armed()?;
    ask(binary, port, &mut agent)?;
    target.say("tell")?;
    target.stdout.until(|line| line == "done", PATIENCE)?;
    agent.interrupt()?;
    target.close_input();
    ensure!(target.wait(PATIENCE)?.success(), "the target failed");
    let lines = target.stdout.read().iter().filter(|line| line.starts_with('{'));
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn ask_all_by_http2(binary: &Path, port: u16, _: &mut Agent) -> Result<()> {
    let mut client = Running::start(Command::new(binary).args(["ask", &port.to_string()]))?;
    ensure!(client.wait(PATIENCE)?.success(), "the client failed: {:?}", client.stderr.all(ANSWER_MAX));
    Ok(())
}

fn ask_all(_: &Path, port: u16, _: &mut Agent) -> Result<()> {
    ask_by(port, 0..CONNECTIONS)
}

fn ask_by(port: u16, clients: Range<usize>) -> Result<()> {
    let clients: Vec<_> = clients.map(|client| thread::spawn(move || ask(port, client))).collect();
    clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
}

/// One after the other, on one connection.
fn ask(port: u16, client: usize) -> Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    for time in 0..TIMES {
        for route in ["serve", "spawn", "block", "late", "flush", "actor", "pool"] {
            let id = format!("{client}-{time}-{route}");
            let late = format!("{client}-{time}-late");
            let head = format!("GET /{route} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nx-late: {late}\r\n\r\n");
            connection.write_all(head.as_bytes())?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut bytes = [0; 512];
                let len = connection.read(&mut bytes)?;
                ensure!(len > 0, "the connection ended after {answer:?}");
                answer.extend(&bytes[..len]);
            }
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(())
}

/// The samples in tasks, from the lines of JSON.
fn seen(json: &str) -> Result<Vec<Seen>> {
    let lines: Vec<Value> = json.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let of = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
    let mut requests = BTreeMap::new();
    for line in of("request") {
        let id = line["ids"][0]["value"].as_str().unwrap_or_default().to_owned();
        let route =
            format!("{} {}", line["method"].as_str().unwrap_or_default(), line["path"].as_str().unwrap_or_default());
        requests.insert(line["request"].as_u64().context("no number")?, (id, route));
    }
    let mut all = Vec::new();
    for line in of("samples").filter(|line| line["type"] != "[runtime]") {
        let Some(task) = line["task"].as_u64() else { continue };
        let request = line["request"].as_u64().map(|number| requests.get(&number).cloned().context("no such request"));
        all.push(Seen { task, request: request.transpose()?, samples: line["samples"].as_f64().context("no count")? });
    }
    Ok(all)
}

/// Each claim is for a request that the task burned for. How many claims there are.
fn no_claim_is_wrong(seen: &[Seen], burned: &[Burned]) -> Result<usize> {
    let right: BTreeSet<(&str, u64)> = burned.iter().map(|burned| (burned.request.as_str(), burned.task)).collect();
    let claims = || seen.iter().filter_map(|seen| Some((seen.request.as_ref()?.0.as_str(), seen)));
    let wrong: Vec<&Seen> = claims()
        .filter(|(id, seen)| id.is_empty() || !right.contains(&(*id, seen.task)))
        .map(|(_, seen)| seen)
        .collect();
    let samples: f64 = claims().map(|(_, seen)| seen.samples).sum();
    eprintln!("shares: {} claims on {samples} samples, {} of them wrong", claims().count(), wrong.len());
    ensure!(wrong.is_empty(), "wrong: {wrong:?}");
    Ok(claims().count())
}

fn nobodys_is_under_no_route(stack: &[&str]) -> Result<()> {
    let is_nobodys = stack.contains(&"burn::work::foreign");
    ensure!(!is_nobodys || stack.first() == Some(&UNKNOWN), "work for nobody is under a route: {stack:?}");
    Ok(())
}

fn shares_are_right(seen: &[Seen], burned: &[Burned]) -> Result<()> {
    let sorts: BTreeMap<(&str, u64), &str> =
        burned.iter().map(|burned| ((burned.request.as_str(), burned.task), burned.sort.as_str())).collect();
    let route = |seen: &Seen| seen.request.as_ref().map_or(UNKNOWN, |(_, route)| route).to_owned();
    let id = |seen: &Seen| seen.request.as_ref().map_or("", |(id, _)| id).to_owned();
    let sort = |seen: &Seen| match &seen.request {
        Some((id, _)) => format!("{} {}", route(seen), sorts.get(&(id.as_str(), seen.task)).unwrap_or(&"?")),
        None => UNKNOWN.to_owned(),
    };
    let sort_of = |burned: &Burned| match burned.request.is_empty() {
        true => UNKNOWN.to_owned(),
        false => format!("{} {}", burned.route(), burned.sort),
    };
    judge("routes", &sums(seen, |seen| (route(seen), seen.samples)), &sums(burned, |it| (it.route(), it.ns)))?;
    judge("sorts of tasks", &sums(seen, |seen| (sort(seen), seen.samples)), &sums(burned, |it| (sort_of(it), it.ns)))?;
    judge("requests", &sums(seen, |seen| (id(seen), seen.samples)), &sums(burned, |it| (it.request.clone(), it.ns)))
}

/// By route and function; what is in none of the functions that burn is left out.
fn functions_are_right(folded: &str, burned: &[Burned]) -> Result<()> {
    let mut seen: BTreeMap<String, f64> = BTreeMap::new();
    for (stack, count) in stacks(folded)? {
        let Some(function) = stack.iter().find_map(|frame| frame.strip_prefix("burn::work::")) else { continue };
        nobodys_is_under_no_route(&stack)?;
        let route = stack.first().copied().unwrap_or_default();
        *seen.entry(format!("{route} {function}")).or_default() += count;
    }
    judge("functions", &seen, &sums(burned, |it| (format!("{} {}", it.route(), it.function), it.ns)))
}

fn sums<T>(of: &[T], part: impl Fn(&T) -> (String, f64)) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    of.iter().map(part).for_each(|(key, count)| *sums.entry(key).or_default() += count);
    sums
}
