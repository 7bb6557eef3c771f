//! Whose is each task and each call, in services that call in every way that people do: no claim may be wrong, and of
//! each kind of request this many calls have to be reported as the [`kinds`] ask.

mod kinds;
mod open;
mod others;

use anyhow::{Result, ensure};
use asyncscope_tests::attribution::compare::compare;
use asyncscope_tests::attribution::load;
use asyncscope_tests::attribution::service::{Lived, Role, Watch, watch};
use asyncscope_tests::attribution::table::{self, Floor};

use crate::{Case, Test, named};
use kinds::{GRPC, HYPER, MULTI_THREAD, NOBODYS};

/// As many ask at a time, so often each, of each kind; and once more in a mixture.
const CLIENTS: usize = 4;
const TIMES: usize = 3;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("axum_run", axum_run),
        ("axum_attach", axum_attach),
        ("current_thread", current_thread),
        ("tonic", tonic),
        ("losses", others::losses),
        ("same_id", others::same_id),
        ("actix", others::actix),
        ("actix_pipelined", others::actix_pipelined),
        ("axum_pipelined", others::axum_pipelined),
        ("by_http2", others::by_http2),
        ("hang_live", open::hang_live),
        ("hang_from_before", open::hang_from_before),
    ];
    named("attribution", tests)
}

fn axum_run() -> Result<()> {
    of_kinds("axum_run", Role::Axum(2), Watch::Run, &[HYPER, MULTI_THREAD].concat())
}

fn axum_attach() -> Result<()> {
    of_kinds("axum_attach", Role::Axum(2), Watch::Attach, &[HYPER, MULTI_THREAD].concat())
}

fn current_thread() -> Result<()> {
    of_kinds("current_thread", Role::Axum(0), Watch::Run, HYPER)
}

fn tonic() -> Result<()> {
    of_kinds("tonic", Role::Axum(2), Watch::Attach, GRPC)
}

fn of_kinds(name: &str, role: Role, how: Watch, floors: &[Floor]) -> Result<()> {
    let asked: Vec<&str> = floors.iter().map(|floor| floor.kind).collect();
    let lived = watch(role, how, &[], |port| load::ask_all(port, &asked, CLIENTS, TIMES))?;
    judged(name, &lived, &[floors, &[NOBODYS]].concat())
}

/// Shows the table, and fails where it is not as these floors ask.
fn judged(name: &str, lived: &Lived, floors: &[Floor]) -> Result<()> {
    let totals = &lived.claims.recording.totals;
    ensure!(totals.lost == 0, "attribution::{name}: {} events were lost", totals.lost);
    let kinds = compare(&lived.truth, &lived.claims);
    eprintln!("attribution::{name}:\n{}", table::shown(&kinds));
    for known in table::all_false(&kinds).iter().take(SHOWN) {
        eprintln!("false: {known}");
    }
    none_of(table::mistakes(&kinds, floors))
}

const SHOWN: usize = 40;

fn none_of(mut mistakes: Vec<String>) -> Result<()> {
    let count = mistakes.len();
    mistakes.truncate(SHOWN);
    ensure!(count == 0, "{count} mistakes, the first of them:\n{}", mistakes.join("\n"));
    Ok(())
}
