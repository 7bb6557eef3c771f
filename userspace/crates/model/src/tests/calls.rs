use super::check;
use crate::testing::script::{calls, graph};

/// Requests with the IDs x and y on tasks 1 and 3; tasks 8 and 10 are a pooled connection each.
const TWO: &str = "1/90 spawn 8; 1/90 spawn 10; 1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6 id=y; 1/80 end 3";

#[track_caller]
fn check_call(then: &str, expected: &str) {
    check(calls, &format!("{TWO}; {then}"), expected);
}

#[test]
fn ids_say_whose_they_are() {
    check_call("1/90 poll 8; 1/80 write GET /c on 9 id=y; 1/80 read 200 on 9", "GET /c 100-110 200 of /b by Id");
    check_call("1/90 poll 8; 1/80 write GET /c on 9 id=z; 1/80 read 200 on 9", "GET /c 100-110 200 of nobody");
    // What one that is over has left running may still call.
    check_call(
        "1/90 poll 3; 1/80 write 200 on 6; 1/80 end 3; 1/90 poll 8; 1/80 write GET /c on 9 id=y",
        "GET /c 130- open of /b by Id",
    );
}

#[test]
fn traces_say_whose_they_are() {
    check(
        calls,
        "1/80 read GET /a on 5 parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; 1/80 write GET /c on 9 parent=00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        "GET /c 20- open of /a by Id",
    );
    check(
        calls,
        "1/80 read GET /a on 5 parent=00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; 1/80 write GET /c on 9 parent=00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "GET /c 20- open of nobody",
    );
}

#[test]
fn two_requests_with_one_id() {
    let same =
        "1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6 id=x; 1/80 end 3";
    let call = |then: &str| format!("{same}; {then}");
    check(calls, &call("1/90 poll 8; 1/80 write GET /c on 9 id=x"), "GET /c 80- open of /a or /b");
    check(calls, &call("1/90 poll 3; 1/80 write GET /c on 9 id=x"), "GET /c 80- open of /b by Task");
    check(
        calls,
        &call("1/90 poll 8; 1/80 write GET /c on 9 id=x; 1/80 read 200 on 9; 1/70 wake 1"),
        "GET /c 80-90 200 of /a by Reply",
    );
}

#[test]
fn the_task_that_writes_it_says_whose_it_is() {
    check_call("1/90 poll 1; 1/80 write GET /c on 9; 1/80 read 200 on 9", "GET /c 100-110 200 of /a by Task");
    check_call("1/90 poll 1; 1/80 write GET /c on 9 id=y", "GET /c 100- open of /a or /b");
}

#[test]
fn the_reply_says_whose_it_is() {
    check_call(
        "1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8; 1/90 poll 8; 1/80 read 200 on 9; 1/70 wake 3",
        "GET /c 100-130 200 of /b by Reply",
    );
    // In another poll, the wake may be for anything.
    check_call(
        "1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/80 end 8; 1/90 poll 8; 1/70 wake 3",
        "GET /c 100-110 200 of nobody",
    );
    check_call("1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 2/70 wake 3", "GET /c 100-110 200 of nobody");
    check_call(
        "1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 5/0 gap; 1/70 wake 3",
        "GET /c 100-110 200 of nobody",
    );
}

/// A call that several wait for, as for a cache's refreshing: which of them made it is not known.
#[test]
fn a_reply_to_several_requests_is_of_one_of_them() {
    let call = "1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8; 1/90 poll 8; 1/80 read 200 on 9";
    check_call(&format!("{call}; 1/70 wake 3; 1/70 wake 1"), "GET /c 100-130 200 of /a or /b by Reply");
    // Another response is another matter, and so is what the task does in a later poll.
    check_call(
        &format!("{call}; 1/70 wake 3; 1/80 end 8; 1/90 poll 8; 1/70 wake 1"),
        "GET /c 100-130 200 of /b by Reply",
    );
    let relayed = "1/90 spawn 11; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/70 wake 11; 1/80 end 8";
    check_call(
        &format!("{relayed}; 1/90 poll 11; 1/70 wake 3; 1/70 wake 1; 1/80 end 11 done"),
        "GET /c 110-120 200 of /a or /b by Reply",
    );
}

/// Whoever passes on a value stores it first and wakes then. Before that, its receiver may have found it, been done
/// with its request, and have begun the next one.
#[test]
fn a_late_wake_is_not_for_the_next_request() {
    let next = "2/90 poll 3; 2/80 write 200 on 6; 2/80 read GET /next on 6; 2/80 end 3";
    check_call(
        &format!(
            "1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8; 1/90 poll 8; 1/80 read 200 on 9; {next}; 1/70 wake 3"
        ),
        "GET /c 100-130 200 of nobody",
    );
    // Through a task that passes it on and ends; without a next request it says whose the call was.
    let relayed = |between: &str| {
        format!(
            "1/90 spawn 11; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/70 wake 11; 1/80 end 8; 1/90 poll 11; {between}1/70 wake 3; 1/80 end 11 done"
        )
    };
    check_call(&relayed(""), "GET /c 110-120 200 of /b by Reply");
    check_call(&relayed(&format!("{next}; ")), "GET /c 110-120 200 of nobody");
}

#[test]
fn one_pooled_connection_serves_two_requests_in_turn() {
    check_call(
        "1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/70 wake 3; 1/80 write GET /d on 9; 1/80 read 503 on 9; 1/70 wake 1; 1/80 write GET /d on 9 id=x; 1/80 read 200 on 9; 1/70 wake 1",
        "GET /c 100-110 200 of /b by Reply, GET /d 130-140 503 of /a by Reply, GET /d 160-170 200 of /a by Id",
    );
}

#[test]
fn on_streams_the_reply_takes_a_task_of_its_own() {
    let call = "1/90 poll 8; 1/80 write GET /c on h9.1; 1/80 write GET /d on h9.3; 1/80 read 200 on h9.3";
    check_call(
        &format!("{call}; 1/70 wake 10; 1/80 end 8; 1/90 poll 10; 1/70 wake 3; 1/80 end 10 done"),
        "GET /c 100- open of nobody, GET /d 110-120 200 of /b by Reply",
    );
    // It goes on: it may do anything for anyone.
    check_call(
        &format!("{call}; 1/70 wake 10; 1/80 end 8; 1/90 poll 10; 1/70 wake 3; 1/80 end 10"),
        "GET /c 100- open of nobody, GET /d 110-120 200 of /a or /b by Wake",
    );
    check_call(
        &format!("{call}; 1/70 wake 10; 1/80 end 8; 1/90 poll 10; 1/70 wake 3; 1/70 wake 1; 1/80 end 10 done"),
        "GET /c 100- open of nobody, GET /d 110-120 200 of /a or /b by Reply",
    );
    // That is one that waits for the body of another.
    check_call(&format!("{call}; 1/70 wake 1"), "GET /c 100- open of nobody, GET /d 110-120 200 of /a or /b by Wake");
}

#[test]
fn on_streams_one_task_writes_and_another_reads() {
    check_call(
        "1/90 poll 12; 1/80 write GET /c on h9.1; 1/80 end 12 done; 1/90 poll 8; 1/80 read 200 on h9.1; 1/80 end 8",
        "GET /c 100-130 200 of nobody",
    );
    check_call(
        "1/90 poll 12; 1/80 write GET /c on h9.1; 1/80 write GET /d on h9.3; 1/80 end 12; 1/90 poll 8; 1/80 read 200 on h9.3; 1/80 end 8 done",
        "GET /c 100-150 Cancelled of nobody, GET /d 110-140 200 of nobody",
    );
}

#[test]
fn a_task_that_asks_for_itself() {
    let script = "1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 end 1; 1/90 poll 8; 1/70 write GET /c on 9; 1/70 read 200 on 9";
    let ends = "1/80 end 8 done; 1/90 poll 1; 1/80 write 200 on 5";
    check(calls, &format!("{script}; {ends}"), "GET /c 60-70 200 of /a by Task");
    check(calls, script, "GET /c 60-70 200 of /a by Wake");
}

#[test]
fn calls_without_a_response() {
    check_call("1/90 poll 8; 1/80 write GET /c on 9; 1/80 closed 9", "GET /c 100-110 Cancelled of nobody");
    check_call("1/90 poll 8; 1/80 write GET /c on 9; 1/80 panic; 1/80 closed 9", "GET /c 100-120 Cancelled of nobody");
    check_call(
        "1/90 poll 8; 1/80 write GET /c on 9; 1/80 lost 9; 1/80 read 200 on 9",
        "GET /c 100-110 Unknown of nobody",
    );
    check_call("1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 100 on 9", "GET /c 100- open of nobody");
    check_call("1/90 poll 8; 1/80 write GET /c on 9 id=x; 5/0 gap 100", "GET /c 100-110 Unknown of nobody");
    check_call("1/90 poll 8; 1/80 write GET /c on 9 id=x; 5/0 gap 105", "GET /c 100-110 Unknown of /a by Id");
}

#[test]
fn a_reply_to_an_actor_is_the_actors() {
    // Task 5 is taken for /a's, until it serves /b as well.
    let script = "1/90 spawn 8; 1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 5; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6; 1/80 end 3; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/70 wake 5; 1/80 end 8";
    check(calls, script, "GET /c 100-110 200 of /a by Reply");
    check(calls, &format!("{script}; 1/90 poll 5; 1/70 wake 3; 1/80 end 5"), "GET /c 100-110 200 of nobody");
    assert_eq!(graph(script).totals().contradictions, 0);
}

/// Task 8 is a connection of the first request's that 3 uses after it, whose own request may not have been seen.
#[test]
fn a_connection_that_an_unseen_request_uses_as_well_is_nobodys() {
    let used = "1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 read 200 on 9; 1/80 end 8; 2/90 poll 3; 2/70 wake 8; 2/80 end 3; 1/90 poll 8; 1/80 write GET /d on 9; 1/80 end 8 done; 1/90 poll 1; 1/80 write 200 on 5";
    let check_used = |before: &str, expected: &str| check(calls, &format!("{before}{used}"), expected);
    // It is known to be of no request.
    check_used("2/0 rest; 2/70 spawn 3; ", "GET /c 80-90 200 of /a by Task, GET /d 150- open of /a by Task");
    // Its head may have been read in the gap, or before the attach. Who alone asked for the first is a candidate.
    check_used("2/0 rest; 2/70 spawn 3; 5/0 gap; ", "GET /c 90-100 200 of /a by Wake, GET /d 160- open of nobody");
    check_used("attached; ", "GET /c 60-70 200 of /a by Wake, GET /d 130- open of nobody");
}
