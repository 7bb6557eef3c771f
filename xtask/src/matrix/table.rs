//! The table in `docs/compatibility.md`: a row a cell, between two markers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use asyncscope_tests::inspection::{Hook, Inspection};

use super::cell;
use super::trial::Outcome;
use crate::process::output;

const BEGIN: &str = "<!-- matrix: begin -->";
const END: &str = "<!-- matrix: end -->";
const HEAD: &str = "| tokio | build | task types | tasks, as lived | polls | parents known | wakes, waker known | \
                    aborts | names | what is missing |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Puts a cell's row into the file; the others stay.
///
/// # Errors
/// Where the file cannot be read or written, or has no markers.
pub(crate) fn put(path: &Path, outcome: &Outcome) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rustc = output(Command::new("rustc").arg("-V"))?;
    let new =
        with_row(&text, &row(outcome), rustc.trim()).with_context(|| format!("no markers in {}", path.display()))?;
    fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

/// The text with this row in place of the cell's old one, rows in the order of the cells.
fn with_row(text: &str, row: &str, rustc: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let known: Vec<&str> = old.lines().chain([row]).collect();
    let newest = |key: &String| known.iter().rev().find(|line| line.starts_with(key.as_str())).copied();
    let keys = cell::all().into_iter().map(|cell| key(cell.tokio.version, cell.build.name));
    let rows: Vec<&str> = keys.collect::<Vec<_>>().iter().filter_map(newest).collect();
    Some(format!("{before}{BEGIN}\nBuilt by {rustc}.\n\n{HEAD}{}\n{END}{after}", rows.join("\n")))
}

fn key(tokio: &str, build: &str) -> String {
    format!("| {tokio} | {build} |")
}

fn row(outcome: &Outcome) -> String {
    let Outcome { inspection, tasks, polls, trials, mistakes, .. } = outcome;
    let right = |count: String| if mistakes.is_empty() { count } else { format!("{count}, see missing") };
    let columns = [
        inspection.types.len().to_string(),
        right(format!("{tasks} in {trials} trials")),
        right(polls.to_string()),
        percent(outcome.parents_known, *tasks),
        format!("{}, {}", outcome.wakes, percent(outcome.wakers_known, outcome.wakes)),
        if inspection.misses("abort") { "not seen" } else { "seen" }.to_owned(),
        names(inspection),
        missing(outcome),
    ];
    format!("{} {} |", key(outcome.cell.tokio.version, outcome.cell.build.name), columns.join(" | "))
}

fn names(inspection: &Inspection) -> String {
    let (types, unnamed) = (inspection.types.len(), inspection.unnamed());
    match types - unnamed {
        _ if inspection.symbols == 0 => {
            format!("{} by place or shape, {unnamed} by vtable; by symbol with `--debug-file`", types - unnamed)
        }
        named if named == types => "by symbol".to_owned(),
        named => format!("{named} by symbol, {unnamed} by vtable"),
    }
}

/// Rounded down, so that 100 % are all.
fn percent(part: usize, of: usize) -> String {
    (part * 100).checked_div(of).map_or_else(|| "none".to_owned(), |percent| format!("{percent} %"))
}

/// Returns what `inspect` misses, each once, and which trials differ.
fn missing(outcome: &Outcome) -> String {
    // Of the C library a file alone says nothing, however it was built.
    let of_build = |hook: &&Hook| !hook.reason().ends_with("needs-process");
    let hooks = outcome.inspection.missing().filter(of_build).map(Hook::reason);
    let panics = (outcome.unseen_panics > 0).then(|| format!("{} panics look like completions", outcome.unseen_panics));
    let trials = outcome.mistakes.iter().filter_map(|mistake| mistake.lines().next());
    let trials = trials.map(|trial| format!("**differs**: {trial}"));
    let all: BTreeSet<String> = hooks.chain(panics).chain(trials).map(|text| text.replace('|', "\\|")).collect();
    all.into_iter().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_row_and_keeps_the_others() {
        let text = format!("a\n{BEGIN}\n| 1.47.1 | release | 1 |\n| 1.54.1 | release | 2 |\n| gone | b |\n{END}\nz\n");
        let new = with_row(&text, "| 1.47.1 | release | 3 |", "rustc 1").unwrap();
        let expected = format!(
            "a\n{BEGIN}\nBuilt by rustc 1.\n\n{HEAD}| 1.54.1 | release | 2 |\n| 1.47.1 | release | 3 |\n{END}\nz\n"
        );
        assert_eq!(new, expected);
        assert_eq!(with_row("no markers", "", ""), None);
    }

    #[test]
    fn percents_round_down() {
        let check = |part, of, text| assert_eq!(percent(part, of), text);
        check(0, 0, "none");
        check(999, 1000, "99 %");
        check(7, 7, "100 %");
    }
}
