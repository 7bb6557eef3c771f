//! The target's TCP connections when it is attached to: who was waiting for an answer on them.
//!
//! What began before no hook can tell of. But the kernel keeps of each connection when bytes last went either way,
//! and tells it to whoever asks, without touching the process
//! (<https://man7.org/linux/man-pages/man7/sock_diag.7.html>).

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

use super::procfs;
use asyncscope_trace::facts::InExchange;

/// `SOCK_DIAG_BY_FAMILY`: <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/sock_diag.h#L7>
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`: <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/netlink.h#L52-L68>
const REQUEST_ALL: u16 = 0x301;
/// `NLMSG_DONE`, `NLMSG_ERROR`
const DONE: u16 = 3;
const ERROR: u16 = 2;
const HEADER_LEN: usize = 16;
/// `struct inet_diag_req_v2` and `struct inet_diag_msg`:
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/inet_diag.h#L39-L133>
const REQUEST_LEN: usize = 56;
const ANSWER_LEN: usize = 72;
/// `INET_DIAG_INFO`: a `struct tcp_info`.
const INFO: u16 = 2;
/// `TCP_ESTABLISHED`, `TCP_LISTEN`: <https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h#L13-L27>
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
/// Sockets of a network namespace that are looked at.
const SOCKETS_MAX: usize = 1 << 20;
/// The kernel's answers come in pieces of at most this many bytes.
const PIECE: usize = 1 << 16;

/// Counts the connections on which somebody waits for an answer now.
///
/// # Errors
///
/// The kernel does not tell: no `INET_DIAG`, or not permitted in the target's network namespace.
pub fn in_exchange(pid: u32) -> io::Result<InExchange> {
    let own = inodes(pid)?;
    let diagnosis = open(pid)?;
    let mut sockets = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        dump(&diagnosis, family as i32 as u8, &mut sockets)?;
    }
    sockets.retain(|socket| own.contains(&socket.inode));
    Ok(count(&sockets))
}

/// A TCP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Socket {
    state: u8,
    local_port: u16,
    inode: u32,
    /// Set if bytes went out, and came in.
    has_sent: bool,
    has_received: bool,
    /// The time since that was last, in milliseconds.
    sent_ms: u32,
    received_ms: u32,
}

/// A connection that the target accepted has a local port that it listens on; there the other side asks.
fn count(sockets: &[Socket]) -> InExchange {
    let listening: HashSet<u16> =
        sockets.iter().filter(|socket| socket.state == LISTEN).map(|socket| socket.local_port).collect();
    let mut counts = InExchange::default();
    for socket in sockets.iter().filter(|socket| socket.state == ESTABLISHED) {
        match listening.contains(&socket.local_port) {
            true => counts.served += u32::from(socket.received_last()),
            false => counts.called += u32::from(socket.sent_last()),
        }
    }
    counts
}

impl Socket {
    fn sent_last(&self) -> bool {
        self.has_sent && (!self.has_received || self.sent_ms < self.received_ms)
    }

    fn received_last(&self) -> bool {
        self.has_received && (!self.has_sent || self.received_ms < self.sent_ms)
    }
}

fn inodes(pid: u32) -> io::Result<HashSet<u32>> {
    Ok(procfs::own_sockets(pid)?.filter_map(|inode| u32::try_from(inode).ok()).collect())
}

/// A socket that asks in the target's network namespace. A thread of its own goes there.
fn open(pid: u32) -> io::Result<OwnedFd> {
    if procfs::namespace(pid, "net")? == procfs::own_namespace("net")? {
        return open_here();
    }
    let there = File::open(procfs::namespace_file(pid, "net"))?;
    let opened = std::thread::spawn(move || {
        setns(there, CloneFlags::CLONE_NEWNET)?;
        open_here()
    });
    opened.join().unwrap_or_else(|_| Err(io::Error::other("the thread that asks panicked")))
}

fn open_here() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(1, 0))?;
    Ok(socket)
}

fn request(family: u8) -> [u8; HEADER_LEN + REQUEST_LEN] {
    let mut request = [0; HEADER_LEN + REQUEST_LEN];
    let len = (HEADER_LEN + REQUEST_LEN) as u32;
    request[..4].copy_from_slice(&len.to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_ALL.to_ne_bytes());
    let states = (1u32 << ESTABLISHED) | (1 << LISTEN);
    request[HEADER_LEN] = family;
    request[HEADER_LEN + 1] = libc::IPPROTO_TCP as u8;
    request[HEADER_LEN + 2] = 1 << (INFO - 1);
    request[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&states.to_ne_bytes());
    request
}

fn dump(diagnosis: &OwnedFd, family: u8, sockets: &mut Vec<Socket>) -> io::Result<()> {
    send(diagnosis.as_raw_fd(), &request(family), MsgFlags::empty())?;
    let mut piece = vec![0; PIECE];
    loop {
        let len = recv(diagnosis.as_raw_fd(), &mut piece, MsgFlags::empty())?;
        if len == 0 || is_last(piece.get(..len).unwrap_or_default(), sockets)? {
            return Ok(());
        }
    }
}

/// Takes the messages of one piece; says whether the last was among them.
fn is_last(mut piece: &[u8], sockets: &mut Vec<Socket>) -> io::Result<bool> {
    while let Some((kind, body)) = message(&mut piece) {
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = i32_at(body, 0).unwrap_or_default();
                return if code == 0 { Ok(true) } else { Err(io::Error::from_raw_os_error(-code)) };
            }
            SOCK_DIAG_BY_FAMILY if sockets.len() < SOCKETS_MAX => sockets.extend(parse(body)),
            _ => {}
        }
    }
    Ok(false)
}

/// The next message's kind and body.
fn message<'a>(piece: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let len = u32_at(piece, 0)? as usize;
    let kind = u16_at(piece, 4)?;
    let body = piece.get(HEADER_LEN..len)?;
    *piece = piece.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body))
}

fn parse(body: &[u8]) -> Option<Socket> {
    let local_port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let mut socket = Socket { state: *body.get(1)?, local_port, inode: u32_at(body, 68)?, ..Socket::default() };
    let mut attributes = body.get(ANSWER_LEN..)?;
    while let (Some(len), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let len = usize::from(len);
        if kind == INFO
            && let Some(info) = attributes.get(4..len)
        {
            learn(&mut socket, info);
        }
        attributes = if len < 4 { &[] } else { attributes.get(len.next_multiple_of(4)..).unwrap_or_default() };
    }
    Some(socket)
}

/// Takes a `struct tcp_info`: <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/tcp.h#L231-L314>. The
/// SYN counts among the bytes that were acknowledged.
fn learn(socket: &mut Socket, info: &[u8]) {
    let (unacknowledged, acknowledged) = (u32_at(info, 24).unwrap_or(0), u64_at(info, 120).unwrap_or(0));
    socket.has_sent = unacknowledged > 0 || acknowledged > 1;
    socket.has_received = u64_at(info, 128).is_some_and(|bytes| bytes > 0);
    socket.sent_ms = u32_at(info, 44).unwrap_or(0);
    socket.received_ms = u32_at(info, 52).unwrap_or(0);
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    u32_at(bytes, at).map(u32::cast_signed)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_went_last() {
        let socket = |state, local_port, sent: Option<u32>, received: Option<u32>| Socket {
            state,
            local_port,
            has_sent: sent.is_some(),
            has_received: received.is_some(),
            sent_ms: sent.unwrap_or(9),
            received_ms: received.unwrap_or(9),
            ..Socket::default()
        };
        let listening = socket(LISTEN, 80, None, None);
        let check = |established, called, served| {
            assert_eq!(count(&[listening, established]), InExchange { called, served }, "{established:?}");
        };
        check(socket(ESTABLISHED, 5000, Some(3), None), 1, 0);
        check(socket(ESTABLISHED, 5000, Some(3), Some(7)), 1, 0);
        check(socket(ESTABLISHED, 5000, Some(7), Some(3)), 0, 0);
        check(socket(ESTABLISHED, 5000, Some(3), Some(3)), 0, 0);
        check(socket(ESTABLISHED, 5000, None, None), 0, 0);
        check(socket(ESTABLISHED, 80, None, Some(3)), 0, 1);
        check(socket(ESTABLISHED, 80, Some(7), Some(3)), 0, 1);
        check(socket(ESTABLISHED, 80, Some(3), Some(7)), 0, 0);
    }

    #[test]
    fn hostile_answers_end() {
        let mut sockets = Vec::new();
        let mut piece = [0; 64];
        assert!(!is_last(&piece, &mut sockets).unwrap());
        piece[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(!is_last(&piece, &mut sockets).unwrap());
        let mut body = vec![0; ANSWER_LEN];
        body.extend([0, 0, 2, 0, 9]);
        assert!(parse(&body).is_some() && parse(&body[..ANSWER_LEN - 5]).is_none());
    }

    /// On real connections of this process. Other tests have some, too: only these are counted.
    #[test]
    fn of_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut asks = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut answers, _) = listener.accept().unwrap();
        let port = listener.local_addr().unwrap().port();
        let now = || {
            let own = inodes(std::process::id()).unwrap();
            let mut sockets = Vec::new();
            dump(&open(std::process::id()).unwrap(), libc::AF_INET as u8, &mut sockets).unwrap();
            let client = asks.local_addr().unwrap().port();
            sockets.retain(|socket| [port, client].contains(&socket.local_port) && own.contains(&socket.inode));
            count(&sockets)
        };
        assert_eq!(now(), InExchange::default());
        sleep(Duration::from_millis(20));
        (&asks).write_all(b"ask").unwrap();
        answers.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(now(), InExchange { called: 1, served: 1 });
        sleep(Duration::from_millis(20));
        answers.write_all(b"answer").unwrap();
        (&asks).read_exact(&mut [0; 6]).unwrap();
        // The two directions share a clock tick at the most.
        assert_eq!(now(), InExchange::default());
        drop(asks.shutdown(std::net::Shutdown::Both));
        let _ = &mut asks;
    }
}
