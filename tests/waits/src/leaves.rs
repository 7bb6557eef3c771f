//! Every thing that tokio lets a task wait for.

use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, duplex};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, interval_at};

use crate::FOREVER;
use crate::log::spawn;
use crate::trail::{Trail, here};

pub(crate) async fn start() -> Result<()> {
    drop(spawn("mpsc", receive));
    drop(spawn("unbounded", receive_unbounded));
    drop(spawn("full", send));
    drop(spawn("oneshot", answer));
    drop(spawn("mutex", lock));
    drop(spawn("rwlock", write));
    drop(spawn("semaphore", permit));
    drop(spawn("notify", notified));
    drop(spawn("watch", changed));
    drop(spawn("broadcast", broadcasted));
    drop(spawn("interval", ticked));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (other, _) = listener.accept().await?;
    drop(spawn("accept", |trail| accept(trail, listener)));
    drop(spawn("read", |trail| read(trail, stream)));
    drop(spawn("readable", |trail| readable(trail, other)));
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    drop(spawn("udp", |trail| datagram(trail, socket)));
    drop(spawn("duplex", read_duplex));
    Ok(())
}

async fn receive(trail: Trail) {
    let (sender, mut receiver) = mpsc::channel::<u32>(3);
    trail.leaf(here!(), "mpsc::Receiver", receiver.recv()).await;
    drop(sender);
}

async fn receive_unbounded(trail: Trail) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<u32>();
    trail.leaf(here!(), "mpsc::UnboundedReceiver", receiver.recv()).await;
    drop(sender);
}

async fn send(trail: Trail) {
    let (sender, receiver) = mpsc::channel::<u32>(1);
    assert!(sender.send(1).await.is_ok());
    trail.leaf(here!(), "mpsc::Sender", sender.send(2)).await.unwrap_or_default();
    drop(receiver);
}

async fn answer(trail: Trail) {
    let (sender, receiver) = oneshot::channel::<u32>();
    trail.leaf(here!(), "oneshot::Receiver", receiver).await.unwrap_or_default();
    drop(sender);
}

async fn lock(trail: Trail) {
    let mutex = Arc::new(Mutex::new(1_u32));
    std::mem::forget(Arc::clone(&mutex).lock_owned().await);
    drop(trail.leaf(here!(), "Mutex", mutex.lock()).await);
}

async fn write(trail: Trail) {
    let lock = RwLock::new(1_u32);
    std::mem::forget(lock.read().await);
    drop(trail.leaf(here!(), "RwLock", lock.write()).await);
}

async fn permit(trail: Trail) {
    let semaphore = Semaphore::new(0);
    drop(trail.leaf(here!(), "Semaphore", semaphore.acquire()).await);
}

async fn notified(trail: Trail) {
    let notify = Notify::new();
    trail.leaf(here!(), "Notify", notify.notified()).await;
}

async fn changed(trail: Trail) {
    let (sender, mut receiver) = watch::channel(1_u32);
    drop(trail.leaf(here!(), "watch::Receiver", receiver.changed()).await);
    drop(sender);
}

async fn broadcasted(trail: Trail) {
    let (sender, mut receiver) = broadcast::channel::<u32>(3);
    drop(trail.leaf(here!(), "broadcast::Receiver", receiver.recv()).await);
    drop(sender);
}

async fn ticked(trail: Trail) {
    let mut interval = interval_at(Instant::now() + FOREVER, FOREVER);
    trail.leaf(here!(), "Sleep", interval.tick()).await;
}

async fn accept(trail: Trail, listener: TcpListener) {
    drop(trail.leaf(here!(), "TcpListener readiness", listener.accept()).await);
}

async fn read(trail: Trail, mut stream: TcpStream) {
    let mut bytes = [0; 16];
    drop(trail.leaf(here!(), "Read<TcpStream>", stream.read(&mut bytes)).await);
}

async fn readable(trail: Trail, stream: TcpStream) {
    // It may be taken for readable until the first attempt.
    loop {
        drop(trail.leaf(here!(), "TcpStream readiness", stream.readable()).await);
        drop(stream.try_read(&mut [0; 16]));
    }
}

async fn datagram(trail: Trail, socket: UdpSocket) {
    let mut bytes = [0; 16];
    drop(trail.leaf(here!(), "UdpSocket readiness", socket.recv_from(&mut bytes)).await);
}

async fn read_duplex(trail: Trail) {
    let (mut one, other) = duplex(16);
    drop(trail.leaf(here!(), "DuplexStream", one.read_u8()).await);
    drop(other);
}
