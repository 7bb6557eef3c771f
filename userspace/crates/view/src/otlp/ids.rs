//! IDs of traces and spans: from the run and the task alone, so that exporting again gives the same.

use std::str::FromStr;

use ring::digest::{Context, SHA256};

use asyncscope_model::Root;
use asyncscope_trace::event::TaskId;
use asyncscope_trace::facts::Facts;

/// A trace's id: 16 bytes, not all zero.
pub(super) type TraceId = [u8; 16];
/// A span's id: 8 bytes, not all zero.
pub(super) type SpanId = [u8; 8];

#[derive(Debug)]
pub(super) struct SpanIds {
    run: [u8; 32],
}

impl SpanIds {
    pub(super) fn new(facts: &Facts) -> Self {
        let mut context = Context::new(&SHA256);
        let build_id = facts.process.build_id.as_deref().unwrap_or_default();
        for text in [facts.run.as_str(), build_id] {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        }
        let armed = facts.armed;
        for number in [facts.process.pid.into(), armed.monotonic_ns, armed.unix_ns] {
            context.update(&number.to_le_bytes());
        }
        Self { run: first_bytes(context) }
    }

    /// The trace of tasks with this oldest ancestor.
    pub(super) fn trace(&self, root: Root) -> TraceId {
        self.id("trace", root.id.0)
    }

    /// The trace of a request that came without any ID, or of a call.
    pub(super) fn own_trace(&self, what: &str, number: u64) -> TraceId {
        self.id(what, number)
    }

    /// The span of a request, or of a call.
    pub(super) fn span(&self, what: &str, number: u64) -> SpanId {
        self.id(what, number)
    }

    /// The span of a task.
    pub(super) fn task(&self, task: TaskId) -> SpanId {
        self.id("task", task.0)
    }

    /// One of the spans for parts of this span.
    pub(super) fn part(&self, of: &[u8], what: &str, number: u64) -> SpanId {
        let mut context = Context::new(&SHA256);
        context.update(&self.run);
        context.update(what.as_bytes());
        context.update(of);
        context.update(&number.to_le_bytes());
        not_zero(first_bytes(context))
    }

    /// Returns what distinguishes the watched process from its like, as a UUID of version 8.
    pub(super) fn instance(&self) -> String {
        let [mut a, mut b] = [self.id::<8>("instance", 0), self.id::<8>("instance", 1)];
        a[6] = a[6] & 0x0f | 0x80;
        b[0] = b[0] & 0x3f | 0x80;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [&a[..4], &a[4..6], &a[6..], &b[..2], &b[2..]].map(hex).join("-")
    }

    fn id<const N: usize>(&self, what: &str, number: u64) -> [u8; N] {
        let mut context = Context::new(&SHA256);
        context.update(&self.run);
        context.update(what.as_bytes());
        context.update(&number.to_le_bytes());
        not_zero(first_bytes(context))
    }
}

/// The trace of everything that bears this correlation ID at this time: of the two alone, so that whoever
/// sees the ID, on whatever host, comes to the same.
///
/// The ID stands for one trace for an hour. Hours begin at another moment for each ID, so that not all
/// that is under way changes at once.
pub(super) fn trace_of_correlation(value: &[u8], unix_ns: u64) -> TraceId {
    let mut context = Context::new(&SHA256);
    context.update(b"asyncscope correlation");
    context.update(value);
    let phase = u64::from_le_bytes(first_bytes(context.clone())) % HOUR_NS;
    context.update(&(unix_ns.saturating_add(phase) / HOUR_NS).to_le_bytes());
    not_zero(first_bytes(context))
}

const HOUR_NS: u64 = 3_600_000_000_000;

fn first_bytes<const N: usize>(context: Context) -> [u8; N] {
    let digest = context.finish();
    std::array::from_fn(|place| digest.as_ref().get(place).copied().unwrap_or(0))
}

fn not_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if let [all @ .., last] = id.as_mut_slice()
        && *last == 0
        && all.iter().all(|byte| *byte == 0)
    {
        *last = 1;
    }
    id
}

/// The part of all traces that is wanted: from 0, none, to 1, all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio(f64);

impl Default for SampleRatio {
    fn default() -> Self {
        Self(1.0)
    }
}

impl FromStr for SampleRatio {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or("must be a number from 0 to 1")
    }
}

/// The choice of traces by their ids alone: whoever else decides by the same rule decides the same.
///
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Debug)]
pub(super) struct Ratio {
    /// A trace is wanted if the last 56 bits of its id are not below this.
    threshold: u64,
}

/// The number of values that the last 56 bits can have.
const VALUES: u64 = 1 << 56;

impl Ratio {
    pub(super) fn new(SampleRatio(ratio): SampleRatio) -> Self {
        let wanted = (ratio.clamp(0.0, 1.0) * VALUES as f64) as u64;
        Self { threshold: VALUES - wanted.min(VALUES) }
    }

    pub(super) fn wants(&self, trace: TraceId) -> bool {
        let [_, _, _, _, _, _, _, _, end @ ..] = trace;
        u64::from_be_bytes(end) % VALUES >= self.threshold
    }

    /// The entry that informs others how many traces one stands for; empty where it stands for itself only.
    pub(super) fn trace_state(&self) -> String {
        match self.threshold {
            0 | VALUES.. => String::new(),
            threshold => format!("ot=th:{}", format!("{threshold:014x}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(id: u64) -> Root {
        Root { id: TaskId(id), first_seen_ns: 0 }
    }

    #[test]
    fn ids_are_of_the_run_and_the_task() {
        let facts = |run: &str| Facts { run: run.into(), ..Facts::default() };
        let (a, again, b) = (SpanIds::new(&facts("a")), SpanIds::new(&facts("a")), SpanIds::new(&facts("b")));
        assert_eq!(a.trace(root(7)), again.trace(root(7)));
        assert_eq!(a.task(TaskId(7)), again.task(TaskId(7)));
        assert_ne!(a.trace(root(7)), a.trace(root(8)));
        assert_ne!(a.task(TaskId(7)), b.task(TaskId(7)));
        assert_eq!(not_zero([0; 8]), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_correlation_id_is_one_trace_for_an_hour() {
        let start = 1_800_000_000_000_000_000;
        let traces = |value: &str| -> Vec<TraceId> {
            let mut all: Vec<_> =
                (0..240).map(|minute| trace_of_correlation(value.as_bytes(), start + minute * HOUR_NS / 60)).collect();
            all.dedup();
            all
        };
        assert!((4..=5).contains(&traces("a").len()));
        assert_eq!(traces("a"), traces("a"));
        assert!(traces("a").iter().all(|trace| !traces("b").contains(trace)));
    }

    #[test]
    fn the_instance_is_a_uuid() {
        let uuid = SpanIds::new(&Facts::default()).instance();
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(uuid.as_bytes()[14] == b'8' && b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }

    #[test]
    fn the_ratio_is_kept_and_the_same_for_all() {
        let ids = SpanIds::new(&Facts::default());
        let kept = |ratio: &str| {
            let ratio = Ratio::new(ratio.parse().unwrap());
            (0..4000).filter(|n| ratio.wants(ids.trace(root(*n)))).collect::<Vec<_>>()
        };
        assert_eq!((kept("0").len(), kept("1").len()), (0, 4000));
        let (half, tenth) = (kept("0.5"), kept("0.1"));
        assert!((1800..2200).contains(&half.len()) && (300..500).contains(&tenth.len()));
        assert!(tenth.iter().all(|n| half.contains(n)));
    }

    #[test]
    fn the_trace_state_emits_the_threshold() {
        let state = |ratio: &str| Ratio::new(ratio.parse().unwrap()).trace_state();
        assert_eq!([state("1"), state("0.5"), state("0.25")], ["", "ot=th:8", "ot=th:c"]);
        assert!("1.5".parse::<SampleRatio>().is_err() && "NaN".parse::<SampleRatio>().is_err());
    }
}
