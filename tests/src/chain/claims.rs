//! What an agent claims about a service: the lines of its JSON that report requests.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::json_lines;
use crate::seen::{Recording, SeenGap};

/// Everything an agent claims. Times are nanoseconds of `CLOCK_MONOTONIC`; requests have numbers of the
/// agent's own.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The first line.
    pub recording: Recording,
    /// By number.
    pub requests: BTreeMap<u64, Request>,
    /// All calls, also those that are claimed for nobody.
    pub calls: Vec<Call>,
    /// All tasks, by id, also those that are claimed for nobody.
    pub tasks: BTreeMap<u64, Task>,
    /// Segments of tasks that serve many requests.
    pub segments: Vec<Segment>,
    /// Every gap.
    pub gaps: Vec<SeenGap>,
}

/// A request that the service served.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Its number.
    pub request: u64,
    /// The task that read its head.
    pub task: Option<u64>,
    /// The header values that name it.
    #[serde(default)]
    pub ids: Vec<Id>,
    /// Its method.
    pub method: Option<String>,
    /// Its path.
    pub path: Option<String>,
    /// Its opening.
    pub opened_ns: u64,
    /// Its end; `None` if it was open when the recording ended.
    pub end: Option<End>,
    /// The gRPC status of its answer.
    pub grpc_status: Option<u8>,
}

/// The end of a request or a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct End {
    /// Its time.
    pub time_ns: u64,
    /// `answered`, `cancelled`, `panicked` or `unknown`.
    pub how: String,
    /// The status of its answer.
    pub status: Option<u16>,
}

/// The value of a correlation header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// The header.
    pub header: String,
    /// Its value.
    pub value: String,
}

/// A call that the service made.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// The request that it was made for.
    pub request: Option<u64>,
    /// All that it may have been made for, where it is one of several.
    pub candidates: Option<Vec<u64>>,
    /// The reason for that.
    pub evidence: Option<String>,
    /// The task that wrote its head: a connection's, more often than the one that asked for it.
    pub task: Option<u64>,
    /// The header values in its head.
    #[serde(default)]
    pub ids: Vec<Id>,
    /// Its method.
    pub method: Option<String>,
    /// Its path.
    pub path: Option<String>,
    /// The time when its head was written.
    pub opened_ns: u64,
    /// Its end; `None` if it was open when the recording ended.
    pub end: Option<End>,
    /// The gRPC status of its answer.
    pub grpc_status: Option<u8>,
}

/// A task.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    /// Its id.
    pub task: u64,
    /// Its type's name.
    #[serde(rename = "type", default)]
    pub name: String,
    /// The one request that all of it serves.
    pub request: Option<u64>,
    /// All that it may serve, where it is one of several.
    pub candidates: Option<Vec<u64>>,
}

/// A part of one poll of a task.
#[derive(Clone, Debug, Deserialize)]
pub struct Segment {
    /// The task.
    pub task: u64,
    /// The request that it serves in this segment.
    pub request: Option<u64>,
    /// Its begin.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Recording(Recording),
    Request(Request),
    Call(Call),
    Task(Task),
    Segment(Segment),
    Gap(SeenGap),
    #[serde(other)]
    Other,
}

impl Claims {
    /// Reads a file of JSON lines.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a line is not as `docs/json.md` has it.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(json_lines::read(path)?)
    }

    /// Reads JSON lines.
    ///
    /// # Errors
    ///
    /// As [`Claims::read`].
    pub fn parse(lines: impl BufRead) -> Result<Self> {
        Self::of(json_lines::of(lines))
    }

    fn of(lines: impl Iterator<Item = Result<Line>>) -> Result<Self> {
        let mut claims = Self::default();
        for (number, line) in lines.enumerate() {
            let line = line?;
            ensure!((number == 0) == matches!(line, Line::Recording(_)), "the recording is not line 1");
            claims.take(line)?;
        }
        Ok(claims)
    }

    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Recording(recording) => self.recording = recording,
            Line::Request(request) => {
                let number = request.request;
                ensure!(self.requests.insert(number, request).is_none(), "request {number} has two lines");
            }
            Line::Task(task) => {
                let id = task.task;
                ensure!(self.tasks.insert(id, task).is_none(), "task {id} has two lines");
            }
            Line::Call(call) => self.calls.push(call),
            Line::Segment(segment) => self.segments.push(segment),
            Line::Gap(gap) => self.gaps.push(gap),
            Line::Other => {}
        }
        Ok(())
    }
}
