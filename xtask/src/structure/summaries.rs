//! How documentation begins.
//!
//! The rule: a summary is the first line of a run of `///` lines, in macros as well; module documentation (`//!`) is
//! not counted. It is poor where it begins with a question word, for it is no sentence and no name of a thing then
//! ("Whether it is open."), or with "The same", for it depends on what stands above.

const QUESTION_WORDS: [&str; 10] = ["Whether", "What", "Whose", "Who", "Whom", "Which", "Where", "When", "Why", "How"];

/// The summaries of some files.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    total: usize,
    poor: Vec<String>,
}

impl Summaries {
    /// Adds the summaries of a file.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        let mut before = false;
        for (number, line) in text.lines().enumerate() {
            let summary = line.trim_start().strip_prefix("///").filter(|rest| !rest.starts_with('/'));
            if let Some(summary) = summary.filter(|_| !before) {
                self.total += 1;
                if is_poor(summary.trim()) {
                    self.poor.push(format!("{path}:{}: {}", number + 1, summary.trim()));
                }
            }
            before = summary.is_some();
        }
    }

    /// Returns how many of a thousand are poor, rounded up.
    pub(super) fn per_thousand(&self) -> usize {
        (self.poor.len() * 1000).div_ceil(self.total.max(1))
    }

    /// Lists the poor ones, after their number.
    pub(super) fn list(self) -> Vec<String> {
        let head = format!("{} of {}:", self.poor.len(), self.total);
        std::iter::once(head).chain(self.poor).collect()
    }
}

fn is_poor(summary: &str) -> bool {
    let first = summary.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    QUESTION_WORDS.contains(&first) || summary.starts_with("The same")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let text = "//! What it is.\n/// Whether so.\n/// What more.\nx\n    /// A thing.\n\n/// The same, longer.\n//// How\n";
        let mut summaries = Summaries::default();
        summaries.add("a.rs", text);
        assert_eq!(summaries.per_thousand(), 667);
        assert_eq!(summaries.list(), ["2 of 3:", "a.rs:2: Whether so.", "a.rs:7: The same, longer."]);
    }

    #[test]
    fn words_are_whole() {
        let poor = ["What's seen.", "Which, if any.", "The same.", "Where it lies"];
        assert!(poor.into_iter().all(is_poor));
        let good = ["Whenever", "", "The samples", "Returns what was seen", "`What`, decoded"];
        assert!(!good.into_iter().any(is_poor));
    }
}
