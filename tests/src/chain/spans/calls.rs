//! The spans of calls that bear an ID.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{Name, Outcome, Place, Sides, context};
use crate::chain::truth::{Call, How};
use crate::chain::{Lived, Service};
use crate::spans::number;

impl Sides<'_> {
    /// Every call has one span in its request's trace, below that or a task of it; with the id that the head
    /// names, if it names one.
    pub(super) fn calls(&mut self, outcome: &mut Outcome) {
        for (service, lived) in self.services {
            for call in &lived.truth.calls {
                let Some(name) = Name::of(&call.correlation) else { continue };
                let Some(server) = self.servers.get(&(*service, call.request)).copied() else { continue };
                let Some(place) = self.client(*service, lived, call) else {
                    if !call.may_be_unsent {
                        self.wrong(outcome, &name, format!("no span of {} {call:?}", service.name()));
                    }
                    continue;
                };
                outcome.spans[1] += 1;
                if let Err(why) = self.call(call, place, server) {
                    self.wrong(outcome, &name, format!("{} {call:?}: {why}", service.name()));
                }
            }
        }
    }

    fn client(&mut self, service: Service, lived: &Lived, call: &Call) -> Option<Place> {
        let id = call.correlation.id.as_deref()?;
        let made = lived.unix(call.begin_ns)..=lived.unix(call.end_ns);
        self.found.take(SpanKind::Client, service, (&call.path, id), |span| made.contains(&span.start_time_unix_nano))
    }

    fn call(&self, call: &Call, place: Place, server: Place) -> Result<(), String> {
        let span = self.found.span(place);
        if !self.found.is_below(place, server) {
            return Err(format!("{span:?} is not below its request"));
        }
        if context(&call.correlation).is_some_and(|(_, id)| span.span_id != id) {
            return Err(format!("has another id: {span:?}"));
        }
        let status = number(&span.attributes, "http.response.status_code");
        if call.how == How::Answered && status != call.status.map(u64::from) {
            return Err(format!("ended otherwise: {span:?}"));
        }
        Ok(())
    }
}
