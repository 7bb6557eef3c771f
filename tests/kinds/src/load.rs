//! A client that asks over HTTP/2, all on one connection: `kinds load PORT CLIENTS TIMES KIND…`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a client that goes away stays.
const STAY: Duration = Duration::from_millis(12);

/// Asks for each kind, this many clients at a time, this many times each.
pub(crate) async fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mut number = || args.next().context("say PORT CLIENTS TIMES").and_then(|arg| Ok(arg.parse::<u16>()?));
    let (port, clients, times) = (number()?, number()?, number()?);
    let client = Client::builder().no_proxy().http2_prior_knowledge().build()?;
    for kind in args {
        let mut asking = JoinSet::new();
        for number in 0..clients {
            asking.spawn(ask(client.clone(), port, kind.clone(), number, times));
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
    }
    Ok(())
}

async fn ask(client: Client, port: u16, kind: String, number: u16, times: u16) -> Result<()> {
    for time in 0..times {
        let name = format!("{kind}-{number}-{time}");
        let asked = client.get(format!("http://127.0.0.1:{port}/w/{kind}/{name}")).header("x-request-id", &name);
        if kind.starts_with("gone") {
            drop(timeout(STAY, asked.send()).await);
            continue;
        }
        let answer = asked.send().await?;
        let status = answer.status();
        answer.bytes().await?;
        ensure!(status == StatusCode::OK, "{name} was answered {status}");
    }
    Ok(())
}
