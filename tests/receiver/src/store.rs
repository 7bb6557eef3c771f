//! What came.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Semaphore;

use crate::Answer;

/// How long a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A request.
#[derive(Clone, Debug)]
pub struct Received {
    /// What it carried.
    pub request: ExportTraceServiceRequest,
    /// Its headers, or metadata.
    pub headers: http::HeaderMap,
    /// Its path.
    pub path: String,
    /// Whether it was accepted.
    pub accepted: bool,
}

impl Received {
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Span> {
        let scopes = self.request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans)
    }
}

#[derive(Debug)]
pub(crate) struct Store {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    news: Condvar,
    pub(crate) gate: Semaphore,
}

impl Store {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        Self {
            answers: Mutex::new(answers.into()),
            received: Mutex::default(),
            news: Condvar::new(),
            gate: Semaphore::new(0),
        }
    }

    /// The answer to a request, which is kept.
    pub(crate) fn take(&self, mut received: Received) -> Answer {
        let answer = self.next_answer(received.spans().count());
        received.accepted = matches!(answer, Answer::Accept | Answer::Partly(..) | Answer::Gated);
        lock(&self.received).push(received);
        self.news.notify_all();
        answer
    }

    fn next_answer(&self, spans: usize) -> Answer {
        let mut answers = lock(&self.answers);
        match answers.pop_front().unwrap_or_default() {
            Answer::TooLargeAbove(bound) => {
                answers.push_front(Answer::TooLargeAbove(bound));
                if spans > bound { Answer::TooLargeAbove(bound) } else { Answer::Accept }
            }
            answer => answer,
        }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    pub(crate) fn spans(&self, at_least: usize) -> Vec<Span> {
        let accepted = |received: &[Received]| -> Vec<Span> {
            received.iter().filter(|received| received.accepted).flat_map(Received::spans).cloned().collect()
        };
        accepted(&self.until(|received| accepted(received).len() >= at_least))
    }

    pub(crate) fn requests(&self, at_least: usize) -> usize {
        self.until(|received| received.len() >= at_least).len()
    }

    fn until(&self, enough: impl Fn(&[Received]) -> bool) -> MutexGuard<'_, Vec<Received>> {
        let wait = self.news.wait_timeout_while(lock(&self.received), PATIENCE, |received| !enough(received));
        wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
