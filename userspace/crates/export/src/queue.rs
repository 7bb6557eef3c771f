//! Spans that wait to be sent: bounded, and every one that finds no room is counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use tokio::sync::Notify;

/// Bounds of the queue: spans, and bytes as they are encoded. In memory a span takes about four times
/// as much.
const MAX_SPANS: usize = 65_536;
const MAX_BYTES: usize = 16 << 20;
/// Bounds of a batch. Receivers over gRPC refuse messages above 4 MiB, unless told otherwise.
const MAX_BATCH_SPANS: usize = 2_000;
const MAX_BATCH_BYTES: usize = 2 << 20;
/// The time for which an incomplete batch waits for more.
const LINGER: Duration = Duration::from_millis(500);

/// The request that carries these spans in a copy of an envelope: what all spans of a run have in common, which is a
/// resource, and a scope without spans.
#[must_use]
pub fn around(envelope: &ResourceSpans, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let mut envelope = envelope.clone();
    match envelope.scope_spans.first_mut() {
        Some(scope) => scope.spans = spans,
        None => envelope.scope_spans.push(ScopeSpans { spans, ..ScopeSpans::default() }),
    }
    ExportTraceServiceRequest { resource_spans: vec![envelope] }
}

/// Spans that wait.
#[derive(Debug, Default)]
pub(super) struct SpanQueue {
    waiting: Mutex<WaitingSpans>,
    /// A batch is complete, or the queue is closed.
    news: Notify,
    /// There is room again.
    room: Condvar,
}

#[derive(Debug, Default)]
struct WaitingSpans {
    spans: VecDeque<(Span, usize)>,
    bytes: usize,
    dropped: u64,
    closed: bool,
}

impl WaitingSpans {
    fn has_room(&self, bytes: usize) -> bool {
        self.spans.len() < MAX_SPANS && self.bytes.saturating_add(bytes) <= MAX_BYTES
    }

    fn fills_a_batch(&self) -> bool {
        self.spans.len() >= MAX_BATCH_SPANS || self.bytes >= MAX_BATCH_BYTES
    }

    fn batch(&mut self) -> Vec<Span> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH_SPANS
            && let Some((span, size)) =
                self.spans.pop_front_if(|(_, size)| bytes == 0 || bytes + *size <= MAX_BATCH_BYTES)
        {
            bytes += size;
            batch.push(span);
        }
        self.bytes -= bytes;
        batch
    }
}

impl SpanQueue {
    /// Takes a span if there is room, and drops and counts it otherwise. Never waits.
    pub(super) fn offer(&self, span: Span) {
        let size = span.encoded_len();
        let mut waiting = self.lock();
        if waiting.has_room(size) && !waiting.closed {
            self.add(&mut waiting, span, size);
        } else {
            waiting.dropped += 1;
        }
    }

    /// Takes a span, waiting for room as long as there is none.
    pub(super) fn put(&self, span: Span) {
        let size = span.encoded_len();
        let full = |waiting: &mut WaitingSpans| !waiting.closed && !waiting.spans.is_empty() && !waiting.has_room(size);
        let waiting = self.room.wait_while(self.lock(), full);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            waiting.dropped += 1;
        } else {
            self.add(&mut waiting, span, size);
        }
    }

    fn add(&self, waiting: &mut WaitingSpans, span: Span, size: usize) {
        waiting.spans.push_back((span, size));
        waiting.bytes += size;
        if waiting.fills_a_batch() {
            self.news.notify_one();
        }
    }

    /// No more spans come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
        self.room.notify_all();
    }

    /// The next batch, when it is complete or has waited long enough; `None` when all are taken and no
    /// more come.
    pub(super) async fn next(&self) -> Option<Vec<Span>> {
        loop {
            if !self.is_closed() {
                // Late is as good as reported: either way there is what there is.
                drop(tokio::time::timeout(LINGER, self.news.notified()).await);
            }
            let mut waiting = self.lock();
            let batch = waiting.batch();
            if waiting.fills_a_batch() {
                self.news.notify_one();
            }
            self.room.notify_all();
            match (batch.is_empty(), waiting.closed) {
                (true, true) => return None,
                (true, false) => {}
                (false, _) => return Some(batch),
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The number of spans that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Empties it, and says how many there were.
    pub(super) fn clear(&self) -> u64 {
        let mut waiting = self.lock();
        let spans = waiting.spans.len() as u64;
        waiting.spans = VecDeque::new();
        waiting.bytes = 0;
        self.room.notify_all();
        spans
    }

    fn lock(&self) -> MutexGuard<'_, WaitingSpans> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str) -> Span {
        Span { name: name.to_owned(), ..Span::default() }
    }

    fn all(queue: &SpanQueue) -> Vec<Vec<Span>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut batches = Vec::new();
            while let Some(batch) = queue.next().await {
                batches.push(batch);
            }
            batches
        })
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let queue = SpanQueue::default();
        (0..MAX_SPANS + 7).for_each(|_| queue.offer(span("a")));
        assert_eq!(queue.dropped(), 7);
        queue.close();
        queue.offer(span("late"));
        assert_eq!(queue.dropped(), 8);
        let batches = all(&queue);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), MAX_SPANS);
        assert!(batches.iter().all(|batch| batch.len() <= MAX_BATCH_SPANS));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let queue = SpanQueue::default();
        let large = span(&"x".repeat(1 << 20));
        (0..20).for_each(|_| queue.offer(large.clone()));
        assert_eq!(queue.dropped(), 5);
        queue.close();
        let batches = all(&queue);
        assert_eq!(batches.len(), 15, "two of them are above a batch's bytes");
    }

    #[test]
    fn a_span_larger_than_a_batch_goes_alone() {
        let queue = SpanQueue::default();
        queue.put(span(&"x".repeat(MAX_BATCH_BYTES + 1)));
        queue.put(span("small"));
        queue.close();
        assert_eq!(all(&queue).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn one_that_waits_for_room_gets_it_or_is_counted() {
        let queue = SpanQueue::default();
        (0..MAX_SPANS).for_each(|_| queue.offer(span("a")));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.put(span("b")));
            assert_eq!(queue.clear(), MAX_SPANS as u64);
            waiting.join().unwrap();
        });
        assert_eq!((queue.dropped(), queue.clear()), (0, 1));
        queue.close();
        queue.put(span("late"));
        assert_eq!(queue.dropped(), 1);
    }
}
