//! The spans that are of nothing that bears an ID: none of them may be where those are.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{Name, Outcome, Place, Sides};
use crate::chain::truth::Role;
use crate::spans::{number, text};

impl Sides<'_> {
    pub(super) fn rest(&mut self, outcome: &mut Outcome) {
        let traces: BTreeSet<&[u8]> =
            self.servers.values().map(|server| self.found.span(*server).trace_id.as_slice()).collect();
        for place in self.found.left() {
            let inside = traces.contains(self.found.span(place).trace_id.as_slice());
            match self.judge(place, inside) {
                Ok(()) if inside => outcome.not_judged += 1,
                Ok(()) => outcome.others += 1,
                Err(why) => {
                    let (service, span) = (self.found.service(place).name(), self.found.span(place));
                    outcome.wrong.push(format!("a span of {service} {why}: {span:?}"));
                    self.broken.extend(self.name_of(place));
                }
            }
        }
    }

    /// `inside`: whether it is in the trace of a request that came with an ID.
    fn judge(&self, place: Place, inside: bool) -> Result<(), &'static str> {
        let span = self.found.span(place);
        let below = self.found.server_above(place).is_some();
        match SpanKind::try_from(span.kind) {
            Ok(SpanKind::Internal) if inside && !below => Err("is in a request's trace, and not below it"),
            Ok(SpanKind::Internal) => self.judge_task(place, below),
            Ok(SpanKind::Client) if self.bears(place) => Err("is of no call that was made"),
            Ok(SpanKind::Client) if inside && !self.was_called(place) => Err("is of no call of the request above"),
            Ok(SpanKind::Server) if self.is_unserved(place) => Ok(()),
            Ok(SpanKind::Server) if inside => Err("is of no request that came with this ID"),
            Ok(SpanKind::Server) if !span.parent_span_id.is_empty() => Err("has a parent that nobody named"),
            Ok(SpanKind::Client | SpanKind::Server) => Ok(()),
            _ => Err("is of no kind"),
        }
    }

    /// A task that the service itself does not know the request of, or that is of a request without an ID.
    fn judge_task(&self, place: Place, below: bool) -> Result<(), &'static str> {
        let truth = self.services.get(&self.found.service(place)).map(|lived| &lived.truth);
        let task = number(&self.found.span(place).attributes, "asyncscope.task.id");
        let known = truth.zip(task).and_then(|(truth, task)| truth.tasks.get(&task));
        match known.map(|known| (known.role, known.request)) {
            Some((Role::Actor | Role::Background, _)) if below => Err("is below a request, and serves none"),
            Some((Role::Library, _)) | None => Ok(()),
            Some((_, None)) if !below => Ok(()),
            Some((_, request)) => self.of_nobody_named(place, request),
        }
    }

    /// It is below no request that came with an ID, and is not of one.
    fn of_nobody_named(&self, place: Place, request: Option<u64>) -> Result<(), &'static str> {
        let service = self.found.service(place);
        let is_named = request.is_some_and(|request| self.servers.contains_key(&(service, request)));
        let above = self.found.server_above(place);
        let misplaced = above.is_some_and(|server| self.servers.values().any(|named| *named == server));
        if is_named || misplaced { Err("is below another request than its own") } else { Ok(()) }
    }

    /// The request that it is below made such a call, which bore nothing.
    fn was_called(&self, place: Place) -> bool {
        let (service, span) = (self.found.service(place), self.found.span(place));
        let above = self.found.server_above(place);
        let request = self.servers.iter().find(|(_, server)| Some(**server) == above).map(|((_, request), _)| *request);
        let Some(lived) = self.services.get(&service) else { return false };
        lived.truth.calls.iter().any(|call| {
            let made = lived.unix(call.begin_ns)..=lived.unix(call.end_ns);
            Some(call.request) == request
                && call.correlation.id.is_none()
                && text(&span.attributes, "url.path") == Some(&call.path)
                && made.contains(&span.start_time_unix_nano)
        })
    }

    /// It was read for a client that left, before the service heard of it.
    fn is_unserved(&self, place: Place) -> bool {
        let attributes = &self.found.span(place).attributes;
        let lived = self.services.get(&self.found.service(place));
        let mut left = lived.into_iter().flat_map(|lived| &lived.truth.unserved);
        text(attributes, "error.type") == Some("cancelled")
            && left.any(|left| text(attributes, "url.path") == Some(&left.path))
    }

    fn bears(&self, place: Place) -> bool {
        text(&self.found.span(place).attributes, "asyncscope.correlation.id").is_some()
    }

    fn name_of(&self, place: Place) -> Option<Name> {
        let trace = &self.found.span(place).trace_id;
        let ((service, request), _) =
            self.servers.iter().find(|(_, server)| &self.found.span(**server).trace_id == trace)?;
        Name::of(&self.services.get(service)?.truth.requests.get(request)?.correlation)
    }
}
