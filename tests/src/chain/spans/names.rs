//! What a request is called across services, and the trace that follows from it.

use ring::digest::{Context, SHA256};

use crate::chain::truth::Correlation;

/// A name that all bears that is done for one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The trace of a `traceparent`.
    Trace(String),
    /// The value of another header.
    Id(String),
}

impl Name {
    pub(super) fn of(correlation: &Correlation) -> Option<Self> {
        let id = correlation.id.as_deref()?;
        let is_context = correlation.header.as_deref() == Some("traceparent");
        let trace = id.split('-').nth(1).filter(|_| is_context);
        Some(trace.map_or_else(|| Self::Id(id.to_owned()), |trace| Self::Trace(trace.to_owned())))
    }
}

/// Trace and span of a `traceparent`.
pub(super) fn context(correlation: &Correlation) -> Option<([u8; 16], [u8; 8])> {
    let value = correlation.id.as_deref().filter(|_| correlation.header.as_deref() == Some("traceparent"))?;
    let mut parts = value.split('-').skip(1);
    let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
    let span = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((trace.to_be_bytes(), span.to_be_bytes()))
}

const HOUR_NS: u64 = 3_600_000_000_000;

/// The trace of a request with this ID that began at this time, as docs/otlp.md says.
pub(super) fn trace_of_id(id: &[u8], unix_ns: u64) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    context.update(b"asyncscope correlation");
    context.update(id);
    let phase = u64::from_le_bytes(first(context.clone())) % HOUR_NS;
    context.update(&((unix_ns + phase) / HOUR_NS).to_le_bytes());
    first(context)
}

fn first<const N: usize>(context: Context) -> [u8; N] {
    let digest = context.finish();
    std::array::from_fn(|place| digest.as_ref()[place])
}
