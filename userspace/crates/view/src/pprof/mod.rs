//! A profile as pprof reads it: a gzipped protocol buffer.
//!
//! <https://github.com/google/pprof/blob/main/proto/profile.proto> says what each field means; the numbers here
//! are those fields', and what is not written is left out. Names stand in the string table as they are shown
//! elsewhere: escaped. Tables and samples are sorted, so that equal runs make equal profiles.

mod messages;
mod sorted;

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;

use super::awaits::{self, AwaitStacks, FrameBelow};
use super::lost;
use super::names::{DisplayNames, frame, printable, text};
use super::samples::{self, Native};
use super::stacks::{GraphPart, parts};
use super::tree::Tree;
use super::weight::Weight;
use asyncscope_model::{Graph, Request};
use asyncscope_trace::facts::{Facts, ProcessFacts};
pub(super) use messages::*;

/// Writes the profile: of samples, as many and the CPU time that they stand for; else nanoseconds of this weight.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(
    graph: &Graph,
    facts: &Facts,
    weight: Weight,
    part: &GraphPart<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut builder = ProfileBuilder::default();
    builder.string("");
    builder.executable(&facts.process);
    match part {
        GraphPart::Samples(by, only) => builder.samples(graph, facts, *by, only.as_ref()),
        GraphPart::All => builder.tasks(graph, facts, weight),
        GraphPart::Of { .. } => builder.requests(weight, part.fold(graph, facts, weight)),
    }
    builder.profile.time_nanos = signed(facts.armed.unix_ns);
    builder.profile.duration_nanos = signed(graph.end_ns().saturating_sub(graph.config().armed_ns));
    if let Some(warning) = lost::warning(&graph.totals()) {
        builder.profile.comment = vec![builder.string(&warning)];
    }
    sorted::sort(&mut builder.profile);
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&builder.profile.encode_to_vec())?;
    gzip.finish().map(drop)
}

/// The mapping of the executable.
const EXECUTABLE: u64 = 1;

/// A profile that grows: what is in its tables has a number.
#[derive(Debug, Default)]
struct ProfileBuilder {
    profile: Profile,
    strings: HashMap<String, i64>,
    /// By name, file and first line.
    functions: HashMap<(i64, i64, i64), u64>,
    /// By function, line and mapping.
    locations: HashMap<(u64, i64, u64), u64>,
}

/// A frame as it is written.
#[derive(Clone, Copy, Debug, Default)]
struct FrameParts<'a> {
    name: &'a str,
    file: &'a str,
    /// 0 where it is not known, as is `starts`.
    line: u32,
    /// The first line of its function.
    starts: u32,
    /// Code of the executable.
    is_code: bool,
}

impl ProfileBuilder {
    /// By task and thread, with the functions of its stack.
    fn samples(&mut self, graph: &Graph, facts: &Facts, by: samples::GroupBy, only: Option<&samples::ChosenRequests>) {
        let period_ns = 1_000_000_000 / u64::from(facts.sampling.map_or(1, |sampling| sampling.frequency_hz.max(1)));
        let kinds = [self.value_type("samples", "count"), self.value_type("cpu", "nanoseconds")];
        self.profile.sample_type = kinds.to_vec();
        self.profile.period_type = Some(kinds[1]);
        self.profile.period = signed(period_ns);
        for one in samples::each(graph, facts, by, only) {
            let outer = one.above.iter().map(|name| self.named(name)).collect::<Vec<_>>();
            let inner = one.native.iter().map(|native| self.native(native)).collect::<Vec<_>>();
            let mut labels = vec![self.label("task_type", &one.task_type), self.label("thread", &one.thread)];
            labels.extend(one.task.map(|id| self.number("task", id.0)));
            if let Some(request) = one.request {
                labels.push(self.label("route", &route(request)));
                labels.push(self.number("request", request.id.0));
            }
            let value = vec![signed(one.count), signed(one.count.saturating_mul(period_ns))];
            self.add(outer.into_iter().chain(inner), value, labels);
        }
    }

    /// By task, under those that spawned it, and what it awaited.
    fn tasks(&mut self, graph: &Graph, facts: &Facts, weight: Weight) {
        self.nanoseconds(weight);
        let (names, mut awaits) = (DisplayNames::new(graph, facts), AwaitStacks::new(graph, facts));
        let tree = Tree::new(graph, &names);
        for (node, task) in tree.tasks(graph) {
            let mut labels = vec![self.label("task_type", &frame(&names.task_type(task.vtable)))];
            labels.push(self.number("task", task.id.0));
            let request = graph.owner(task.id).request().and_then(|id| graph.request(id));
            labels.extend(request.map(|request| self.label("route", &route(request))));
            let line = tree.line(node).iter().map(|name| self.named(name)).collect::<Vec<_>>();
            for (below, ns) in parts(task, weight, &mut awaits) {
                let below = below.iter().map(|frame| self.below(frame)).collect::<Vec<_>>();
                self.add(line.iter().copied().chain(below), vec![signed(ns)], labels.clone());
            }
        }
    }

    /// By request: the outermost frame is the route.
    fn requests(&mut self, weight: Weight, stacks: Vec<(String, u64)>) {
        self.nanoseconds(weight);
        for (stack, ns) in stacks {
            let route = stack.split(';').next().unwrap_or_default();
            let labels = vec![self.label("route", route)];
            let frames = stack.split(';').map(|name| self.named(name)).collect::<Vec<_>>();
            self.add(frames.into_iter(), vec![signed(ns)], labels);
        }
    }

    fn nanoseconds(&mut self, weight: Weight) {
        let kind = match weight {
            Weight::Busy => "busy",
            Weight::Wall => "wall",
            Weight::Wait => "wait",
            Weight::Cpu => "cpu",
        };
        self.profile.sample_type = vec![self.value_type(kind, "nanoseconds")];
    }

    /// Frames come outermost first. What weighs nothing is left out.
    fn add(&mut self, frames: impl DoubleEndedIterator<Item = u64>, value: Vec<i64>, label: Vec<Label>) {
        if value.iter().any(|&value| value > 0) {
            self.profile.sample.push(Sample { location_id: frames.rev().collect(), value, label });
        }
    }

    /// The executable, whose code all functions are that have a name.
    fn executable(&mut self, process: &ProcessFacts) {
        let filename = self.string(&printable(&process.executable));
        let build_id = self.string(&printable(process.build_id.as_deref().unwrap_or_default()));
        let mapping = ProfileMapping { id: EXECUTABLE, filename, build_id, has_functions: true, ..Default::default() };
        self.profile.mapping.push(mapping);
    }

    fn named(&mut self, name: &str) -> u64 {
        self.location(FrameParts { name, ..FrameParts::default() })
    }

    fn native(&mut self, native: &Native<'_>) -> u64 {
        let (file, line) = native.function.map_or(("", 0), |function| (function.file.as_str(), function.line));
        // Code that nothing names may be a library's.
        let is_code = native.function.is_some_and(|function| !function.name.symbol().is_empty());
        self.location(FrameParts { name: &native.name, file: &printable(file), line, starts: 0, is_code })
    }

    fn below(&mut self, frame: &FrameBelow) -> u64 {
        let FrameBelow { name, file, line, starts, .. } = frame;
        let (line, starts) = (line.unwrap_or(0), starts.unwrap_or(0));
        self.location(FrameParts { name, file, line, starts, is_code: !awaits::is_state(name) })
    }

    fn location(&mut self, FrameParts { name, file, line, starts, is_code }: FrameParts<'_>) -> u64 {
        let (line, start_line) = (i64::from(line), i64::from(starts));
        let key = (self.string(name), self.string(file), start_line);
        let (functions, all) = (&mut self.functions, &mut self.profile.function);
        let function_id = *functions.entry(key).or_insert_with(|| {
            let id = all.len() as u64 + 1;
            all.push(ProfileFunction { id, name: key.0, filename: key.1, start_line });
            id
        });
        let mapping_id = if is_code { EXECUTABLE } else { 0 };
        if let Some(mapping) = self.profile.mapping.iter_mut().find(|mapping| mapping.id == mapping_id) {
            mapping.has_filenames |= !file.is_empty();
            mapping.has_line_numbers |= line > 0;
        }
        let all = &mut self.profile.location;
        *self.locations.entry((function_id, line, mapping_id)).or_insert_with(|| {
            let id = all.len() as u64 + 1;
            all.push(ProfileLocation { id, mapping_id, line: vec![ProfileLine { function_id, line }] });
            id
        })
    }

    fn label(&mut self, key: &str, text: &str) -> Label {
        Label { key: self.string(key), text: self.string(text), number: 0 }
    }

    fn number(&mut self, key: &str, number: u64) -> Label {
        Label { key: self.string(key), text: 0, number: signed(number) }
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType { kind: self.string(kind), unit: self.string(unit) }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(place) = self.strings.get(text) {
            return *place;
        }
        let place = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), place);
        place
    }
}

fn route(request: &Request) -> String {
    printable(&format!("{} {}", text(&request.line.method), text(&request.line.path)))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
