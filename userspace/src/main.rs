//! The `asyncscope` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    asyncscope::cli::main()
}
