//! What the kernel tells of a process, as text.

use std::{fs, io, path::Path};

/// The file's text. Names in it are the process's own affair: one that is cut within a character, or is no text, is
/// no reason to see nothing.
///
/// # Errors
///
/// Those of reading it.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_text_hides_nothing() {
        let check = |name: &[u8]| {
            let name = std::ffi::CString::new(name).unwrap();
            // SAFETY: the name is live and ends with a zero. It is this thread's alone.
            unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
            text("/proc/thread-self/status").unwrap()
        };
        assert!(check(b"\xff\xfe").contains("\nPid:"));
        // The kernel cuts names after 15 bytes.
        assert!(check("0123456789abcd\u{202e}".as_bytes()).contains("\nPid:"));
    }
}
