//! A request that hangs on its upstream: its call is open, and reported so.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent::{self, Agent, Ended};
use asyncscope_tests::attribution::load::Client;
use asyncscope_tests::attribution::service::{Role, Upstream, ports};
use asyncscope_tests::chain::claims::Claims;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;

/// The summary's words for connections whose exchange began before the attach, after their number.
const IN_EXCHANGE: &str = "in an exchange at the attach";
/// The name of the request that hangs, and its ID.
const STUCK: &str = "stuck-0";
/// By then its call is open.
const CALLED: Duration = Duration::from_millis(500);

/// A service, one request of which hangs as long as this is there.
struct Stuck {
    _upstream: Upstream,
    service: Running,
    port: u16,
}

impl Stuck {
    fn start() -> Result<Self> {
        let upstream = Upstream::start()?;
        let mut service = Running::start(Command::new(paths::kinds()?).args(Role::Axum(2).arguments(&upstream)))?;
        let port = ports(&mut service)?.first().copied().context("no port")?;
        Ok(Self { _upstream: upstream, service, port })
    }

    /// Begins the request.
    fn ask(&self) {
        let mut client = Client::new(self.port);
        // It is answered only when all of this is over.
        thread::spawn(move || client.ask("stuck", STUCK, STUCK));
        thread::sleep(CALLED);
    }

    fn attach(&self, scratch: &Scratch) -> Result<Agent> {
        let (record, json) = (scratch.file("open.ascope"), scratch.file("open.json"));
        let pid = self.service.pid().to_string();
        let (record, json) = (record.to_string_lossy(), json.to_string_lossy());
        let mut agent = Agent::start(["attach", &pid, "--record", &record, "--json", &json])?;
        agent.armed()?;
        Ok(agent)
    }
}

fn reported(scratch: &Scratch, options: &[&str]) -> Result<Ended> {
    let record = scratch.file("open.ascope");
    let report = ["report", &record.to_string_lossy()];
    let ended = agent::run(report.iter().chain(options))?;
    ensure!(ended.code == Some(0), "{:?}", ended.stderr);
    eprintln!("attribution::open, {options:?}:\n{}", ended.stdout.join("\n"));
    Ok(ended)
}

/// The request's call is counted and shown, though it has no answer.
pub(super) fn hang_live() -> Result<()> {
    let (stuck, scratch) = (Stuck::start()?, Scratch::new()?);
    let agent = stuck.attach(&scratch)?;
    stuck.ask();
    agent.interrupt()?;
    open_call_is_its_own(&Claims::read(&scratch.file("open.json"))?)?;
    let table = reported(&scratch, &["--requests"])?.stdout;
    ensure!(calls_of(&table, "/w/stuck/")? == 1, "its call is not counted");
    let story = reported(&scratch, &["--request", STUCK])?.stdout;
    ensure!(story.iter().any(|line| line.contains("/hang/")), "its call is not in its story");
    Ok(())
}

fn open_call_is_its_own(claims: &Claims) -> Result<()> {
    let path = |path: &Option<String>| path.as_deref().unwrap_or_default().to_owned();
    let mut requests = claims.requests.values();
    let stuck = requests.find(|request| path(&request.path).starts_with("/w/stuck/")).context("no request")?;
    let call = claims.calls.iter().find(|call| path(&call.path).starts_with("/hang/")).context("no call")?;
    ensure!(stuck.end.is_none() && call.end.is_none(), "who answered?");
    let may_be = call.candidates.as_deref().unwrap_or_default().contains(&stuck.request);
    ensure!(call.request == Some(stuck.request) || (call.request.is_none() && may_be), "{call:?}");
    Ok(())
}

/// The number below `CALLS` in the row of a path, with those that may be its: `0+1?` is one.
fn calls_of(table: &[String], path: &str) -> Result<u64> {
    let head = table.iter().find(|line| line.contains("CALLS")).context("no column of calls")?;
    let row = table.iter().find(|line| line.contains(path)).context("no row")?;
    let end = head.find("CALLS").unwrap_or_default() + "CALLS".len();
    // Columns are as wide as their characters are many, not their bytes.
    let row: String = row.chars().take(end).collect();
    let cell = row.split_whitespace().next_back().context("no number")?;
    let counts = cell.trim_end_matches('?').split('+').map(|count| Ok(count.parse::<u64>()?));
    counts.sum()
}

/// One that hung before the attach cannot be known, but that there was something is.
pub(super) fn hang_from_before() -> Result<()> {
    let (stuck, scratch) = (Stuck::start()?, Scratch::new()?);
    stuck.ask();
    let agent = stuck.attach(&scratch)?;
    thread::sleep(CALLED);
    let ended = agent.interrupt()?;
    let said = [&ended.stderr[..], &ended.stdout, &reported(&scratch, &["--requests"])?.stdout].concat();
    let line = said.iter().find(|line| line.contains(IN_EXCHANGE)).with_context(|| format!("not said: {said:?}"))?;
    let count = line.split(" connection").next().and_then(|before| before.split_whitespace().next_back());
    ensure!(count.and_then(|count| count.parse().ok()).is_some_and(|count: u64| count > 0), "{line}");
    Ok(())
}
