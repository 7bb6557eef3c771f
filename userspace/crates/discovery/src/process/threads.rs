//! A process by any of its threads.
//!
//! What belongs to all of them (memory, files, the executable) the kernel tells under the process's id only while its
//! first thread has it. That one may leave by `pthread_exit` while the others run on, and stands there as a zombie
//! while an `exec` of another thread waits for the rest, whose place that thread takes then.
//! <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c#L1069-L1185>

use std::{thread, time::Duration};

use super::procfs;

/// An `exec` that waits for other threads is looked at again so often, and in these steps.
const SETTLES_IN: u32 = 100;
const SETTLES_EVERY: Duration = Duration::from_millis(10);

/// The state of a process's first thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It runs, or waits.
    Runs,
    /// It has left; others may run on.
    Left,
    /// There is no such process any more.
    Gone,
}

/// The state of the first thread of the process that began at this time.
pub(super) fn first(pid: u32, began: u64) -> First {
    match procfs::stat(pid, pid).filter(|stat| stat.start_time == began) {
        Some(stat) if stat.has_left() => First::Left,
        Some(_) => First::Runs,
        None => First::Gone,
    }
}

/// Returns `true` if any thread of the process that began at this time still runs.
pub(super) fn any_runs(pid: u32, began: u64) -> bool {
    decided(|| first(pid, began), || any_other_runs(pid))
}

/// Decides by the first thread, then by the others, and then by the first once more: another may have taken its
/// place meanwhile, under its id.
fn decided(first: impl Fn() -> First, any_other: impl FnOnce() -> bool) -> bool {
    match first() {
        First::Runs => true,
        First::Left => any_other() || first() == First::Runs,
        First::Gone => false,
    }
}

/// Waits, though not for long, while the first thread has left and others run: an `exec` may be about to take its
/// place. Tells what became of it.
pub(super) fn first_settled(pid: u32, began: u64) -> First {
    for _ in 0..SETTLES_IN {
        if first(pid, began) != First::Left || !any_runs(pid, began) {
            break;
        }
        thread::sleep(SETTLES_EVERY);
    }
    first(pid, began)
}

fn any_other_runs(pid: u32) -> bool {
    procfs::tids(pid).filter_map(|tid| procfs::stat(pid, tid)).any(|stat| !stat.has_left())
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::*;

    #[test]
    fn a_process_lives_while_any_thread_does() {
        for (first, other, lives) in [
            (First::Runs, false, true),
            (First::Left, true, true),
            (First::Left, false, false),
            (First::Gone, true, false),
        ] {
            assert_eq!(decided(|| first, || other), lives, "{first:?}, others {other}");
        }
    }

    /// The thread whose `exec` waited has taken the first one's id after that was looked at, and before the list of
    /// the others was.
    #[test]
    fn a_place_taken_meanwhile_is_no_end() {
        let is_taken = Cell::new(false);
        let first = || if is_taken.get() { First::Runs } else { First::Left };
        assert!(decided(first, || is_taken.replace(true)));
    }

    #[test]
    fn this_process_by_its_threads() {
        let pid = std::process::id();
        let began = procfs::stat(pid, pid).unwrap().start_time;
        assert!(any_runs(pid, began));
        assert!(!any_runs(pid, began + 1), "another process with the same id");
        let (told, heard) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || heard.recv_timeout(Duration::from_secs(60)));
        assert!(procfs::tids(pid).count() > 1);
        assert!(any_other_runs(pid));
        drop(told);
        assert!(other.join().unwrap().is_err());
    }
}
