//! The shape of the sources, measured: which file leans on which, how long files are, how often a name is given
//! twice, how documentation begins. Each figure has a [`limits`] entry that it must not exceed.

mod arrows;
mod circles;
mod figures;
mod files;
mod layers;
mod limits;
mod names;
mod packages;
mod sources;
mod summaries;
#[cfg(test)]
mod tests;
mod trees;
mod uses;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use self::figures::Figure;
use self::sources::Sources;
use crate::process::root;

/// Options of `structure`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure the source tree in this folder instead.
    #[arg(long, value_name = "FOLDER")]
    at: Option<PathBuf>,
    /// List only figures whose names contain this.
    figure: Option<String>,
}

/// Lists everything that the figures count.
///
/// # Errors
/// Where sources cannot be read or parsed.
pub(crate) fn list(options: &Options) -> Result<()> {
    let wanted = options.figure.as_deref().unwrap_or_default();
    let figures = figures::measure(&Sources::read(&options.at.clone().unwrap_or_else(root))?)?;
    for figure in figures.iter().filter(|figure| figure.name.contains(wanted)) {
        println!("{}: {}", figure.name, figure.value);
        figure.found.iter().for_each(|found| println!("    {found}"));
    }
    Ok(())
}

/// Compares all figures with their limits.
///
/// # Errors
/// Where one exceeds its limit, with what it counted.
pub(crate) fn check() -> Result<()> {
    let figures = figures::measure(&Sources::read(&root())?)?;
    let exceeded: Vec<&Figure> =
        figures.iter().filter(|figure| figure.value > limits::of(&figure.name).at_most).collect();
    for figure in &figures {
        println!("check: {}", limits::verdict(figure));
    }
    for figure in &exceeded {
        eprintln!("{}:", figure.name);
        figure.found.iter().for_each(|found| eprintln!("    {found}"));
    }
    if !exceeded.is_empty() {
        bail!("{} figures of the structure exceed their limits in {}", exceeded.len(), limits::TABLE);
    }
    Ok(())
}
