//! Claims about tasks, as a whole and in segments.

use std::collections::BTreeMap;

use super::{Comparison, Score, Sides, calls};
use crate::chain::claims;
use crate::chain::truth::{Request, Role, Segment, Task};

impl Sides<'_> {
    /// Every task that is claimed for a request served that one, and no other.
    pub(super) fn tasks(&self, result: &mut Comparison) {
        let served = self.served();
        let wrote_for = self.wrote_for();
        for claimed in self.claims.tasks.values() {
            let Some(request) = claimed.request else { continue };
            let (known, task) = (self.truth.tasks.get(&claimed.task), claimed.task);
            let lived = match (served.get(&task).map(Vec::as_slice), known) {
                (Some([only]), None) => Some(*only),
                (Some(many), None) => {
                    let wrong = format!("task {task} is claimed for one request, and served {}", many.len());
                    result.tasks.wrong.push(wrong);
                    continue;
                }
                (_, Some(Task { role: Role::Library, .. })) | (None, None) => {
                    let wrote_for = wrote_for.get(&task).map_or(&[][..], Vec::as_slice);
                    match self.meant(request).and_then(|meant| self.wrote_for_no_other(wrote_for, meant)) {
                        Ok(()) => *result.not_judged.entry(claimed.name.clone()).or_default() += 1,
                        Err(why) => result.tasks.wrong.push(format!("task {task} ({}) {why}", claimed.name)),
                    }
                    continue;
                }
                (_, Some(known)) => known.request,
            };
            let judgement = self.meant(request).and_then(|meant| self.same(lived, meant));
            let by_actor = known.is_some_and(|known| known.role == Role::ByActor);
            let score = if by_actor { &mut result.by_actor } else { &mut result.tasks };
            score.judge(judgement.map_err(|why| format!("task {task} ({}) {why}", claimed.name)));
        }
        self.missed_tasks(&served, result);
    }

    fn same(&self, lived: Option<u64>, meant: u64) -> Result<(), String> {
        match lived {
            Some(lived) if lived == meant => Ok(()),
            Some(lived) => Err(format!("served {} and not {}", self.shown(lived), self.shown(meant))),
            None => Err(format!("served no request, and not {}", self.shown(meant))),
        }
    }

    /// The requests for which a task wrote a call's head. Only heads that could be no other call's count.
    fn wrote_for(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut wrote_for: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for claimed in &self.claims.calls {
            let alike: Vec<_> = self.truth.calls.iter().filter(|lived| calls::fits(claimed, lived)).collect();
            if let (Some(task), [only]) = (claimed.task, alike.as_slice()) {
                wrote_for.entry(task).or_default().push(only.request);
            }
        }
        wrote_for
    }

    /// A connection that served others as well is not one request's.
    fn wrote_for_no_other(&self, wrote_for: &[u64], meant: u64) -> Result<(), String> {
        match wrote_for.iter().find(|number| **number != meant) {
            Some(other) => Err(format!("wrote a call of {}, and is not {}'s", self.shown(*other), self.shown(meant))),
            None => Ok(()),
        }
    }

    /// The requests whose handlers ran in a task.
    fn served(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut served: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for request in self.truth.requests.values() {
            served.entry(request.task.unwrap_or_default()).or_default().push(request.request);
        }
        served
    }

    /// Returns what served one request and is not claimed. Of those that handlers ran in, only those of HTTP/2 are
    /// a request's alone; an HTTP/1 connection may yet serve another.
    fn missed_tasks(&self, served: &BTreeMap<u64, Vec<u64>>, result: &mut Comparison) {
        let is_claimed = |task: &u64| self.claims.tasks.get(task).is_some_and(|task| task.request.is_some());
        let is_grpc = |number: &u64| self.truth.requests.get(number).is_some_and(Request::is_grpc);
        let owned = self.truth.tasks.values().filter_map(|task| Some((task.task, task.request?, task.role)));
        let handlers = served.iter().filter_map(|(task, served)| match served.as_slice() {
            [only] if is_grpc(only) => Some((*task, *only, Role::Spawned)),
            _ => None,
        });
        for (task, request, role) in owned.chain(handlers).filter(|(_, request, _)| self.expected(*request)) {
            let score = if role == Role::ByActor { &mut result.by_actor } else { &mut result.tasks };
            score.lived += 1;
            if !is_claimed(&task) {
                score.missed.push(format!("task {task} of {}", self.shown(request)));
            }
        }
    }

    /// Returns whether anything is asked about this request.
    fn expected(&self, request: u64) -> bool {
        self.bars.http2 || self.truth.requests.get(&request).is_some_and(|request| !request.is_grpc())
    }

    /// Every segment that is claimed for a request was lived for that one, and nothing of another one lies
    /// in it.
    pub(super) fn segments(&self, result: &mut Comparison) {
        let mut lived: BTreeMap<u64, Vec<&Segment>> = BTreeMap::new();
        for segment in &self.truth.segments {
            lived.entry(segment.task).or_default().push(segment);
        }
        let mut found = vec![];
        for claimed in &self.claims.segments {
            let (Some(request), Some(lived)) = (claimed.request, lived.get(&claimed.task)) else { continue };
            let judgement = self.meant(request).and_then(|meant| within(claimed, lived, meant));
            if let Ok(segments) = &judgement {
                found.extend(segments.iter().map(|segment| (segment.task, segment.begin_ns)));
            }
            let replied = judgement.as_ref().map_or(true, |segments| segments.iter().all(|segment| segment.replied));
            let score = if replied { &mut result.segments } else { &mut result.segments_without_reply };
            score.judge(judgement.map(drop).map_err(|why| format!("{claimed:?} {why}")));
        }
        for segment in &self.truth.segments {
            let score: &mut Score =
                if segment.replied { &mut result.segments } else { &mut result.segments_without_reply };
            score.lived += 1;
            if !found.contains(&(segment.task, segment.begin_ns)) {
                score.missed.push(format!("{segment:?}"));
            }
        }
    }
}

/// The lived segments in a claimed one, all of which have to be of this request.
fn within<'a>(claimed: &claims::Segment, lived: &[&'a Segment], meant: u64) -> Result<Vec<&'a Segment>, String> {
    let overlaps = |segment: &&&Segment| segment.begin_ns < claimed.to_ns && claimed.from_ns < segment.end_ns;
    let in_it: Vec<&Segment> = lived.iter().filter(overlaps).copied().collect();
    match in_it.iter().find(|segment| segment.request != meant) {
        Some(other) => Err(format!("holds {other:?}")),
        None if in_it.is_empty() => Err("holds nothing of that request".to_owned()),
        None => Ok(in_it),
    }
}
