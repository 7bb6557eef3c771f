use super::check;
use crate::http::MAX_KEPT;
use crate::testing::script::{graph, graph_with, owners, requests};
use crate::{Detail, RequestId};

#[test]
fn a_head_read_opens_and_a_head_written_closes() {
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 write 200 on 5; 1/80 end 7",
        "GET /a 20-30 200 by 7 run 10 ready 0 wait 0",
    );
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 end 7; 2/90 wake 7 io; 2/90 poll 7; 2/80 write 404 on 5",
        "GET /a 20-60 404 by 7 run 20 ready 10 wait 10",
    );
    check(requests, "1/90 poll 7; 1/80 read GET /a on 5", "GET /a 20- open by 7 run 10 ready 0 wait 0");
    check(requests, "1/80 read GET /a on 5; 1/80 write 200 on 5", "GET /a 10-20 200");
    check(requests, "1/80 write 200 on 5", "");
    assert_eq!(graph("1/80 write 200 on 5").totals().unmatched_responses, 1);
}

#[test]
fn interim_responses_close_nothing() {
    check(
        requests,
        "1/90 poll 7; 1/80 read POST /a on 5; 1/80 write 100 on 5; 1/80 write 103 on 5; 1/80 write 201 on 5",
        "POST /a 20-50 201 by 7 run 30 ready 0 wait 0",
    );
    check(requests, "1/80 read GET /a on 5; 1/80 write 101 on 5; 1/80 left 5", "GET /a 10-20 101");
}

#[test]
fn connections_are_kept_alive() {
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 write 200 on 5; 1/80 read GET /b on 5; 1/80 write 500 on 5; 1/80 closed 5",
        "GET /a 20-30 200 by 7 run 10 ready 0 wait 0, GET /b 40-50 500 by 7 run 10 ready 0 wait 0",
    );
}

#[test]
fn a_pipelined_one_opens_when_its_predecessor_closes() {
    let two = "1/90 poll 7; 1/80 read GET /a on 5; 1/80 read GET /b on 5; 1/80 write 200 on 5";
    let first = "GET /a 20-40 200 by 7 run 20 ready 0 wait 0";
    check(requests, two, &format!("{first}, GET /b 40- open by 7 run 10 ready 0 wait 0"));
    check(
        requests,
        &format!("{two}; 1/80 write 404 on 5"),
        &format!("{first}, GET /b 40-50 404 by 7 run 10 ready 0 wait 0"),
    );
    let many: Vec<String> = (0..100).map(|n| format!("1/80 read GET /{n} on 5")).collect();
    let graph = graph(&many.join(";"));
    assert!(requests(&graph).starts_with("GET /0 10-660 Unknown, GET /66 670- open"), "{}", requests(&graph));
}

#[test]
fn one_whose_connection_closes_is_cancelled() {
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 closed 5; 1/80 end 7 done",
        "GET /a 20-30 Cancelled by 7 run 10 ready 0 wait 0",
    );
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 end 7; 1/90 shutdown 7; 1/80 end 7 done",
        "GET /a 20-50 Cancelled by 7 run 20 ready 0 wait 10",
    );
    check(requests, "1/80 read GET /a on 5; 1/80 left 5", "GET /a 10-20 Cancelled");
    // Whoever reads may hand the connection on.
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 end 7 done; 2/90 poll 9; 2/80 write 200 on 5",
        "GET /a 20-50 200 by 7",
    );
}

#[test]
fn one_whose_task_panics_is_panicked() {
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 panic; 1/80 closed 5; 1/80 end 7 done",
        "GET /a 20-40 Panicked by 7 run 20 ready 0 wait 0",
    );
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 panic; 1/80 end 7 done",
        "GET /a 20-40 Panicked by 7 run 20 ready 0 wait 0",
    );
    // Caught, and answered.
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 panic; 1/80 write 500 on 5; 1/80 closed 5",
        "GET /a 20-40 500 by 7 run 20 ready 0 wait 0",
    );
    // In an earlier poll, so it was caught.
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 panic; 1/80 end 7; 1/90 poll 7; 1/80 closed 5",
        "GET /a 20-60 Cancelled by 7 run 30 ready 0 wait 10",
    );
}

#[test]
fn a_descriptor_is_reused() {
    check(
        requests,
        "1/80 read GET /a on 5; 1/80 closed 5; 1/80 read GET /b on 5; 1/80 write 200 on 5",
        "GET /a 10-20 Cancelled, GET /b 30-40 200",
    );
    // Its closing was not seen, but another task reads from it.
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 2/90 poll 9; 2/80 read GET /b on 5; 2/80 write 200 on 5",
        "GET /a 20-40 Unknown by 7, GET /b 40-50 200 by 9 run 10 ready 0 wait 0",
    );
    check(requests, "1/80 read GET /a on 5; 1/80 write GET /b on 5", "GET /a 10-20 Unknown");
    check(requests, "1/80 read GET /a on 5; 1/80 lost 5; 1/80 write 200 on 5", "GET /a 10-20 Unknown");
}

#[test]
fn across_a_gap_nothing_is_claimed() {
    check(requests, "1/80 read GET /a on 5; 5/0 gap; 1/80 write 200 on 5", "GET /a 10-20 Unknown");
    check(requests, "1/80 read GET /a on 5; 1/80 write 200 on 5; 5/0 gap 20", "GET /a 10-20 Unknown");
    check(requests, "1/80 read GET /a on 5; 1/80 write 200 on 5; 5/0 gap 25", "GET /a 10-20 200");
    check(
        requests,
        "1/90 poll 7; 1/80 read GET /a on 5; 5/0 gap; 1/0 rest; 2/90 poll 9; 2/80 read GET /b on 5; 2/80 write 200 on 5",
        "GET /a 20-30 Unknown by 7, GET /b 60-70 200 by 9 run 10 ready 0 wait 0",
    );
    check(
        owners,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 5/0 gap 25; 1/0 rest; 1/90 poll 8; 1/70 spawn 10",
        "7 of nobody, 8 of nobody, 10 of nobody",
    );
    check(owners, "1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 5/0 gap 35", "7 of nobody, 8 of nobody");
}

#[test]
fn hostile_values_are_only_values() {
    let graph = graph("1/80 read \u{1b}[31m /\u{0}\u{202e} on 5 id=\u{7f}'\"<; 1/80 write 65535 on 5");
    assert_eq!(graph.requests().count(), 1);
}

/// Twice as many requests and calls as are kept, each with an ID of its own.
fn many() -> String {
    let one = |n: usize| {
        format!(
            "1/80 read GET /a on 5 id=r{n}; 1/80 write GET /b on 6 id=r{n}; 1/80 read 200 on 6; 1/80 write 200 on 5"
        )
    };
    (0..2 * MAX_KEPT).map(one).collect::<Vec<_>>().join(";")
}

#[test]
fn only_the_newest_are_kept_where_sums_are_enough() {
    let script = many();
    let graph = graph_with(&script, Detail::Totals);
    assert_eq!((graph.requests().len(), graph.calls().len()), (MAX_KEPT, MAX_KEPT));
    assert_eq!((graph.totals().requests, graph.totals().calls), (2 * MAX_KEPT as u64, 2 * MAX_KEPT as u64));
    assert!(graph.http.is_small());
    assert_eq!(graph.requests().next().unwrap().id, RequestId(MAX_KEPT as u64 + 1));
    let all = graph_with(&script, Detail::Requests);
    assert_eq!(all.requests().len(), 2 * MAX_KEPT);
}

#[test]
fn connections_that_are_followed_are_bounded() {
    use crate::http::connection::MAX_CONNECTIONS;
    let script: Vec<String> = (0..MAX_CONNECTIONS + 5).map(|key| format!("1/80 read GET /a on {key}")).collect();
    let graph = graph(&script.join(";"));
    assert_eq!((graph.requests().len(), graph.totals().unfollowed), (MAX_CONNECTIONS, 5));
}

#[test]
fn closed_ones_can_be_taken() {
    let mut graph = graph("1/80 read GET /a on 5; 1/70 write GET /c on 9; 1/80 write 200 on 5; 1/80 read GET /b on 5");
    assert_eq!(graph.take_request(RequestId(1)).map(|request| request.opened_ns), Some(10));
    assert!(graph.take_request(RequestId(1)).is_none() && graph.take_request(RequestId(2)).is_none());
    assert!(graph.take_call(crate::CallId(1)).is_none());
    assert_eq!(graph.requests().len(), 1);
}

#[test]
fn tasks_of_one_that_was_taken_stay_its() {
    let mut graph = graph("1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 write 200 on 5");
    graph.take_request(RequestId(1));
    assert_eq!(graph.owner(asyncscope_trace::event::TaskId(8)).request(), Some(RequestId(1)));
}

/// Four times as many closed requests as are kept, and tasks that are over: what a gap might take back of them goes
/// with them.
#[test]
fn what_has_left_is_not_remembered() {
    let one = |n: usize| {
        format!(
            "1/90 poll 7; 1/80 read GET /a on 5 id=r{n}; 1/70 spawn {id}; 1/80 write 200 on 5; 1/80 end 7; 2/90 poll {id}; 2/80 end {id} done",
            id = 1000 + 2 * n
        )
    };
    let script = (0..4 * MAX_KEPT).map(one).collect::<Vec<_>>().join(";");
    for leaving in [false, true] {
        let config = crate::Config::from(&crate::testing::script::facts(false)).with_eviction(leaving);
        let mut graph = crate::Graph::new(&config);
        for (at, event) in crate::testing::script::events(&script).iter().enumerate() {
            graph.apply(event);
            if at % 1000 == 0 {
                let over = graph.take_ended(event.at.time);
                if leaving {
                    graph.evict(&over);
                }
            }
        }
        assert_eq!(graph.tasks().iter().count() < 1000, leaving);
        assert!(graph.undo.requests_len() < 3 * MAX_KEPT);
        assert_eq!(graph.undo.spawns_len() < 3 * MAX_KEPT, leaving);
    }
}
