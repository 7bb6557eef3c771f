//! What the kernel refused.

use caps::{CapSet, Capability};
use thiserror::Error;

use super::kernel::{self, Since};

/// A refusal by the kernel, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A capability is missing.
    #[error("not permitted to {what}: {missing}; run asyncscope as root (sudo)")]
    NotPermitted {
        /// The action that was tried.
        what: String,
        /// The capabilities that are missing.
        missing: String,
    },
    /// The verifier refused a program.
    #[error(
        "the kernel refused the eBPF program {program}: {why}\nThis is a fault of asyncscope on this kernel; please report it. The verifier's last words:\n{log}"
    )]
    Verifier {
        /// The program.
        program: &'static str,
        /// The error.
        why: String,
        /// The end of the verifier's log.
        log: String,
    },
    /// The kernel lacks something, or a resource ran out.
    #[error("cannot {what}: {why}; `asyncscope doctor` says what this kernel lacks")]
    Kernel {
        /// The action that was tried.
        what: String,
        /// The error.
        why: String,
    },
    /// The kernel lacks features that are known by name.
    #[error("cannot {what}: this kernel lacks {missing}")]
    Lacks {
        /// The action that was tried.
        what: String,
        /// The features, and the first Linux that has each.
        missing: String,
    },
    /// The kernel is older than those that have all that is needed, and does not have it either.
    #[error(
        "cannot {what}: this is Linux {kernel}, and asyncscope needs {}.{} or newer; boot a newer kernel",
        SINCE.0,
        SINCE.1
    )]
    TooOld {
        /// The action that was tried.
        what: String,
        /// The kernel's version.
        kernel: String,
    },
}

/// The first Linux that has what every program here needs: cookies. Kernels of distributions may have it earlier.
/// <https://github.com/torvalds/linux/commit/7adfc6c9b315e174cf8743b21b7b691c8766791b>
pub(crate) const SINCE: Since = (5, 15);

impl ProbeError {
    /// An error of the kernel, or the capability that it wants.
    pub(super) fn kernel(what: &str, error: &std::io::Error) -> Self {
        if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) {
            return Self::NotPermitted { what: what.to_owned(), missing: missing_capabilities() };
        }
        Self::Kernel { what: what.to_owned(), why: error.to_string() }
    }

    /// An error that aya reports, with all its causes, cut to what can be read.
    pub(super) fn aya(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        const LEN_MAX: usize = 2000;
        let mut source = Some(error);
        let mut why = String::new();
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && matches!(io.raw_os_error(), Some(libc::EPERM | libc::EACCES))
            {
                return Self::kernel(what, io);
            }
            why = format!("{why}{}{cause}", if why.is_empty() { "" } else { ": " });
            source = cause.source();
        }
        if kernel::is_before(SINCE) {
            return Self::TooOld { what: what.to_owned(), kernel: kernel::release() };
        }
        let cut = why.char_indices().nth(LEN_MAX).map_or(why.len(), |(at, _)| at);
        why.truncate(cut);
        Self::Kernel { what: what.to_owned(), why }
    }
}

/// The error of an object in which something is missing.
pub(super) fn absent(name: &str) -> ProbeError {
    ProbeError::Kernel {
        what: format!("find {name} in the eBPF object"),
        why: "the object is of another version".to_owned(),
    }
}

/// Returns `true` if this process got privileges that its caller does not have, from its own file.
/// <https://man7.org/linux/man-pages/man3/getauxval.3.html>
pub(crate) fn privileges_are_lent() -> bool {
    // SAFETY: the call only reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The capabilities that attaching takes, each with the one that stands for it as well.
const NEEDED: [(Capability, Option<Capability>); 3] = [
    (Capability::CAP_BPF, Some(Capability::CAP_SYS_ADMIN)),
    (Capability::CAP_PERFMON, Some(Capability::CAP_SYS_ADMIN)),
    (Capability::CAP_SYS_PTRACE, None),
];

/// The capabilities that attaching takes and this process lacks.
pub(crate) fn lacking_capabilities() -> Vec<String> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let lacks = |&&(needed, instead): &&(Capability, Option<Capability>)| !has(needed) && !instead.is_some_and(has);
    NEEDED.iter().filter(lacks).map(|(needed, _)| needed.to_string()).collect()
}

/// The capabilities that this process lacks, in words, or what else may forbid it to attach.
pub(crate) fn missing_capabilities() -> String {
    match lacking_capabilities().as_slice() {
        [] => "a security module, the kernel's lockdown or kernel.perf_event_paranoid forbids it".to_owned(),
        [one] => format!("{one} is missing"),
        several => format!("{} are missing", several.join(", ")),
    }
}
