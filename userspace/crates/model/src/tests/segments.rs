use super::check;
use crate::testing::script::segments;

/// Requests on tasks 1 and 3; task 8 is an actor, and 10 a pooled connection.
const TWO: &str = "1/90 spawn 8; 1/90 spawn 10; 1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6 id=y; 1/80 end 3";

#[track_caller]
fn check_then(then: &str, expected: &str) {
    check(segments, &format!("{TWO}; {then}"), expected);
}

#[test]
fn a_reply_ends_one_but_claims_nothing_by_itself() {
    check_then(
        "1/90 poll 8; 1/70 wake 1; 1/70 panic; 1/70 wake 3; 1/70 wake 10; 1/80 end 8",
        "8 90-100 for nobody answering /a, 8 100-120 for nobody answering /b",
    );
    check_then("1/90 poll 8; 1/80 end 8; 1/90 poll 8; 1/70 wake 1", "8 110-120 for nobody answering /a");
    check_then("1/90 poll 8; 5/0 gap; 1/70 wake 1", "");
    check_then("1/90 poll 8; 1/70 wake 1; 5/0 gap 95", "8 90-100 for nobody");
}

#[test]
fn a_poll_that_a_request_asked_for_and_answers_it_is_its() {
    check_then(
        "1/90 poll 3; 1/70 wake 8; 1/80 end 3; 1/90 poll 8; 1/70 wake 3; 1/70 wake 1",
        "8 120-130 for /b answering /b, 8 130-140 for nobody answering /a",
    );
    check_then("1/90 poll 3; 1/70 wake 8; 1/80 end 3; 1/90 poll 8; 1/70 wake 1", "8 120-130 for /a or /b answering /a");
}

#[test]
fn heads_say_whose_a_connections_are() {
    check_then("1/90 poll 10; 1/70 panic; 1/80 write GET /c on 9 id=y; 1/80 end 10", "10 90-120 for /b");
    check_then("1/90 poll 10; 1/80 write GET /c on 9; 1/80 end 10", "10 90-110 for nobody");
    check_then(
        "1/90 poll 10; 1/80 write GET /c on 9 id=y; 1/80 write GET /d on 7 id=x; 1/80 end 10",
        "10 90-120 for /a or /b",
    );
    check_then(
        "1/90 poll 10; 1/80 write GET /c on 9; 1/80 end 10; 1/90 poll 10; 1/80 read 200 on 9; 1/70 wake 1; 1/80 end 10",
        "10 90-110 for /a, 10 120-140 for /a answering /a",
    );
}

#[test]
fn an_actor_that_was_taken_for_one_requests_own() {
    check(
        segments,
        "1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6; 1/80 end 3; 1/90 poll 8; 1/70 wake 3; 1/80 end 8",
        "8 80-90 for nobody answering /b",
    );
}

#[test]
fn a_reply_is_not_to_a_request_that_came_meanwhile() {
    check_then(
        "1/90 poll 3; 1/70 wake 8; 1/80 end 3; 1/90 poll 8; 2/90 poll 3; 2/80 write 200 on 6; 2/80 read GET /next on 6; 2/80 end 3; 1/70 wake 3",
        "8 120-170 for nobody",
    );
}

/// The end of the first poll is seen after the task was woken, and polled by another thread.
#[test]
fn one_ends_with_its_poll_whenever_that_is_seen() {
    check_then(
        "1/90 poll 10; 1/80 write GET /c on 9 id=y; 2/70 wake 10; 2/90 poll 10; 2/80 write GET /d on 7 id=x; 1/80 end 10; 2/80 end 10",
        "10 90-110 for /b, 10 120-150 for /a",
    );
}
