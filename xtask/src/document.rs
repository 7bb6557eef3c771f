//! Parts of documents that commands write: what lies between two markers.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Replaces what lies between the file's markers of this name.
///
/// # Errors
/// Where the file cannot be read or written, or has no such markers.
pub(crate) fn put(path: &Path, name: &str, part: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = with_part(&text, name, part).with_context(|| format!("no markers of {name} in {}", path.display()))?;
    fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

fn with_part(text: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", part.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_one_part() {
        let text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n";
        let new = "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n";
        assert_eq!(with_part(text, "x", "new\n").as_deref(), Some(new));
        assert_eq!(with_part(text, "z", "new"), None);
    }
}
