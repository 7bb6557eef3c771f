use super::check;
use crate::testing::script::{graph, owners, requests};

/// Task 8 is of stream 1, task 10 of stream 3.
const TWO: &str =
    "1/90 poll 7; 1/80 read POST /a on h5.1; 1/80 read POST /b on h5.3; 1/70 spawn 8; 1/70 spawn 10; 1/80 end 7";

#[test]
fn spawns_follow_the_order_of_heads() {
    check(owners, TWO, "7 of nobody, 8 of /a, 10 of /b");
    check(
        requests,
        &format!(
            "{TWO}; 1/90 poll 10; 1/80 end 10 done; 1/90 poll 7; 1/80 write 200 on h5.3; 1/80 write trailers on h5.3 grpc=5"
        ),
        "POST /a 20- open by 8 run 20 ready 80 wait 0, POST /b 30-100 200 grpc 5 by 10 run 40 ready 20 wait 10",
    );
    // A head that was read after the first was spawned.
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/70 spawn 8; 1/80 read POST /b on h5.3; 1/70 spawn 10; 1/80 end 7",
        "7 of nobody, 8 of /a, 10 of /b",
    );
}

#[test]
fn what_a_stream_spawns_is_its_requests() {
    check(owners, &format!("{TWO}; 1/90 poll 8; 1/70 spawn 12"), "7 of nobody, 8 of /a, 10 of /b, 12 of /a");
    // Before the poll that spawned the stream's own task was over.
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/70 spawn 8; 2/90 poll 8; 2/70 spawn 12; 1/80 end 7",
        "7 of nobody, 8 of /a, 12 of /a",
    );
}

#[test]
fn a_service_may_spawn_for_each_as_well() {
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/80 read POST /b on h5.3; 1/70 spawn 1; 1/70 spawn 8; 1/70 spawn 3; 1/70 spawn 10; 1/80 end 7",
        "7 of nobody, 1 of /a, 8 of /a, 3 of /b, 10 of /b",
    );
}

#[test]
fn heads_that_are_refused_leave_it_open() {
    let graph = graph("1/90 poll 7; 1/80 read POST /a on h5.1; 1/80 read POST /b on h5.3; 1/70 spawn 8; 1/80 end 7");
    assert_eq!(owners(&graph), "7 of nobody, 8 of /a or /b");
    assert_eq!(graph.totals().ambiguous_streams, 2);
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/70 spawn 8; 1/70 spawn 10; 1/80 read POST /b on h5.3; 1/80 end 7",
        "7 of nobody, 8 of /a, 10 of /a",
    );
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/80 read POST /b on h5.3; 1/70 spawn 8; 5/0 gap; 1/70 spawn 10; 1/80 end 7",
        "7 of nobody, 8 of nobody, 10 of nobody",
    );
    // In a poll that read none, it is for something else.
    check(owners, &format!("{TWO}; 1/90 poll 7; 1/70 spawn 12"), "7 of nobody, 8 of /a, 10 of /b, 12 of nobody");
}

#[test]
fn whoever_writes_the_response_of_a_stream_is_its_task() {
    // One head was refused.
    check(
        owners,
        "1/90 poll 7; 1/80 read POST /a on h5.1; 1/80 read POST /b on h5.3; 1/70 spawn 8; 1/80 end 7; 1/90 poll 8; 1/80 write 200 on h5.3",
        "7 of nobody, 8 of /b",
    );
    check(
        requests,
        &format!("{TWO}; 1/90 poll 8; 1/80 write 200 on h5.1; 1/80 end 8 done"),
        "POST /a 20-80 200 by 8 run 30 ready 30 wait 0, POST /b 30- open by 10 run 20 ready 50 wait 0",
    );
    // The order was another.
    let graph = graph(&format!("{TWO}; 1/90 poll 8; 1/80 write 200 on h5.3; 1/80 end 8 done"));
    assert_eq!(owners(&graph), "7 of nobody, 8 of /b, 10 of nobody");
    assert_eq!(graph.totals().contradictions, 1);
}

#[test]
fn ends_of_streams() {
    let a = |script: &str| {
        requests(&graph(&format!("1/90 poll 7; 1/80 read POST /a on h5.1; 1/70 spawn 8; 1/80 end 7; {script}")))
    };
    assert_eq!(a("2/90 poll 8; 2/70 panic; 2/80 end 8 done"), "POST /a 20-70 Panicked by 8 run 30 ready 20 wait 0");
    assert_eq!(a("2/90 shutdown 8; 2/80 end 8 done"), "POST /a 20-60 Cancelled by 8 run 20 ready 20 wait 0");
    // The client reset it: its task ends, and the connection's has nothing to write.
    assert_eq!(
        a("2/90 poll 8; 2/80 end 8 done; 1/90 poll 7; 1/80 end 7"),
        "POST /a 20-60 Cancelled by 8 run 20 ready 20 wait 0"
    );
    assert_eq!(a("2/90 poll 8; 2/80 end 8 done"), "POST /a 20- open by 8 run 20 ready 20 wait 10");
    assert_eq!(
        a("2/90 poll 8; 2/80 end 8 done; 1/80 closed h5"),
        "POST /a 20-60 Cancelled by 8 run 20 ready 20 wait 0"
    );
    // It was only held up.
    assert_eq!(
        a("2/90 poll 8; 2/80 end 8 done; 1/90 poll 7; 1/80 end 7; 1/90 poll 7; 1/80 write 200 on h5.1"),
        "POST /a 20-100 200 by 8"
    );
    assert_eq!(a("1/90 shutdown 7; 1/80 end 7 done"), "POST /a 20-60 Cancelled by 8 run 10 ready 30 wait 0");
}

#[test]
fn a_stream_whose_task_was_quicker_than_the_poll_that_spawned_it() {
    let a = |script: &str| {
        requests(&graph(&format!("1/90 poll 7; 1/80 read POST /a on h5.1; 1/70 spawn 8; 2/90 poll 8; {script}")))
    };
    assert_eq!(a("2/80 end 8 done; 1/80 end 7; 1/90 poll 7; 1/80 write 200 on h5.1"), "POST /a 20-80 200 by 8");
    assert_eq!(a("2/80 end 8 done; 1/80 write 200 on h5.1; 1/80 end 7"), "POST /a 20-60 200 by 8");
    assert_eq!(a("2/80 panic; 2/80 end 8 done; 1/80 end 7"), "POST /a 20-60 Panicked by 8");
}
