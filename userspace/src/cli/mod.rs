//! Arguments, decided into a plan, handed to the session.

mod args;
mod formats;
mod optional_values;
mod outputs;
mod spans;
#[cfg(test)]
mod tests;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::session::{self, InspectFormat};
use args::{Arguments, Command};
use asyncscope_view::printable;

/// The command: exit code 0 done, 1 the target or the kernel refused, 2 usage.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = optional_values::parse(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    if let Some(why) = arguments.command.contradiction() {
        Arguments::command().error(ErrorKind::ArgumentConflict, why).exit();
    }
    let logs_probe = arguments.command.logs_probe();
    let filter = EnvFilter::try_from_env("ASYNCSCOPE_LOG")
        .unwrap_or_else(|_| EnvFilter::new(if logs_probe { "warn,asyncscope=debug" } else { "warn" }));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match carry_out(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has read enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A target's names may be in it; the verifier's log has several lines.
            let shown: Vec<String> = format!("{error:#}").lines().map(printable).collect();
            eprintln!("asyncscope: {}", shown.join("\n"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn carry_out(command: Command) -> Result<()> {
    match command {
        Command::Attach { target, pid_namespace, live } => {
            session::attach(&live.into_plan(vec![target]), pid_namespace)
        }
        Command::Run { command, live } => session::run(&live.into_plan(command)),
        Command::Report { recording, outputs } => session::report(&recording, &outputs.into_options(false)),
        Command::Inspect { target, names, verbose, json } => {
            let format = if json { InspectFormat::Json } else { InspectFormat::Text { each_hook: verbose } };
            session::inspect(&target, format, &names.decided())
        }
        Command::Dump { target, names, json, watch, read_timeout, times } => {
            session::dump(&session::DumpPlan { target, json, watch, read_timeout, times, names: names.decided() })
        }
        Command::Doctor => session::doctor(),
    }
}
