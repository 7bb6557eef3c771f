//! The comparison: is every claim true (precision), and how much of what was lived is claimed (recall)?
//!
//! A claimed request is matched with a lived one by what both sides know of it: method, path, ID, and a
//! handler that began between the claimed begin and end. Everything else is claimed for a matched request,
//! and has to be what the service did for exactly that one. Where several lived requests look the same
//! (gRPC calls without an ID), the tasks that are claimed for it decide which is meant, so that their
//! claims have to agree with each other.

mod calls;
mod matching;
mod score;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use self::score::Score;
use super::claims::Claims;
use super::truth::Truth;

/// Expectations of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Bars {
    /// HTTP/2 is visible in this build; else nothing is asked of gRPC requests and calls but that no claim
    /// is wrong.
    pub http2: bool,
}

/// The outcome for a service.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Requests served.
    pub requests: Score,
    /// Requests that were read and cancelled before a handler heard of them.
    pub unserved: usize,
    /// Their ends: how, and with which status.
    pub ends: Score,
    /// Tasks that serve one request.
    pub tasks: Score,
    /// Those of them that an actor spawned.
    pub by_actor: Score,
    /// Calls that bear an ID.
    pub calls: Score,
    /// Those that bear none.
    pub calls_without_id: Score,
    /// The statuses of claimed calls.
    pub call_ends: Score,
    /// Segments of the actor with a reply.
    pub segments: Score,
    /// Those without one.
    pub segments_without_reply: Score,
    /// Claims about tasks that the service itself does not know the request of, by type.
    pub not_judged: BTreeMap<String, usize>,
    /// Mistakes of the recording as a whole.
    pub recording: Vec<String>,
}

/// Compares.
#[must_use]
pub fn compare(truth: &Truth, claims: &Claims, bars: Bars) -> Comparison {
    let mut result = Comparison::default();
    let totals = &claims.recording.totals;
    if totals.lost + totals.gaps > 0 {
        result.recording.push(format!("{} events lost in {} gaps", totals.lost, totals.gaps));
    }
    let matched = matching::requests(truth, claims, bars, &mut result);
    let sides = Sides { truth, claims, bars, matched };
    sides.ends(&mut result);
    sides.tasks(&mut result);
    sides.calls(&mut result);
    sides.segments(&mut result);
    result
}

/// Both sides, and which claimed request is which lived one.
struct Sides<'a> {
    truth: &'a Truth,
    claims: &'a Claims,
    bars: Bars,
    /// Claimed number to lived number.
    matched: BTreeMap<u64, u64>,
}

impl Sides<'_> {
    /// The lived request that is meant.
    fn meant(&self, claimed: u64) -> Result<u64, String> {
        let meant = self.matched.get(&claimed).copied();
        meant.ok_or_else(|| format!("is claimed for request {claimed}, which was not lived"))
    }

    /// A lived request, for messages.
    fn shown(&self, number: u64) -> String {
        let request = self.truth.requests.get(&number);
        request.map_or_else(String::new, |request| format!("{number} ({} {:?})", request.path, request.id()))
    }
}

/// Percent of tasks, requests and calls with an ID that have to be claimed.
const BAR: usize = 99;

impl Comparison {
    /// Returns what falls short, each a sentence: everything claimed has to be right, and nearly everything claimed.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.recording.clone();
        for (name, score, bar) in self.scores() {
            mistakes.extend(score.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
            if !score.recalls(bar) {
                mistakes.push(format!("{name}: {score}; less than {bar} %"));
                mistakes.extend(score.missed.iter().take(5).map(|missed| format!("{name}: missed {missed}")));
            }
        }
        mistakes
    }

    fn scores(&self) -> [(&'static str, &Score, usize); 9] {
        [
            ("requests", &self.requests, BAR),
            ("ends of requests", &self.ends, 100),
            ("tasks", &self.tasks, BAR),
            ("tasks by the actor", &self.by_actor, 0),
            ("calls with an ID", &self.calls, BAR),
            ("calls without an ID", &self.calls_without_id, 0),
            ("statuses of calls", &self.call_ends, BAR),
            ("segments of the actor with a reply", &self.segments, 0),
            ("segments of the actor without a reply", &self.segments_without_reply, 0),
        ]
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, score, _) in self.scores().into_iter().filter(|(_, score, _)| *score != &Score::default()) {
            writeln!(f, "  {name}: {score}")?;
            score.missed.iter().take(3).try_for_each(|missed| writeln!(f, "    missed {missed}"))?;
        }
        writeln!(f, "  read, and cancelled before a handler began: {}", self.unserved)?;
        writeln!(f, "  not judged: {:?}", self.not_judged)
    }
}
