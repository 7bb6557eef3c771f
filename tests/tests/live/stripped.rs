//! Without symbols the same hooks are found as with them.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::paths::{self, Scratch};

use crate::Test;

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![("stripped::hooks".to_owned(), Box::new(hooks)), ("stripped::names".to_owned(), Box::new(names))]
}

/// All but those on panics and on drivers' turns, which only symbols say.
fn hooks() -> Result<()> {
    let scratch = Scratch::new()?;
    let (with, without) = both(&scratch)?;
    let found = |of: &Inspection| -> BTreeSet<(String, u64)> {
        let placed = of.hooks.iter().filter_map(|hook| Some((hook.sees.clone(), hook.address?)));
        placed.filter(|(sees, _)| sees != "panic" && sees != "turn").collect()
    };
    let (with, without) = (found(&with), found(&without));
    let differ: Vec<_> = with.symmetric_difference(&without).collect();
    ensure!(with.len() > 100 && differ.is_empty(), "{} hooks with symbols; not in both: {differ:?}", with.len());
    Ok(())
}

/// The unstripped file gives a stripped one its names, and what the runtime's own tasks are is known anyway.
fn names() -> Result<()> {
    let scratch = Scratch::new()?;
    let (with, without) = both(&scratch)?;
    let unstripped = paths::truth()?;
    let given = Inspection::with_debug_file(&scratch.file("stripped"), Some(&unstripped))?;
    let names = |of: &Inspection| -> Vec<Option<String>> { of.types.iter().map(|ty| ty.name.clone()).collect() };
    ensure!(names(&given) == names(&with), "{:?} differ from {:?}", names(&given), names(&with));
    let runtime =
        |of: &Inspection| -> Vec<u64> { of.types.iter().filter(|ty| ty.runtime).map(|ty| ty.vtable).collect() };
    ensure!(!runtime(&with).is_empty() && runtime(&with) == runtime(&without), "{:?}", runtime(&without));
    Ok(())
}

/// What is found in the truth program with its symbols, and without.
fn both(scratch: &Scratch) -> Result<(Inspection, Inspection)> {
    let (unstripped, stripped) = (paths::truth()?, scratch.file("stripped"));
    let status = Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(&unstripped).status();
    ensure!(status.context("no strip")?.success(), "strip failed");
    Ok((Inspection::of(&unstripped, &[])?, Inspection::of(&stripped, &[])?))
}
