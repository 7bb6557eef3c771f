//! What a machine's console reports its tests, and the table of all.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};

use super::guest::MARK;
use super::parts::numbers;
use crate::document;
use crate::process::root;

/// Older kernels are refused.
const SINCE: [u64; 2] = [5, 15];
/// Begins what is said where an attach is refused.
const SENTENCE: &str = "asyncscope: ";
/// The document that the table goes into.
const DOCUMENT: &str = "docs/compatibility.md";
const PART: &str = "kernels";
const HEAD: &str = "| kernel | an attach | tests passed | failed |\n| --- | --- | --- | --- |";

/// The outcome of one kernel's tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    version: String,
    /// The sentence by which an attach is refused; then there are no tests.
    refused: Option<String>,
    passed: usize,
    /// The tests that failed, and what is said of why.
    failed: BTreeMap<String, String>,
}

impl Outcome {
    /// Reads a console's output.
    ///
    /// # Errors
    /// Where the machine went off before it was through.
    pub(super) fn read(version: &str, console: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(console);
        let mut outcome = Self { version: version.to_owned(), refused: None, passed: 0, failed: BTreeMap::new() };
        let (mut said, mut is_over) = (Vec::new(), false);
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            let Some(mark) = line.strip_prefix(MARK) else {
                said.push(line);
                continue;
            };
            match mark.split(' ').collect::<Vec<_>>()[..] {
                ["begin", _] => said.clear(),
                ["end", "attach", "0"] => {}
                ["end", "attach", _] => outcome.refused = Some(said.join(" ").trim().to_owned()),
                ["end", _, "0"] => outcome.passed += 1,
                ["end", test, code] => {
                    outcome.failed.insert(test.to_owned(), why(&said, code));
                }
                ["done"] => is_over = true,
                _ => {}
            }
        }
        ensure!(is_over, "the machine went off before it was through: {}", said.last().unwrap_or(&"it said nothing"));
        Ok(outcome)
    }

    /// Returns what is not as it should be: a test failed, or an attach is refused that should not be, or not in a
    /// sentence.
    pub(super) fn mistake(&self) -> Option<String> {
        let is_too_old = numbers(&self.version) < SINCE.to_vec();
        let is_right = match &self.refused {
            Some(sentence) => is_too_old && sentence.starts_with(SENTENCE) && sentence.contains("or newer"),
            None => self.failed.is_empty() && self.passed > 0,
        };
        (!is_right).then(|| self.to_string())
    }

    fn row(&self) -> String {
        let (attach, passed) = match &self.refused {
            Some(said) => (format!("refused: \"{}\"", said.trim_start_matches(SENTENCE)), String::new()),
            None => ("works".to_owned(), format!("{} of {}", self.passed, self.passed + self.failed.len())),
        };
        let failed: Vec<String> = self.failed.iter().map(|(test, why)| format!("`{test}`: {why}")).collect();
        format!("| {} | {attach} | {passed} | {} |", self.version, failed.join("; ").replace('|', "\\|"))
    }

    /// Puts its row into the document's table, instead of another of the same kernels.
    ///
    /// # Errors
    /// Where the document has no table, or cannot be written.
    pub(super) fn put(&self, wanted: &str) -> Result<()> {
        let path = root().join(DOCUMENT);
        let text = std::fs::read_to_string(&path)?;
        let (_, rest) = text.split_once(&format!("<!-- {PART}: begin -->")).context("no table of kernels")?;
        let (table, _) = rest.split_once("<!--").context("no end of the table of kernels")?;
        document::put(&path, PART, &with_row(table, wanted, &self.row()))
    }
}

fn with_row(table: &str, wanted: &str, row: &str) -> String {
    let start = format!("| {wanted}.");
    let others =
        table.lines().filter(|line| line.starts_with("| ") && !HEAD.contains(line) && !line.starts_with(&start));
    let mut rows: Vec<&str> = others.chain([row]).collect();
    rows.sort_by_key(|row| numbers(row.split(' ').nth(1).unwrap_or_default()));
    format!("{HEAD}\n{}", rows.join("\n"))
}

/// The test's own words, or how it ended.
fn why(said: &[&str], code: &str) -> String {
    // libtest-mimic repeats a failed test's error under a heading.
    let heading = said.iter().rposition(|line| line.starts_with("---- "));
    let words = heading.and_then(|at| said.get(at + 1..)).map(|lines| {
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
        lines.join(" ").chars().take(300).collect::<String>()
    });
    words
        .filter(|words| !words.is_empty())
        .unwrap_or_else(|| if code == "143" { "it took too long".to_owned() } else { format!("it ended with {code}") })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            Some(sentence) => write!(f, "{}: an attach is refused: {sentence}", self.version),
            None => {
                write!(f, "{}: {} tests passed, {} failed", self.version, self.passed, self.failed.len())?;
                self.failed.iter().try_for_each(|(test, why)| write!(f, "; {test}: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(console: &str, mistake: Option<&str>) {
        let outcome = Outcome::read("6.1.0-50", console.as_bytes()).map(|outcome| outcome.mistake());
        match (outcome, mistake) {
            (Ok(None), None) => {}
            (Ok(Some(reported)), Some(part)) if reported.contains(part) => {}
            (Err(error), Some(part)) if error.to_string().contains(part) => {}
            (other, _) => panic!("{other:?} instead of {mistake:?}"),
        }
    }

    #[test]
    fn a_console_is_read() {
        check("@vm begin a\r\nx\r\n@vm end a 0\r\n@vm done\r\n", None);
        check("@vm end attach 0\n@vm end a 0\n@vm end b 1\n@vm done\n", Some("b: it ended with 1"));
        check("@vm begin b\n---- b ----\nno room\n@vm end b 101\n@vm done\n", Some("b: no room"));
        check(
            "@vm begin b\n---- b ----\nno room\n  for 1\n\nx\n@vm took b 7 s\n@vm end b 101\n@vm done\n",
            Some("b: no room for 1"),
        );
        check("@vm end a 0\nKernel panic\n", Some("Kernel panic"));
        check("@vm done\n", Some("0 tests passed"));
        check("@vm begin attach\nasyncscope: no\n@vm end attach 1\n@vm done\n", Some("refused: asyncscope: no"));
    }

    #[test]
    fn a_row_takes_the_place_of_the_same_kernels() {
        let table = format!("\n{HEAD}\n| 5.10.0-46 | refused |\n| 6.12.1 | works |\n");
        let new = with_row(&table, "6.1", "| 6.1.0-50 | works |");
        assert_eq!(new, format!("{HEAD}\n| 5.10.0-46 | refused |\n| 6.1.0-50 | works |\n| 6.12.1 | works |"));
        assert_eq!(with_row(&new, "6.1", "| 6.1.0-51 | works |"), new.replace("0-50", "0-51"));
    }
}
