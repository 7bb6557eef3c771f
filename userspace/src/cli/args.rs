//! The command line.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use probe_common::http::{NAME_MAX, NAMES_MAX};

use super::{formats::recording, outputs::OutputArguments};
use crate::{
    probe::{self, AttachMode},
    session::{AttachOptions, AwaitChains, HttpOptions, LivePlan, OutputOptions, SyscallSource},
};
use asyncscope_discovery::image::debug;
use asyncscope_view::format::{Coverage, Extra, Need};

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
    /// Show what can be seen in a process or an executable, how it was found, and what is missing
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
        /// Time to watch beforehand, which shows who spawned whom and for how long tasks wait
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "50ms")]
        watch: Duration,
        /// Longest time to read tasks; those that are left then are counted
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
        read_timeout: Duration,
        /// Dump so often in a row
        #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
        times: u32,
    },
    /// Show what this kernel and these privileges allow, and what to do about the rest
    Doctor,
}

/// The sources of names.
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

/// The options that attach and run share.
#[derive(Args, Debug)]
pub(super) struct LiveArguments {
    /// Time to watch, such as 10s or 500ms; outputs are written at its end
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
    /// Report the time that threads are off the CPU inside polls, not runnable. Its hook is on every switch between
    /// threads, which taxes all processes of this host a little
    #[arg(long)]
    off_cpu: bool,
    /// Trace every poll, or sample CPU time, which costs the target next to nothing
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Samples to take in a second on each CPU [default: 99]
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

/// The way in which a target is watched.
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

/// The options about HTTP.
#[derive(Args, Debug)]
pub(super) struct HttpArguments {
    /// A header whose values name requests; may be given several times [default: traceparent,
    /// x-correlation-id, x-request-id, b3]. No other header's value is ever recorded
    #[arg(long, value_name = "NAME", value_parser = header_name)]
    correlation_header: Vec<String>,
    /// Record a hash of each such value instead of the value
    #[arg(long, conflicts_with_all = recording(Extra::LogLines))]
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
    fn into_options(self) -> (Option<HttpOptions>, SyscallSource) {
        let Self { correlation_header: mut headers, redact, no_http, http_by } = self;
        if headers.is_empty() {
            headers = DEFAULT_HEADERS.map(str::to_owned).to_vec();
        }
        let mut known = HashSet::new();
        headers.retain(|header| known.insert(header.clone()));
        headers.truncate(NAMES_MAX);
        let syscalls = match http_by {
            None => SyscallSource::Either,
            Some(HttpBy::Hooks) => SyscallSource::Hooks,
            Some(HttpBy::Tracepoints) => SyscallSource::Tracepoints,
        };
        ((!no_http).then_some(HttpOptions { headers, redact }), syscalls)
    }
}

const DEFAULT_HEADERS: [&str; 4] = ["traceparent", "x-correlation-id", "x-request-id", "b3"];

impl Command {
    /// Says why the arguments do not fit together, where they do not.
    pub(super) fn contradiction(&self) -> Option<String> {
        let (Self::Attach { live, .. } | Self::Run { live, .. }) = self else { return None };
        live.contradiction()
    }

    /// Returns `true` if the probes' own diagnostics are wanted.
    pub(super) fn logs_probe(&self) -> bool {
        matches!(self, Self::Attach { live, .. } | Self::Run { live, .. } if live.probe_log)
    }
}

impl LiveArguments {
    fn contradiction(&self) -> Option<String> {
        let sampled = self.mode == Mode::Sample;
        let by_request = self.outputs.asked(Extra::Requests).next();
        if sampled && self.http.no_http {
            by_request.map(|option| format!("--{option} takes HTTP")).or_else(|| self.lacks(sampled, false))
        } else {
            self.lacks(sampled, !sampled || by_request.is_some())
        }
    }

    fn lacks(&self, sampled: bool, requests: bool) -> Option<String> {
        Coverage { sampled, requests }.lacks(&self.needs()).map(|(name, need)| match need {
            Need::Polls => format!("{name} cannot be used with --mode sample"),
            Need::Requests => recording(Extra::Requests).map(|option| format!("{name} takes --{option}")).collect(),
            Need::Samples => format!("{name} takes --mode sample"),
        })
    }

    /// Returns what each option needs to be watched, by the option's name.
    fn needs(&self) -> Vec<(String, Need)> {
        let HttpArguments { correlation_header, redact, http_by, .. } = &self.http;
        let of_lines = self.outputs.asked(Extra::LogLines).map(|option| (format!("--{option}"), Need::Polls));
        let others = [
            ("--off-cpu", self.off_cpu, Need::Polls),
            ("--frequency", self.frequency.is_some(), Need::Samples),
            ("--correlation-header", !correlation_header.is_empty(), Need::Requests),
            ("--redact", *redact, Need::Requests),
            ("--http-by", http_by.is_some(), Need::Requests),
        ];
        let others = others.into_iter().filter(|(_, given, _)| *given).map(|(name, _, need)| (name.to_owned(), need));
        let of_outputs = self.outputs.clone().into_options(self.record.is_some()).needs();
        of_lines.chain(others).chain(of_outputs).collect()
    }

    pub(super) fn into_plan(self, target: Vec<String>) -> LivePlan {
        let Self { duration, record, outputs, names, buffer, http, no_awaits, off_cpu, probe_log, one_by_one, .. } =
            self;
        let (mode, frequency) = (self.mode, self.frequency.unwrap_or(FREQUENCY));
        let sampled = mode == Mode::Sample;
        let way = if one_by_one { AttachMode::Single } else { AttachMode::Auto };
        let empty = self.empty_programs;
        let asked = |extra| outputs.asked(extra).next().is_some();
        let (logs, by_request) = (asked(Extra::LogLines), asked(Extra::Requests));
        let (http, syscalls) = http.into_options();
        let probe = probe::ProbeOptions { ring_bytes: buffer.map(|kib| kib * 1024), way, logs: probe_log, empty };
        let attach = AttachOptions {
            probe,
            names: names.decided(),
            awaits: if no_awaits || sampled { AwaitChains::No } else { AwaitChains::Followed },
            off_cpu,
            http: http.filter(|_| !sampled || by_request),
            logs,
            syscalls,
            sampling: sampled.then_some(frequency),
        };
        let wanted = OutputOptions { record: record.clone(), ..outputs.into_options(record.is_some()) };
        LivePlan { target, duration, wanted, attach }
    }
}

/// A name as HTTP has them, but none that holds a secret by its meaning, or says how long a body is.
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
