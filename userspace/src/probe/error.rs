//! What the kernel refused.

use thiserror::Error;

/// What the kernel refused, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A capability is missing.
    #[error("not permitted to {what}: {missing}; run asyncscope as root (sudo)")]
    NotPermitted {
        /// What was tried.
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
    #[error("cannot {what}: {why}; `asyncscope doctor` tells what this kernel lacks")]
    Kernel {
        /// What was tried.
        what: String,
        /// The error.
        why: String,
    },
    /// The kernel lacks features that are known by name.
    #[error("cannot {what}: this kernel lacks {missing}")]
    Lacks {
        /// What was tried.
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
        /// What was tried.
        what: String,
        /// The kernel's version.
        kernel: String,
    },
}

/// The first Linux that has what every program here needs: cookies. Kernels of distributions may have it earlier.
/// <https://github.com/torvalds/linux/commit/7adfc6c9b315e174cf8743b21b7b691c8766791b>
pub(crate) const SINCE: (u16, u16) = (5, 15);

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
        if let Some(kernel) = too_old() {
            return Self::TooOld { what: what.to_owned(), kernel };
        }
        let cut = why.char_indices().nth(LEN_MAX).map_or(why.len(), |(at, _)| at);
        why.truncate(cut);
        Self::Kernel { what: what.to_owned(), why }
    }
}

/// The kernel's version, where it is older than all that are known to do.
fn too_old() -> Option<String> {
    let kernel = procfs::sys::kernel::Version::current().ok()?;
    let is_old = (u16::from(kernel.major), u16::from(kernel.minor)) < SINCE;
    is_old.then(|| format!("{}.{}.{}", kernel.major, kernel.minor, kernel.patch))
}

/// Whether this process got privileges that its caller does not have, from its own file.
/// <https://man7.org/linux/man-pages/man3/getauxval.3.html>
pub(crate) fn privileges_are_lent() -> bool {
    // SAFETY: the call only reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The capabilities that attaching takes and this process lacks.
pub(crate) fn lacking_capabilities() -> Vec<&'static str> {
    // https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/capability.h
    const NEEDED: [(u64, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (19, "CAP_SYS_PTRACE")];
    const ADMIN: u64 = 21;
    let effective = procfs::process::Process::myself().and_then(|own| own.status()).map_or(0, |status| status.capeff);
    let lacks = |bit: u64| effective & 1 << bit == 0;
    NEEDED.iter().filter(|&&(bit, _)| lacks(bit) && (bit == 19 || lacks(ADMIN))).map(|&(_, name)| name).collect()
}

/// The same in words, or what else may forbid it.
pub(crate) fn missing_capabilities() -> String {
    match lacking_capabilities().as_slice() {
        [] => "a security module, the kernel's lockdown or kernel.perf_event_paranoid forbids it".to_owned(),
        [one] => format!("{one} is missing"),
        several => format!("{} are missing", several.join(", ")),
    }
}
