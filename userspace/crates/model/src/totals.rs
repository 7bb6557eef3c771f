//! Sums over a recording.

use serde::Serialize;

/// Sums over a recording, in the order in which JSON has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tasks, those that have left the graph among them.
    pub tasks: u64,
    /// Polls whose start was seen.
    pub polls: u64,
    /// Wakes of tasks in the graph.
    pub wakes: u64,
    /// Spawns seen.
    pub spawns: u64,
    /// Stretches of time in which a CPU's events are missing.
    pub gaps: u64,
    /// Events missing in those.
    pub lost: u64,
    /// Samples that could not be taken or handed on.
    pub samples_lost: u64,
    /// Polls whose end was not seen.
    pub polls_unended: u64,
    /// Wakes that say nothing of any task in the graph.
    pub stale_wakes: u64,
    /// Ends of polls whose start was not seen.
    pub unmatched_poll_ends: u64,
    /// Heads of requests that were read.
    pub requests: u64,
    /// Heads of requests that were written.
    pub calls: u64,
    /// Heads of responses to nothing that was seen.
    pub unmatched_responses: u64,
    /// Requests on streams of which it is not known which task serves them.
    pub ambiguous_streams: u64,
    /// Calls and streams of which one piece of evidence says this request, and another that.
    pub contradictions: u64,
    /// Heads on connections that were not followed, because there were too many.
    pub unfollowed: u64,
    /// Lines written to standard output and error.
    pub lines: u64,
    /// Those of them for which there was no room.
    pub lines_dropped: u64,
    /// Bytes written to standard output and error that are in no line.
    pub print_bytes_missing: u64,
}
