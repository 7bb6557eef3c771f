//! Losses, IDs that two requests have, and actix-web.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use asyncscope_tests::attribution::compare::compare;
use asyncscope_tests::attribution::load::{self, Client};
use asyncscope_tests::attribution::service::{Role, Watch, watch};
use asyncscope_tests::attribution::table::{self, Floor};
use asyncscope_tests::paths;

use super::kinds::{ACTIX, BY_HTTP2, GRPC, HYPER, NOBODYS, PIPELINED, PIPELINED_HYPER, SAME_ID};
use super::{CLIENTS, TIMES, judged, none_of, of_kinds};

/// In KiB, of each CPU: such that hold little, half and most of it.
const BUFFERS: [&str; 3] = ["16", "32", "64"];
/// How often two requests have one ID.
const PAIRS: usize = 8;
/// After the second request the first one's task has called.
const CALLED: Duration = Duration::from_millis(20);
/// As many are sent at once.
const DEEP: usize = 5;

/// Claims are not false where many events are lost either.
pub(super) fn losses() -> Result<()> {
    let mistakes: Vec<Vec<String>> = BUFFERS.iter().map(|buffer| lossy(buffer)).collect::<Result<_>>()?;
    none_of(mistakes.concat())
}

fn lossy(buffer: &str) -> Result<Vec<String>> {
    let floors = [HYPER, GRPC].concat();
    let asked: Vec<&str> = floors.iter().map(|floor| floor.kind).collect();
    let load = |port| load::ask_all(port, &asked, 2 * CLIENTS, 1);
    let lived = watch(Role::Axum(2), Watch::Attach, &["--buffer", buffer], load)?;
    let lost = lived.claims.recording.totals.lost;
    let kinds = compare(&lived.truth, &lived.claims);
    eprintln!("attribution::losses, {buffer} KiB: {lost} events lost\n{}", table::shown(&kinds));
    ensure!(lost > 0, "nothing was lost");
    let nothing_asked = floors.iter().chain([&NOBODYS]).map(|floor| Floor {
        reported: 0,
        right: 0,
        children: 0,
        unlikely: 100,
        ..*floor
    });
    Ok(table::mistakes(&kinds, &nothing_asked.collect::<Vec<_>>()))
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
    pipelined("actix_pipelined", Role::Actix, PIPELINED)
}

/// The handler of each request runs when the answer to the one before it is written.
pub(super) fn axum_pipelined() -> Result<()> {
    pipelined("axum_pipelined", Role::Axum(2), PIPELINED_HYPER)
}

/// Many streams at a time on one connection, each with a task of its own.
pub(super) fn by_http2() -> Result<()> {
    let load = |port: u16| {
        let numbers = [port.to_string(), CLIENTS.to_string(), TIMES.to_string()];
        let mut command = Command::new(paths::kinds()?);
        command.arg("load").args(numbers).args(BY_HTTP2.iter().map(|floor| floor.kind));
        let asked = command.output()?;
        ensure!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        Ok(())
    };
    judged("by_http2", &watch(Role::Axum(2), Watch::Run, &[], load)?, BY_HTTP2)
}

fn pipelined(name: &str, role: Role, floors: &[Floor]) -> Result<()> {
    let load = |port| {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(port)).collect();
        load::in_parallel(&mut clients, |number, client| {
            (0..TIMES * floors.len()).try_for_each(|time| {
                let kinds = floors.iter().cycle().skip(time).take(DEEP).enumerate();
                let asked = kinds.map(|(place, floor)| (floor.kind, format!("{}-{number}-{time}-{place}", floor.kind)));
                client.pipeline(&asked.collect::<Vec<_>>())
            })
        })
    };
    judged(name, &watch(role, Watch::Run, &[], load)?, floors)
}
