//! Log lines: what the agent says was written, by which task and for which request, against what was.

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_trace::event::What;
use serde::Deserialize;

use crate::Test;

const PATIENCE: Duration = Duration::from_secs(60);
/// As much is kept of a line.
const LINE_MAX: usize = 8192;
const CLIENTS: usize = 8;
const REQUESTS: usize = 40;

pub(crate) fn tests() -> Vec<(String, Test)> {
    crate::named(
        "logs",
        &[
            ("attach", || attached(&[], true)),
            ("tracepoints", || attached(&["--http-by", "tracepoints"], true)),
            ("without_http", || attached(&["--no-http"], false)),
            ("without_http_by_tracepoints", || attached(&["--no-http", "--http-by", "tracepoints"], false)),
            ("only_if_asked_for", only_if_asked_for),
        ],
    )
}

/// The target, with standard output in a pipe and standard error in a file.
struct Logs {
    process: Running,
    address: String,
    errors: PathBuf,
}

impl Logs {
    fn start(scratch: &Scratch) -> Result<Self> {
        let errors = scratch.file("stderr");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" 2>\"$1\""]).arg(paths::logs()?).arg(&errors);
        let mut process = Running::start(&mut command)?;
        let ready = process.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
        Ok(Self { process, address: ready.trim_start_matches("ready ").to_owned(), errors })
    }

    fn attach(&self, options: &[&str]) -> Result<Agent> {
        let pid = self.process.pid().to_string();
        let mut agent = Agent::start(["attach", pid.as_str()].iter().chain(options))?;
        agent.armed()?;
        Ok(agent)
    }

    /// Has it write everything it has to write.
    fn live(&mut self) -> Result<()> {
        self.process.say("go")?;
        self.process.stdout.until(|line| line == "alone", PATIENCE)?;
        let address = self.address.as_str();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(address, client))).collect();
            clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })?;
        self.process.say("stop")?;
        self.process.stdout.until(|line| line == "end", PATIENCE).map(drop)
    }

    /// The lines between `begin` and `end`, as they came out of each stream.
    fn finish(mut self) -> Result<[Vec<Vec<u8>>; 2]> {
        self.process.close_input();
        ensure!(self.process.wait(PATIENCE)?.success(), "the target failed");
        let output = self.process.stdout.all(PATIENCE).iter().map(|line| line.as_bytes().to_vec()).collect();
        let errors = fs::read(&self.errors)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Ok([output, errors].map(watched))
    }
}

fn watched(lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let after_begin = lines.into_iter().skip_while(|line| line != b"begin").skip(1);
    after_begin.take_while(|line| line != b"end").collect()
}

/// One connection, and one request after the other.
fn ask(address: &str, client: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for number in 0..REQUESTS {
        let id = format!("r-{client}-{number}");
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(format!("\r\n\r\n{id}").as_bytes()) {
            let mut buffer = [0; 1024];
            let len = stream.read(&mut buffer)?;
            ensure!(len > 0, "the server closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend(buffer.get(..len).context("too long")?);
        }
    }
    Ok(())
}

/// A line of the agent's JSON.
#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    text: String,
    task: Option<u64>,
    request: Option<u64>,
    id: Option<String>,
    cut: Option<String>,
    unknown: Option<String>,
    thread: Option<u32>,
}

fn attached(options: &[&str], http: bool) -> Result<()> {
    let scratch = Scratch::new()?;
    let [record, json, logs] = ["logs.ascope", "logs.json", "logs.txt"].map(|name| scratch.file(name));
    let outputs = [&record, &json, &logs].map(|path| path.to_string_lossy());
    let [to_record, to_json, to_logs] = outputs.each_ref().map(|path| &**path);
    let mut target = Logs::start(&scratch)?;
    let asked = ["--record", to_record, "--json", to_json, "--logs", to_logs];
    let agent = target.attach(&[&asked, options].concat())?;
    target.live()?;
    agent.interrupt()?;
    let written = target.finish()?;
    let lines = lines(&json)?;
    let mut score = Score::default();
    for (stream, written) in ["stdout", "stderr"].into_iter().zip(&written) {
        let of_stream = lines.iter().filter(|line| line.stream == stream);
        let between = of_stream.skip_while(|line| line.text != "begin").skip(1).take_while(|line| line.text != "end");
        let reported: Vec<&Line> = between.collect();
        ensure!(
            reported.len() == written.len(),
            "{stream}: {} lines were written, {} reported",
            written.len(),
            reported.len()
        );
        for (reported, written) in reported.into_iter().zip(written) {
            score
                .judge(reported, written, http)
                .with_context(|| format!("{written:?}, reported {reported:?}").escape_debug().to_string())?;
        }
    }
    eprintln!("logs {options:?}: {score:?}");
    score.suffices(http)?;
    shown(&logs, &lines)?;
    ensure!(
        agent::run(["report", to_record, "--logs", "-"])?.stdout.join("\n") == fs::read_to_string(&logs)?.trim_end()
    );
    let replayed = agent::run(["report", to_record, "--json", "-"])?.stdout;
    ensure!(replayed.join("\n") == fs::read_to_string(&json)?.trim_end(), "live and replayed JSON differ");
    Ok(())
}

fn lines(json: &Path) -> Result<Vec<Line>> {
    let text = fs::read_to_string(json)?;
    let parsed = text.lines().filter(|line| line.contains("\"kind\":\"log\"")).map(serde_json::from_str::<Line>);
    parsed.map(|line| Ok(line?)).filter(|line| line.as_ref().map_or(true, |line| line.kind == "log")).collect()
}

/// How often what was claimed.
#[derive(Debug, Default)]
struct Score {
    lines: usize,
    of_tasks: usize,
    of_requests: usize,
    requests_not_reported: usize,
    of_actor: usize,
    of_actor_reported: usize,
    outside: usize,
    cut: usize,
}

impl Score {
    fn judge(&mut self, reported: &Line, written: &[u8], http: bool) -> Result<()> {
        let whole = written.get(..LINE_MAX).unwrap_or(written);
        ensure!(reported.text == escaped(whole), "the text is another");
        let cut = (written.len() > LINE_MAX).then_some("long");
        ensure!(reported.cut.as_deref() == cut, "cut");
        ensure!(reported.request.is_some() == reported.id.is_some(), "a request without its ID");
        self.lines += 1;
        self.cut += usize::from(cut.is_some());
        match truth(written) {
            Some((task, request)) => self.judge_task(reported, task, request, http),
            None if written.is_empty() => Ok(()),
            None => {
                self.outside += 1;
                ensure!((reported.task, reported.request) == (None, None), "claimed, and is nobody's");
                Ok(())
            }
        }
    }

    fn judge_task(&mut self, reported: &Line, task: u64, request: Option<&str>, http: bool) -> Result<()> {
        self.of_tasks += 1;
        ensure!(reported.task == Some(task) && reported.unknown.is_none(), "not task {task}'s");
        let request = request.filter(|_| http);
        ensure!(reported.id.is_none() || reported.id.as_deref() == request, "not of request {request:?}");
        match request {
            None => {}
            Some(_) if reported.text.ends_with(" actor") => {
                self.of_actor += 1;
                self.of_actor_reported += usize::from(reported.id.is_some());
            }
            Some(_) => {
                self.of_requests += 1;
                self.requests_not_reported += usize::from(reported.id.is_none());
            }
        }
        Ok(())
    }

    fn suffices(&self, http: bool) -> Result<()> {
        const ALL: usize = CLIENTS * REQUESTS;
        ensure!(self.of_tasks > ALL * 9 && self.outside > ALL && self.cut == 6, "too few: {self:?}");
        if http {
            ensure!(self.of_requests == ALL * 8 && self.of_actor == ALL, "too few of requests: {self:?}");
            ensure!(self.requests_not_reported * 100 <= self.of_requests, "less than 99 % are reported: {self:?}");
        }
        Ok(())
    }
}

/// The task, and the request, that a line of a task names.
fn truth(line: &[u8]) -> Option<(u64, Option<&str>)> {
    let words = line.strip_prefix(b"T task=")?;
    let text = std::str::from_utf8(words.get(..words.len().min(100))?)
        .or_else(|error| std::str::from_utf8(&words[..error.valid_up_to()]))
        .ok()?;
    let mut words = text.split(' ');
    let (task, request) = (words.next()?.parse().ok()?, words.next()?.strip_prefix("request=")?);
    Some((task, Some(request).filter(|request| *request != "-")))
}

/// Bytes that are no text, as docs/json.md has them.
fn escaped(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks
        .map(|chunk| {
            chunk.valid().to_owned() + &chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()
        })
        .collect()
}

/// The text has the same lines as the JSON, and nothing in it moves a cursor or turns text around.
fn shown(logs: &Path, lines: &[Line]) -> Result<()> {
    let text = fs::read_to_string(logs)?;
    ensure!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "a control character is shown");
    let shown: Vec<&str> = text.lines().collect();
    ensure!(shown.len() == lines.len(), "{} lines are shown, of {}", shown.len(), lines.len());
    let mut reported: Vec<String> = lines.iter().map(front).collect();
    let mut shown: Vec<String> =
        shown.into_iter().filter_map(|line| Some(line.split_once(' ')?.1.split_once(" | ")?.0.to_owned())).collect();
    reported.sort();
    shown.sort();
    ensure!(reported == shown, "shown otherwise than reported");
    Ok(())
}

fn front(line: &Line) -> String {
    let or = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let cut = line.cut.as_ref().map_or(String::new(), |cut| format!(" cut={cut}"));
    let (thread, task) = (line.thread.map(|thread| thread.to_string()), line.task.map(|task| task.to_string()));
    let (thread, task, request) = (or(thread), or(task), or(line.request.map(|request| request.to_string())));
    format!("{} thread={thread} task={task} request={request} id={}{cut}", line.stream, or(line.id.clone()))
}

/// Without `--logs` nothing of it leaves the target.
fn only_if_asked_for() -> Result<()> {
    let scratch = Scratch::new()?;
    let (record, json) = (scratch.file("logs.ascope"), scratch.file("logs.json"));
    let mut target = Logs::start(&scratch)?;
    let agent = target.attach(&["--record", &record.to_string_lossy(), "--json", &json.to_string_lossy()])?;
    target.live()?;
    agent.interrupt()?;
    target.finish()?;
    let mut prints = 0;
    let recording = asyncscope_trace::recording::read(BufReader::new(File::open(&record)?), &mut |event| {
        prints += usize::from(matches!(event.what, What::Print(_)));
    })?;
    ensure!(prints == 0 && !recording.facts.logs && lines(&json)?.is_empty(), "{prints} writes were recorded");
    for output in [fs::read(&record)?, fs::read(&json)?] {
        ensure!(!output.windows(12).any(|window| window == b"grandchild a"), "a line is in an output");
    }
    let reported = agent::run(["report", &record.to_string_lossy(), "--logs", "-"])?.stdout;
    ensure!(reported == ["no lines: they were not captured (--logs)"], "reported: {reported:?}");
    let ended = agent::run(["attach", "1", "--redact", "--logs", "-"])?;
    ensure!(ended.code == Some(2), "--redact and --logs go together: {ended:?}");
    Ok(())
}
