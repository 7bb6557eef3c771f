//! Which claimed request is which lived one, and whether they ended alike.

use std::collections::{BTreeMap, BTreeSet};

use super::{Bars, Comparison, Sides};
use crate::chain::claims::{self, Claims};
use crate::chain::truth::{How, Request, Truth};

/// Claimed number to lived number.
pub(super) fn requests(truth: &Truth, claims: &Claims, bars: Bars, result: &mut Comparison) -> BTreeMap<u64, u64> {
    let mut alike: BTreeMap<(&str, &str), Vec<&Request>> = BTreeMap::new();
    for request in truth.requests.values() {
        alike.entry((&request.method, &request.path)).or_default().push(request);
    }
    let witnesses = witnesses(truth, claims);
    let (mut matched, mut taken) = (BTreeMap::new(), BTreeSet::new());
    let mut in_order: Vec<_> = claims.requests.values().collect();
    in_order.sort_by_key(|claimed| claimed.opened_ns);
    for claimed in in_order {
        let key = (claimed.method.as_deref().unwrap_or_default(), claimed.path.as_deref().unwrap_or_default());
        let fitting = alike.get(&key).into_iter().flatten().filter(|lived| fits(claimed, lived));
        let free: Vec<u64> = fitting.map(|lived| lived.request).filter(|number| !taken.contains(number)).collect();
        let sworn = witnesses.get(&claimed.request).and_then(|sworn| free.iter().find(|number| sworn.contains(number)));
        match sworn.or(free.first()) {
            Some(&number) => {
                taken.insert(number);
                matched.insert(claimed.request, number);
                result.requests.right += 1;
            }
            None if is_unserved(claimed, truth) => result.unserved += 1,
            None => result.requests.wrong.push(format!("{claimed:?} was not lived")),
        }
    }
    let expected: Vec<_> = truth.requests.values().filter(|lived| bars.http2 || !lived.is_grpc()).collect();
    result.requests.lived = expected.len();
    let missed = expected.iter().filter(|lived| !taken.contains(&lived.request));
    result.requests.missed.extend(missed.map(|lived| format!("{lived:?}")));
    matched
}

/// Returns whether it was read for a client that had left, and given up before a handler was polled.
fn is_unserved(claimed: &claims::Request, truth: &Truth) -> bool {
    let cancelled = claimed.end.as_ref().is_some_and(|end| end.how == "cancelled");
    let mut left = truth.unserved.iter().filter(|left| claimed.path.as_deref() == Some(&left.path));
    cancelled && left.any(|left| same_id(&claimed.ids, Some((&left.header, &left.id))))
}

/// The lived requests that the tasks claimed for a claimed request served, as far as the truth says.
fn witnesses(truth: &Truth, claims: &Claims) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut served: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for request in truth.requests.values() {
        served.entry(request.task.unwrap_or_default()).or_default().push(request.request);
    }
    for task in truth.tasks.values() {
        served.entry(task.task).or_default().extend(task.request);
    }
    let whole = claims.tasks.values().filter_map(|task| Some((task.request?, task.task)));
    let read = claims.requests.values().filter_map(|request| Some((request.request, request.task?)));
    let mut witnesses: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (claimed, task) in whole.chain(read) {
        witnesses.entry(claimed).or_default().extend(served.get(&task).into_iter().flatten());
    }
    witnesses
}

/// Returns whether it may be that one: its handler began within, and both sides name it alike.
fn fits(claimed: &claims::Request, lived: &Request) -> bool {
    let within =
        claimed.opened_ns <= lived.begin_ns && claimed.end.as_ref().is_none_or(|end| lived.begin_ns <= end.time_ns);
    // An ID that is only written in the response is not known of a request without one.
    let id = match (&lived.correlation.header, &lived.correlation.id, &lived.made) {
        (Some(header), Some(id), _) => Some((header.as_str(), id.as_str())),
        (_, _, Some(made)) if lived.how == How::Answered => Some(("x-request-id", made.as_str())),
        _ => None,
    };
    within && same_id(&claimed.ids, id)
}

/// Returns whether exactly this ID is claimed.
pub(super) fn same_id(claimed: &[claims::Id], lived: Option<(&str, &str)>) -> bool {
    match (claimed, lived) {
        ([], None) => true,
        ([claimed], Some((header, id))) => claimed.header == header && claimed.value == id,
        _ => false,
    }
}

impl Sides<'_> {
    /// Every matched request ended as it was lived.
    pub(super) fn ends(&self, result: &mut Comparison) {
        result.ends.lived = self.matched.len();
        for (claimed, number) in &self.matched {
            if let (Some(claimed), Some(lived)) = (self.claims.requests.get(claimed), self.truth.requests.get(number)) {
                result.ends.judge(end(claimed, lived));
            }
        }
    }
}

fn end(claimed: &claims::Request, lived: &Request) -> Result<(), String> {
    let how = match lived.how {
        How::Answered => "answered",
        How::Cancelled => "cancelled",
        How::Panicked => "panicked",
        How::Failed => "failed",
    };
    let alike = |end: &claims::End| end.how == how && end.status == lived.status;
    let right = claimed.end.as_ref().is_some_and(alike) && claimed.grpc_status == lived.grpc;
    if right { Ok(()) } else { Err(format!("{claimed:?} instead of {lived:?}")) }
}
