//! What is asked of each kind of request.

use asyncscope_tests::attribution::table::{Floor, Known};
use asyncscope_tests::attribution::truth::NOBODY;

/// Set to [`Known::Nothing`] once no stretch is claimed falsely.
const STRETCHES: Known = Known::Stretches;

/// Of a hundred calls so many are told (claimed for their request, or for one of several with it among them), so many
/// are claimed for their request; and of a hundred children so many are.
const fn asked(kind: &'static str, told: usize, right: usize, children: usize) -> Floor {
    Floor { kind, told, right, children, known: STRETCHES }
}

/// The same where some claims are known to be false.
const fn false_for_now(kind: &'static str, told: usize, right: usize, children: usize) -> Floor {
    Floor { kind, told, right, children, known: Known::Any }
}

/// Kinds of the service on hyper, on both runtimes.
pub(super) const HYPER: &[Floor] = &[
    asked("plain", 0, 0, 0),
    asked("sleep", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("call-h2", 0, 0, 0),
    asked("now", 0, 0, 0),
    asked("now-h2", 0, 0, 0),
    asked("twice", 0, 0, 0),
    asked("twice-h2", 0, 0, 0),
    asked("tmo", 0, 0, 0),
    asked("tmo-h2", 0, 0, 0),
    asked("sel", 0, 0, 0),
    asked("sel-h2", 0, 0, 0),
    asked("hang", 0, 0, 0),
    asked("hang-h2", 0, 0, 0),
    asked("gone", 0, 0, 0),
    asked("gone-h2", 0, 0, 0),
    asked("close", 0, 0, 0),
    asked("close-h2", 0, 0, 0),
    asked("half", 0, 0, 0),
    asked("half-h2", 0, 0, 0),
    asked("parts", 0, 0, 0),
    asked("parts-h2", 0, 0, 0),
    asked("retry", 0, 0, 0),
    asked("retry-h2", 0, 0, 0),
    asked("hedge", 0, 0, 0),
    asked("hedge-h2", 0, 0, 0),
    asked("nested", 0, 0, 0),
    asked("nested-h2", 0, 0, 0),
    asked("fan", 0, 0, 0),
    asked("fan-h2", 0, 0, 0),
    asked("join", 0, 0, 0),
    asked("join30", 0, 0, 0),
    asked("join30-h2", 0, 0, 0),
    asked("join40", 0, 0, 0),
    asked("macro", 0, 0, 0),
    asked("bufun", 0, 0, 0),
    asked("bufun-h2", 0, 0, 0),
    asked("each", 0, 0, 0),
    asked("set", 0, 0, 0),
    asked("abort", 0, 0, 0),
    asked("own", 0, 0, 0),
    asked("inline", 0, 0, 0),
    asked("newclient", 0, 0, 0),
    asked("nopool", 0, 0, 0),
    asked("actor", 0, 0, 0),
    asked("actor-h2", 0, 0, 0),
    asked("semactor", 0, 0, 0),
    asked("buffer", 0, 0, 0),
    asked("pair", 0, 0, 0),
    asked("pair-h2", 0, 0, 0),
    asked("cancel", 0, 0, 0),
    asked("cancel-h2", 0, 0, 0),
    asked("limit", 0, 0, 0),
    asked("limitfan", 0, 0, 0),
    asked("limittmo", 0, 0, 0),
    asked("child", 0, 0, 0),
    asked("deep", 0, 0, 0),
    asked("bg", 0, 0, 0),
    asked("fire", 0, 0, 0),
    asked("blk", 0, 0, 0),
    asked("mid", 0, 0, 0),
    asked("midrun", 0, 0, 0),
    asked("sse", 0, 0, 0),
    asked("sse-h2", 0, 0, 0),
    asked("sseby", 0, 0, 0),
    asked("body", 0, 0, 0),
    asked("early", 0, 0, 0),
    asked("upgrade", 0, 0, 0),
    asked("raw", 0, 0, 0),
    asked("rawpool", 0, 0, 0),
    asked("mux", 0, 0, 0),
    asked("sync", 0, 0, 0),
    asked("ignore", 0, 0, 0),
    asked("late", 0, 0, 0),
    asked("flight", 0, 0, 0),
    asked("cache", 0, 0, 0),
    asked("hops", 0, 0, 0),
    asked("ownrt", 0, 0, 0),
    asked("cleanup", 0, 0, 0),
    asked("gonecleanup", 0, 0, 0),
];

/// Kinds of which false claims are known where events are lost.
pub(super) const FALSE_WITH_LOSSES: &[&str] = &["cache"];

/// Calls that no request made.
pub(super) const NOBODYS: Floor = asked(NOBODY, 0, 0, 0);

/// Kinds that need several threads.
pub(super) const MULTI_THREAD: &[Floor] = &[asked("bip", 0, 0, 0), asked("bip-h2", 0, 0, 0)];

/// Kinds of the gRPC client.
pub(super) const GRPC: &[Floor] = &[
    asked("grpc", 0, 0, 0),
    asked("grpcnew", 0, 0, 0),
    asked("grpclazy", 0, 0, 0),
    asked("grpcstream", 0, 0, 0),
    asked("grpcboth", 0, 0, 0),
    asked("grpctmo", 0, 0, 0),
];

/// Kinds of two requests with one ID.
pub(super) const SAME_ID: &[Floor] = &[false_for_now("bgid", 0, 0, 0), asked("hold", 0, 0, 0)];

/// Kinds of the service on actix-web, one after the other.
pub(super) const ACTIX: &[Floor] = &[
    asked("ok", 0, 0, 0),
    asked("sleep", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("tmo", 0, 0, 0),
    asked("read", 0, 0, 0),
    asked("early", 0, 0, 0),
    asked("parts", 0, 0, 0),
    asked("close", 0, 0, 0),
    asked("nothing", 0, 0, 0),
    asked("blk", 0, 0, 0),
    asked("ignore", 0, 0, 0),
    asked("fan", 0, 0, 0),
    asked("child", 0, 0, 0),
    asked("bg", 0, 0, 0),
    asked("sse", 0, 0, 0),
];

/// Kinds of the service on hyper, asked over HTTP/2.
pub(super) const BY_HTTP2: &[Floor] = &[
    asked("plain", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("call-h2", 0, 0, 0),
    asked("tmo", 0, 0, 0),
    asked("tmo-h2", 0, 0, 0),
    asked("hedge-h2", 0, 0, 0),
    asked("fan", 0, 0, 0),
    asked("bufun", 0, 0, 0),
    asked("join30-h2", 0, 0, 0),
    asked("actor", 0, 0, 0),
    asked("bg", 0, 0, 0),
    asked("blk", 0, 0, 0),
    asked("bip", 0, 0, 0),
    asked("flight", 0, 0, 0),
    asked("cancel-h2", 0, 0, 0),
    asked("sse", 0, 0, 0),
    asked("sseby", 0, 0, 0),
    asked("grpc", 0, 0, 0),
    asked("grpcnew", 0, 0, 0),
    asked("gone", 0, 0, 0),
    asked("gonecleanup", 0, 0, 0),
];

/// Kinds of the service on hyper, pipelined.
pub(super) const PIPELINED_HYPER: &[Floor] = &[
    asked("plain", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("tmo", 0, 0, 0),
    asked("bg", 0, 0, 0),
    false_for_now("sse", 0, 0, 0),
    asked("fan", 0, 0, 0),
];

/// Kinds of the service on actix-web, pipelined.
pub(super) const PIPELINED: &[Floor] = &[
    false_for_now("ok", 0, 0, 0),
    false_for_now("sleep", 0, 0, 0),
    false_for_now("call", 0, 0, 0),
    false_for_now("parts", 0, 0, 0),
    false_for_now("nothing", 0, 0, 0),
    false_for_now("blk", 0, 0, 0),
    false_for_now("sse", 0, 0, 0),
    false_for_now("bg", 0, 0, 0),
];
