//! The objects, field by field in the order in which they are written. docs/json.md describes them.

use serde::Serialize;

use crate::facts::{Driver, Moment, Process, TaskKind};
use crate::model::{Did, How, Outcome, Why};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Line<'a> {
    Recording(RecordingLine<'a>),
    Task(TaskLine),
    Poll(PollLine),
    Wake(WakeLine),
    Spawn(SpawnLine),
    Gap(GapLine),
}

#[derive(Serialize)]
pub(super) struct RecordingLine<'a> {
    pub(super) format: u32,
    pub(super) process: &'a Process,
    pub(super) armed: Moment,
    pub(super) from_first_instruction: bool,
    pub(super) end_ns: u64,
    pub(super) tokio: Option<&'a str>,
    pub(super) totals: TotalsLine,
}

#[derive(Serialize)]
pub(super) struct TotalsLine {
    pub(super) tasks: u64,
    pub(super) polls: u64,
    pub(super) wakes: u64,
    pub(super) spawns: u64,
    pub(super) gaps: u64,
    pub(super) lost: u64,
    pub(super) polls_unended: u64,
    pub(super) stale_wakes: u64,
    pub(super) unmatched_poll_ends: u64,
}

#[derive(Serialize)]
pub(super) struct TaskLine {
    pub(super) task: u64,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) task_kind: TaskKind,
    pub(super) runtime: bool,
    pub(super) parent: ParentLine,
    pub(super) born_ns: Option<u64>,
    pub(super) first_seen_ns: u64,
    pub(super) end: Option<EndLine>,
    pub(super) polls: u64,
    pub(super) polls_unended: u64,
    pub(super) wakes: u64,
    pub(super) aborts: u64,
    pub(super) running_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) ready_ns: u64,
    pub(super) waiting_ns: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ParentLine {
    Task(u64),
    Root(RootLine),
    Unknown(Why),
}

#[derive(Serialize)]
pub(super) struct RootLine {
    pub(super) thread: u32,
    pub(super) name: Option<String>,
}

#[derive(Serialize)]
pub(super) struct EndLine {
    pub(super) time_ns: u64,
    pub(super) how: How,
}

#[derive(Serialize)]
pub(super) struct PollLine {
    pub(super) task: Option<u64>,
    pub(super) thread: u32,
    pub(super) start_ns: u64,
    pub(super) end_ns: Option<u64>,
    pub(super) outcome: Outcome,
    pub(super) woken: bool,
    pub(super) nested_ns: u64,
    pub(super) doubtful: bool,
}

#[derive(Serialize)]
pub(super) struct WakeLine {
    pub(super) task: u64,
    pub(super) time_ns: u64,
    pub(super) thread: u32,
    pub(super) did: Did,
    pub(super) by: ByLine,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ByLine {
    Task(u64),
    Runtime(Option<Driver>),
    Own(bool),
    Thread(u32),
    Unknown(Why),
}

#[derive(Serialize)]
pub(super) struct SpawnLine {
    pub(super) task: u64,
    pub(super) parent: ParentLine,
    pub(super) time_ns: u64,
    pub(super) thread: u32,
}

#[derive(Serialize)]
pub(super) struct GapLine {
    pub(super) cpu: u16,
    pub(super) since_ns: u64,
    pub(super) until_ns: u64,
    pub(super) lost: u64,
}
