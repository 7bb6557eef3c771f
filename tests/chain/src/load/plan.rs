//! Who asks for what, with which ID, and what has to come of it.

/// What a client does on its connection.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// What it is counted under.
    pub(super) route: &'static str,
    /// What it asks for, one after the other.
    pub(super) paths: Vec<String>,
    /// All at once, without waiting for an answer.
    pub(super) pipelined: bool,
    /// A line for every head.
    pub(super) header: Option<String>,
    pub(super) ending: Ending,
}

/// What has to come of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// Every answer has this status.
    Statuses(u16),
    /// The connection ends without an answer.
    Dropped,
    /// The client leaves before there is an answer.
    Leave,
}

const FAULTS: [(&str, Ending); 12] = [
    ("/retry", Ending::Statuses(200)),
    ("/redo", Ending::Statuses(200)),
    ("/late", Ending::Statuses(504)),
    ("/layered", Ending::Statuses(408)),
    ("/hang", Ending::Leave),
    ("/panic", Ending::Dropped),
    ("/pass/panic", Ending::Statuses(502)),
    ("/pass/late", Ending::Statuses(504)),
    ("/pass/refused", Ending::Statuses(404)),
    ("/pass/limited", Ending::Statuses(504)),
    ("/pass/broken", Ending::Statuses(502)),
    ("/pass/quiet", Ending::Statuses(200)),
];

/// This many clients with an ID each, this many without, this many for each fault. No two paths are equal.
pub(super) fn visits(with_id: u64, without: u64, faults: u64) -> Vec<Visit> {
    let mut next = 0;
    let mut number = || {
        next += 1;
        next
    };
    let mut visits = Vec::new();
    for n in 0..with_id {
        let first = number();
        let route = if n % 10 == 9 { "/quiet" } else { "/fan" };
        visits.push(visit(route, first, header(first), Ending::Statuses(200)));
    }
    for n in 0..without {
        let route = if n % 2 == 0 { "/own" } else { "/fan" };
        let mut visit = visit(route, number(), None, Ending::Statuses(200));
        // Every other one goes on over the same connection, half of them without waiting.
        visit.paths.extend((n % 4 < 2).then(|| format!("{route}/{}", number())));
        visit.pipelined = n % 4 == 0;
        visits.push(visit);
    }
    for _ in 0..faults {
        for (route, ending) in FAULTS {
            let number = number();
            visits.push(visit(route, number, header(number), ending));
        }
    }
    visits
}

fn visit(route: &'static str, number: u64, header: Option<String>, ending: Ending) -> Visit {
    Visit { route, paths: vec![format!("{route}/{number}")], pipelined: false, header, ending }
}

/// Each kind of ID, and a `traceparent` for most.
#[expect(clippy::unnecessary_wraps, reason = "as others have none")]
fn header(number: u64) -> Option<String> {
    Some(match number % 6 {
        0 => format!("x-request-id: request-{number}"),
        1 => format!("X-Correlation-ID: correlation-{number}"),
        _ => format!("traceparent: 00-{:032x}-{number:016x}-01", 0xabc0_0000_0000_u64 + number),
    })
}
