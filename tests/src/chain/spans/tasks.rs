//! The spans of tasks that served a request.

use super::{Name, Outcome, Place, Sides};
use crate::chain::truth::{Request, Role};
use crate::chain::{Lived, Service};

impl Sides<'_> {
    /// Every task of a request that came with an ID has one span, below that of the task that spawned it if
    /// that is of the same request, else below the request's.
    pub(super) fn tasks(&mut self, outcome: &mut Outcome) {
        for (service, lived) in self.services {
            for (request, task, parent, must) in served(lived) {
                let Some(name) = Name::of(&request.correlation) else { continue };
                let Some(server) = self.servers.get(&(*service, request.request)).copied() else { continue };
                let Some(place) = self.found.task(*service, task) else {
                    if must {
                        self.broken.insert(name);
                        outcome.missed.push(format!("no span of task {task} of {}", service.name()));
                    }
                    continue;
                };
                self.found.mark(place);
                outcome.spans[2] += 1;
                if let Err(why) = self.task(*service, place, parent, server) {
                    self.wrong(outcome, &name, format!("task {task} of {}: {why}", service.name()));
                }
            }
        }
    }

    fn task(&self, service: Service, place: Place, parent: Option<u64>, server: Place) -> Result<(), String> {
        let (span, top) = (self.found.span(place), self.found.span(server));
        let spawner = parent.and_then(|parent| self.found.task(service, parent)).map(|place| self.found.span(place));
        let above = spawner.filter(|spawner| spawner.trace_id == top.trace_id).unwrap_or(top);
        if (&span.trace_id, &span.parent_span_id) != (&above.trace_id, &above.span_id) {
            return Err(format!("{span:?} is not below {above:?}"));
        }
        if self.found.is_below(place, server) { Ok(()) } else { Err(format!("{span:?} is not below its request")) }
    }
}

/// Request, task, its parent, and whether a span has to be there: whose work a task is that an actor spawned
/// is not always seen.
fn served(lived: &Lived) -> Vec<(&Request, u64, Option<u64>, bool)> {
    let truth = &lived.truth;
    let tasks = truth.tasks.values().filter_map(|task| {
        let must = task.role != Role::ByActor;
        Some((truth.requests.get(&task.request?)?, task.task, task.parent, must))
    });
    // A connection's task serves its requests, and is no one's; HTTP/2 has one for each request besides.
    let streams = truth.requests.values().filter(|request| request.is_grpc());
    tasks.chain(streams.filter_map(|request| Some((request, request.task?, None, true)))).collect()
}
