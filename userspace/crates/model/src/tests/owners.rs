use super::check;
use crate::testing::script::owners;

#[test]
fn what_is_spawned_while_a_request_is_open_is_its() {
    check(
        owners,
        "1/90 poll 7; 1/70 spawn 3; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 write 200 on 5; 1/70 spawn 10",
        "7 of nobody, 3 of nobody, 8 of /a, 10 of nobody",
    );
    check(
        owners,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 write 200 on 5; 1/80 end 7; 2/90 poll 8; 2/70 spawn 10; 2/80 end 8; 2/90 poll 10; 2/70 spawn 12 blocking",
        "7 of nobody, 8 of /a, 10 of /a, 12 of /a",
    );
    check(
        owners,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 write 200 on 5; 1/80 read GET /b on 5; 1/70 spawn 10",
        "7 of nobody, 8 of /a, 10 of /b",
    );
}

#[test]
fn one_task_that_serves_two_connections_at_once_is_ambiguous() {
    check(
        owners,
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 read GET /b on 6; 1/70 spawn 8; 1/80 write 200 on 5; 1/70 spawn 10",
        "7 of nobody, 8 of /a or /b, 10 of /b",
    );
}

/// Two requests on tasks 1 and 3, the first of which spawned task 8.
const TWO: &str =
    "1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 8; 1/80 end 1; 1/90 poll 3; 1/80 read GET /b on 6; 1/80 end 3";

#[track_caller]
fn check_8(then: &str, expected: &str) {
    check(owners, &format!("{TWO}; {then}"), &format!("1 of nobody, 8 of {expected}, 3 of nobody"));
}

#[test]
fn an_actor_spawned_by_the_first_to_need_it_is_nobodys() {
    check_8("1/90 poll 8; 1/70 wake 1; 1/80 end 8; 1/90 poll 1; 1/80 write 200 on 5", "/a");
    check_8("1/90 poll 8; 1/70 wake 1; 1/70 wake 3; 1/80 end 8; 1/90 poll 1; 1/80 write 200 on 5", "nobody");
    // It was woken by the other, and so was asked.
    check_8("1/90 poll 3; 1/70 wake 8; 1/80 end 3; 1/90 poll 1; 1/80 write 200 on 5", "nobody");
    // The request is still open at the end, and so is the task.
    check_8("1/90 poll 8; 1/70 wake 3; 1/80 end 8", "nobody");
}

#[test]
fn a_task_that_lets_another_go_on_and_ends_in_time_stays() {
    check_8("1/90 poll 8; 1/70 wake 3; 1/80 end 8 done; 1/90 poll 1; 1/80 write 200 on 5", "/a");
    check_8(
        "1/90 poll 8; 1/70 wake 3; 1/80 end 8; 1/90 poll 1; 1/80 write 200 on 5; 1/80 end 1; 1/90 poll 8; 1/80 end 8 done",
        "nobody",
    );
}

#[test]
fn what_it_spawned_falls_with_it() {
    check(
        owners,
        &format!("{TWO}; 1/90 poll 8; 1/70 spawn 10; 1/70 wake 3; 1/80 end 8; 1/90 poll 1; 1/80 write 200 on 5"),
        "1 of nobody, 8 of nobody, 3 of nobody, 10 of nobody",
    );
}

#[test]
fn a_pooled_connection_is_nobodys() {
    check_8("1/90 poll 8; 1/70 write GET /x on 9; 1/80 end 8", "nobody");
    // It ends with its request, and nothing shows that it worked for another.
    check_8("1/90 poll 8; 1/70 write GET /x on 9; 1/80 end 8 done", "/a");
    check_8("1/90 poll 8; 1/70 write GET /x on 9; 1/70 wake 3; 1/80 end 8 done", "nobody");
    // Another of the same type, spawned but not used yet.
    check(
        owners,
        "1/90 poll 1; 1/80 read GET /a on 5; 1/70 spawn 8; 1/70 spawn 10; 1/70 spawn 5; 1/80 write 200 on 5; 1/80 end 1; 1/90 poll 8; 1/70 write GET /x on 9; 1/80 end 8",
        "1 of nobody, 8 of nobody, 10 of nobody, 5 of /a",
    );
}
