//! Whose work samples are: by request.
//!
//! Without polls and wakes less is seen than in a traced run, so less is believed. A sample is a request's where
//! - the task that it fell in serves that request, and none beside it: it read the request's head from the only
//!   connection that it serves, and wrote the response's, both as tokio's `CONTEXT` reports; nothing else was under
//!   way on that connection; and the sample lies between these two;
//! - or the task was spawned for the request: by the task that served it, in that time, or by another task that was
//!   spawned for it; and was over, as were all tasks on the way, when the response was written; and none of them
//!   was seen to ask others, as a client's connection does, or to serve;
//! - or, over HTTP/2, the task is the stream's: the connection's task spawned it after the request's head had been
//!   read, it wrote the response of this stream and of no other, and it is over.
//!
//! A pooled connection, or an actor, that a request happened to start lives on when that one is answered: it is
//! nobody's from its beginning. What a gap in the events may have changed is not believed either.
//!
//! All this is known in the end at the earliest, so it is decided when it is asked.

use crate::Graph;
use crate::http::request::{Closed, Request};
use crate::ids::{RequestId, TaskIndex};
use crate::samples::SampleKey;
use crate::task::Task;
use crate::task::ancestry::MAX_ANCESTRY;
use crate::task::lifecycle::Parent;
use crate::task::owner::Inherited;
use asyncscope_trace::event::{Connection, Running, TaskId};

impl Graph {
    /// The request whose work the samples at this place are, where that is known.
    #[must_use]
    pub fn request_of(&self, place: &SampleKey) -> Option<RequestId> {
        let Running::Task(id) = place.running else { return None };
        match place.serves {
            Some(id) => self.request(id).filter(|request| self.proves(request).is_some()).map(|request| request.id),
            None => self.spawned_for(id),
        }
    }

    /// The one request that the task serves now, over HTTP/1.
    pub(crate) fn served_by(&self, running: Running) -> Option<RequestId> {
        let Running::Task(id) = running else { return None };
        match self.task(id)?.serves() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The request that the task was spawned for, if it was, or whose stream's it is.
    fn spawned_for(&self, id: TaskId) -> Option<RequestId> {
        let mut task = self.task(id)?;
        // Of those on the way, the latest end; none for a stream's own task.
        let mut over_ns = 0;
        for _ in 0..MAX_ANCESTRY {
            if self.serves_others(task) {
                return None;
            }
            let ended_ns = task.end()?.time_ns;
            if !task.is_stream {
                over_ns = ended_ns.max(over_ns);
            }
            match (&task.inherited, task.parent()) {
                (Inherited::Of(id), _) => {
                    let answered_ns = self.proves(self.request(*id)?)?;
                    return (over_ns <= answered_ns).then_some(*id);
                }
                (Inherited::Parent, Parent::Task(parent)) => task = self.task(parent)?,
                _ => return None,
            }
        }
        None
    }

    fn serves_others(&self, task: &Task) -> bool {
        let is_client = task.is_client || self.http.is_client_type(task.vtable);
        is_client || task.is_server || task.runtime || task.is_shared() || task.born().is_none()
    }

    /// Returns when the request was answered, in nanoseconds, if it is known all the time which task served it, and
    /// that this one served no other meanwhile.
    fn proves(&self, request: &Request) -> Option<u64> {
        let end = request.end.filter(|end| matches!(end.how, Closed::Answered { .. }))?;
        let by = self.tasks.get(request.answered_by?).filter(|by| !by.is_shared())?;
        let is_proved = match request.substream {
            0 => request.reader == request.answered_by && !request.overlapped,
            _ => by.is_stream && by.end().is_some() && by.inherited == Inherited::Of(request.id),
        };
        is_proved.then_some(end.time_ns)
    }

    /// A request is read on this connection while another one is under way there: neither has the connection's task
    /// for itself.
    pub(crate) fn overlap(&mut self, connection: Connection) -> bool {
        let served = self.http.served(connection);
        let Some(id) = served.and_then(|served| served.current) else { return false };
        if let Some(request) = self.http.request_mut(id) {
            request.overlapped = true;
        }
        true
    }

    /// The task reads requests on this connection. If it does so on another one that is open, too, it serves both
    /// at a time.
    pub(crate) fn note_sharing(&mut self, connection: Connection, task: Option<TaskIndex>) {
        let Some(index) = task.filter(|_| self.config.sampled) else { return };
        let connections = self.tasks[index].http_role().map_or(&[][..], |role| &role.connections);
        let others = connections.iter().filter(|other| **other != connection);
        let mut links = others.filter_map(|other| self.http.connection(*other));
        let is_shared = links.any(|link| link.task == task && link.is_served());
        if is_shared {
            self.tasks[index].rare_mut().is_shared = true;
        }
    }
}
