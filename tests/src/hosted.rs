//! The truth program as a library of a host that has no tokio.

use std::process::Command;

use anyhow::Result;

use crate::paths;

/// The host, which loads the library.
///
/// # Errors
///
/// If either cannot be built.
pub fn command() -> Result<Command> {
    let library = paths::library("hosted")?;
    let mut command = Command::new(paths::present(library.with_file_name("host"), "hosted")?);
    command.env("HOSTED", library);
    Ok(command)
}
