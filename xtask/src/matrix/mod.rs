//! `matrix`: the truth program built with several tokios in several ways, each compared with what
//! asyncscope sees of it. The table goes into `docs/compatibility.md`.

mod build;
mod cell;
mod table;
mod trial;

use anyhow::{Result, ensure};

use crate::process::{is_root, root};
use cell::Cell;

/// The versions of tokio that are watched.
pub(crate) fn tokios() -> impl Iterator<Item = &'static str> {
    cell::TOKIOS.iter().map(|tokio| tokio.version)
}

/// Options of `matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the cells whose name (`<tokio> <build>`) contains this text; the table's other rows stay.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Only the few that CI watches: the builds that differ most. The table stays as it is.
    #[arg(long, conflicts_with = "only")]
    few: bool,
    /// List the cells instead.
    #[arg(long)]
    list: bool,
    /// Build the cells, but watch none.
    #[arg(long)]
    build: bool,
}

/// Builds and compares.
///
/// # Errors
/// Where this is not root, or a cell fails; the table is written all the same.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |cell: &Cell| if options.few { cell.is_of_few() } else { cell.name().contains(&options.only) };
    let cells = cell::all().into_iter().filter(wanted);
    if options.list {
        cells.for_each(|cell| println!("{}", cell.name()));
        return Ok(());
    }
    ensure!(options.build || is_root(), "the matrix attaches eBPF probes: run it as root");
    let mut failed = Vec::new();
    for cell in cells {
        if let Err(error) = one(&cell, options) {
            eprintln!("{}: {error:#}", cell.name());
            failed.push(cell.name());
        }
    }
    ensure!(failed.is_empty(), "{} cells failed: {}", failed.len(), failed.join(", "));
    Ok(())
}

fn one(cell: &Cell, options: &Options) -> Result<()> {
    let built = build::build(cell)?;
    if options.build {
        return Ok(());
    }
    let outcome = trial::watch(cell, &built)?;
    println!("{outcome}");
    if !options.few {
        table::put(&root().join("docs/compatibility.md"), &outcome)?;
    }
    ensure!(outcome.mistakes.is_empty(), "{} trials differ", outcome.mistakes.len());
    Ok(())
}
