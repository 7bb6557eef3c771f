//! What leaves are called.

use crate::facts::{AwaitFrame, AwaitKind};

/// Names of leaves inside methods of tokio's, by how the method's name starts: a lock and a channel
/// wait by a semaphore, a socket by its readiness.
const METHODS: [(&str, &str); 14] = [
    ("tokio::sync::mutex::", "Mutex"),
    ("tokio::sync::rwlock::", "RwLock"),
    ("tokio::sync::semaphore::", "Semaphore"),
    ("tokio::sync::mpsc::bounded::Sender", "mpsc::Sender"),
    ("tokio::sync::mpsc::bounded::Receiver", "mpsc::Receiver"),
    ("tokio::sync::mpsc::unbounded::UnboundedReceiver", "mpsc::UnboundedReceiver"),
    ("tokio::sync::watch::Receiver", "watch::Receiver"),
    ("tokio::sync::watch::Sender", "watch::Sender"),
    ("tokio::sync::broadcast::Receiver", "broadcast::Receiver"),
    ("tokio::sync::barrier::", "Barrier"),
    ("tokio::net::tcp::listener::TcpListener", "TcpListener readiness"),
    ("tokio::net::tcp::stream::TcpStream", "TcpStream readiness"),
    ("tokio::net::udp::UdpSocket", "UdpSocket readiness"),
    ("tokio::net::unix::", "Unix socket readiness"),
];

/// Names the frame at this place of a chain: a leaf by the outermost of the methods of tokio's that
/// it waits in, and else by its type. `chain` says each frame's number and depth.
#[must_use]
pub fn frame_name(
    frames: &[AwaitFrame],
    chain: impl DoubleEndedIterator<Item = (u32, u16)> + ExactSizeIterator + Clone,
    at: usize,
) -> &str {
    let frame = |number: u32| frames.get(number as usize);
    let Some((own, depth)) = chain.clone().nth(at).and_then(|(number, depth)| Some((frame(number)?, depth))) else {
        return "";
    };
    if own.kind != AwaitKind::Leaf {
        return &own.name;
    }
    let mut inner = depth;
    let mut outermost: Option<&AwaitFrame> = None;
    for (number, around) in chain.take(at).rev() {
        if around >= inner {
            continue;
        }
        inner = around;
        match frame(number).filter(|frame| frame.name.starts_with("tokio::")) {
            Some(method) => outermost = Some(method),
            None => break,
        }
    }
    let by_method = outermost.and_then(|method| METHODS.iter().find(|(start, _)| method.name.starts_with(start)));
    by_method.map_or(&own.name, |&(_, name)| name)
}

/// The names that leaves get by methods.
pub fn leaf_names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|&(_, name)| name)
}
