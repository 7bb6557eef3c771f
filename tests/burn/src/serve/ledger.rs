//! Which task burned how long for which request.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
pub(super) struct Ledger(Mutex<BTreeMap<(Whose, u64, &'static str), u64>>);

impl Ledger {
    /// Burns so often in this function.
    #[inline(always)]
    pub(super) fn burn(&self, function: Function, times: u64, whose: &Whose) {
        let ns: u64 = (0..times).map(|time| timed(function, time)).sum();
        // tokio prints an id as its number.
        let task = tokio::task::try_id().and_then(|id| id.to_string().parse().ok()).unwrap_or(0);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((whose.clone(), task, function.name())).or_default() += ns;
    }

    /// Lines of JSON.
    pub(super) fn told(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |((whose, task, function), ns): (&(Whose, u64, &'static str), &u64)| {
            let Whose { request, route, sort } = whose;
            json!({ "request": request, "route": route, "sort": sort, "task": task, "function": function, "ns": ns })
                .to_string()
        };
        all.iter().map(line).collect()
    }
}
