//! A process by any of its threads.
//!
//! What belongs to all of them (memory, files, the executable) the kernel tells under the process's id only while its
//! first thread has it. That one may leave by `pthread_exit` while the others run on, and stands there as a zombie
//! while an `exec` of another thread waits for the rest, whose place that thread takes then.
//! <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c#L1069-L1185>

use std::{fs, iter, path::PathBuf, thread, time::Duration};

use super::proc;

/// An `exec` that waits for other threads is looked at again so often, and in these steps.
const SETTLES_IN: u32 = 100;
const SETTLES_EVERY: Duration = Duration::from_millis(10);

/// What became of a process's first thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It runs, or waits.
    Runs,
    /// It has left; others may run on.
    Left,
    /// There is no such process any more.
    Gone,
}

/// What became of the first thread of the process that began at this time.
pub(super) fn first(pid: u32, began: u64) -> First {
    match start_time_and_state(pid, pid) {
        Some((start, state)) if start == began && has_left(state) => First::Left,
        Some((start, _)) if start == began => First::Runs,
        _ => First::Gone,
    }
}

/// Whether any thread of the process that began at this time still runs.
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
    ids(pid).any(|tid| start_time_and_state(pid, tid).is_some_and(|(_, state)| !has_left(state)))
}

/// The ids of a process's threads.
pub(super) fn ids(pid: u32) -> impl Iterator<Item = u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok();
    threads.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The first answer that a thread gives: the first thread, the others, and the first once more, as another may have
/// taken its place.
pub(super) fn ask<T>(pid: u32, answer: impl FnMut(PathBuf) -> Option<T>) -> Option<T> {
    let order = iter::once(pid).chain(ids(pid)).chain([pid]);
    order.map(|tid| PathBuf::from(format!("/proc/{pid}/task/{tid}"))).find_map(answer)
}

/// A text that the kernel has of the process, such as `maps`; empty if it has ended.
#[must_use]
pub fn text(pid: u32, name: &str) -> String {
    let of_one = |thread: PathBuf| proc::text(thread.join(name)).ok().filter(|text| !text.is_empty());
    ask(pid, of_one).unwrap_or_default()
}

/// What is mapped in the process's memory, as the kernel writes it.
#[must_use]
pub fn maps(pid: u32) -> String {
    text(pid, "maps")
}

/// What a symbolic link of the process says, such as `exe` or `fd/1`.
#[must_use]
pub fn link(pid: u32, name: &str) -> Option<PathBuf> {
    ask(pid, |thread| fs::read_link(thread.join(name)).ok())
}

/// The state letter and the start time in clock ticks since boot of a thread: fields 3 and 22 of `stat`, counted
/// from the last `)` because a command name may hold anything.
pub(super) fn start_time_and_state(pid: u32, tid: u32) -> Option<(u64, char)> {
    parse(&proc::text(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<(u64, char)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// Whether a thread in this state does nothing any more.
fn has_left(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::*;

    #[test]
    fn fields_behind_any_name() {
        let stat = format!("7 (a) Z (b) S {}99 0", "1 ".repeat(18));
        assert_eq!(parse(&stat), Some((99, 'S')));
        assert_eq!(parse("7 (a) S 1"), None);
        assert_eq!(parse("7"), None);
    }

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
        let (began, _) = start_time_and_state(pid, pid).unwrap();
        assert!(any_runs(pid, began));
        assert!(!any_runs(pid, began + 1), "another process with the same id");
        let (told, heard) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || heard.recv_timeout(Duration::from_secs(60)));
        assert!(ids(pid).count() > 1);
        assert!(any_other_runs(pid));
        drop(told);
        assert!(other.join().unwrap().is_err());
        assert!(maps(pid).contains("[stack]"));
        assert_eq!(link(pid, "exe"), std::env::current_exe().ok());
        assert_eq!(link(pid, "none"), None);
    }
}
