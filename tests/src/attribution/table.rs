//! The counts of a comparison, kind by kind, and what is asked of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::verdict::Verdict;

/// The counts of all kinds.
pub type Kinds = BTreeMap<String, Tally>;

/// The counts of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The requests, by the task that is said to serve them.
    pub requests: Marks,
    /// The tasks that were spawned for them.
    pub children: Marks,
    /// The calls that were made for them.
    pub calls: Marks,
    /// Tasks that serve several and are said to be one's: only wrong ones are counted.
    pub drivers: Marks,
    /// Segments of such tasks that are said to be one's and hold the head of another's call: only these are counted.
    pub segments: Marks,
}

/// Numbers of claims by verdict.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// For the right request.
    pub right: usize,
    /// The right one among several.
    pub candidate: usize,
    /// Nothing claimed.
    pub silent: usize,
    /// Several, all of them wrong.
    pub without: Vec<String>,
    /// Likely ones, which is no claim, and none of them the right one.
    pub unlikely: usize,
    /// For another request.
    pub wrong: Vec<String>,
    /// Lived, but in no line.
    pub missing: usize,
    /// The evidence of the right ones.
    pub evidence: BTreeMap<String, usize>,
}

impl Marks {
    /// Counts a claim.
    pub fn add(&mut self, verdict: Verdict, shown: impl FnOnce() -> String) {
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Candidate => self.candidate += 1,
            Verdict::Silent => self.silent += 1,
            Verdict::Without => self.without.push(shown()),
            Verdict::Unlikely => self.unlikely += 1,
            Verdict::Wrong => self.wrong.push(shown()),
        }
    }

    /// All that there were.
    #[must_use]
    pub fn lived(&self) -> usize {
        self.right + self.candidate + self.silent + self.unlikely + self.without.len() + self.wrong.len() + self.missing
    }

    fn false_claims(&self) -> impl Iterator<Item = &String> {
        self.wrong.iter().chain(&self.without)
    }

    /// Returns how many of a hundred, rounded down; all of none.
    fn percent(&self, part: usize) -> usize {
        (part * 100).checked_div(self.lived()).unwrap_or(100)
    }
}

/// The least that is asked of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// The kind.
    pub kind: &'static str,
    /// Of a hundred calls, this many are claimed for their request or for one of several with it among them.
    pub reported: usize,
    /// Of a hundred calls, this many are claimed for their request.
    pub right: usize,
    /// Of a hundred tasks that were spawned for it, this many are claimed for their request.
    pub children: usize,
    /// Of a hundred calls, at most this many have likely ones alone that are not theirs.
    pub unlikely: usize,
}

/// All claims that are false, and all kinds that fall short of what is asked of them; a kind of which nothing is asked
/// is one as well.
#[must_use]
pub fn mistakes(kinds: &Kinds, floors: &[Floor]) -> Vec<String> {
    kinds.iter().flat_map(|(kind, tally)| mistakes_of(kind, tally, floors)).collect()
}

fn mistakes_of(kind: &str, tally: &Tally, floors: &[Floor]) -> Vec<String> {
    let Some(floor) = floors.iter().find(|floor| floor.kind == kind) else {
        return vec![format!("{kind}: nothing is asked of it")];
    };
    let calls = &tally.calls;
    let mut mistakes = false_claims(kind, tally);
    let reached = [
        ("calls reported", calls.percent(calls.right + calls.candidate), floor.reported),
        ("calls right", calls.percent(calls.right), floor.right),
        ("children right", tally.children.percent(tally.children.right), floor.children),
    ];
    let short = reached.into_iter().filter(|(_, reached, floor)| reached < floor);
    let unlikely = if calls.unlikely == 0 { 0 } else { calls.percent(calls.unlikely) };
    if unlikely > floor.unlikely {
        mistakes.push(format!("{kind}: {unlikely} % of calls have likely ones that are none, not {}", floor.unlikely));
    }
    mistakes.extend(short.map(|(what, reached, floor)| format!("{kind}: {reached} % of {what}, not {floor}")));
    mistakes
}

/// The false claims of a kind.
fn false_claims(kind: &str, tally: &Tally) -> Vec<String> {
    let marks = [&tally.requests, &tally.children, &tally.calls, &tally.drivers, &tally.segments];
    marks.into_iter().flat_map(Marks::false_claims).map(|claim| format!("{kind}: {claim}")).collect()
}

/// All claims of all kinds that are false.
#[must_use]
pub fn all_false(kinds: &Kinds) -> Vec<String> {
    kinds.iter().flat_map(|(kind, tally)| false_claims(kind, tally)).collect()
}

/// The counts as a table of Markdown.
#[must_use]
pub fn shown(kinds: &Kinds) -> String {
    let mut text = "| kind | requests | children | right | candidates | none | wrong | calls | right | candidates | \
                    others only | none | wrong | not seen | segments wrong | by |\n"
        .to_owned();
    text += &format!("|{}\n", " --- |".repeat(16));
    for (kind, tally) in kinds {
        text += &row(kind, tally);
    }
    text
}

fn row(kind: &str, Tally { requests, children, calls, drivers, segments }: &Tally) -> String {
    let mut row = format!("| {kind} | {} |", requests.lived());
    let others = requests.wrong.len() + drivers.wrong.len();
    let wrong = |marks: &Marks| marks.wrong.len() + marks.without.len();
    // Writing to a string cannot fail.
    let _written = write!(
        row,
        " {} | {} | {} | {} | {} |",
        children.lived(),
        children.right,
        children.candidate,
        children.silent,
        wrong(children) + others
    );
    let _written = write!(
        row,
        " {} | {} | {} | {} | {} | {} |",
        calls.lived(),
        calls.right,
        calls.candidate,
        calls.unlikely,
        calls.silent,
        wrong(calls)
    );
    let evidence: Vec<String> = calls.evidence.iter().map(|(what, count)| format!("{what} {count}")).collect();
    row + &format!(" {} | {} | {} |\n", calls.missing, segments.wrong.len(), evidence.join(", "))
}
