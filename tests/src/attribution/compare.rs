//! Each claim about a call or a task against the truth, by the kind of the request whose it truly is.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Kinds;
use super::truth::{Truth, owner};
use super::verdict::{Verdict, judge};
use crate::chain::claims::{Call, Claims};

/// The last part of the path of a call, where the truth says for whom it was made.
fn name_of(call: &Call) -> Option<&str> {
    call.path.as_deref()?.rsplit('/').next().filter(|name| name.contains('.'))
}

/// Both sides, and how they name each other's requests.
struct Sides<'a> {
    truth: &'a Truth,
    claims: &'a Claims,
    /// The agent's numbers by the names in the paths.
    numbers: BTreeMap<&'a str, u64>,
    names: BTreeMap<u64, &'a str>,
}

impl<'a> Sides<'a> {
    fn new(truth: &'a Truth, claims: &'a Claims) -> Self {
        let named = claims.requests.iter().filter_map(|(number, request)| {
            let name = request.path.as_deref()?.strip_prefix("/w/")?.split('/').nth(1)?;
            Some((name, *number))
        });
        let numbers: BTreeMap<_, _> = named.collect();
        let names = numbers.iter().map(|(name, number)| (*number, *name)).collect();
        Self { truth, claims, numbers, names }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    fn shown(&self, claimed: Option<u64>, candidates: Option<&[u64]>) -> String {
        let name = |number: &u64| self.names.get(number).copied().unwrap_or("?").to_owned();
        match (claimed, candidates) {
            (Some(number), _) => name(&number),
            (None, Some(several)) => format!("one of {:?}", several.iter().map(name).collect::<Vec<_>>()),
            (None, None) => "nobody".to_owned(),
        }
    }

    fn requests(&self, kinds: &mut Kinds) {
        for (name, served) in &self.truth.requests {
            let marks = &mut kinds.entry(served.kind.clone()).or_default().requests;
            let Some(seen) = self.number(name).and_then(|number| self.claims.requests.get(&number)) else {
                marks.missing += 1;
                continue;
            };
            let verdict = judge(seen.task, None, Some(served.task));
            marks.add(verdict, || format!("{name} was served by task {}, not {:?}", served.task, seen.task));
        }
    }

    fn children(&self, kinds: &mut Kinds) {
        for (task, name) in &self.truth.children {
            let Some(kind) = self.truth.kind(name) else { continue };
            let marks = &mut kinds.entry(kind.to_owned()).or_default().children;
            let Some(seen) = self.claims.tasks.get(task) else {
                marks.missing += 1;
                continue;
            };
            let verdict = judge(seen.request, seen.candidates.as_deref(), self.number(name));
            marks.add(verdict, || self.task_shown(*task, name));
        }
    }

    fn task_shown(&self, task: u64, truly: &str) -> String {
        let seen = self.claims.tasks.get(&task);
        let claimed = seen.map(|seen| self.shown(seen.request, seen.candidates.as_deref())).unwrap_or_default();
        let of = seen.map(|seen| seen.name.as_str()).unwrap_or_default();
        format!("task {task} ({of}) of {truly} is said to be of {claimed}")
    }

    fn calls(&self, kinds: &mut Kinds) {
        let mut seen = BTreeSet::new();
        for call in &self.claims.calls {
            let Some(name) = name_of(call) else { continue };
            let Some(kind) = self.truth.kind(owner(name)) else { continue };
            seen.insert(name);
            let marks = &mut kinds.entry(kind.to_owned()).or_default().calls;
            let verdict = match judge(call.request, call.candidates.as_deref(), self.number(owner(name))) {
                Verdict::Without if call.evidence.as_deref() == Some("wake") => Verdict::Unlikely,
                verdict => verdict,
            };
            if let Some(evidence) = call.evidence.as_ref().filter(|_| verdict == Verdict::Right) {
                *marks.evidence.entry(evidence.clone()).or_default() += 1;
            }
            marks.add(verdict, || {
                let claimed = self.shown(call.request, call.candidates.as_deref());
                format!("call {name} is said to be of {claimed}, evidence {:?}", call.evidence)
            });
        }
        for name in self.truth.answered.iter().filter(|name| !seen.contains(name.as_str())) {
            let Some(kind) = self.truth.kind(owner(name)) else { continue };
            kinds.entry(kind.to_owned()).or_default().calls.missing += 1;
        }
    }

    /// A task that serves whoever asks, or wrote another's call, is nobody's.
    fn drivers(&self, kinds: &mut Kinds) {
        let mut wrote: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        for call in &self.claims.calls {
            let (Some(task), Some(name)) = (call.task, name_of(call)) else { continue };
            wrote.entry(task).or_default().insert(owner(name));
        }
        for task in self.claims.tasks.values() {
            let Some(claimed) = task.request.and_then(|number| self.names.get(&number)) else { continue };
            let driver = self.truth.drivers.get(&task.task).map(String::as_str);
            let other = wrote.get(&task.task).and_then(|owners| owners.iter().find(|owner| *owner != claimed));
            let Some(truly) = driver.or(other.copied()) else { continue };
            let kind = self.truth.kind(claimed).unwrap_or("?");
            let marks = &mut kinds.entry(kind.to_owned()).or_default().drivers;
            marks.add(Verdict::Wrong, || self.task_shown(task.task, truly));
        }
    }

    /// A segment that is claimed holds no head of another's call.
    fn segments(&self, kinds: &mut Kinds) {
        for segment in &self.claims.segments {
            let Some(claimed) = segment.request.and_then(|number| self.names.get(&number)) else { continue };
            let within = |call: &&Call| {
                call.task == Some(segment.task) && (segment.from_ns..=segment.to_ns).contains(&call.opened_ns)
            };
            let mut names = self.claims.calls.iter().filter(within).filter_map(name_of);
            let Some(other) = names.find(|name| owner(name) != *claimed) else { continue };
            let kind = self.truth.kind(claimed).unwrap_or("?");
            let marks = &mut kinds.entry(kind.to_owned()).or_default().segments;
            marks.add(Verdict::Wrong, || {
                format!("a segment of task {} of {claimed} holds the head of {other}", segment.task)
            });
        }
    }
}

/// Compares what a service lived with what an agent claims of it.
#[must_use]
pub fn compare(truth: &Truth, claims: &Claims) -> Kinds {
    let sides = Sides::new(truth, claims);
    let mut kinds = Kinds::new();
    sides.requests(&mut kinds);
    sides.children(&mut kinds);
    sides.calls(&mut kinds);
    sides.drivers(&mut kinds);
    sides.segments(&mut kinds);
    kinds
}
