//! The command line.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use probe_common::http::{NAME_MAX, NAMES_MAX};

use crate::{
    probe::{self, Way},
    session::{By, Http, Live, Wanted, WantedSpans},
};
use asyncscope_discovery::debug;
use asyncscope_view::{
    otlp::{Options, Sampling, Traces},
    samples::By as GroupedBy,
    select::Selection,
    stacks::Weight,
};

/// Shows where the time of an unmodified tokio program goes, and how it got there.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch a running process, until Ctrl-C, --duration, or its end
    Attach {
        /// Its process id, or its name if only one has it
        #[arg(value_name = "PID|NAME")]
        target: String,
        /// The process id is meant as in the pid namespace of this process: that of a container, say
        #[arg(long, value_name = "PID")]
        pid_namespace: Option<u32>,
        #[command(flatten)]
        live: LiveArguments,
    },
    /// Start a command and watch it from its first instruction on
    Run {
        #[command(flatten)]
        live: LiveArguments,
        /// The command and its arguments, after `--`
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Make outputs of a recording
    Report {
        /// The recording; `-` is standard input
        #[arg(value_name = "FILE.ascope")]
        recording: PathBuf,
        #[command(flatten)]
        outputs: OutputArguments,
    },
    /// Tell what can be seen in a process or an executable, how it was found, and what is missing
    Inspect {
        /// A process id or name, or a path
        #[arg(value_name = "PID|NAME|PATH")]
        target: String,
        #[command(flatten)]
        names: NameArguments,
        /// Show each hook
        #[arg(long, short)]
        verbose: bool,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show every live task of a process and what it awaits
    Dump {
        /// Its process id, or its name if only one has it
        #[arg(value_name = "PID|NAME")]
        target: String,
        #[command(flatten)]
        names: NameArguments,
        /// As a JSON object
        #[arg(long)]
        json: bool,
        /// How long to watch before, which shows who spawned whom and for how long tasks wait
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "50ms")]
        watch: Duration,
        /// How long to read tasks, at most; those that are left then are counted
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
        within: Duration,
        /// Dump so often in a row
        #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
        times: u32,
    },
    /// Tell what this kernel and these privileges allow, and what to do about the rest
    Doctor,
}

/// Where names come from.
#[derive(Args, Debug)]
pub(super) struct NameArguments {
    /// The target's executable as it was before it was stripped, its separate debug file, or a directory
    /// with either, found by build id
    #[arg(long, value_name = "PATH")]
    debug_file: Option<PathBuf>,
}

impl NameArguments {
    pub(super) fn decided(self) -> debug::Options {
        debug::Options { debug_file: self.debug_file }
    }
}

/// What attach and run share.
#[derive(Args, Debug)]
pub(super) struct LiveArguments {
    /// How long to watch, such as 10s or 500ms; outputs are written then
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Keep all events in a recording, for `asyncscope report`
    #[arg(long, value_name = "FILE.ascope")]
    record: Option<PathBuf>,
    #[command(flatten)]
    outputs: OutputArguments,
    #[command(flatten)]
    names: NameArguments,
    /// Each CPU's ring buffer in KiB; a power of two. Raise it where events are lost [default: 64 MiB
    /// divided by the CPUs, from 512 KiB to 8 MiB each]
    #[arg(long, value_name = "KIB", value_parser = ring_kib)]
    buffer: Option<u32>,
    /// Do not look at what tasks await, which costs the target some time at each poll
    #[arg(long)]
    no_awaits: bool,
    /// Tell the time that threads are blocked inside polls. Its hook is on every switch between threads, which
    /// taxes all processes of this host a little
    #[arg(long)]
    blocked: bool,
    /// Whether every poll is traced, or CPU time sampled, which costs the target next to nothing
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// How many samples to take in a second on each CPU [default: 99]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=FREQUENCY_MAX))]
    frequency: Option<u32>,
    #[command(flatten)]
    http: HttpArguments,
    /// Log the probes' own diagnostics
    #[arg(long, hide = true)]
    probe_log: bool,
    /// Attach hooks one by one even where the kernel can attach them together
    #[arg(long, hide = true)]
    one_by_one: bool,
    /// Attach programs that do nothing, at the same instructions: what `cargo xtask bench` holds the others against
    #[arg(long, hide = true, conflicts_with = "one_by_one")]
    empty_programs: bool,
}

/// How a target is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// Every poll, wake and spawn
    #[default]
    Trace,
    /// CPU time by samples, and spawns: no hook on polls and wakes, and none on HTTP but with --requests
    Sample,
}

const FREQUENCY: u32 = 99;
const FREQUENCY_MAX: i64 = 10_000;

/// What is recorded of HTTP.
#[derive(Args, Debug)]
pub(super) struct HttpArguments {
    /// A header whose values name requests; may be given several times [default: traceparent,
    /// x-correlation-id, x-request-id, b3]. No other header's value is ever recorded
    #[arg(long, value_name = "NAME", value_parser = header_name)]
    correlation_header: Vec<String>,
    /// Record a hash of each such value instead of the value
    #[arg(long, conflicts_with = "logs")]
    redact: bool,
    /// Do not look at HTTP: without hooks on the system calls of sockets
    #[arg(long, conflicts_with_all = ["correlation_header", "redact"])]
    no_http: bool,
    /// See system calls only by hooks in the target, or by the kernel's tracepoints, which cost every process
    /// of this machine a little [default: hooks, and tracepoints where these cannot see them]
    #[arg(long, value_name = "WAY")]
    http_by: Option<HttpBy>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HttpBy {
    Hooks,
    Tracepoints,
}

impl HttpArguments {
    fn decided(self) -> (Option<Http>, By) {
        let Self { correlation_header: mut headers, redact, no_http, http_by } = self;
        if headers.is_empty() {
            headers = DEFAULT_HEADERS.map(str::to_owned).to_vec();
        }
        let mut known = HashSet::new();
        headers.retain(|header| known.insert(header.clone()));
        headers.truncate(NAMES_MAX);
        let by = match http_by {
            None => By::Either,
            Some(HttpBy::Hooks) => By::Hooks,
            Some(HttpBy::Tracepoints) => By::Tracepoints,
        };
        ((!no_http).then_some(Http { headers, redact }), by)
    }
}

const DEFAULT_HEADERS: [&str; 4] = ["traceparent", "x-correlation-id", "x-request-id", "b3"];

/// What to write. Without any, a summary is printed.
#[derive(Args, Debug)]
pub(super) struct OutputArguments {
    /// A flamegraph: who spawned whom, as wide as --weight says
    #[arg(long, value_name = "FILE.svg")]
    flamegraph: Option<PathBuf>,
    /// The flamegraph's stacks as text, in nanoseconds
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
    /// The same as a profile for pprof, with labels for tasks, threads and routes
    #[arg(long, value_name = "FILE")]
    pprof: Option<PathBuf>,
    /// What flamegraph, folded stacks and profile weigh: time inside polls, between them, or both; or CPU time, of a run
    /// with --mode sample [default: busy, and cpu of such a run]
    #[arg(long, value_enum)]
    weight: Option<Weight>,
    /// What samples of CPU time are grouped by first [default: task]
    #[arg(long, value_enum)]
    by: Option<GroupedBy>,
    /// Every task, poll, wake, spawn, request and call as a JSON object on a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What the target writes to its standard output and error, line by line, each with its time, thread, task,
    /// request and correlation ID. Without FILE only in the other outputs (--record, --json), if there are
    /// any. What is written otherwise is never captured
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    logs: Option<PathBuf>,
    /// A table of the requests served, on standard output. With --mode sample, also what has samples told by
    /// request: hooks on system calls, each of which costs the target a trap at each read and write
    #[arg(long)]
    requests: bool,
    /// Who blocks whom, on standard output: long polls, where they were blocked, and the tasks that were ready
    /// meanwhile
    #[arg(long)]
    blocking: bool,
    /// From which length on a poll counts for --blocking
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1ms", requires = "blocking")]
    min_blocking: Duration,
    /// One request, by its correlation ID, its trace id, the beginning of either, or the number `--requests` shows:
    /// its story as text, or what --flamegraph, --folded and --pprof are about
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only requests of this path, as it is without its query; `/orders/*` for all that begin with `/orders/`
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// Only requests that took at least this long, such as 100ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    slower_than: Option<Duration>,
    /// Have the flamegraph compare these slow requests with the faster ones: red is what they spend more on
    #[arg(long, requires = "slower_than", requires = "flamegraph", conflicts_with_all = ["request", "folded", "pprof"])]
    versus: bool,
    #[command(flatten)]
    spans: SpanArguments,
}

/// Spans for a tracing backend.
#[derive(Args, Debug)]
pub(super) struct SpanArguments {
    /// Send spans to this OTLP endpoint, such as http://localhost:4317; `-` prints them as OTLP/JSON. Without
    /// a URL, and for all else, OpenTelemetry's environment variables count
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    otlp: Option<String>,
    /// What becomes a span
    #[arg(long, value_enum, default_value_t, requires = "otlp")]
    traces: Traces,
    /// Waits, polls, and delays before these, that are long enough to be told
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1ms", requires = "otlp")]
    min_span: Duration,
    /// The part of all traces that is sent, from 0 to 1, chosen by trace id
    #[arg(long, value_name = "RATIO", default_value = "1", requires = "otlp")]
    sample_ratio: Sampling,
}

impl SpanArguments {
    fn decided(self) -> Option<WantedSpans> {
        let Self { otlp, traces, min_span, sample_ratio: sampling } = self;
        let to = otlp.map(|url| Some(url).filter(|url| !url.is_empty()));
        to.map(|to| WantedSpans { to, options: Options { traces, sampling }, min_span })
    }
}

impl Command {
    /// Why the arguments do not fit together, in a sentence, where they do not.
    pub(super) fn contradiction(&self) -> Option<String> {
        let (Self::Attach { live, .. } | Self::Run { live, .. }) = self else { return None };
        live.contradiction()
    }

    /// Whether the probes' own diagnostics are wanted.
    pub(super) fn logs_probe(&self) -> bool {
        matches!(self, Self::Attach { live, .. } | Self::Run { live, .. } if live.probe_log)
    }
}

impl OutputArguments {
    /// `is_recorded`: whether all events are kept as well.
    pub(super) fn decided(self, is_recorded: bool) -> Wanted {
        let Self { flamegraph, folded, pprof, weight, by, json, logs, .. } = self;
        let Self { requests, request, route, slower_than, versus, spans, blocking, min_blocking, .. } = self;
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let slower_than_ns = slower_than.map(ns);
        let blocking_ns = blocking.then(|| ns(min_blocking));
        let selection = Selection { id: request, route, slower_than_ns };
        let otlp = spans.decided();
        let elsewhere = is_recorded || json.is_some();
        let lines = logs.and_then(|path| match path.as_os_str().is_empty() {
            true => (!elsewhere).then(|| PathBuf::from("-")),
            false => Some(path),
        });
        let texts = Wanted { weight, by, requests, blocking_ns, selection, versus, ..Wanted::default() };
        Wanted { flamegraph, folded, pprof, json, lines, otlp, ..texts }
    }
}

impl LiveArguments {
    fn contradiction(&self) -> Option<String> {
        let OutputArguments { weight, by, json, logs, requests, spans, blocking, versus, .. } = &self.outputs;
        let OutputArguments { request, route, slower_than, .. } = &self.outputs;
        let HttpArguments { correlation_header, redact, http_by, .. } = &self.http;
        let of_polls = [
            ("--logs", logs.is_some()),
            ("--blocking", *blocking),
            ("--versus", *versus),
            ("--otlp", spans.otlp.is_some()),
            ("--blocked", self.blocked),
            ("--weight other than cpu", weight.is_some_and(|weight| weight != Weight::Cpu)),
        ];
        let of_requests = [
            ("--json", json.is_some()),
            ("--correlation-header", !correlation_header.is_empty()),
            ("--redact", *redact),
            ("--http-by", http_by.is_some()),
            ("--request", request.is_some()),
            ("--route", route.is_some()),
            ("--slower-than", slower_than.is_some()),
            ("--by request and route", by.is_some_and(GroupedBy::needs_requests)),
        ];
        let of_samples = [
            ("--frequency", self.frequency.is_some()),
            ("--by", by.is_some()),
            ("--weight cpu", *weight == Some(Weight::Cpu)),
        ];
        let given = |options: &[(&'static str, bool)]| options.iter().find(|(_, given)| *given).map(|&(name, _)| name);
        match self.mode {
            Mode::Sample if *requests && self.http.no_http => Some("--requests takes HTTP".to_owned()),
            Mode::Sample => given(&of_polls)
                .map(|name| format!("{name} cannot be used with --mode sample"))
                .or_else(|| given(&of_requests).filter(|_| !requests).map(|name| format!("{name} takes --requests"))),
            Mode::Trace => given(&of_samples).map(|name| format!("{name} takes --mode sample")),
        }
    }

    pub(super) fn decided(self, target: Vec<String>) -> Live {
        let Self { duration, record, outputs, names, buffer, http, no_awaits, blocked, probe_log, one_by_one, .. } =
            self;
        let (mode, frequency) = (self.mode, self.frequency.unwrap_or(FREQUENCY));
        let sampled = mode == Mode::Sample;
        let way = if one_by_one { Way::Single } else { Way::Auto };
        let empty = self.empty_programs;
        let (logs, with_requests) = (outputs.logs.is_some(), outputs.requests);
        let (http, by) = http.decided();
        let options = probe::Options { ring_bytes: buffer.map(|kib| kib * 1024), way, logs: probe_log, empty };
        Live {
            target,
            duration,
            wanted: Wanted { record: record.clone(), ..outputs.decided(record.is_some()) },
            options,
            names: names.decided(),
            awaits: !no_awaits && !sampled,
            follow: !no_awaits && !sampled,
            blocked,
            http: http.filter(|_| !sampled || with_requests),
            logs,
            by,
            sampling: sampled.then_some(frequency),
        }
    }
}

/// A name as HTTP has them, but none that holds a secret by its meaning, or tells how long a body is.
fn header_name(text: &str) -> Result<String, String> {
    const REFUSED: [&str; 6] =
        ["authorization", "proxy-authorization", "cookie", "set-cookie", "content-length", "transfer-encoding"];
    let name = text.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_token) {
        return Err(format!("must be the name of a header, of at most {NAME_MAX} characters"));
    }
    if REFUSED.contains(&name.as_str()) {
        return Err("is never recorded".to_owned());
    }
    Ok(name)
}

fn ring_kib(text: &str) -> Result<u32, String> {
    const MAX: u32 = 1 << 20;
    let kib: u32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (4..=MAX).contains(&kib) && kib.is_power_of_two() {
        Ok(kib)
    } else {
        Err(format!("must be a power of two from 4 to {MAX}"))
    }
}
