//! The eBPF object: built from `probe-ebpf`, committed beside the loader.
//!
//! It is the same to the byte on every machine with the same compiler and linker: no path gets in
//! ([`mod@build`]), and no hash of a path ([`wrapper`]).

mod build;
mod object;
mod setup;
mod toolchain;
mod wrapper;

use anyhow::Result;

pub(crate) use setup::setup;
pub(crate) use wrapper::as_rustc_wrapper;

use toolchain::Toolchain;

/// Options of `build-ebpf`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave the committed object alone, and fail where it is not what its compiler makes of the
    /// sources.
    #[arg(long)]
    check: bool,
}

/// Builds the object, then puts it in place or compares it with the one there.
///
/// # Errors
/// Where a tool is missing, the build fails, or the committed object is not the sources'.
pub(crate) fn build(options: &Options) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let fresh = build::build(&toolchain)?;
    if options.check { object::check(&fresh) } else { fresh.put_in_place() }
}
