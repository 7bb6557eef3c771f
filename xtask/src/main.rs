//! The project's chores, each a command: `cargo xtask WORD`. CI says the same words.
#![expect(clippy::print_stdout, reason = "a chore's answer goes to standard output")]

mod bench;
mod chains;
mod check;
mod collector;
mod debian;
mod demo;
mod discovery;
mod document;
mod ebpf;
mod matrix;
mod own_cost;
mod process;
mod soak;
mod structure;
mod test;
mod vm;
mod wild;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Args {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Format, structure of the sources, lints, licences and advisories, documentation.
    Check,
    /// List what `check` counts in the structure of the sources: circles, layers, names, summaries.
    Structure(structure::Options),
    /// Build what the tests need in release, then run all of them; the live ones need root.
    Test(test::Options),
    /// Profile the demo service as a user would, and compare with what it measured itself. Needs root.
    Demo,
    /// Profile published programs as their authors ship them, against bpftrace. Needs root and bpftrace.
    Wild(wild::Options),
    /// Hold the unwinder against framehop, on the stacks of three programs. Needs root.
    Unwinding,
    /// Build the truth program with several tokios in several ways, and compare each. Needs root.
    Matrix(matrix::Options),
    /// Install the collector that the live tests of spans send through. Needs Python.
    SetupCollector,
    /// Build the OpenTelemetry Collector, and send spans of running programs through it. Needs root, Debian's apt.
    Collector,
    /// Compare await chains with the truth at length, with each compiler that is installed. Needs root.
    Chains,
    /// Measure what asyncscope costs its target, beside what else could be used. Needs root, bpftrace and perf.
    Bench(bench::Options),
    /// Watch a program that does nothing but make events, with the agent on one CPU. Needs root.
    KeepUp(bench::keep_up::Options),
    /// Boot other kernels in virtual machines, and run live tests under each. Needs Debian's apt.
    Vm(vm::Options),
    /// Watch a steady load for long, and say whether anything grows. Needs root.
    Soak(soak::Options),
    /// Measure what discovery costs, beside readelf.
    Discovery(discovery::Options),
    /// Measure what the agent's own work takes, step by step. Needs valgrind.
    OwnCost(own_cost::Options),
    /// Install the compiler and linker that the committed eBPF object is built with (Debian 12, root).
    SetupEbpf,
    /// Build the eBPF object from source, and put it in place.
    BuildEbpf(ebpf::Options),
}

fn main() -> ExitCode {
    if let Some(code) = ebpf::as_rustc_wrapper() {
        return code;
    }
    let done = match Args::parse().word {
        Word::Check => check::run(),
        Word::Structure(options) => structure::list(&options),
        Word::Test(options) => test::run(&options),
        Word::Demo => demo::run(),
        Word::Wild(options) => wild::run(&options),
        Word::Unwinding => wild::compare_unwinding(),
        Word::Matrix(options) => matrix::run(&options),
        Word::SetupCollector => collector::setup(),
        Word::Collector => collector::run(),
        Word::Chains => chains::run(),
        Word::Bench(options) => bench::run(&options),
        Word::KeepUp(options) => bench::keep_up::run(&options),
        Word::Vm(options) => vm::run(&options),
        Word::Soak(options) => soak::run(&options),
        Word::Discovery(options) => discovery::run(&options),
        Word::OwnCost(options) => own_cost::run(&options),
        Word::SetupEbpf => ebpf::setup(),
        Word::BuildEbpf(options) => ebpf::build(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
