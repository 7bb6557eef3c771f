//! One step of the agent's work, done once in a process of its own, for what watches a process from outside:
//! callgrind counts the instructions of [`measured`], and `live N` prints the memory that N live tasks take.
//!
//! `steps decode|order|apply|fold|live COUNT`
#![expect(clippy::print_stdout, reason = "a measurement's answer goes to standard output")]

mod load;

use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use asyncscope_model::{Config, Graph};
use asyncscope_trace::event::Event;
use asyncscope_trace::event::decode::decode;
use asyncscope_trace::event::order::{CpuRound, Order};
use asyncscope_view::format::{View, ViewOptions};
use asyncscope_view::formats::FORMATS;
use asyncscope_view::lost::Lost;
use load::{Load, facts, records};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [step, count] = args.as_slice() else { return usage() };
    let Ok(count) = count.parse() else { return usage() };
    match step.as_str() {
        "decode" => {
            let records = records(&Load::requests(count));
            timed(|| records.iter().filter(|record| decode(record).is_ok()).count());
        }
        "order" => {
            let events = Load::requests(count);
            timed(|| order(events));
        }
        "apply" => {
            let events = Load::requests(count);
            timed(|| graph(&events));
        }
        "fold" => {
            let graph = graph(&Load::requests(count));
            timed(|| fold(&graph));
        }
        "live" => live(count),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    // So that `cargo bench` passes over it.
    println!("steps decode|order|apply|fold|live COUNT");
    ExitCode::SUCCESS
}

/// Prints how many nanoseconds it takes.
fn timed<T>(step: impl FnOnce() -> T) {
    let start = Instant::now();
    let result = measured(step);
    let ns = start.elapsed().as_nanos();
    drop(black_box(result));
    println!("{ns}");
}

/// What callgrind counts.
#[inline(never)]
fn measured<T>(step: impl FnOnce() -> T) -> T {
    black_box(step())
}

fn order(events: Vec<Event>) -> u64 {
    let mut order = Order::new(0);
    let mut out = 0;
    let mut attempted = [0; 4];
    for (at, event) in events.into_iter().enumerate() {
        let time = event.at.time;
        attempted[usize::from(event.at.cpu)] = event.at.seq + 1;
        order.push(event);
        // As many as a busy program makes in a round of the drain loop.
        if at % 4096 == 4095 {
            let cpus = (0..).zip(attempted).map(|(cpu, attempted)| CpuRound { cpu, attempted, lost: 0 });
            order.drained(&cpus.collect::<Vec<_>>(), time + 1);
            order.pop(&mut |_| out += 1);
        }
    }
    order.finish(&mut |_| out += 1);
    out
}

fn graph(events: &[Event]) -> Graph {
    let mut graph = Graph::new(&Config::from(&facts()));
    events.iter().for_each(|event| graph.apply(event));
    graph.finish(events.last().map_or(0, |event| event.at.time));
    graph
}

fn fold(graph: &Graph) -> Vec<u8> {
    let mut out = Vec::new();
    let (facts, lost) = (facts(), Lost::default());
    let folded = FORMATS.iter().find(|format| format.option == "folded");
    if let Some((folded, view)) = folded.zip(View::new(graph, &facts, &lost, &ViewOptions::default()).ok()) {
        // Writing to memory does not fail.
        drop((folded.write)(&view, &mut out));
    }
    out
}

/// Bytes of memory that this process has more of with so many tasks alive, for each of them.
fn live(count: u64) {
    let before = resident();
    let mut graph = Graph::new(&Config::from(&facts()));
    let mut load = Load::new();
    load.begin(&mut |event| graph.apply(&event));
    for id in 2..count + 2 {
        load.start(id, &mut |event| graph.apply(&event));
        load.go_on(id, &mut |event| graph.apply(&event));
    }
    let bytes = resident().saturating_sub(before);
    println!("{count} live tasks: {bytes} bytes, {:.1} each", bytes as f64 / count as f64);
    drop(black_box(graph));
}

/// This process's resident memory in bytes; 0 if the kernel does not say.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}
