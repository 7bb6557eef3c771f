//! Sockets: the links of descriptors, and `/proc/net/unix`.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use super::text::{decimal, lines, words};

/// The inode in `socket:[1234]`.
#[must_use]
pub fn socket_inode(link: &Path) -> Option<u64> {
    decimal(link.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// The inodes, which are the seventh word of a line. A name behind it is written as it is, even with a line's end:
/// whoever opens a socket can feign another one by it, and hide none.
/// <https://github.com/torvalds/linux/blob/v6.12/net/unix/af_unix.c#L3384-L3435>
pub(super) fn unix_sockets(sockets: &[u8]) -> Vec<u64> {
    lines(sockets).skip(1).filter_map(|line| decimal(words(line).nth(6)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_socket() {
        let check = |link: &[u8], expected| {
            assert_eq!(socket_inode(Path::new(std::ffi::OsStr::from_bytes(link))), expected, "{link:?}");
        };
        check(b"socket:[123]", Some(123));
        check(b"pipe:[123]", None);
        check(b"/dev/null", None);
        check(b"socket:[\xff]", None);
        check(b"socket:[123", None);
    }

    #[test]
    fn sockets_of_any_name() {
        let sockets = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 123 /run/systemd/journal/stdout\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 124 @\xff\n\
            0000000000000000: 00000003 00000000 00000000 0001 03   125\n";
        assert_eq!(unix_sockets(sockets), [123, 124, 125]);
        assert!(unix_sockets(b"1 2 3 4 5 6 7").is_empty());
        assert!(unix_sockets(b"\n1 2 3 4 5 6 \xff\n1 2").is_empty());
    }
}
