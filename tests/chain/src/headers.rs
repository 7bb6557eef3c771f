//! The headers that name a request across services.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

const NAMES: [&str; 3] = ["x-request-id", "x-correlation-id", "traceparent"];

/// The correlation header that a head bore, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Correlation {
    /// Its name.
    pub(crate) header: Option<&'static str>,
    /// Its value.
    pub(crate) id: Option<String>,
}

impl Correlation {
    /// The first that `value` has something for.
    pub(crate) fn find(value: impl Fn(&str) -> Option<String>) -> Self {
        let found = NAMES.into_iter().find_map(|name| Some((name, value(name)?)));
        found.map_or_else(Self::default, |(header, id)| Self { header: Some(header), id: Some(id) })
    }

    /// Of a head.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::find(|name| headers.get(name)?.to_str().ok().map(str::to_owned))
    }

    /// What a call bears that goes on with this request: a trace goes on under a new span, everything
    /// else as it is. `span` is to differ from call to call, in all services.
    pub(crate) fn forwarded(&self, span: u64) -> Self {
        let trace = self.id.as_deref().filter(|_| self.header == Some("traceparent"));
        match trace.and_then(|value| value.split('-').nth(1)) {
            Some(trace) => Self { header: self.header, id: Some(format!("00-{trace}-{span:016x}-01")) },
            None => self.clone(),
        }
    }

    /// Name and value for a head.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(self.id.as_deref()?).ok()?;
        Some((HeaderName::from_static(self.header?), value))
    }
}
