//! What each figure may be: a limit is lowered once its figure has fallen, until it is what is aimed at.

use super::figures::Figure;

/// The file in which the limits stand.
pub(super) const TABLE: &str = "xtask/src/structure/limits.rs";

/// The limit of a figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    figure: &'static str,
    pub(super) at_most: usize,
    aim: usize,
}

const LIMITS: [Limit; 9] = [
    limit("userspace: files in circles", 0, 0),
    limit("probes: files in circles", 0, 0),
    limit("tools: files in circles", 0, 0),
    limit("userspace: files that use a layer above", 0, 0),
    limit("files that are too long", 0, 0),
    limit("modules beside their folder", 0, 0),
    limit("userspace: type names defined twice", 0, 0),
    limit("userspace and probes: poor summaries in a thousand", 0, 0),
    limit("tools: poor summaries in a thousand", 0, 0),
];

const fn limit(figure: &'static str, at_most: usize, aim: usize) -> Limit {
    Limit { figure, at_most, aim }
}

/// Returns a figure's limit; one that is not in the table must be 0.
pub(super) fn of(figure: &str) -> Limit {
    let found = LIMITS.into_iter().find(|limit| limit.figure == figure);
    found.unwrap_or(limit("", 0, 0))
}

/// Words how a figure stands to its limit.
pub(super) fn verdict(Figure { name, value, .. }: &Figure) -> String {
    let Limit { at_most, aim, .. } = of(name);
    let rest = match () {
        () if *value > at_most => format!(", which is more than {at_most}"),
        () if *value < at_most => format!(" of at most {at_most}; lower the limit in {TABLE}"),
        () if at_most > aim => format!(", the limit; {aim} is the aim"),
        () => String::new(),
    };
    format!("{name}: {value}{rest}")
}
