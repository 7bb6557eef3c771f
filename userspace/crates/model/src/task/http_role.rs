//! What a task does for requests: those that it serves, the calls that it has under way, the spawns that it made for
//! streams.

use crate::ids::{CallId, RequestId, TaskIndex};
use crate::task::Task;
use crate::task::askers::{Askers, Asking, RequestLink};
use crate::task::lifecycle::Times;
use asyncscope_trace::event::Connection;

/// The part that a task plays for requests. Most tasks have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpRole {
    /// The open requests that it serves.
    pub(crate) serves: Vec<RequestId>,
    /// Heads read in this poll on connections whose streams get tasks of their own.
    pub(crate) accept: Option<Accept>,
    /// Requests of its streams whose tasks are over, and since when.
    pub(crate) over: Vec<(u64, RequestId)>,
    /// The connections that it last read or wrote a head on.
    pub(crate) connections: Vec<Connection>,
    /// The call whose response it has just read: whom it wakes next asked for it.
    pub(crate) reply: Option<Reply>,
    /// The request of a task that made this one ready, since its last poll.
    pub(crate) asked: Option<RequestLink>,
    /// The call for whose response it was woken, to pass it on.
    pub(crate) relay: Option<Relay>,
    /// Heads that it has read on connections where another request was under way: while there are any, what it does
    /// may be for each.
    pub(crate) read_ahead: u32,
    /// Those who woke it since its last poll began, and may have asked for a call.
    pub(crate) askers: Askers,
    /// The call over HTTP/1 that it has under way for another.
    pub(crate) exchange: Option<Exchange>,
    /// The call of the one stream that it was spawned for, and the gaps by then: one may have swallowed another spawn.
    pub(crate) stream_call: Option<(CallId, u64)>,
    /// The request that it answered last over HTTP/1, whose body it may still be writing, and the gaps by then.
    pub(crate) answered: Option<(RequestId, u64)>,
}

/// A response that the task has read in this poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) call: CallId,
    /// The gaps when it was read.
    pub(crate) epoch: u64,
    /// It was passed on already, to a task of this request.
    pub(crate) to: Option<RequestId>,
}

/// A task on the way of a response from the connection's task to the one that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    pub(crate) call: CallId,
    /// The gaps when it was woken.
    pub(crate) epoch: u64,
    /// The tasks of requests that it woke since.
    pub(crate) woke: Vec<TaskIndex>,
}

/// A call over HTTP/1 that a connection's task has under way, or whose answer it is about to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) call: CallId,
    /// The gaps when it began.
    pub(crate) epoch: u64,
    pub(crate) answered: bool,
    /// Those who woke the connection's task since the head was written or, once it was, the response's was read.
    pub(crate) touch: Touch,
    /// The poll that follows such a wake is under way.
    pub(crate) follows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Nobody,
    /// Tasks of this request, this many times.
    By(RequestLink, u32),
    Several,
}

impl Touch {
    pub(crate) fn and(self, asking: &Asking) -> Self {
        match (self, asking) {
            (Self::Nobody, Asking::Direct(link)) => Self::By(*link, 1),
            (Self::By(one, times), Asking::Direct(link)) if one.request() == link.request() => {
                Self::By(one, times.saturating_add(1))
            }
            _ => Self::Several,
        }
    }
}

/// The heads and spawns of a connection's task in one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    /// The requests whose heads it read.
    pub(crate) heads: Vec<RequestId>,
    pub(crate) spawns: Vec<Spawned>,
    /// The gaps when the first of them was read.
    pub(crate) epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spawned {
    pub(crate) child: TaskIndex,
    pub(crate) vtable: u64,
    /// The number of heads that had been read.
    pub(crate) heads: usize,
    /// The times of the connection's task.
    pub(crate) times: Times,
}

impl Accept {
    /// Returns how many spawns each request had; `None` if that does not show.
    pub(crate) fn each(&self) -> Option<usize> {
        let requests = self.heads.len();
        let each = self.spawns.len().checked_div(requests).filter(|each| each * requests == self.spawns.len())?;
        let pattern = self.spawns.get(..each)?;
        let distinct =
            requests == 1 || (1..each).all(|at| !pattern[..at].iter().any(|s| s.vtable == pattern[at].vtable));
        let in_order = self.spawns.iter().enumerate().all(|(at, spawned)| {
            let of = at / each;
            spawned.vtable == pattern[at % each].vtable && spawned.heads > of
        });
        (distinct && in_order).then_some(each)
    }
}

impl Task {
    pub(crate) fn http_role(&self) -> Option<&HttpRole> {
        self.rare.as_ref()?.http_role.as_deref()
    }

    /// Its role, if it has any.
    pub(crate) fn http_role_mut(&mut self) -> Option<&mut HttpRole> {
        self.rare.as_mut()?.http_role.as_deref_mut()
    }

    /// Its role, which it has from now on.
    pub(crate) fn http_role_or_new(&mut self) -> &mut HttpRole {
        self.rare_mut().http_role.get_or_insert_default()
    }

    pub(crate) fn take_http_role(&mut self) -> Option<Box<HttpRole>> {
        self.rare.as_mut()?.http_role.take()
    }

    /// The open requests that it serves, as far as that is known.
    pub(crate) fn serves(&self) -> &[RequestId] {
        self.http_role().filter(|role| role.read_ahead == 0).map_or(&[], |role| &role.serves)
    }

    pub(crate) fn stop_serving(&mut self, id: RequestId) {
        if let Some(role) = self.http_role_mut() {
            role.serves.retain(|served| *served != id);
        }
    }

    /// Returns `true` if it serves requests in turn, or all at once.
    pub(crate) fn is_common(&self) -> bool {
        self.is_server || self.runtime
    }
}
