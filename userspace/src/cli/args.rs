//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    probe::{Options, Way},
    session::{Live, Wanted},
    target::debug,
    view::stacks::Weight,
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
    /// Log the probes' own diagnostics
    #[arg(long, hide = true)]
    probe_log: bool,
    /// Attach hooks one by one even where the kernel can attach them together
    #[arg(long, hide = true)]
    one_by_one: bool,
}

/// What to write. Without any, a summary is printed.
#[derive(Args, Debug)]
pub(super) struct OutputArguments {
    /// A flamegraph: who spawned whom, as wide as --weight says
    #[arg(long, value_name = "FILE.svg")]
    flamegraph: Option<PathBuf>,
    /// The flamegraph's stacks as text, in nanoseconds
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
    /// What flamegraph and folded stacks weigh: time inside polls, between them, or both
    #[arg(long, value_enum, default_value_t)]
    weight: Weight,
    /// Every task, poll, wake and spawn as a JSON object on a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Command {
    /// Whether the probes' own diagnostics are wanted.
    pub(super) fn logs_probe(&self) -> bool {
        matches!(self, Self::Attach { live, .. } | Self::Run { live, .. } if live.probe_log)
    }
}

impl OutputArguments {
    pub(super) fn decided(self) -> Wanted {
        let Self { flamegraph, folded, weight, json } = self;
        Wanted { weight, record: None, flamegraph, folded, json }
    }
}

impl LiveArguments {
    pub(super) fn decided(self, target: Vec<String>) -> Live {
        let Self { duration, record, outputs, names, buffer, probe_log, one_by_one } = self;
        let way = if one_by_one { Way::Single } else { Way::Auto };
        let options = Options { ring_bytes: buffer.map(|kib| kib * 1024), way, logs: probe_log };
        Live { target, duration, wanted: Wanted { record, ..outputs.decided() }, options, names: names.decided() }
    }
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
