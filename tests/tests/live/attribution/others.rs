//! Losses, IDs that two requests have, and actix-web.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use asyncscope_tests::attribution::compare::compare;
use asyncscope_tests::attribution::load::{self, Client};
use asyncscope_tests::attribution::service::{Role, Watch, watch};
use asyncscope_tests::attribution::table::{self, Floor};

use super::kinds::{ACTIX, GRPC, HYPER, PIPELINED, SAME_ID};
use super::{CLIENTS, TIMES, judged, none_of, of_kinds};

/// In KiB, of each CPU: the smallest there can be.
const SMALL: &str = "4";
/// How often two requests have one ID.
const PAIRS: usize = 8;
/// After the second request the first one's task has called.
const CALLED: Duration = Duration::from_millis(20);
/// As many are sent at once.
const DEEP: usize = 5;

/// What is claimed where most events are lost is not false either.
pub(super) fn losses() -> Result<()> {
    let floors = [HYPER, GRPC].concat();
    let asked: Vec<&str> = floors.iter().map(|floor| floor.kind).collect();
    let load = |port| load::ask_all(port, &asked, 2 * CLIENTS, 1);
    let lived = watch(Role::Axum(2), Watch::Attach, &["--buffer", SMALL], load)?;
    let lost = lived.claims.recording.totals.lost;
    let kinds = compare(&lived.truth, &lived.claims);
    eprintln!("attribution::losses: {lost} events lost\n{}", table::shown(&kinds));
    ensure!(lost > 0, "nothing was lost");
    let nothing_asked: Vec<Floor> =
        floors.iter().map(|floor| Floor { told: 0, right: 0, children: 0, ..*floor }).collect();
    none_of(table::mistakes(&kinds, &nothing_asked))
}

/// A task calls with its request's ID after that was answered, while another request with this ID is open.
pub(super) fn same_id() -> Result<()> {
    let load = |port| {
        let mut client = Client::new(port);
        (0..PAIRS).try_for_each(|pair| {
            let id = format!("same-{pair}");
            client.ask("bgid", &format!("first-{pair}"), &id)?;
            client.ask("hold", &format!("second-{pair}"), &id)?;
            thread::sleep(CALLED);
            Ok(())
        })
    };
    judged("same_id", &watch(Role::Axum(2), Watch::Run, &[], load)?, SAME_ID)
}

pub(super) fn actix() -> Result<()> {
    of_kinds("actix", Role::Actix, Watch::Attach, ACTIX)
}

/// The handler of each request runs before the answer to the one before it is written.
pub(super) fn actix_pipelined() -> Result<()> {
    let load = |port| {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(port)).collect();
        load::in_parallel(&mut clients, |number, client| {
            (0..TIMES * PIPELINED.len()).try_for_each(|time| {
                let kinds = PIPELINED.iter().cycle().skip(time).take(DEEP).enumerate();
                let asked = kinds.map(|(place, floor)| (floor.kind, format!("{}-{number}-{time}-{place}", floor.kind)));
                client.pipeline(&asked.collect::<Vec<_>>())
            })
        })
    };
    judged("actix_pipelined", &watch(Role::Actix, Watch::Run, &[], load)?, PIPELINED)
}
