//! A target whose memory lies: no crash, an end, outputs that can be shown, and it lives on.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use asyncscope_tests::agent::{self, Ended};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::target::Target;

use crate::life::nothing_left;
use crate::{Case, Test, named};

const PATIENCE: Duration = Duration::from_secs(60);
/// A file's name, which a terminal or a page would not show as it is.
const NAME: &str = "\u{1b}[31m<script>\u{202e}\nliar";
/// How often memory is read that changes meanwhile, unless `ASYNCSCOPE_LIES` says otherwise.
const DUMPS: &str = "20";

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] =
        &[("is_attached_to", is_attached_to), ("is_dumped", is_dumped), ("is_named", is_named)];
    named("liar", tests)
}

struct Liar {
    target: Target,
    path: PathBuf,
    scratch: Scratch,
}

impl Liar {
    fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let path = scratch.file(NAME);
        fs::copy(paths::liar()?, &path)?;
        Ok(Self { target: Target::start_as(&path, "")?, path, scratch })
    }

    fn pid(&self) -> String {
        self.target.process.pid().to_string()
    }

    fn answers(&mut self) -> Result<u64> {
        self.target.go()?;
        let said = self.target.process.stdout.until(|line| line.starts_with("answers "), PATIENCE)?;
        Ok(said.trim_start_matches("answers ").parse()?)
    }

    /// What it does besides goes on, and ends well.
    fn lives_on(mut self) -> Result<()> {
        let before = self.answers()?;
        while self.answers()? < before + 10 {
            ensure!(self.target.process.alive()?, "it has ended");
        }
        self.target.process.close_input();
        ensure!(self.target.process.wait(PATIENCE)?.success(), "it did not end well");
        Ok(())
    }
}

/// It ended well, and nothing that it said moves a terminal's cursor, turns text around, or reports a panic.
fn said_plainly(ended: &Ended) -> Result<()> {
    let said = [ended.stdout.as_slice(), ended.stderr.as_slice()].concat().join("\n");
    ensure!(ended.code == Some(0), "exit code {:?}: {said:?}", ended.code);
    ensure!(!said.contains("panicked"), "{said:?}");
    is_plain(&said).context("what it said")
}

fn is_plain(text: &str) -> Result<()> {
    let odd = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
    match text.chars().find(odd) {
        Some(c) => bail!("{c:?} is shown as it is"),
        None => Ok(()),
    }
}

fn is_attached_to() -> Result<()> {
    let objects = bpf_objects()?;
    let liar = Liar::start()?;
    let mut args = vec!["attach".into(), liar.pid().into(), "--duration".into(), "2s".into()];
    let outputs = [("--json", "o.json"), ("--folded", "o.folded"), ("--flamegraph", "o.svg"), ("--record", "o.ascope")];
    for (option, file) in outputs {
        args.extend([option.into(), liar.scratch.file(file).into_os_string()]);
    }
    said_plainly(&agent::run(&args)?)?;
    let read = |file: &str| fs::read_to_string(liar.scratch.file(file)).with_context(|| file.to_owned());
    is_plain(&read("o.folded")?).context("the folded stacks")?;
    let (json, svg) = (read("o.json")?, read("o.svg")?);
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).with_context(|| line.to_owned())?;
    }
    ensure!(json.contains("<script>x"), "the forged polls were not seen");
    // What follows a closing tag of a name's is no longer part of the picture; the one script, and the picture in
    // the picture, are inferno's.
    is_plain(&svg.replace('\t', " ")).context("the flamegraph")?;
    let count = |text: &str| svg.matches(text).count();
    let (begins, ends, scripts) = (count("<svg"), count("</svg>"), count("<script"));
    ensure!(ends == begins && scripts == 1, "names are not escaped: {begins} begins, {ends} ends, {scripts} scripts");
    let recording = liar.scratch.file("o.ascope");
    said_plainly(&agent::run(["report".as_ref(), recording.as_os_str(), "--folded".as_ref(), "-".as_ref()])?)?;
    nothing_left(&objects)?;
    liar.lives_on()
}

fn is_dumped() -> Result<()> {
    let objects = bpf_objects()?;
    let liar = Liar::start()?;
    let times = std::env::var("ASYNCSCOPE_LIES").unwrap_or_else(|_| DUMPS.to_owned());
    let pid = liar.pid();
    let text = agent::run(["dump", &pid, "--times", &times])?;
    said_plainly(&text)?;
    ensure!(text.stdout.iter().any(|line| line.contains("liar::victims")), "no victim was seen: {:?}", text.stdout);
    let json = agent::run(["dump", &pid, "--json", "--times", "3"])?;
    ensure!(json.code == Some(0), "{:?}", json.stderr);
    for line in &json.stdout {
        ensure!(!line.contains(char::is_control), "a control character: {line:?}");
        serde_json::from_str::<serde_json::Value>(line).with_context(|| line.clone())?;
    }
    eprintln!("liar::is_dumped: {} lines in {times} dumps", text.stdout.len());
    nothing_left(&objects)?;
    liar.lives_on()
}

fn is_named() -> Result<()> {
    let liar = Liar::start()?;
    said_plainly(&agent::run(["inspect", &liar.pid(), "--verbose"])?)?;
    said_plainly(&agent::run(["inspect".as_ref(), liar.path.as_os_str()])?)?;
    // One of its name without tokio is refused, and reported as plainly.
    let other = liar.scratch.file(&format!("{NAME}2"));
    fs::copy("/bin/sleep", &other)?;
    let refused = agent::run(["inspect".as_ref(), other.as_os_str()])?;
    ensure!(refused.code == Some(1) && refused.stderr.len() == 1, "{refused:?}");
    is_plain(&refused.stderr.concat())?;
    liar.lives_on()
}
