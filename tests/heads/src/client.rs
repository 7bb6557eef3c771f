//! A pooled client as people use it, eight requests at a time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use reqwest::{Client, Method};
use tokio::task::JoinSet;

const TASKS: u32 = 8;
const REQUESTS: u32 = 25;
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Asks, and returns the ID of each request that was answered.
pub(crate) async fn ask(address: SocketAddr) -> Result<Vec<String>> {
    let client = Client::builder().no_proxy().build()?;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(one_after_the_other(client.clone(), address));
    }
    let mut sent = Vec::new();
    while let Some(ids) = tasks.join_next().await {
        sent.extend(ids??);
    }
    Ok(sent)
}

async fn one_after_the_other(client: Client, address: SocketAddr) -> Result<Vec<String>> {
    let mut sent = Vec::new();
    for _ in 0..REQUESTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (method, path) = match number % 5 {
            0 => (Method::GET, "echo"),
            1 => (Method::POST, "echo"),
            2 => (Method::HEAD, "stream"),
            3 => (Method::GET, "stream"),
            _ => (Method::DELETE, "empty"),
        };
        let id = format!("id-{number}");
        let url = format!("http://{address}/{path}/{number}?query=not-kept");
        let mut request = client.request(method.clone(), url).header("x-request-id", &id);
        if method == Method::POST {
            request = request.body("GET /fake HTTP/1.1\r\n\r\n".repeat(number as usize % 700));
        }
        request.send().await?.error_for_status()?.bytes().await?;
        sent.push(id);
    }
    Ok(sent)
}
