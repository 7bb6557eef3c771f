//! Connections that were not seen from their beginning.

use crate::drive::{Driven, Read, Seen, Written};

const GET: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How many messages are reported of these calls, of which the first are before the attach.
fn check(calls: &[(probe_common::http::Direction, &[u8])], expected: usize) {
    let mut driven = Driven::attached();
    calls.iter().for_each(|&(direction, bytes)| driven.call(direction, bytes));
    let messages = driven.seen.iter().filter(|seen| !matches!(seen, Seen::Changed(_))).count();
    assert_eq!(messages, expected, "{:?}", driven.seen);
}

#[test]
fn a_whole_exchange_is_a_proof() {
    check(&[(Read, GET), (Written, OK), (Read, GET), (Written, OK)], 2);
    check(&[(Written, GET), (Read, OK), (Written, GET), (Read, OK)], 2);
    check(&[(Read, &GET[..7]), (Read, &GET[7..]), (Written, &OK[..9]), (Written, &OK[9..]), (Read, GET)], 1);
    // What was under way is no part of it.
    check(&[(Written, b"rest of a response"), (Read, GET), (Written, OK), (Read, GET)], 1);
    check(&[(Read, b"rest of a request"), (Written, OK), (Read, GET), (Written, OK), (Read, GET)], 1);
}

#[test]
fn anything_less_is_none() {
    check(&[(Read, GET), (Written, OK)], 0);
    check(&[(Written, OK), (Read, GET)], 0);
    // The response began before the attach.
    check(&[(Written, b"HTTP/1.1 200 OK\r\n\r\n"), (Read, GET), (Read, GET)], 0);
    // Not at the beginning or the end of a call.
    check(&[(Read, [b"\0", GET].concat().as_slice()), (Written, OK), (Read, GET)], 0);
    check(&[(Read, GET), (Written, [OK, b"HTTP"].concat().as_slice()), (Read, GET)], 0);
    // The other direction spoke meanwhile.
    check(&[(Read, GET), (Written, &OK[..9]), (Read, GET), (Written, &OK[9..]), (Read, GET)], 0);
    // Pipelined: which response is whose?
    check(&[(Read, [GET, GET].concat().as_slice()), (Written, OK), (Read, GET)], 0);
    // No length, no end.
    check(&[(Read, GET), (Written, b"HTTP/1.1 200 OK\r\n\r\n"), (Read, GET)], 0);
}

#[test]
fn after_a_loss_it_takes_another_proof() {
    let mut server = Driven::new();
    [(Read, GET), (Written, OK), (Read, &b"GET / HTTP/1.1\r\n folded"[..])]
        .into_iter()
        .for_each(|(direction, bytes)| server.call(direction, bytes));
    assert_eq!(server.seen.len(), 3);
    [(Read, GET), (Written, OK)].into_iter().for_each(|(direction, bytes)| server.call(direction, bytes));
    assert_eq!(server.seen.len(), 3);
    [(Read, GET), (Written, OK)].into_iter().for_each(|(direction, bytes)| server.call(direction, bytes));
    assert_eq!(server.seen.len(), 5);
}
