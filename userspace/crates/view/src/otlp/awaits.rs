//! Long waits as spans below that of their task, or of their request.
//!
//! A wait is from the end of a poll to the start of the next. What was awaited is known where the target has
//! type information, and only there is a span made of it: at the innermost `.await`, but for tokio's own, that
//! the wait was at for sure. Beyond a fork (`join!`, `select!`), and beyond what the probes follow, that is not decided.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, span::SpanKind},
};

use super::Spans;
use super::attributes::{flag, number, text};
use super::clock::Distance;
use super::links::LOCAL;
use crate::awaits::shown;
use crate::names::printable;
use asyncscope_model::{AwaitChain, Awaited, Awaits, Gap};
use asyncscope_trace::chain::frame_name;
use asyncscope_trace::facts::{AwaitFrame, AwaitKind};

/// The spans of these waits below `above`, which lasted from `start_ns` to `end_ns`.
pub(super) fn below(
    spans: &Spans<'_>,
    awaits: &Awaits,
    above: &Span,
    distance: Distance,
    (start_ns, end_ns): (u64, u64),
) -> Vec<Span> {
    let within = |time: u64| distance.unix(time.clamp(start_ns, end_ns));
    let span = |(place, awaited): (usize, &Awaited)| {
        let at = AwaitPoint::of(spans, awaited)?;
        Some(Span {
            trace_id: above.trace_id.clone(),
            span_id: spans.ids.part(&above.span_id, "await", place as u64).to_vec(),
            parent_span_id: above.span_id.clone(),
            trace_state: above.trace_state.clone(),
            flags: LOCAL,
            name: format!("await {}", at.function()),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: within(awaited.start_ns),
            end_time_unix_nano: within(awaited.end_ns),
            attributes: at.attributes(awaited),
            ..Span::default()
        })
    };
    awaits.kept.iter().enumerate().filter_map(span).collect()
}

/// Returns the span above's attribute for those that were not kept.
pub(super) fn missing(awaits: &Awaits) -> Option<KeyValue> {
    (awaits.more > 0).then(|| number("asyncscope.dropped_awaits", awaits.more))
}

/// The place of a wait.
struct AwaitPoint<'a> {
    chain: &'a AwaitChain,
    frames: &'a [AwaitFrame],
    /// The chain's frames that lie above each other without a fork.
    way: Vec<usize>,
    /// The innermost `.await` among these, outside of tokio if there is one.
    innermost: &'a AwaitFrame,
}

impl<'a> AwaitPoint<'a> {
    /// `None` where it is not known, or events are missing in it.
    fn of(spans: &Spans<'a>, awaited: &Awaited) -> Option<Self> {
        let gap = |gap: &Gap| gap.since_ns <= awaited.end_ns && gap.until_ns >= awaited.start_ns;
        let doubtful = spans.graph.gaps().iter().any(gap);
        let chain = spans.graph.chain(awaited.chain).filter(|_| !doubtful)?;
        let frames = spans.frames;
        let way = chain.trunk();
        let is_await = |frame: &&AwaitFrame| frame.kind == AwaitKind::Await && !frame.name.ends_with('!');
        // What tokio's own functions await is what the one that called them waits for.
        let is_own = |frame: &&AwaitFrame| is_await(frame) && !frame.name.starts_with("tokio::");
        let of = |place: &usize| frames.get(chain.frames.get(*place)?.frame as usize);
        let inwards = || way.iter().rev().filter_map(of);
        let innermost = inwards().find(is_own).or_else(|| inwards().find(is_await))?;
        Some(Self { chain, frames, way, innermost })
    }

    fn function(&self) -> String {
        printable(&self.innermost.name)
    }

    fn attributes(&self, awaited: &Awaited) -> Vec<KeyValue> {
        let at = self.innermost;
        let mut all = vec![
            text("asyncscope.segment", "await"),
            text("code.function.name", self.function()),
            text("code.stacktrace", self.stack()),
            number("asyncscope.ready_ns", awaited.ready_ns),
        ];
        all.extend(at.file.as_deref().map(|file| text("code.file.path", printable(file))));
        // In a macro only the lines of the function are known.
        all.extend(at.line.filter(|_| at.until.is_none()).map(|line| number("code.line.number", line.into())));
        all.extend(self.awaited().map(|name| text("asyncscope.awaited", printable(name))));
        if awaited.open {
            all.push(flag("asyncscope.open"));
        }
        all
    }

    fn name(&self, place: usize) -> &'a str {
        let (chain, frames) = (self.chain, self.frames);
        let numbers = chain.frames.iter().map(|frame| (frame.frame, frame.depth.into()));
        frame_name(frames, numbers, place)
    }

    /// Returns what was awaited at the end of the way: a timer, a lock, a `join!`.
    fn awaited(&self) -> Option<&'a str> {
        let last = self.way.last().copied()?;
        let frame = self.frames.get(self.chain.frames.get(last)?.frame as usize)?;
        (!std::ptr::eq(frame, self.innermost)).then(|| self.name(last))
    }

    /// All frames of the way, the innermost first, as in a stack trace.
    fn stack(&self) -> String {
        let line = |place: &usize| {
            let frame = self.frames.get(self.chain.frames.get(*place)?.frame as usize)?;
            Some(shown(self.name(*place), frame))
        };
        self.way.iter().rev().filter_map(line).collect::<Vec<_>>().join("\n")
    }
}
