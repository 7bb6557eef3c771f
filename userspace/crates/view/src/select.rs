//! Which requests the user means.

use std::collections::BTreeSet;

use super::labels::number;
use super::names::{printable, text};
use super::units::human;
use asyncscope_model::{Graph, Id, Request};

/// A choice of requests. Empty: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those with this ID.
    pub id: Option<String>,
    /// Those of this path; with a `*` at the end, those whose path begins so.
    pub route: Option<String>,
    /// Those that took at least this long, in nanoseconds.
    pub slower_than_ns: Option<u64>,
}

/// Slow requests, and the faster ones that they are compared with.
#[derive(Clone, Debug)]
pub struct Diff<'a> {
    /// Those of at least [`Self::least_ns`].
    pub slow: Vec<&'a Request>,
    /// The others, of a known duration.
    pub fast: Vec<&'a Request>,
    /// The duration that divides them, in nanoseconds.
    pub least_ns: u64,
    /// The outermost frame.
    pub label: String,
}

/// The reason why a selection is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// No request fits.
    #[error("no request {0} was seen; `--requests` lists those that were")]
    None(String),
    /// The ID is the beginning of several.
    #[error("several IDs begin with {prefix}: {}", some(.ids))]
    Several {
        /// The beginning that was asked for.
        prefix: String,
        /// The IDs that begin so, escaped.
        ids: Vec<String>,
    },
}

/// IDs named where one is the beginning of several.
const MAX_NAMED: usize = 8;

fn some(ids: &[String]) -> String {
    let named = ids.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(MAX_NAMED) {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}

impl Selection {
    /// Returns `true` if everything is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The requests, by their opening.
    ///
    /// # Errors
    ///
    /// No request fits, or the ID is the beginning of several.
    pub fn requests<'a>(&self, graph: &'a Graph) -> Result<Vec<&'a Request>, Unclear> {
        let all = graph.requests().filter(|request| self.fits_route(request) && self.is_slow(request));
        let chosen: Vec<&Request> = match &self.id {
            None => all.collect(),
            Some(id) => by_id(all.collect(), id)?,
        };
        if chosen.is_empty() && !self.is_everything() { Err(Unclear::None(self.described())) } else { Ok(chosen) }
    }

    /// The requests that are at least as slow as was asked for, and the faster ones.
    ///
    /// # Errors
    ///
    /// There are none of one sort.
    pub fn diff<'a>(&self, graph: &'a Graph) -> Result<Diff<'a>, Unclear> {
        let least_ns = self.slower_than_ns.unwrap_or(0);
        let slow = self.requests(graph)?;
        let others = Self { slower_than_ns: None, ..self.clone() };
        let is_fast = |request: &&Request| request.duration_ns().is_some_and(|took| took < least_ns);
        let fast: Vec<&Request> = others.requests(graph)?.into_iter().filter(is_fast).collect();
        if fast.is_empty() {
            return Err(Unclear::None(format!("faster than {}", human(least_ns))));
        }
        Ok(Diff { slow, fast, least_ns, label: self.route.clone().unwrap_or_else(|| "requests".to_owned()) })
    }

    fn fits_route(&self, request: &Request) -> bool {
        let path = &*request.line.path;
        match self.route.as_deref().map(|route| route.strip_suffix('*').ok_or(route)) {
            None => true,
            Some(Ok(prefix)) => path.starts_with(prefix.as_bytes()),
            Some(Err(exact)) => path == exact.as_bytes(),
        }
    }

    fn is_slow(&self, request: &Request) -> bool {
        self.slower_than_ns.is_none_or(|least| request.duration_ns().is_some_and(|took| took >= least))
    }

    /// Says in words which requests.
    #[must_use]
    pub fn described(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.id.as_ref().map(|id| format!("with the ID {}", printable(id))));
        words.extend(self.route.as_ref().map(|route| format!("of {}", printable(route))));
        words.extend(self.slower_than_ns.map(|ns| format!("of at least {}", human(ns))));
        words.join(" ")
    }
}

/// Those that bear the ID; else those that bear the one ID that it is the beginning of.
fn by_id<'a>(requests: Vec<&'a Request>, id: &str) -> Result<Vec<&'a Request>, Unclear> {
    let exact = |request: &Request| names(request).any(|name| name == id);
    let chosen: Vec<&Request> = requests.iter().copied().filter(|request| exact(request)).collect();
    if !chosen.is_empty() || id.is_empty() {
        return Ok(chosen);
    }
    let begins = |request: &Request| names(request).any(|name| name.starts_with(id));
    let chosen: Vec<&Request> = requests.into_iter().filter(|request| begins(request)).collect();
    let meant: BTreeSet<String> =
        chosen.iter().filter_map(|request| names(request).find(|name| name.starts_with(id))).collect();
    match meant.len() {
        0 | 1 => Ok(chosen),
        _ => {
            let ids = meant.iter().map(|id| printable(id)).collect();
            Err(Unclear::Several { prefix: printable(id), ids })
        }
    }
}

/// By what a request can be asked for: its trace, its IDs, and its number as the table shows it.
fn names(request: &Request) -> impl Iterator<Item = String> + '_ {
    let trace = request.ids.trace.map(|trace| format!("{:032x}", u128::from_be_bytes(trace.trace_id)));
    let values = request.ids.values.iter().map(|id: &Id| text(&id.value));
    trace.into_iter().chain(values).chain([number(request.id)])
}
