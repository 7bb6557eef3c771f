//! The row that describes an output: its option, what it is made of, and how it is written.

use std::io::{self, Write};

use super::lost::Lost;
use super::samples::{ChosenRequests, GroupBy};
use super::select::{Diff, Selection, Unclear};
use super::stacks::GraphPart;
use super::weight::Weight;
use asyncscope_model::{Detail, Graph, Request};
use asyncscope_trace::facts::Facts;

/// An output that is made of a finished graph.
#[derive(Debug)]
pub struct OutputFormat {
    /// The option that asks for it, without its dashes.
    pub option: &'static str,
    /// The option's help.
    pub help: &'static str,
    /// The destination.
    pub to: Medium,
    /// Its part in a comparison of two sets of requests.
    pub diff: Comparison,
    /// The events it is made of.
    pub needs: Option<Need>,
    /// Something of the target that is recorded because somebody asks for this output.
    pub records: Option<Extra>,
    /// The details that the graph keeps for it.
    pub keeps: KeptDetail,
    /// Writes it.
    pub write: fn(&View<'_>, &mut dyn Write) -> io::Result<()>,
}

/// The destination of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// To the terminal, as text.
    Terminal {
        /// A name for the text, as in "cannot write …".
        holds: &'static str,
    },
    /// To a file, or standard output.
    File {
        /// A placeholder for its path in the help.
        value: &'static str,
        /// The option may come without a path: standard output then, if no other output holds the same.
        optional: bool,
        /// Nobody but its owner may read it: it holds more of the target than a picture does.
        private: bool,
    },
}

/// The part of an output in a comparison of two sets of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It draws the comparison.
    Drawn,
    /// It would have to draw it, and cannot.
    Refused,
    /// It holds what it holds otherwise.
    Apart,
}

/// The events that an output is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Polls, each with its time.
    Polls,
    /// Samples of CPU time.
    Samples,
    /// Requests.
    Requests,
}

/// Something that is recorded only for those who ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Lines that the target prints.
    LogLines,
    /// Requests, where CPU time is sampled.
    Requests,
}

/// The details that a graph keeps for an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptDetail {
    /// The detail of tasks and requests.
    pub detail: Detail,
    /// Long polls.
    pub long_polls: bool,
    /// The lines that the target printed, where they were captured.
    pub log_lines: bool,
}

impl OutputFormat {
    /// A text for the terminal, not a file.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.to, Medium::Terminal { .. })
    }
}

impl KeptDetail {
    /// Sums alone.
    pub const SUMS: Self = Self { detail: Detail::Totals, long_polls: false, log_lines: false };
}

/// The contents of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Samples of CPU time, instead of polls.
    pub sampled: bool,
    /// Requests.
    pub requests: bool,
}

impl Coverage {
    /// Returns the contents of the recording with these facts.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let requests = facts.sampling.is_none_or(|sampling| sampling.requests);
        Self { sampled: facts.sampling.is_some(), requests }
    }

    const fn has(self, need: Need) -> bool {
        match need {
            Need::Polls => !self.sampled,
            Need::Samples => self.sampled,
            Need::Requests => self.requests,
        }
    }

    /// The first of these that needs what is not there: polls or samples before requests.
    #[must_use]
    pub fn lacks(self, needs: &[(String, Need)]) -> Option<(&str, Need)> {
        let unmet = |of_requests: bool| {
            needs.iter().find(|(_, need)| (*need == Need::Requests) == of_requests && !self.has(*need))
        };
        unmet(false).or_else(|| unmet(true)).map(|(name, need)| (name.as_str(), *need))
    }
}

/// The options that several outputs have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewOptions {
    /// The weight of stacks; `None`: CPU time where that was sampled, else time inside polls.
    pub weight: Option<Weight>,
    /// The outermost grouping of samples; `None`: by task.
    pub group_by: Option<GroupBy>,
    /// The requests that outputs are about.
    pub selection: Selection,
    /// A comparison of the requests that are at least as slow as the selection says with the faster ones.
    pub diff: bool,
    /// The shortest long poll, in nanoseconds.
    pub long_poll_ns: u64,
}

impl Default for ViewOptions {
    fn default() -> Self {
        const LONG_POLL_NS: u64 = 1_000_000;
        let (weight, group_by, selection) = (None, None, Selection::default());
        Self { weight, group_by, selection, diff: false, long_poll_ns: LONG_POLL_NS }
    }
}

impl ViewOptions {
    /// Returns what each option needs, by the option's name.
    #[must_use]
    pub fn needs(&self) -> Vec<(String, Need)> {
        let Selection { id, route, slower_than_ns } = &self.selection;
        let weight = self.weight.map(|weight| match weight {
            Weight::Cpu => ("--weight cpu", Need::Samples),
            Weight::Busy | Weight::Wall | Weight::Wait => ("--weight other than cpu", Need::Polls),
        });
        let all = [
            self.diff.then_some(("--diff", Need::Polls)),
            weight.filter(|(_, need)| *need == Need::Polls),
            self.group_by.map(|_| ("--group-by", Need::Samples)),
            weight.filter(|(_, need)| *need == Need::Samples),
            id.as_ref().map(|_| ("--request", Need::Requests)),
            route.as_ref().map(|_| ("--route", Need::Requests)),
            slower_than_ns.map(|_| ("--slower-than", Need::Requests)),
            self.group_by.filter(|by| by.needs_requests()).map(|_| ("--group-by request and route", Need::Requests)),
        ];
        all.into_iter().flatten().map(|(name, need)| (name.to_owned(), need)).collect()
    }
}

/// A finished graph, and what of it is to be shown.
#[derive(Debug)]
pub struct View<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The facts about the target.
    pub facts: &'a Facts,
    /// Events and samples that did not reach the agent.
    pub lost: &'a Lost,
    /// The weight of stacks.
    pub weight: Weight,
    /// The part of the graph that stacks are drawn of.
    pub part: GraphPart<'a>,
    /// The comparison, if one is wanted.
    pub diff: Option<Diff<'a>>,
    /// The requests that are meant, if not all are.
    pub only: Option<Vec<&'a Request>>,
    /// The shortest long poll, in nanoseconds.
    pub long_poll_ns: u64,
}

impl<'a> View<'a> {
    /// A view by these options.
    ///
    /// # Errors
    ///
    /// The options mean no request.
    pub fn new(graph: &'a Graph, facts: &'a Facts, lost: &'a Lost, options: &ViewOptions) -> Result<Self, Unclear> {
        let sampled = facts.sampling.is_some();
        let selection = &options.selection;
        let only = (!selection.is_everything()).then(|| selection.requests(graph)).transpose()?;
        let part = match &only {
            None if sampled => GraphPart::Samples(options.group_by.unwrap_or_default(), None),
            None => GraphPart::All,
            Some(requests) if sampled => {
                let requests = requests.iter().map(|request| request.id).collect();
                let chosen = ChosenRequests { requests, label: selection.route.clone() };
                GraphPart::Samples(options.group_by.unwrap_or(GroupBy::Route), Some(chosen))
            }
            Some(requests) => GraphPart::Of { requests: requests.clone(), label: selection.route.clone() },
        };
        let diff = options.diff.then(|| selection.diff(graph)).transpose()?;
        let weight = options.weight.unwrap_or(if sampled { Weight::Cpu } else { Weight::Busy });
        Ok(Self { graph, facts, lost, weight, part, diff, only, long_poll_ns: options.long_poll_ns })
    }

    /// The requests that are meant, by their opening.
    #[must_use]
    pub fn requests(&self) -> Vec<&'a Request> {
        self.only.clone().unwrap_or_else(|| self.graph.requests().collect())
    }
}
