//! The functions in this workspace's sources, by place.

use std::path::Path;

/// The name of the function whose source is at the line of the file, which is given as asyncscope shows it: `file:line`,
/// from the workspace's folder for test programs. `None` where that is none of this workspace.
#[must_use]
pub fn function_at(place: &str) -> Option<String> {
    let (file, line) = place.rsplit_once(':')?;
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()?;
    let until: Vec<&str> = source.lines().take(line.parse().ok()?).collect();
    let function = until.iter().rev().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest))?;
    function.split(['(', '<']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::function_at;

    #[test]
    fn functions_begin_above_their_lines() {
        let line = line!() - 1;
        assert_eq!(
            function_at(&format!("src/sources.rs:{line}")).as_deref(),
            Some("functions_begin_above_their_lines")
        );
        assert_eq!(function_at("src/sources.rs:3"), None);
        assert_eq!(function_at("src/no_such_file.rs:3"), None);
        assert_eq!(function_at("no place"), None);
    }
}
