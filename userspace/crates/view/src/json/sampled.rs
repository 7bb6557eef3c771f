//! The lines of a run that sampled CPU time: its requests, and how many samples fell on each task for each.

use std::collections::BTreeMap;
use std::io;

use super::JsonWriter;
use super::http::request_line;
use super::lines::{JsonLine, RequestLine, SamplesLine};
use crate::requests::Sampled;
use crate::samples::whose;

impl JsonWriter<'_> {
    pub(super) fn samples(&mut self) -> io::Result<()> {
        let graph = self.graph;
        let of = Sampled::of(graph).samples;
        for request in graph.requests() {
            let samples = Some(of.get(&request.id).copied().unwrap_or(0));
            self.line(&JsonLine::Request(RequestLine { samples, ..request_line(request, self.facts) }))?;
        }
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for (place, count) in graph.samples().counts() {
            let key = (place.running.task(), whose(graph, &place), graph.request_of(&place));
            *counts.entry(key).or_default() += count;
        }
        for ((task, whose, request), samples) in counts {
            let (task, request) = (task.map(|id| id.0), request.map(|id| id.0));
            let type_name = whose.name(graph, &self.names);
            self.line(&JsonLine::Samples(SamplesLine { task, type_name, request, samples }))?;
        }
        Ok(())
    }
}
