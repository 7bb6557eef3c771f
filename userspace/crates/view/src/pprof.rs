//! A profile as pprof reads it: a gzipped protocol buffer.
//!
//! <https://github.com/google/pprof/blob/main/proto/profile.proto> says what each field means; the numbers here
//! are those fields', and what is not written is left out. Names stand in the string table as they are shown
//! elsewhere: escaped.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use prost::Message;

use super::awaits::AwaitStacks;
use super::lost;
use super::names::{DisplayNames, frame, printable, text};
use super::samples::{self, Native};
use super::stacks::{GraphPart, parts};
use super::tree::Tree;
use super::weight::Weight;
use asyncscope_model::{Graph, Request};
use asyncscope_trace::facts::Facts;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(super) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(super) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(super) location: Vec<ProfileLocation>,
    #[prost(message, repeated, tag = "5")]
    pub(super) function: Vec<ProfileFunction>,
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(super) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(super) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(super) comment: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(super) kind: i64,
    #[prost(int64, tag = "2")]
    pub(super) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    pub(super) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Label {
    #[prost(int64, tag = "1")]
    pub(super) key: i64,
    #[prost(int64, tag = "2")]
    pub(super) text: i64,
    #[prost(int64, tag = "3")]
    pub(super) number: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProfileLocation {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) line: Vec<ProfileLine>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ProfileLine {
    #[prost(uint64, tag = "1")]
    pub(super) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(super) line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ProfileFunction {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(int64, tag = "2")]
    pub(super) name: i64,
    #[prost(int64, tag = "4")]
    pub(super) filename: i64,
}

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
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&builder.profile.encode_to_vec())?;
    gzip.finish().map(drop)
}

/// A profile that grows: what is in its tables has a number.
#[derive(Debug, Default)]
struct ProfileBuilder {
    profile: Profile,
    strings: HashMap<String, i64>,
    /// By name and file.
    functions: HashMap<(i64, i64), u64>,
    /// By function and line.
    locations: HashMap<(u64, i64), u64>,
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
                let below = below.split(';').filter(|name| !name.is_empty()).map(|name| self.named(name));
                let below = below.collect::<Vec<_>>();
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

    fn named(&mut self, name: &str) -> u64 {
        self.location(name, "", 0)
    }

    fn native(&mut self, native: &Native<'_>) -> u64 {
        let (file, line) = native.function.map_or(("", 0), |function| (function.file.as_str(), function.line));
        self.location(&native.name, &printable(file), i64::from(line))
    }

    fn location(&mut self, name: &str, file: &str, line: i64) -> u64 {
        let key = (self.string(name), self.string(file));
        let (functions, all) = (&mut self.functions, &mut self.profile.function);
        let function_id = *functions.entry(key).or_insert_with(|| {
            let id = all.len() as u64 + 1;
            all.push(ProfileFunction { id, name: key.0, filename: key.1 });
            id
        });
        let all = &mut self.profile.location;
        *self.locations.entry((function_id, line)).or_insert_with(|| {
            let id = all.len() as u64 + 1;
            all.push(ProfileLocation { id, line: vec![ProfileLine { function_id, line }] });
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
