//! The objects, field by field in the order in which they are written. docs/json.md describes them.

use std::borrow::Cow;

use serde::Serialize;

use asyncscope_model::{Did, Evidence, How, Outcome, Totals, Why};
use asyncscope_trace::facts::{AwaitKind, ClockPair, Driver, InExchange, NotSeen, ProcessFacts, TaskKind};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum JsonLine<'a> {
    Recording(RecordingLine<'a>),
    Task(TaskLine),
    Await(AwaitLine<'a>),
    Poll(PollLine),
    Wake(WakeLine),
    Spawn(SpawnLine),
    Gap(GapLine),
    Request(RequestLine<'a>),
    Call(CallLine<'a>),
    Segment(SegmentLine),
    LongPoll(LongPollLine<'a>),
    Log(LogLine),
    Samples(SamplesLine),
}

#[derive(Serialize)]
pub(super) struct RecordingLine<'a> {
    pub(super) format: u32,
    pub(super) process: &'a ProcessFacts,
    pub(super) armed: ClockPair,
    pub(super) from_first_instruction: bool,
    pub(super) end_ns: u64,
    pub(super) tokio: Option<&'a str>,
    pub(super) tokio_versions: &'a [String],
    pub(super) in_exchange: Option<InExchange>,
    pub(super) not_seen: Vec<NotSeen>,
    pub(super) totals: Totals,
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
    pub(super) off_cpu_ns: Option<u64>,
    pub(super) trap_ns: Option<u64>,
    pub(super) ready_ns: u64,
    pub(super) waiting_ns: u64,
    pub(super) request: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<u64>,
}

#[derive(Serialize)]
pub(super) struct AwaitLine<'a> {
    pub(super) task: u64,
    pub(super) wait_ns: u64,
    pub(super) times: u64,
    pub(super) partial: bool,
    pub(super) chain: Vec<FrameLine<'a>>,
}

#[derive(Serialize)]
pub(super) struct FrameLine<'a> {
    pub(super) depth: u8,
    pub(super) name: &'a str,
    pub(super) is: AwaitKind,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    pub(super) until_line: Option<u32>,
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
    pub(super) off_cpu_ns: Option<u64>,
    pub(super) trap_ns: Option<u64>,
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

#[derive(Serialize)]
pub(super) struct RequestLine<'a> {
    pub(super) request: u64,
    pub(super) connection: ConnectionLine,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) path_cut: bool,
    pub(super) ids: Vec<IdLine<'a>>,
    pub(super) trace: Option<TraceLine>,
    pub(super) named_by: &'static str,
    pub(super) opened_ns: u64,
    pub(super) end: Option<CloseLine>,
    pub(super) grpc_status: Option<u8>,
    pub(super) task: Option<u64>,
    pub(super) running_ns: Option<u64>,
    pub(super) off_cpu_ns: Option<u64>,
    pub(super) trap_ns: Option<u64>,
    pub(super) ready_ns: Option<u64>,
    pub(super) waiting_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) samples: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct SamplesLine {
    pub(super) task: Option<u64>,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) request: Option<u64>,
    pub(super) samples: u64,
}

#[derive(Serialize)]
pub(super) struct CallLine<'a> {
    pub(super) call: u64,
    pub(super) connection: ConnectionLine,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) path_cut: bool,
    pub(super) ids: Vec<IdLine<'a>>,
    pub(super) trace: Option<TraceLine>,
    pub(super) opened_ns: u64,
    pub(super) end: Option<CloseLine>,
    pub(super) grpc_status: Option<u8>,
    pub(super) task: Option<u64>,
    pub(super) request: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<u64>,
    pub(super) evidence: Option<Evidence>,
}

#[derive(Serialize)]
pub(super) struct LongPollLine<'a> {
    pub(super) task: u64,
    pub(super) thread: u32,
    pub(super) start_ns: u64,
    pub(super) end_ns: Option<u64>,
    pub(super) own_ns: u64,
    pub(super) off_cpu_ns: Option<u64>,
    pub(super) trap_ns: Option<u64>,
    pub(super) off_cpu_in: Option<CodeLine<'a>>,
    pub(super) stack: Option<Vec<CodeLine<'a>>>,
    pub(super) awaited: Option<CodeLine<'a>>,
    pub(super) delayed: Vec<DelayedLine>,
}

#[derive(Serialize)]
pub(super) struct CodeLine<'a> {
    pub(super) name: Cow<'a, str>,
    /// Set if it may also be another function with the same code.
    pub(super) or_another: bool,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct DelayedLine {
    pub(super) task: u64,
    pub(super) since_ns: u64,
    pub(super) taken_ns: u64,
    pub(super) delay_ns: u64,
}

#[derive(Serialize)]
pub(super) struct LogLine {
    pub(super) time_ns: u64,
    pub(super) stream: &'static str,
    pub(super) thread: Option<u32>,
    pub(super) task: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<Why>,
    pub(super) request: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<u64>,
    pub(super) id: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct ConnectionLine {
    pub(super) source: &'static str,
    pub(super) key: u64,
    pub(super) stream: u32,
}

#[derive(Serialize)]
pub(super) struct IdLine<'a> {
    pub(super) header: &'a str,
    pub(super) value: String,
    pub(super) cut: bool,
}

#[derive(Serialize)]
pub(super) struct TraceLine {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) sampled: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct CloseLine {
    pub(super) time_ns: u64,
    pub(super) how: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
}

#[derive(Serialize)]
pub(super) struct SegmentLine {
    pub(super) task: u64,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) request: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<u64>,
    pub(super) answers: Option<u64>,
}
