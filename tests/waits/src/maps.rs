//! A task that does nothing but wake itself, while another thread keeps the lock of the address space for long.

use std::future::poll_fn;
use std::io::{self, stdin};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;

use anyhow::{Result, ensure};
use tokio::task::yield_now;

use crate::log::id;
use crate::say;

/// As many pages change their protection at a time, which takes some milliseconds.
const PAGES: usize = 1 << 18;
const PAGE: usize = 4096;
/// As often, while the task wakes itself.
const TIMES: u32 = 30;

/// Waits for a line, and says which task it is.
pub(crate) async fn run() -> Result<()> {
    let pages = Pages::new()?;
    say("started")?;
    stdin().read_line(&mut String::new())?;
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let changes = thread::spawn(move || {
        let changed = (0..TIMES).try_for_each(|_| pages.change());
        seen.store(true, Ordering::Release);
        changed
    });
    let task = tokio::spawn(wakes(over));
    let id = id(&task.abort_handle());
    task.await?;
    ensure!(changes.join().is_ok_and(|changed| changed.is_ok()), "the pages cannot be changed");
    Ok(say(&format!("wakes {id}"))?)
}

/// Touches no memory that it has not touched before, and makes no system call.
async fn wakes(over: Arc<AtomicBool>) {
    while !over.load(Ordering::Acquire) {
        poll_fn(|context| {
            for _ in 0..64 {
                context.waker().wake_by_ref();
            }
            Poll::Ready(())
        })
        .await;
        yield_now().await;
    }
}

/// Pages that are all the same one, which holds zeros.
struct Pages(usize);

impl Pages {
    fn new() -> Result<Self> {
        let (len, kind) = (PAGES * PAGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new mapping, wherever the kernel has room.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, kind, -1, 0) };
        ensure!(start != libc::MAP_FAILED, "no room for the pages: {}", io::Error::last_os_error());
        // SAFETY: the mapping from above, of that length. Where the kernel refuses, the pages are larger.
        unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
        for page in 0..PAGES {
            // SAFETY: inside the mapping, which can be read and is never given back.
            unsafe { start.cast::<u8>().add(page * PAGE).read_volatile() };
        }
        Ok(Self(start as usize))
    }

    /// Takes the pages' protection away, and gives it back.
    fn change(&self) -> io::Result<()> {
        for protection in [libc::PROT_NONE, libc::PROT_READ] {
            // SAFETY: the mapping that this holds, which nobody reads any more.
            if unsafe { libc::mprotect(self.0 as *mut libc::c_void, PAGES * PAGE, protection) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}
