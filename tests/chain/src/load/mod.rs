//! The load: clients, each with a connection of its own, all at once, and what each has to get.

mod client;
mod plan;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use self::client::Client;
use self::plan::{Ending, Visit};
use crate::stage;

/// What came of it, by route.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    asked: BTreeMap<String, u64>,
    /// Answers that are not the route's.
    wrong: Vec<String>,
    /// What was asked for by clients that left before there was an answer: a service need not have heard
    /// of it, even if it has read it.
    left: Vec<Left>,
}

#[derive(Debug, Serialize)]
struct Left {
    path: String,
    header: String,
    id: String,
}

impl Left {
    fn of(visit: &Visit) -> Vec<Self> {
        let line = visit.header.as_deref().and_then(|line| line.split_once(": "));
        let (header, id) = line.map_or_else(Default::default, |(name, id)| (name.to_ascii_lowercase(), id.to_owned()));
        let left = |path: &String| Self { path: path.clone(), header: header.clone(), id: id.clone() };
        visit.paths.iter().map(left).collect()
    }
}

/// Asks for everything, says what came of it, and whether that is as it should be. Options: how many
/// clients bear an ID, how many do not, how often each fault is tried.
pub(crate) fn run(front: SocketAddr, mut args: impl Iterator<Item = String>) -> Result<bool> {
    let mut option = |default: u64| args.next().map_or(Ok(default), |arg| arg.parse().context("options are numbers"));
    let visits = plan::visits(option(1000)?, option(100)?, option(10)?);
    let leave = visits.iter().filter(|visit| matches!(visit.ending, Ending::Leave));
    let left = leave.flat_map(Left::of).collect();
    let outcome = Outcome { left, ..stage::runtime()?.block_on(all(front, visits))? };
    stage::say(&serde_json::to_string(&outcome)?)?;
    Ok(outcome.wrong.is_empty())
}

async fn all(front: SocketAddr, visits: Vec<Visit>) -> Result<Outcome> {
    let start = Arc::new(Barrier::new(visits.len()));
    let mut clients = JoinSet::new();
    for visit in visits {
        let start = Arc::clone(&start);
        clients.spawn(async move {
            let client = Client::connect(front).await;
            start.wait().await;
            let name = visit.route.to_owned();
            (name, visit.paths.len() as u64, pay(client, visit).await)
        });
    }
    let mut outcome = Outcome::default();
    while let Some(done) = clients.join_next().await {
        let (route, asked, result): (_, _, Result<()>) = done?;
        *outcome.asked.entry(route.clone()).or_default() += asked;
        if let Err(error) = result {
            outcome.wrong.push(format!("{route}: {error:#}"));
        }
    }
    Ok(outcome)
}

async fn pay(client: Result<Client>, visit: Visit) -> Result<()> {
    let mut client = client?;
    let heads: Vec<String> = visit.paths.iter().map(|path| client::head(path, visit.header.as_deref())).collect();
    match visit.ending {
        Ending::Statuses(status) if visit.pipelined => {
            client.send(&heads.concat()).await?;
            for _ in heads {
                client.expect(status).await?;
            }
        }
        Ending::Statuses(status) => {
            for head in heads {
                client.send(&head).await?;
                client.expect(status).await?;
            }
        }
        Ending::Dropped => {
            client.send(&heads.concat()).await?;
            client.expect_end().await?;
        }
        Ending::Leave => {
            client.send(&heads.concat()).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    Ok(())
}
