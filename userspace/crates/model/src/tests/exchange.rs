use super::check;
use crate::testing::script::{calls, owners};

/// Requests /a and /b, without IDs, on tasks 1 and 3; task 8 is a pooled connection's, which has been polled.
const TWO: &str = "1/90 spawn 8; 1/90 poll 8; 1/80 end 8; 1/90 poll 1; 1/80 read GET /a on 5; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6; 1/80 end 3";
/// A poll of 1 that wakes the connection's task, and the next of that.
const A_ASKS: &str = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8";
const B_ASKS: &str = "1/90 poll 3; 1/80 wake 8; 1/80 end 3; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8";

#[track_caller]
fn check_then(then: &str, expected: &str) {
    check(calls, &format!("{TWO}; {then}"), expected);
}

#[test]
fn who_woke_the_connection_alone_is_a_candidate() {
    check_then(A_ASKS, "GET /c 140- open of /a by Wake");
    check_then("1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8", "GET /c 110- open of nobody");
    // What was seen before a gap is no evidence.
    check_then(
        "1/90 poll 1; 1/80 wake 8; 5/0 gap; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on 9",
        "GET /c 150- open of nobody",
    );
    check_then(&format!("{A_ASKS}; 5/0 gap 145"), "GET /c 140-160 Unknown of nobody");
}

#[test]
fn two_that_woke_it_are_candidates() {
    check_then(
        "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 3; 1/80 wake 8 notified; 1/80 end 3; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8",
        "GET /c 170- open of /a or /b by Wake",
    );
}

#[test]
fn one_who_gives_up_has_it_closed() {
    let gives_up = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 closed 9; 1/80 end 8 done";
    check_then(&format!("{A_ASKS}; {gives_up}"), "GET /c 140-200 Cancelled of /a by Exchange");
    // The one that it was written for is another, for all that is seen.
    check_then(&format!("{B_ASKS}; {gives_up}"), "GET /c 140-200 Cancelled of /a or /b by Wake");
    // It was closed for another reason.
    check_then(
        &format!("{A_ASKS}; 1/90 wake 8 io; 1/90 poll 8; 1/80 closed 9"),
        "GET /c 140-180 Cancelled of /a by Wake",
    );
    let later = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 end 8; 1/90 poll 8; 1/80 closed 9";
    check_then(&format!("{A_ASKS}; {later}"), "GET /c 140-220 Cancelled of /a by Wake");
}

#[test]
fn one_who_reads_the_body_has_it_polled_without_a_head() {
    let answer = "1/90 wake 8 io; 1/90 poll 8; 1/80 read 200 on 9; 1/80 end 8";
    let reads = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 end 8";
    check_then(&format!("{A_ASKS}; {answer}; {reads}"), "GET /c 140-180 200 of /a by Exchange");
    check_then(&format!("{B_ASKS}; {answer}; {reads}"), "GET /c 140-180 200 of /a or /b by Wake");
    // It asked for the next one.
    let asks = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /d on 9; 1/80 end 8";
    check_then(
        &format!("{A_ASKS}; {answer}; {asks}"),
        "GET /c 140-180 200 of /a by Wake, GET /d 240- open of /a by Wake",
    );
    // It did both.
    let both =
        "1/90 poll 1; 1/80 wake 8; 1/80 wake 8 notified; 1/80 end 1; 1/90 poll 8; 1/80 write GET /d on 9; 1/80 end 8";
    check_then(
        &format!("{A_ASKS}; {answer}; {both}"),
        "GET /c 140-180 200 of /a by Exchange, GET /d 250- open of /a by Wake",
    );
}

#[test]
fn the_reply_goes_first() {
    let answer = "1/90 wake 8 io; 1/90 poll 8; 1/80 read 200 on 9; 1/70 wake 3; 1/80 end 8";
    check_then(&format!("{A_ASKS}; {answer}"), "GET /c 140-180 200 of /b by Reply");
}

#[test]
fn a_streams_task_is_woken_by_the_one_that_waits() {
    // Tasks 10 and 12 are spawned after the heads of streams 1 and 3.
    let written = "1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on h9.1; 1/70 spawn 10; 1/80 write GET /d on h9.3; 1/70 spawn 12; 1/80 end 8";
    let gives_up = |task: u32, of: u32| format!("1/90 poll {of}; 1/80 wake {task}; 1/80 end {of}");
    let polled = "1/90 poll 10; 1/80 end 10; 1/90 poll 12; 1/80 end 12";
    check_then(
        &format!("{written}; {polled}; {}; {}", gives_up(12, 3), gives_up(10, 1)),
        "GET /c 140- open of /a by Exchange, GET /d 160- open of /b by Exchange",
    );
    // A gap may have swallowed the spawn of another, and the head of another stream.
    let later = "1/90 poll 1; 1/80 read GET /e on 5; 1/80 wake 10; 1/80 end 1";
    check_then(
        &format!("{written}; {polled}; 5/0 gap; {later}"),
        "GET /c 140-230 Unknown of nobody, GET /d 160-230 Unknown of nobody",
    );
    let swallowed =
        "1/90 poll 8; 1/80 write GET /c on h9.1; 5/0 gap; 1/70 spawn 10; 1/80 end 8; 1/90 poll 10; 1/80 end 10";
    check_then(&format!("{swallowed}; {later}"), "GET /c 110-120 Unknown of nobody");
    // The last one before the next head passes the response on; the first may be for the request's body.
    check_then(
        &format!(
            "1/90 poll 8; 1/80 write GET /c on h9.1; 1/70 spawn 10; 1/70 spawn 12; 1/80 end 8; {polled}; {}; {}",
            gives_up(10, 3),
            gives_up(12, 1)
        ),
        "GET /c 110- open of /a by Exchange",
    );
}

#[test]
fn several_streams_in_one_poll_are_of_those_who_were_polled_meanwhile() {
    check_then(
        "1/90 poll 1; 1/80 wake 8; 2/90 poll 3; 1/80 end 1; 2/80 end 3; 1/90 poll 8; 1/80 write GET /c on h9.1; 1/80 write GET /d on h9.3; 1/80 end 8",
        "GET /c 160- open of /a or /b by Wake, GET /d 170- open of /a or /b by Wake",
    );
}

#[test]
fn an_actor_asks_for_the_one_that_asked_it() {
    let actor = "1/90 spawn 14; 1/90 poll 1; 1/80 wake 14; 1/80 end 1; 1/90 poll 14; 1/80 end 14; 1/90 poll 14; 1/80 wake 8; 1/80 end 14; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8";
    check_then(actor, "GET /c 200- open of /a by Wake");
}

#[test]
fn the_body_of_a_response_may_ask() {
    check_then(
        "1/90 poll 1; 1/80 write 200 on 5; 1/80 end 1; 1/90 poll 1; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8",
        "GET /c 170- open of /a by Wake",
    );
    // The next head is read: the body is over.
    check_then(
        "1/90 poll 1; 1/80 write 200 on 5; 1/80 read GET /e on 5; 1/80 wake 8; 1/80 end 1; 1/90 poll 8; 1/80 write GET /c on 9; 1/80 end 8",
        "GET /c 160- open of /e by Wake",
    );
}

#[test]
fn what_a_pipelined_connections_task_does_is_of_one_of_them() {
    let two = "1/90 poll 1; 1/80 read GET /a on 5; 1/80 read GET /b on 5 early=yes";
    check(owners, &format!("{two}; 1/70 spawn 8"), "1 of nobody, 8 of nobody");
    // The body of the first may still be on its way, until the second one's head is written.
    check(owners, &format!("{two}; 1/80 write 200 on 5; 1/70 spawn 8"), "1 of nobody, 8 of /a or /b");
    let done = format!("{two}; 1/80 write 200 on 5; 1/80 write 200 on 5");
    check(owners, &format!("{done}; 1/80 read GET /c on 5; 1/70 spawn 8"), "1 of nobody, 8 of /c");
    // A head that comes while the body of the one before is on its way.
    let early = "1/90 poll 1; 1/80 read GET /a on 5; 1/80 write 200 on 5; 1/80 read GET /b on 5 early=yes";
    check(owners, &format!("{early}; 1/70 spawn 8"), "1 of nobody, 8 of /a or /b");
    check(owners, &format!("{two}; 1/80 closed 5; 1/80 read GET /c on 5; 1/70 spawn 8"), "1 of nobody, 8 of /c");
    check(owners, &format!("{two}; 5/0 gap; 1/80 read GET /c on 5; 1/70 spawn 8"), "1 of nobody, 8 of nobody");
}

#[test]
fn two_requests_with_one_id_the_first_of_which_is_over() {
    let retried = "1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/70 spawn 7; 1/80 write 200 on 5; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6 id=x; 1/80 end 3";
    let call = "1/90 poll 10; 1/80 write GET /c on 9 id=x";
    check(calls, &format!("1/90 spawn 10; {retried}; {call}"), "GET /c 110- open of /a or /b");
    check(
        calls,
        &format!("1/90 spawn 10; {retried}; {call}; 1/80 read 200 on 9; 1/70 wake 7"),
        "GET /c 110-120 200 of /a by Reply",
    );
}
