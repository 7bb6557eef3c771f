//! What came of it, as a table.

use std::path::PathBuf;

use asyncscope_tests::inspection::Inspection;

use super::compare::Comparison;

/// A program's line.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) requests: usize,
    pub(super) found: Inspection,
    pub(super) comparison: Comparison,
    pub(super) folder: PathBuf,
}

/// Prints all of them.
pub(super) fn print(rows: &[Row]) {
    println!(
        "{:<18} {:<8} {:<8} {:<7} {:>10} {:>8} {:>6} {:>14} {:>12} {:>8} {:>6} {:>14}",
        "program",
        "version",
        "stripped",
        "tokio",
        "task types",
        "requests",
        "tasks",
        "by asyncscope",
        "by bpftrace",
        "no polls",
        "edges",
        "parents known"
    );
    rows.iter().for_each(line);
    println!(
        "polls by both, of the same tasks; entries that found the task over are no polls. Flamegraphs and recordings:"
    );
    rows.iter().for_each(|row| println!("  {}", row.folder.display()));
}

fn line(row: &Row) {
    let Row { name, version, requests, found, comparison, .. } = row;
    println!(
        "{name:<18} {version:<8} {:<8} {:<7} {:>10} {requests:>8} {:>6} {:>14} {:>12} {:>8} {:>6} {:>14}",
        if found.symbols == 0 { "yes" } else { "no" },
        found.tokio.as_deref().unwrap_or("?"),
        found.types.len(),
        comparison.tasks,
        comparison.seen,
        comparison.counted,
        comparison.no_polls,
        comparison.at_the_edges,
        format!("{} of {}", comparison.with_parent, comparison.born)
    );
}

/// Writes the table for `docs/discovery.md`.
pub(super) fn markdown(rows: &[Row]) -> String {
    let lines = rows.iter().map(|Row { name, version, found, comparison, requests, .. }| {
        format!(
            "| {name} {version} | {} | {} | {} | {requests} | {} | {} | {} of {} |\n",
            if found.symbols == 0 { "yes" } else { "no" },
            found.tokio.as_deref().unwrap_or("not known"),
            found.types.len(),
            comparison.seen,
            comparison.counted,
            comparison.with_parent,
            comparison.born
        )
    });
    let head = "| program | stripped | tokio | task types | requests | polls, asyncscope | polls, bpftrace | \
                parents known |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    format!("{head}{}", lines.collect::<String>())
}
