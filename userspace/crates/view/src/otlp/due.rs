//! What of a growing graph can be reported.
//!
//! A request is reported some time after its end, a call and a task not before the requests that they may be
//! of: only then is it known whose they are.

use std::collections::BTreeSet;

use asyncscope_model::{CallId, Close, Graph, Owner, RequestId, TaskIndex};

/// Spans that were made, and those still to be.
#[derive(Debug)]
pub struct Due {
    last_request: RequestId,
    last_call: CallId,
    /// Not yet reported, and open or just closed.
    requests: BTreeSet<RequestId>,
    calls: BTreeSet<CallId>,
    /// Places of tasks that are over.
    tasks: Vec<TaskIndex>,
}

/// Things whose spans can be made now, in this order.
#[derive(Debug, Default)]
pub struct Batch {
    /// Requests.
    pub requests: Vec<RequestId>,
    /// Calls.
    pub calls: Vec<CallId>,
    /// Tasks.
    pub tasks: Vec<TaskIndex>,
    /// Requests and calls that the graph forgot before they could be reported.
    pub missed: u64,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            last_request: RequestId(0),
            last_call: CallId(0),
            requests: BTreeSet::new(),
            calls: BTreeSet::new(),
            tasks: Vec::new(),
        }
    }
}

impl Due {
    /// Returns what ended at or before `until_ns`, each thing once.
    pub fn until(&mut self, graph: &mut Graph, until_ns: u64) -> Batch {
        let mut batch = Batch::default();
        self.take_in(graph, until_ns, &mut batch);
        let ended = |end: Option<Close>| end.is_some_and(|end| end.time_ns <= until_ns);
        self.requests.retain(|id| match graph.request(*id) {
            Some(request) if ended(request.end) => {
                batch.requests.push(*id);
                false
            }
            Some(_) => true,
            None => {
                batch.missed += 1;
                false
            }
        });
        let requests = &self.requests;
        let waits = |owner: &Owner| owner.candidates().iter().any(|id| requests.contains(id));
        self.calls.retain(|id| match graph.call(*id) {
            Some(call) if ended(call.end) && !waits(&graph.owner_of_call(call)) => {
                batch.calls.push(*id);
                false
            }
            Some(_) => true,
            None => {
                batch.missed += 1;
                false
            }
        });
        self.tasks.retain(|index| {
            let history = graph.tasks().get(*index).and_then(|task| task.history.as_ref());
            let waits = history.is_some_and(|history| waits(&graph.owner(history.line.id)));
            if !waits {
                batch.tasks.push(*index);
            }
            waits
        });
        batch
    }

    /// Everything that is left of a finished graph.
    pub fn rest(&mut self, graph: &mut Graph) -> Batch {
        let mut batch = Batch::default();
        self.take_in(graph, u64::MAX, &mut batch);
        batch.requests = std::mem::take(&mut self.requests).into_iter().collect();
        batch.calls = std::mem::take(&mut self.calls).into_iter().collect();
        batch.tasks = std::mem::take(&mut self.tasks);
        batch
    }

    fn take_in(&mut self, graph: &mut Graph, until_ns: u64, batch: &mut Batch) {
        let (before, known) = (self.last_request.0 + self.last_call.0, self.requests.len() + self.calls.len());
        for request in graph.requests_after(self.last_request) {
            self.last_request = request.id;
            self.requests.insert(request.id);
        }
        for call in graph.calls_after(self.last_call) {
            self.last_call = call.id;
            self.calls.insert(call.id);
        }
        let numbered = self.last_request.0 + self.last_call.0 - before;
        let came = (self.requests.len() + self.calls.len() - known) as u64;
        batch.missed += numbered - came;
        self.tasks.extend(graph.take_ended(until_ns));
    }
}
