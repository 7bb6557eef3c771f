//! Without symbols the same hooks are found as with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::agent;
use asyncscope_tests::paths::{self, Scratch};
use serde_json::Value;

use crate::Test;

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![("stripped::hooks".to_owned(), Box::new(hooks)), ("stripped::names".to_owned(), Box::new(names))]
}

/// All but those on panics and on drivers' turns, which only symbols tell.
fn hooks() -> Result<()> {
    let scratch = Scratch::new()?;
    let (with, without) = both(&scratch)?;
    let found = |of: &Value| -> Result<BTreeSet<(String, u64)>> {
        let hooks = of["hooks"].as_array().context("no hooks")?.iter();
        let placed = hooks.filter_map(|hook| Some((hook["sees"].as_str()?.to_owned(), hook["address"].as_u64()?)));
        Ok(placed.filter(|(sees, _)| sees != "panic" && sees != "turn").collect())
    };
    let (with, without) = (found(&with)?, found(&without)?);
    let differ: Vec<_> = with.symmetric_difference(&without).collect();
    ensure!(with.len() > 100 && differ.is_empty(), "{} hooks with symbols; not in both: {differ:?}", with.len());
    Ok(())
}

/// The unstripped file gives a stripped one its names, and what the runtime's own tasks are is known anyway.
fn names() -> Result<()> {
    let scratch = Scratch::new()?;
    let (with, without) = both(&scratch)?;
    let unstripped = paths::truth()?;
    let given = inspect(&scratch.file("stripped"), &["--debug-file".as_ref(), unstripped.as_os_str()])?;
    let names = |of: &Value| -> Vec<Value> {
        of["types"].as_array().into_iter().flatten().map(|ty| ty["name"].clone()).collect()
    };
    ensure!(names(&given) == names(&with), "{:?} differ from {:?}", names(&given), names(&with));
    let runtime = |of: &Value| -> Vec<Value> {
        let types = of["types"].as_array().into_iter().flatten();
        types.filter(|ty| ty["runtime"] == true).map(|ty| ty["vtable"].clone()).collect()
    };
    ensure!(!runtime(&with).is_empty() && runtime(&with) == runtime(&without), "{:?}", runtime(&without));
    Ok(())
}

/// What is found in the truth program with its symbols, and without.
fn both(scratch: &Scratch) -> Result<(Value, Value)> {
    let (unstripped, stripped) = (paths::truth()?, scratch.file("stripped"));
    let status = Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(&unstripped).status();
    ensure!(status.context("no strip")?.success(), "strip failed");
    Ok((inspect(&unstripped, &[])?, inspect(&stripped, &[])?))
}

fn inspect(file: &Path, options: &[&std::ffi::OsStr]) -> Result<Value> {
    let args = ["inspect".as_ref(), "--json".as_ref(), file.as_os_str()];
    let said = agent::run(args.into_iter().chain(options.iter().copied()))?;
    serde_json::from_str(&said.stdout.join("\n")).context("inspect says no JSON")
}
