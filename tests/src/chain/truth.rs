//! What a service lived.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Everything a service lived. Times are nanoseconds of `CLOCK_MONOTONIC`; requests have numbers of the
/// service's own.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// By number.
    pub requests: BTreeMap<u64, Request>,
    /// By id: all but those of which it does not know, such as connections.
    pub tasks: BTreeMap<u64, Task>,
    /// In the order in which they ended.
    pub calls: Vec<Call>,
    /// In the order in which they ended.
    pub segments: Vec<Segment>,
    /// Requests of clients that left at once, and no handler was polled for: whether it was read is only
    /// known to the library.
    pub unserved: Vec<Left>,
}

/// A request whose client left.
#[derive(Clone, Debug, Deserialize)]
pub struct Left {
    /// Its path, without the query.
    pub path: String,
    /// The header that named it.
    pub header: String,
    /// The value of that.
    pub id: String,
}

/// A correlation header that a head bore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Correlation {
    /// Its name, in lower case.
    pub header: Option<String>,
    /// Its value.
    pub id: Option<String>,
}

/// The way in which a request or a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// With a response.
    Answered,
    /// It was given up: its future was dropped.
    Cancelled,
    /// A panic went through its handler.
    Panicked,
    /// A call for which no response came.
    Failed,
}

/// A served request.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// Its number.
    pub request: u64,
    /// The header that it bore.
    #[serde(flatten)]
    pub correlation: Correlation,
    /// The ID that the service made up, and wrote in the response.
    pub made: Option<String>,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The task that its handler ran in.
    pub task: Option<u64>,
    /// The begin of its handler: its head had been read.
    pub begin_ns: u64,
    /// The end of its handler: an answer had not been written yet.
    pub end_ns: u64,
    /// The way in which it ended.
    pub how: How,
    /// The status of its answer.
    pub status: Option<u16>,
    /// The gRPC status of its answer.
    pub grpc: Option<u8>,
}

impl Request {
    /// The ID that names it, if any does.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.correlation.id.as_deref().or(self.made.as_deref())
    }

    /// Returns whether it came over gRPC: in this chain, nothing else is posted.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.method == "POST"
    }
}

/// The role of a task: for whom it works, or who spawned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Spawned by a handler or a task of its request.
    Spawned,
    /// Spawned by a handler or a task of its request on a `LocalSet`.
    Local,
    /// Spawned by a handler or a task of its request on the blocking pool.
    Blocking,
    /// Spawned by the actor for the request whose message it was about.
    ByActor,
    /// Serves the requests that ask it, in turn.
    Actor,
    /// Serves no single request.
    Background,
    /// Spawned by a client library.
    Library,
}

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Task {
    /// Its id.
    pub task: u64,
    /// The task that spawned it, if any did.
    pub parent: Option<u64>,
    /// The request that it serves.
    pub request: Option<u64>,
    /// Its role.
    pub role: Role,
}

/// An outgoing call.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// The request that it was made for.
    pub request: u64,
    /// The header that its head bore.
    #[serde(flatten)]
    pub correlation: Correlation,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Before anything of it was written.
    pub begin_ns: u64,
    /// After its response had been read whole, or it had been given up.
    pub end_ns: u64,
    /// The way in which it ended.
    pub how: How,
    /// The status of its answer.
    pub status: Option<u16>,
    /// The gRPC status of its answer.
    pub grpc: Option<u8>,
    /// It may have been given up before anything of it was written.
    #[serde(skip)]
    pub may_be_unsent: bool,
}

/// From when an actor had taken a message to when it was done with it, just before its reply.
#[derive(Clone, Debug, Deserialize)]
pub struct Segment {
    /// The actor.
    pub task: u64,
    /// The request that the message was of.
    pub request: u64,
    /// Its begin.
    pub begin_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// `true` if it ended with a reply that somebody waited for.
    pub replied: bool,
}

impl Call {
    /// Returns whether it went over gRPC.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.method == "POST"
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Request(Request),
    Task(Task),
    Call(Call),
    Segment(Segment),
    Wrong { wrong: String },
}

impl Truth {
    /// Reads a service's output.
    ///
    /// # Errors
    ///
    /// If a line is none of the truth's, or the service found itself contradicted.
    pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Self> {
        let mut truth = Self::default();
        for line in lines.iter().map(|line| line.as_ref().trim()) {
            if !line.is_empty() && line != "done" && !line.starts_with("ready ") {
                let parsed = serde_json::from_str(line).with_context(|| format!("no truth: {line}"))?;
                truth.take(parsed).with_context(|| format!("in {line}"))?;
            }
        }
        truth.check()?;
        Ok(truth)
    }

    /// Adds what the load reports of clients that left.
    pub fn add_left(&mut self, left: Vec<Left>) {
        let served: BTreeSet<&str> = self.requests.values().map(|request| request.path.as_str()).collect();
        self.unserved = left.into_iter().filter(|left| !served.contains(left.path.as_str())).collect();
    }

    /// Marks the calls that the next service knows nothing of.
    pub fn mark_unsent(&mut self, next: &Self) {
        let key = |path: &str, id: Option<&str>| (path.to_owned(), id.map(str::to_owned));
        let served = next.requests.values().map(|request| key(&request.path, request.correlation.id.as_deref()));
        let served: BTreeSet<_> = served.collect();
        for call in self.calls.iter_mut().filter(|call| call.how == How::Cancelled) {
            call.may_be_unsent = !served.contains(&key(&call.path, call.correlation.id.as_deref()));
        }
    }

    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Request(request) => {
                ensure!(self.requests.insert(request.request, request).is_none(), "a second time");
            }
            Line::Task(task) => ensure!(self.tasks.insert(task.task, task).is_none(), "a second time"),
            Line::Call(call) => self.calls.push(call),
            Line::Segment(segment) => self.segments.push(segment),
            Line::Wrong { wrong } => bail!("the service says: {wrong}"),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let of_tasks = self.tasks.values().filter_map(|task| task.request);
        let of_calls = self.calls.iter().map(|call| call.request);
        let of_segments = self.segments.iter().map(|segment| segment.request);
        let mut named = of_tasks.chain(of_calls).chain(of_segments);
        match named.find(|number| !self.requests.contains_key(number)) {
            Some(number) => bail!("there is no request {number}"),
            None => Ok(()),
        }
    }
}
