//! Files: how long they are, and where a module with children of its own lies.

use super::sources::Sources;

/// The most lines that a file may have.
const LINES_MAX: usize = 500;

/// Lists files that are too long.
pub(super) fn too_long(sources: &Sources) -> Vec<String> {
    let lines = sources.iter().map(|(path, text)| (path, text.lines().count()));
    lines.filter(|(_, lines)| *lines > LINES_MAX).map(|(path, lines)| format!("{path}: {lines} lines")).collect()
}

/// Lists modules that lie beside the folder of their children (`x.rs` and `x/`) and not in it (`x/mod.rs`).
pub(super) fn beside_their_folder(sources: &Sources) -> Vec<String> {
    let has_folder = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches(".rs"));
        sources.iter().any(|(other, _)| other.starts_with(&folder))
    };
    // A binary may bear the name of a folder: `tests/live.rs` is no module.
    let is_module = |path: &str| path.contains("/src/") && !path.contains("/src/bin/");
    sources.iter().map(|(path, _)| path).filter(|path| is_module(path) && has_folder(path)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_two_styles() {
        let long = "\n".repeat(501);
        let sources = [("a/src/x.rs", "\n"), ("a/src/x/y.rs", long.as_str()), ("a/src/z/mod.rs", &long[1..])];
        let sources = Sources::literal(&sources);
        assert_eq!(too_long(&sources), ["a/src/x/y.rs: 501 lines"]);
        assert_eq!(beside_their_folder(&sources), ["a/src/x.rs"]);
    }
}
