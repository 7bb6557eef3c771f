//! This program as cargo's `RUSTC_WRAPPER`: the one for workspaces would not see `probe-common`, which is no
//! member of the workspace of `probe-ebpf`.
//!
//! cargo hashes a path dependency's absolute path into `-C metadata` unless it lies below the
//! workspace's root, as `probe-common` does not; rustc hashes that into the symbols' names, and the
//! linker keeps those of functions that are not inlined.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set for the wrapper, so that it knows itself.
pub(super) const ENV: &str = "ASYNCSCOPE_XTASK_AS_RUSTC";

/// Runs rustc where cargo called this program for that; else `None`.
pub(crate) fn as_rustc_wrapper() -> Option<ExitCode> {
    std::env::var_os(ENV)?;
    let mut args = std::env::args_os().skip(1);
    let status = Command::new(args.next()?).args(steady(args.collect())).status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The crates whose paths differ from one checkout to the next.
const OWN: [&str; 2] = ["asyncscope", "probe_common"];

/// The arguments with the crate's name in place of its hash, if it is one of ours.
fn steady(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.iter().position(|arg| arg == "--crate-name").and_then(|at| args.get(at + 1));
    let Some(name) = name.and_then(|name| name.to_str()).filter(|name| OWN.contains(name)).map(str::to_owned) else {
        return args;
    };
    for arg in &mut args {
        if arg.to_str().is_some_and(|arg| arg.starts_with("metadata=")) {
            *arg = format!("metadata={name}").into();
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &str, expected: &str) {
        let args = steady(args.split(' ').map(OsString::from).collect());
        assert_eq!(args.join(std::ffi::OsStr::new(" ")), expected);
    }

    #[test]
    fn metadata_becomes_the_name() {
        check(
            "--crate-name asyncscope -C metadata=0f -C extra-filename=-0f",
            "--crate-name asyncscope -C metadata=asyncscope -C extra-filename=-0f",
        );
        check("-C metadata=0f --crate-name probe_common", "-C metadata=probe_common --crate-name probe_common");
        check("--crate-name core -C metadata=0f", "--crate-name core -C metadata=0f");
        check("-vV", "-vV");
        check("-C metadata=0f --crate-name", "-C metadata=0f --crate-name");
    }
}
