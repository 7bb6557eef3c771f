//! A host without a tokio: loads the library that `HOSTED` names, and calls its `truth_main`, which finds the process's
//! own arguments. With `HOSTED_FORKS` the work is a forked child's, as that of servers' workers. With `HOSTED_UNLOADS` the
//! library is unloaded after its work, which is said (`unloaded`), and the host goes on until SIGUSR1.

use std::ffi::CString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let path = std::env::var("HOSTED").ok().and_then(|path| CString::new(path).ok());
    let Some(path) = path else {
        eprintln!("host: HOSTED names no library");
        return ExitCode::FAILURE;
    };
    // SAFETY: the path is a C string. What the library runs as it is loaded is this project's own.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        eprintln!("host: cannot load {path:?}");
        return ExitCode::FAILURE;
    }
    // SAFETY: the library is loaded, and stays so; the name is a C string.
    let symbol = unsafe { libc::dlsym(library, c"truth_main".as_ptr()) };
    if symbol.is_null() {
        eprintln!("host: there is no truth_main in {path:?}");
        return ExitCode::FAILURE;
    }
    // SAFETY: the library's function of that name has this type.
    let truth_main = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> u8>(symbol) };
    if std::env::var_os("HOSTED_UNLOADS").is_some() {
        return unload(library, truth_main);
    }
    if std::env::var_os("HOSTED_FORKS").is_none() {
        return ExitCode::from(truth_main());
    }
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => ExitCode::from(truth_main()),
        child => wait(child),
    }
}

/// The work is a thread's of its own, as variables of a thread that lives keep their library loaded.
fn unload(library: *mut libc::c_void, truth_main: extern "C" fn() -> u8) -> ExitCode {
    // SAFETY: a set of signals is integers.
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a variable of its type, and the signal one that there is.
    unsafe {
        libc::sigaddset(&raw mut signals, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
    }
    let code = std::thread::spawn(move || truth_main()).join().unwrap_or(1);
    let path = std::env::var("HOSTED").ok().and_then(|path| CString::new(path).ok()).unwrap_or_default();
    // SAFETY: nothing of the library is used any more.
    let is_there = unsafe {
        libc::dlclose(library);
        !libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD).is_null()
    };
    eprintln!("{}", if is_there { "still loaded" } else { "unloaded" });
    let mut signal = 0;
    // SAFETY: both are variables of their types.
    unsafe { libc::sigwait(&raw const signals, &raw mut signal) };
    ExitCode::from(code)
}

fn wait(child: libc::pid_t) -> ExitCode {
    let mut status = 0;
    // SAFETY: the status is written to a variable of its type.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    let succeeded = waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
