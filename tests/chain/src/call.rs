//! An outgoing call, as the code that makes it knows it.

use crate::headers::Correlation;
use crate::log::{self, Called, How, Open, Row};
use crate::os::now;
use crate::request::Request;

/// A call under way; its drop logs the end.
#[derive(Debug)]
pub(crate) struct Calling {
    called: Option<Called>,
    _open: Open,
}

impl Calling {
    /// Nothing of it has been written yet. With `bear`, it goes on under the request's correlation ID.
    pub(crate) fn begin(request: &Request, method: &'static str, path: &str, bear: bool) -> Self {
        let correlation = if bear { request.correlation.forwarded(log::span()) } else { Correlation::default() };
        let called = Called {
            request: request.number,
            correlation,
            method,
            path: path.to_owned(),
            task: log::current_task(),
            begin_ns: now(),
            end_ns: 0,
            how: How::Cancelled,
            status: None,
            grpc: None,
        };
        Self { called: Some(called), _open: Open::new() }
    }

    /// What its head is to bear.
    pub(crate) fn correlation(&self) -> Correlation {
        self.called.as_ref().map(|called| called.correlation.clone()).unwrap_or_default()
    }

    /// A response came whole.
    pub(crate) fn answered(mut self, status: u16, grpc: Option<i32>) {
        if let Some(called) = &mut self.called {
            (called.how, called.status, called.grpc) = (How::Answered, Some(status), grpc);
        }
    }

    /// No response will come, or none to its end.
    pub(crate) fn failed(mut self) {
        if let Some(called) = &mut self.called {
            called.how = How::Failed;
        }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let Some(mut called) = self.called.take() {
            called.end_ns = now();
            log::add(Row::Call(called));
        }
    }
}
