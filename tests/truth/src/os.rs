//! The kernel's clock and thread ids, as asyncscope's events have them.

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// This thread's id.
pub(crate) fn thread() -> u32 {
    // SAFETY: the call has no preconditions.
    unsafe { libc::gettid() }.unsigned_abs()
}
