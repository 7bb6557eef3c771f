//! What time it is, and what a process has had of the CPUs.

use std::time::Duration;

use anyhow::{Result, ensure};

/// The CPU time of all threads that the process has or had, in user space and in the kernel, to the nanosecond: what
/// the scheduler accounts. `/proc/PID/stat` says the same in hundredths of a second.
///
/// <https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html>
///
/// # Errors
/// Where there is no such process.
pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: the pointer is to a live variable of the type that the call writes.
    let failed = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    ensure!(failed == 0, "process {pid} has no clock of CPU time");
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    ensure!(failed == 0, "the CPU time of process {pid} cannot be read");
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// `CLOCK_MONOTONIC`, which events are timed by.
///
/// # Errors
/// Where the kernel has no such clock.
pub(super) fn monotonic() -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live variable of the type that the call writes.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    ensure!(failed == 0, "there is no monotonic clock");
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0u64;
        (0..100_000u64).for_each(|number| sum = std::hint::black_box(sum ^ number));
        assert!(cpu_time(std::process::id()).unwrap() > before);
    }
}
