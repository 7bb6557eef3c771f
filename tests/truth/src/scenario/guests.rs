//! Beside a guest: code with a tokio of its own, whose tasks have the same ids. They are none of this one's, and
//! are not in the truth.

use std::io;

use anyhow::Result;

use super::work::rounds;
use super::{Deadline, multi_thread_runtime};
use crate::log;
use crate::spawn::spawn;
use crate::stage::Stage;

/// Which guest, and when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// It is there before the start signal.
    Early,
    /// It comes once the start signal was given.
    Late,
}

pub(super) fn run(stage: &Stage, when: Guest) -> Result<()> {
    let early = (when == Guest::Early).then(come).transpose()?;
    stage.go()?;
    let guest = early.map_or_else(come, Ok)?;
    let deadline = Deadline::after(stage.seconds);
    multi_thread_runtime(2)?.block_on(async {
        let side = spawn(async move { rounds(deadline, 2).await });
        rounds(deadline, 4).await;
        side.join().await;
    });
    log::fact(serde_json::json!({ "guests": (guest.stop)() }));
    Ok(())
}

/// Its two functions.
struct Functions {
    start: extern "C" fn() -> u32,
    stop: extern "C" fn() -> u64,
}

fn come() -> Result<Functions> {
    let functions = functions()?;
    anyhow::ensure!((functions.start)() == 0, "the guest does not start: {}", io::Error::last_os_error());
    Ok(functions)
}

/// The one that is linked in.
#[cfg(feature = "guest")]
fn functions() -> Result<Functions> {
    Ok(Functions { start: guest::guest_start, stop: guest::guest_stop })
}

/// That of the library which the environment names.
#[cfg(not(feature = "guest"))]
fn functions() -> Result<Functions> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;

    use anyhow::{Context as _, ensure};

    let path = std::env::var_os("TRUTH_GUEST").context("TRUTH_GUEST names no library")?;
    let path = CString::new(path.as_bytes())?;
    // SAFETY: the path is a C string. What the library runs as it is loaded is this project's own.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    ensure!(!library.is_null(), "cannot load {path:?}");
    let symbol = |name: &std::ffi::CStr| -> Result<*mut libc::c_void> {
        // SAFETY: the library is loaded, and stays so; the name is a C string.
        let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
        ensure!(!symbol.is_null(), "there is no {name:?} in it");
        Ok(symbol)
    };
    let (start, stop) = (symbol(c"guest_start")?, symbol(c"guest_stop")?);
    // SAFETY: the library's functions of these names have these types.
    let (start, stop) = unsafe {
        (
            std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> u32>(start),
            std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> u64>(stop),
        )
    };
    Ok(Functions { start, stop })
}
