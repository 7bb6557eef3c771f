//! Runtimes at their ordinary work.

use std::io;
use std::thread;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::work::{family, rounds};
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log;
use crate::spawn::{spawn, spawn_on};

pub(super) fn multi_thread(deadline: Deadline) -> Result<()> {
    Ok(multi_thread_runtime(4)?.block_on(with_sockets(deadline))?)
}

pub(super) fn current_thread(deadline: Deadline) -> Result<()> {
    Ok(current_thread_runtime()?.block_on(with_sockets(deadline))?)
}

async fn with_sockets(deadline: Deadline) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let server = spawn(async move { echo(listener.accept().await?.0).await });
    let client = spawn(async move { pings(TcpStream::connect(address).await?, deadline).await });
    rounds(deadline, 8).await;
    for side in [client, server] {
        side.join().await.transpose()?;
    }
    Ok(())
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte).await? == 1 {
        stream.write_all(&byte).await?;
    }
    Ok(())
}

async fn pings(mut stream: TcpStream, deadline: Deadline) -> io::Result<()> {
    let mut sent = 0_u8;
    while deadline.open() {
        stream.write_all(&[sent]).await?;
        if stream.read_u8().await? != sent {
            log::wrong("another byte came back");
        }
        sent = sent.wrapping_add(1);
    }
    Ok(())
}

/// Two multi-thread runtimes and a current-thread one, that also spawn on each other.
pub(super) fn several_runtimes(deadline: Deadline) -> Result<()> {
    let (first, second, third) = (multi_thread_runtime(2)?, multi_thread_runtime(2)?, current_thread_runtime()?);
    let (there, back) = (second.handle().clone(), first.handle().clone());
    thread::scope(|scope| {
        scope.spawn(|| first.block_on(across(there, deadline)));
        scope.spawn(|| second.block_on(across(back.clone(), deadline)));
        scope.spawn(|| third.block_on(across(back.clone(), deadline)));
    });
    Ok(())
}

async fn across(other: tokio::runtime::Handle, deadline: Deadline) {
    let far = other.clone();
    let local = spawn(async move {
        while deadline.open() {
            spawn_on(&far, family(2)).join().await;
        }
    });
    rounds(deadline, 2).await;
    spawn_on(&other, family(1)).join().await;
    local.join().await;
}

/// Tasks one after the other, so that each takes the memory of one before.
pub(super) fn address_reuse(_: Deadline) -> Result<()> {
    current_thread_runtime()?.block_on(async {
        for n in 0..10_000_u64 {
            spawn(async move { n }).join().await;
        }
    });
    multi_thread_runtime(2)?.block_on(async {
        let chain = spawn(async {
            for n in 0..10_000_u64 {
                spawn(async move {
                    tokio::task::yield_now().await;
                    n + 1
                })
                .join()
                .await;
            }
        });
        chain.join().await;
    });
    Ok(())
}
