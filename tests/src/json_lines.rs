//! Files of JSON lines: one object a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

/// Reads a file, one line after the other.
///
/// # Errors
///
/// If it cannot be opened. Lines that cannot be read, or are something else, are errors of their own.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<impl Iterator<Item = Result<T>>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(of(BufReader::new(file)))
}

/// Parses lines as they come.
pub fn of<T: DeserializeOwned>(lines: impl BufRead) -> impl Iterator<Item = Result<T>> {
    lines.lines().zip(1..).map(|(line, number)| line_of(&line?).with_context(|| format!("line {number}")))
}

/// Parses one line.
///
/// # Errors
///
/// If it is something else, with the line.
pub fn line_of<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("not as expected: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_json_is_named() {
        let numbers: Vec<Result<u8>> = of("1\n2\nnonsense\n".as_bytes()).collect();
        assert_eq!(numbers.iter().flatten().collect::<Vec<_>>(), [&1, &2]);
        let error = format!("{:#}", numbers[2].as_ref().unwrap_err());
        assert!(error.contains("line 3") && error.contains("nonsense"), "{error}");
    }
}
