//! Which task burned how long for which request.

use std::collections::BTreeMap;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use axum::extract::Request;
use serde_json::json;

use crate::work::{Function, timed};

/// For whom something burns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    /// The request's id; empty for nobody.
    pub(super) request: String,
    route: String,
    /// What sort of task it is that burns.
    sort: &'static str,
}

impl Whose {
    pub(super) fn of(request: &Request, sort: &'static str) -> Self {
        let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        Self { request: id.to_owned(), route: request.uri().path().to_owned(), sort }
    }

    pub(super) fn nobody(sort: &'static str) -> Self {
        Self { sort, ..Self::default() }
    }

    pub(super) fn by(&self, sort: &'static str) -> Self {
        Self { sort, ..self.clone() }
    }
}

/// Nanoseconds by request, sort of task, task, and function.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<BTreeMap<(Whose, u64, &'static str), u64>>,
    open: AtomicBool,
}

impl Ledger {
    /// Burns so often in this function.
    #[inline(always)]
    pub(super) fn burn(&self, function: Function, times: u64, whose: &Whose) {
        let ns: u64 = (0..times).map(|time| timed(function, time)).sum();
        // tokio prints an id as its number.
        let task = tokio::task::try_id().and_then(|id| id.to_string().parse().ok()).unwrap_or(0);
        if !whose.request.is_empty() {
            self.open.store(true, Ordering::Relaxed);
        }
        let mut all = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((whose.clone(), task, function.name())).or_default() += ns;
    }

    /// Whether there was a request, and the truth was not told yet.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Lines of JSON. All work is over then.
    pub(super) fn reported(&self) -> Vec<String> {
        self.open.store(false, Ordering::Relaxed);
        let all = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |((whose, task, function), ns): (&(Whose, u64, &'static str), &u64)| {
            let Whose { request, route, sort } = whose;
            json!({ "request": request, "route": route, "sort": sort, "task": task, "function": function, "ns": ns })
                .to_string()
        };
        all.iter().map(line).collect()
    }
}
