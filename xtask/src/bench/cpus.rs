//! Who runs where: what is measured has one half of the CPUs, all else the other, so that neither the load nor a
//! tool takes time from the target.

use std::process::Command;
use std::thread;

/// One half of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// For what is measured.
    Measured,
    /// For loads and tools.
    Rest,
}

impl Half {
    /// Runs the program there.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &self.list(cpus)]).arg(program);
        command
    }

    fn list(self, cpus: usize) -> String {
        match (self, cpus / 2) {
            (_, 0) => "0".to_owned(),
            (Self::Measured, half) => format!("0-{}", half - 1),
            (Self::Rest, half) => format!("{half}-{}", cpus - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let check = |cpus, measured, rest| {
            assert_eq!((Half::Measured.list(cpus).as_str(), Half::Rest.list(cpus).as_str()), (measured, rest));
        };
        check(1, "0", "0");
        check(2, "0-0", "1-1");
        check(5, "0-1", "2-4");
    }
}
