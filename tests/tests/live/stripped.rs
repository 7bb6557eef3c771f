//! Without symbols the same hooks are found as with them, and names by the places that panics state; without unwind
//! tables, tasks are seen as they lived.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::inspection::{AsyncBody, Inspection};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::sources::function_at;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;

use crate::scenarios::judge;
use crate::{Case, Test};

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: [(&str, Case); 4] =
        [("hooks", hooks), ("names", names), ("bodies", bodies), ("without_tables", without_tables)];
    tests.into_iter().map(|(name, test)| (format!("stripped::{name}"), Box::new(test) as Test)).collect()
}

/// All but those on panics and on drivers' turns, which only symbols say.
fn hooks() -> Result<()> {
    let scratch = Scratch::new()?;
    let (with, without) = both(&scratch, &paths::truth()?)?;
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
    let (with, without) = both(&scratch, &paths::truth()?)?;
    let unstripped = paths::truth()?;
    let given = Inspection::with_debug_file(&scratch.file("stripped"), Some(&unstripped))?;
    let names = |of: &Inspection| -> Vec<Option<String>> { of.types.iter().map(|ty| ty.name.clone()).collect() };
    ensure!(names(&given) == names(&with), "{:?} differ from {:?}", names(&given), names(&with));
    let runtime =
        |of: &Inspection| -> Vec<u64> { of.types.iter().filter(|ty| ty.runtime).map(|ty| ty.vtable).collect() };
    ensure!(!runtime(&with).is_empty() && runtime(&with) == runtime(&without), "{:?}", runtime(&without));
    Ok(())
}

/// The places that name types are those of the functions that symbols name, all of them: 28 of the truth program, 122
/// of the one that waits.
fn bodies() -> Result<()> {
    let scratch = Scratch::new()?;
    for (program, at_least) in [(paths::truth()?, 25), (paths::waits()?, 115)] {
        let (with, without) = both(&scratch, &program)?;
        let body = |of: &Inspection| -> Vec<Option<AsyncBody>> { of.types.iter().map(|ty| ty.body.clone()).collect() };
        ensure!(body(&with) == body(&without), "{} differs from its stripped twin", program.display());
        let mut held = 0;
        for (named, stripped) in with.types.iter().zip(&without.types) {
            let Some(body) = stripped.body.as_ref().filter(|body| body.stands == "alone") else { continue };
            let shown = format!("{}:{}", body.place.file, body.place.line);
            ensure!(stripped.name.as_deref() == Some(&shown), "{stripped:?} is not called {shown}");
            if let (Some(name), Some(function), false) = (&named.name, function_at(&shown), named.or_another) {
                let is_named = |part: &str| part.split('<').next() == Some(function.as_str());
                ensure!(name.split("::").any(is_named), "{named:?} is not at {shown}");
                held += 1;
            }
        }
        ensure!(held >= at_least, "of {}, only {held} types have a place that is in a source", program.display());
    }
    Ok(())
}

/// Without unwind tables no hook is anywhere else, nearly all are there, and every task is seen as it lived.
fn without_tables() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, with) = both(&scratch, &paths::truth()?)?;
    ensure!(with.functions_found() == 0, "{} functions are in no table", with.functions_found());
    let binary = scratch.file("without-tables");
    fs::copy(scratch.file("stripped"), &binary)?;
    paths::remove_unwind_tables(&binary)?;
    let without = Inspection::of(&binary, &[])?;
    ensure!(without.functions_found() > 1000, "only {} functions were found", without.functions_found());
    let places = |of: &Inspection| -> BTreeSet<(String, u64)> {
        of.hooks.iter().filter_map(|hook| Some((hook.sees.clone(), hook.address?))).collect()
    };
    let (with, without) = (places(&with), places(&without));
    let elsewhere: Vec<_> = without.difference(&with).collect();
    ensure!(elsewhere.is_empty(), "hooks where none is with tables: {elsewhere:?}");
    ensure!(without.len() * 10 >= with.len() * 9, "{} hooks of {}", without.len(), with.len());
    for scenario in ["multi_thread", "local_set", "blocking", "aborts"] {
        let (truth, seen) = trial::attached(Target::start_as(&binary, scenario)?, &[])?;
        judge(&format!("without_tables::{scenario}"), &truth, &seen)?;
    }
    Ok(())
}

/// What is found in a program with its symbols, and without.
fn both(scratch: &Scratch, unstripped: &Path) -> Result<(Inspection, Inspection)> {
    let stripped = scratch.file("stripped");
    let status = Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(unstripped).status();
    ensure!(status.context("no strip")?.success(), "strip failed");
    Ok((Inspection::of(unstripped, &[])?, Inspection::of(&stripped, &[])?))
}
