//! The spans of the three services, each exported by an agent of its own to a backend of its own, against
//! what the services lived, one by one.
//!
//! Put together, as one backend would have them, they have to be one tree for each request that went on
//! with a `traceparent`, and one trace with a root in each service's request for one that bore an ID.

mod calls;
mod found;
mod names;
mod rest;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

use self::found::{Found, Place};
use self::names::{Name, context, trace_of_id};
use super::truth::{How, Request};
use super::{Lived, Service};
use crate::spans::{number, text};

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that came with a `traceparent`, and how many of them are a tree without a fault.
    pub traced: (usize, usize),
    /// The number of these trees that go on in another service.
    pub passed_on: usize,
    /// Requests that came with another ID, and how many of them are a trace without a fault.
    pub named: (usize, usize),
    /// Spans of those requests: SERVER, CLIENT, and INTERNAL ones.
    pub spans: [usize; 3],
    /// Other spans below them: of tasks that the services know nothing of, such as connections, and of calls
    /// that bear nothing.
    pub not_judged: usize,
    /// Spans of requests and calls that bear nothing, with their tasks.
    pub others: usize,
    /// Everything that is not as it was lived, each a sentence.
    pub wrong: Vec<String>,
    /// Tasks without a span, each a sentence: where something speaks against it that a task is one request's
    /// alone, it is not claimed.
    pub missed: Vec<String>,
}

/// Compares. `Service::ALL` is the order in which one asks the next, from the last to the first.
#[must_use]
pub fn compare(services: &BTreeMap<Service, Lived>) -> Outcome {
    let (found, twice) = Found::new(services);
    let mut sides = Sides { services, found, servers: BTreeMap::new(), broken: BTreeSet::new(), seen: BTreeSet::new() };
    let mut outcome = Outcome { wrong: twice, ..Outcome::default() };
    sides.requests(&mut outcome);
    sides.tasks(&mut outcome);
    sides.calls(&mut outcome);
    sides.rest(&mut outcome);
    let is_tree = |name: &&Name| matches!(name, Name::Trace(_)) && !sides.broken.contains(*name);
    outcome.passed_on = sides.passed_on().iter().filter(is_tree).count();
    for name in &sides.seen {
        let trees = if matches!(name, Name::Trace(_)) { &mut outcome.traced } else { &mut outcome.named };
        trees.0 += 1;
        trees.1 += usize::from(!sides.broken.contains(name));
    }
    outcome
}

struct Sides<'a> {
    services: &'a BTreeMap<Service, Lived>,
    found: Found<'a>,
    /// The spans of lived requests.
    servers: BTreeMap<(Service, u64), Place>,
    /// Every name that a request came with.
    seen: BTreeSet<Name>,
    /// Those of them that something is wrong with.
    broken: BTreeSet<Name>,
}

impl Sides<'_> {
    fn wrong(&mut self, outcome: &mut Outcome, name: &Name, what: String) {
        self.broken.insert(name.clone());
        outcome.wrong.push(format!("{name:?}: {what}"));
    }

    /// The names that came to another service than the first.
    fn passed_on(&self) -> BTreeSet<Name> {
        let others = self.services.iter().filter(|(service, _)| service.before().is_some());
        let requests = others.flat_map(|(_, lived)| lived.truth.requests.values());
        requests.filter_map(|request| Name::of(&request.correlation)).collect()
    }

    /// Every request that came with an ID has one span, where it belongs.
    fn requests(&mut self, outcome: &mut Outcome) {
        for (service, lived) in self.services {
            for request in lived.truth.requests.values() {
                let Some(name) = Name::of(&request.correlation) else { continue };
                self.seen.insert(name.clone());
                let Some(place) = self.server(*service, lived, request) else {
                    self.wrong(outcome, &name, format!("no span of {} {request:?}", service.name()));
                    continue;
                };
                self.servers.insert((*service, request.request), place);
                outcome.spans[0] += 1;
                if let Err(why) = self.request(*service, request, place) {
                    self.wrong(outcome, &name, format!("{} {request:?}: {why}", service.name()));
                }
            }
        }
    }

    fn server(&mut self, service: Service, lived: &Lived, request: &Request) -> Option<Place> {
        let id = request.correlation.id.as_deref()?;
        let began = lived.unix(request.begin_ns);
        let within = |span: &Span| (span.start_time_unix_nano..=span.end_time_unix_nano).contains(&began);
        self.found.take(SpanKind::Server, service, (&request.path, id), within)
    }

    fn request(&self, service: Service, request: &Request, place: Place) -> Result<(), String> {
        let span = self.found.span(place);
        let id = request.correlation.id.as_deref().unwrap_or_default();
        let (trace, parent) = match context(&request.correlation) {
            Some((trace, span)) => (trace, span.to_vec()),
            None => (trace_of_id(id.as_bytes(), span.start_time_unix_nano), Vec::new()),
        };
        if span.trace_id != trace || span.parent_span_id != parent {
            return Err(format!("in another place: {span:?}"));
        }
        if service != Service::Front && !parent.is_empty() {
            self.hangs_under_a_call(service, &span.trace_id, &parent)?;
        }
        let (status, error) =
            (number(&span.attributes, "http.response.status_code"), text(&span.attributes, "error.type"));
        let right = match request.how {
            How::Answered => status == request.status.map(u64::from),
            How::Cancelled => error == Some("cancelled"),
            How::Panicked => error == Some("panic"),
            How::Failed => false,
        };
        if right { Ok(()) } else { Err(format!("ended otherwise: {span:?}")) }
    }

    /// The parent that a request came with is the span of a call of the service before.
    fn hangs_under_a_call(&self, service: Service, trace: &[u8], parent: &[u8]) -> Result<(), String> {
        let above = self.found.by_id(trace, parent).ok_or("its parent has no span")?;
        let is_call = self.found.span(above).kind == SpanKind::Client as i32;
        if is_call && Some(self.found.service(above)) == service.before() {
            return Ok(());
        }
        Err(format!("hangs under {:?}", self.found.span(above)))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traced, passed_on, named, spans: [servers, clients, tasks], not_judged, others, .. } = self;
        let (all, trees) = traced;
        writeln!(
            f,
            "  {all} requests with a traceparent: {trees} trees, {passed_on} of them through several services"
        )?;
        writeln!(f, "  {} requests with another ID: {} traces without a fault", named.0, named.1)?;
        writeln!(f, "  their spans: {servers} SERVER, {clients} CLIENT, {tasks} INTERNAL")?;
        writeln!(f, "  not judged: {not_judged}; of what bears nothing: {others}")?;
        writeln!(f, "  wrong: {}; tasks missing: {}", self.wrong.len(), self.missed.len())
    }
}
