//! `check`: everything that can be said without running the code.

use anyhow::Result;

use crate::process::{self, cargo, on_path, root};
use crate::structure;

const PROBE: &str = "probe-ebpf/Cargo.toml";

/// Packages that are held to [`PEDANTIC`] already, but for their tests. With the last of userspace's, it goes into the
/// workspace's lints.
const HELD: [&str; 2] = ["xtask", "asyncscope-tests"];

/// clippy's pedantic set without what is not wanted here. Above: aya's own exceptions, as far as there is a case
/// (<https://github.com/aya-rs/aya/blob/main/Cargo.toml>); below: ours.
const PEDANTIC: &[&str] = &[
    "-Wclippy::pedantic",
    // Numbers of the kernel and of machine code are narrowed and reinterpreted all the time, on purpose.
    "-Aclippy::cast_possible_truncation",
    "-Aclippy::cast_possible_wrap",
    "-Aclippy::cast_sign_loss",
    // The verifier bounds what is not inlined more tightly.
    "-Aclippy::inline_always",
    // A constant or a `use` reads best next to its only use.
    "-Aclippy::items_after_statements",
    // Arms in the order of the thing that is matched, one for each case, are a table.
    "-Aclippy::match_same_arms",
    // Says of nearly every getter what is plain anyway.
    "-Aclippy::must_use_candidate",
    // Ownership may be part of what a function says.
    "-Aclippy::needless_pass_by_value",
    // An expression of type `()` may end a block.
    "-Aclippy::semicolon_if_nothing_returned",
    // `seen` and `sees`, `from_ns` and `form`: names of the field are alike.
    "-Aclippy::similar_names",
    // Options of a command line are independent of each other.
    "-Aclippy::struct_excessive_bools",
    // Judged by eye: a table may be long.
    "-Aclippy::too_many_lines",
    // Sums are shown to people as percentages and seconds: 52 bits are plenty.
    "-Aclippy::cast_precision_loss",
    // What is built once for people needs no writing into a string whose errors cannot happen.
    "-Aclippy::format_push_string",
    "-Aclippy::format_collect",
    // The end of a chain of iterators.
    "-Aclippy::needless_for_each",
    // `match` on a boolean shows two values of equal rank.
    "-Aclippy::match_bool",
    "-Aclippy::single_match_else",
];

/// Runs all checks; stops at the first that fails.
///
/// # Errors
/// Where a check fails.
pub(crate) fn run() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["fmt", "--check", "--manifest-path", PROBE]))?;
    structure::check()?;
    let deny = ["--", "-D", "warnings"];
    process::run(cargo().args(["clippy", "--workspace", "--all-targets"]).args(deny))?;
    // What takes spans has to be absent without them, not broken.
    process::run(cargo().args(["clippy", "--package", "asyncscope", "--no-default-features"]).args(deny))?;
    let held = HELD.iter().flat_map(|package| ["-p", package]);
    process::run(cargo().args(["clippy", "--no-deps"]).args(held).args(["--lib", "--bins"]).args(deny).args(PEDANTIC))?;
    licences_and_advisories()?;
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    process::run(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    println!("check: passed");
    Ok(())
}

fn licences_and_advisories() -> Result<()> {
    if on_path("cargo-deny").is_none() {
        println!("check: licences and advisories skipped, `cargo install cargo-deny` brings them");
        return Ok(());
    }
    for manifest in ["Cargo.toml", PROBE] {
        let mut deny = cargo();
        deny.args(["deny", "--manifest-path", manifest, "check", "--config"]);
        process::run(deny.arg(root().join("deny.toml")))?;
    }
    Ok(())
}
