//! What is asked of each kind of request.

use asyncscope_tests::attribution::table::Floor;
use asyncscope_tests::attribution::truth::NOBODY;

/// Who woke a connection's task need not have asked: of a hundred calls this many may have likely ones that are none.
const UNLIKELY: usize = 10;

/// The least that is asked of a kind. Where it depends on the scheduler whether a wake shows who asked (an answer may be
/// there before anybody waits for it), this lies well below the usual share: there are sixteen calls a run.
///
/// Of a hundred calls this many are reported (claimed for their request, or for one of several with it among them), this
/// many are claimed for their request; and of a hundred children this many are.
const fn asked(kind: &'static str, reported: usize, right: usize, children: usize) -> Floor {
    Floor { kind, reported, right, children, unlikely: UNLIKELY }
}

/// Kinds of the service on hyper, on both runtimes.
pub(super) const HYPER: &[Floor] = &[
    asked("plain", 90, 90, 100),
    asked("sleep", 90, 90, 100),
    asked("call", 85, 80, 100),
    asked("call-h2", 85, 80, 100),
    asked("now", 85, 80, 100),
    asked("now-h2", 85, 60, 100),
    asked("twice", 85, 80, 100),
    asked("twice-h2", 85, 80, 100),
    asked("tmo", 80, 70, 100),
    asked("tmo-h2", 80, 70, 100),
    asked("sel", 80, 70, 100),
    asked("sel-h2", 80, 70, 100),
    asked("hang", 85, 80, 100),
    asked("hang-h2", 85, 80, 100),
    asked("gone", 90, 0, 100),
    asked("gone-h2", 60, 0, 100),
    asked("close", 75, 50, 100),
    asked("close-h2", 0, 0, 100),
    asked("half", 90, 90, 100),
    asked("half-h2", 50, 50, 100),
    asked("parts", 90, 90, 100),
    asked("parts-h2", 60, 60, 100),
    asked("retry", 85, 60, 100),
    asked("retry-h2", 85, 60, 100),
    asked("hedge", 85, 75, 100),
    asked("hedge-h2", 85, 75, 100),
    asked("nested", 85, 80, 100),
    asked("nested-h2", 85, 80, 100),
    asked("fan", 85, 80, 100),
    asked("fan-h2", 85, 35, 100),
    asked("join", 85, 80, 100),
    asked("join30", 85, 80, 100),
    asked("join30-h2", 85, 80, 100),
    asked("join40", 85, 45, 100),
    asked("macro", 90, 90, 100),
    asked("bufun", 85, 60, 100),
    asked("bufun-h2", 85, 10, 100),
    asked("each", 85, 75, 100),
    asked("set", 90, 90, 100),
    asked("abort", 85, 80, 100),
    asked("own", 90, 90, 35),
    asked("inline", 90, 90, 100),
    asked("newclient", 90, 90, 100),
    asked("nopool", 90, 90, 100),
    asked("actor", 0, 0, 100),
    asked("actor-h2", 0, 0, 100),
    asked("semactor", 0, 0, 100),
    asked("buffer", 90, 90, 100),
    asked("pair", 90, 90, 100),
    asked("pair-h2", 90, 90, 100),
    asked("cancel", 75, 75, 100),
    asked("cancel-h2", 75, 75, 100),
    asked("limit", 55, 55, 100),
    asked("limitfan", 90, 90, 100),
    Floor { unlikely: 50, ..asked("limittmo", 15, 0, 100) },
    asked("child", 90, 90, 100),
    asked("deep", 90, 90, 100),
    asked("bg", 90, 90, 100),
    asked("fire", 90, 90, 100),
    asked("blk", 85, 40, 100),
    asked("mid", 90, 90, 100),
    asked("midrun", 90, 90, 100),
    asked("sse", 90, 75, 100),
    asked("sse-h2", 0, 0, 100),
    asked("sseby", 90, 90, 100),
    asked("body", 90, 90, 100),
    asked("early", 75, 75, 100),
    asked("upgrade", 90, 90, 100),
    asked("raw", 90, 90, 100),
    asked("rawpool", 90, 90, 100),
    asked("mux", 90, 90, 100),
    asked("sync", 90, 90, 100),
    asked("ignore", 90, 90, 100),
    asked("late", 90, 90, 100),
    asked("flight", 75, 0, 100),
    asked("cache", 90, 90, 100),
    asked("hops", 90, 90, 100),
    asked("ownrt", 90, 90, 100),
    asked("cleanup", 90, 90, 100),
    asked("gonecleanup", 0, 0, 35),
];

/// Calls that no request made.
pub(super) const NOBODYS: Floor = Floor { unlikely: 100, ..asked(NOBODY, 0, 0, 0) };

/// Kinds that need several threads.
pub(super) const MULTI_THREAD: &[Floor] = &[asked("bip", 85, 20, 100), asked("bip-h2", 50, 0, 100)];

/// Kinds of the gRPC client.
pub(super) const GRPC: &[Floor] = &[
    asked("grpc", 75, 75, 100),
    asked("grpcnew", 75, 75, 100),
    asked("grpclazy", 70, 70, 100),
    asked("grpcstream", 75, 60, 100),
    asked("grpcboth", 75, 60, 100),
    asked("grpctmo", 75, 60, 100),
];

/// Kinds of two requests with one ID.
pub(super) const SAME_ID: &[Floor] = &[asked("bgid", 0, 0, 100), asked("hold", 90, 90, 100)];

/// Kinds of the service on actix-web, one after the other.
pub(super) const ACTIX: &[Floor] = &[
    asked("ok", 90, 90, 100),
    asked("sleep", 90, 90, 100),
    asked("call", 90, 90, 100),
    asked("tmo", 0, 0, 100),
    asked("read", 90, 90, 100),
    asked("early", 75, 75, 100),
    asked("parts", 90, 90, 100),
    asked("close", 90, 90, 100),
    asked("nothing", 90, 90, 100),
    asked("blk", 90, 90, 100),
    asked("ignore", 90, 90, 100),
    asked("fan", 90, 90, 100),
    asked("child", 90, 90, 100),
    asked("bg", 75, 75, 85),
    asked("sse", 0, 0, 100),
];

/// Kinds of the service on hyper, asked over HTTP/2.
pub(super) const BY_HTTP2: &[Floor] = &[
    asked("plain", 90, 90, 100),
    asked("call", 90, 90, 100),
    asked("call-h2", 90, 90, 100),
    asked("tmo", 0, 0, 100),
    asked("tmo-h2", 0, 0, 100),
    asked("hedge-h2", 35, 35, 100),
    asked("fan", 90, 90, 100),
    asked("bufun", 90, 90, 100),
    asked("join30-h2", 90, 90, 100),
    asked("actor", 0, 0, 100),
    asked("bg", 90, 90, 100),
    asked("blk", 0, 0, 100),
    asked("bip", 5, 5, 100),
    asked("flight", 75, 0, 100),
    asked("cancel-h2", 75, 75, 100),
    asked("sse", 90, 90, 100),
    asked("sseby", 90, 90, 100),
    asked("grpc", 35, 35, 100),
    asked("grpcnew", 0, 0, 100),
    asked("gone", 0, 0, 100),
    asked("gonecleanup", 35, 35, 100),
];

/// Kinds of the service on hyper, pipelined.
pub(super) const PIPELINED_HYPER: &[Floor] = &[
    asked("plain", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("tmo", 0, 0, 0),
    asked("bg", 0, 0, 0),
    asked("sse", 0, 0, 0),
    asked("fan", 0, 0, 0),
];

/// Kinds of the service on actix-web, pipelined.
pub(super) const PIPELINED: &[Floor] = &[
    asked("ok", 0, 0, 0),
    asked("sleep", 0, 0, 0),
    asked("call", 0, 0, 0),
    asked("parts", 0, 0, 0),
    asked("nothing", 0, 0, 0),
    asked("blk", 0, 0, 0),
    asked("sse", 0, 0, 0),
    asked("bg", 0, 0, 0),
];
