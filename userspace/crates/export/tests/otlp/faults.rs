//! A backend that does not.

use std::net::TcpListener;
use std::time::Duration;

use asyncscope_export::Protocol;
use otlp_receiver::{Answer, Options, Receiver};

use crate::{BOTH, LONG, SHORT, exporter, finish, local, numbers, send, span};

const UNAUTHENTICATED: i32 = 16;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNAVAILABLE: i32 = 14;

fn port_of_nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Reports the one reason why all were lost.
#[track_caller]
fn why_all_are_lost(account: &asyncscope_export::Account, spans: u64) -> String {
    assert_eq!((account.accepted, account.all_lost()), (0, spans), "{account}");
    account.lost.keys().cloned().collect::<Vec<_>>().join("; ")
}

#[test]
fn down_for_the_whole_run() {
    for protocol in BOTH {
        let account = send(local(protocol, port_of_nobody(), SHORT), 5000);
        assert!(why_all_are_lost(&account, 5000).contains("Connection refused (os error 111)"), "{account}");
    }
}

#[test]
fn down_at_first() {
    for protocol in BOTH {
        let port = port_of_nobody();
        let exporter = exporter(local(protocol, port, LONG));
        (1..=2500).for_each(|number| exporter.offer(span(number)));
        let receiver = Receiver::start_with(Options { port, ..Options::default() }).unwrap();
        assert_eq!(numbers(&receiver.spans(2500)), (1..=2500).collect::<Vec<_>>(), "{protocol:?}");
        assert_eq!(finish(exporter).accepted, 2500);
    }
}

#[test]
fn gone_for_a_while() {
    for protocol in BOTH {
        let receiver = Receiver::start().unwrap();
        let port = receiver.port();
        let exporter = exporter(local(protocol, port, LONG));
        exporter.offer(span(1));
        assert_eq!(numbers(&receiver.spans(1)), [1]);
        drop(receiver);
        exporter.offer(span(2));
        let receiver = Receiver::start_with(Options { port, ..Options::default() }).unwrap();
        assert_eq!(numbers(&receiver.spans(1)), [2], "{protocol:?}");
        assert_eq!(finish(exporter).accepted, 2);
    }
}

#[test]
fn refusing_for_good() {
    let refusals = [
        (Protocol::Http, Answer::Http(401, vec![("retry-after", "1")]), "401 Unauthorized"),
        (Protocol::Grpc, Answer::Grpc(UNAUTHENTICATED, None), "Unauthenticated"),
        (Protocol::Grpc, Answer::Grpc(RESOURCE_EXHAUSTED, None), "ResourceExhausted"),
        (Protocol::Http, Answer::Http(301, vec![("location", "http://127.0.0.1:1/")]), "301 Moved Permanently"),
    ];
    for (protocol, answer, why) in refusals {
        let receiver = Receiver::answering([answer]).unwrap();
        let account = send(local(protocol, receiver.port(), LONG), 7);
        assert!(why_all_are_lost(&account, 7).contains(why), "{account}");
        assert_eq!(receiver.received().len(), 1, "asked again after {why}");
    }
}

#[test]
fn asking_for_a_pause() {
    let pauses = [
        (Protocol::Http, Answer::Http(429, vec![("retry-after", "1")])),
        (Protocol::Http, Answer::Http(503, vec![("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")])),
        (Protocol::Http, Answer::Http(502, vec![])),
        (Protocol::Grpc, Answer::Grpc(RESOURCE_EXHAUSTED, Some(Duration::from_millis(700)))),
        (Protocol::Grpc, Answer::Grpc(UNAVAILABLE, None)),
    ];
    for (protocol, answer) in pauses {
        let receiver = Receiver::answering([answer.clone(), answer]).unwrap();
        let account = send(local(protocol, receiver.port(), LONG), 7);
        assert_eq!((account.accepted, account.all_lost()), (7, 0), "{account}");
        assert_eq!(receiver.received().len(), 3);
    }
}

#[test]
fn a_pause_beyond_the_end_is_not_awaited() {
    let receiver = Receiver::answering([Answer::Http(429, vec![("retry-after", "86400")])]).unwrap();
    let account = send(local(Protocol::Http, receiver.port(), SHORT), 7);
    assert!(why_all_are_lost(&account, 7).contains("429 Too Many Requests"), "{account}");
}

#[test]
fn taking_no_large_batches() {
    let receiver = Receiver::answering([Answer::TooLargeAbove(300)]).unwrap();
    let account = send(local(Protocol::Http, receiver.port(), LONG), 2000);
    assert_eq!((account.accepted, account.all_lost()), (2000, 0), "{account}");
    assert_eq!(numbers(&receiver.spans(2000)), (1..=2000).collect::<Vec<_>>());
    let receiver = Receiver::answering([Answer::TooLargeAbove(0)]).unwrap();
    let account = send(local(Protocol::Http, receiver.port(), LONG), 5);
    assert!(why_all_are_lost(&account, 5).contains("413 Payload Too Large"), "{account}");
}

#[test]
fn rejecting_some() {
    for protocol in BOTH {
        let answers = [Answer::Partly(3, "too old".into()), Answer::Partly(0, "be careful".into())];
        let receiver = Receiver::answering(answers).unwrap();
        let account = send(local(protocol, receiver.port(), LONG), 2005);
        assert_eq!((account.accepted, account.all_lost()), (2002, 3), "{account}");
        assert!(account.lost.keys().all(|why| why.contains("too old")));
        assert_eq!(account.warnings.keys().collect::<Vec<_>>(), ["be careful"]);
    }
}

#[test]
fn closing_in_the_middle() {
    for protocol in BOTH {
        let receiver = Receiver::answering([Answer::Close, Answer::Close]).unwrap();
        let account = send(local(protocol, receiver.port(), LONG), 7);
        assert_eq!((account.accepted, account.all_lost()), (7, 0), "{protocol:?} {account}");
        assert_eq!(receiver.received().len(), 3);
    }
}

#[test]
fn never_answering() {
    for protocol in BOTH {
        let receiver = Receiver::answering([const { Answer::Hang }; 50]).unwrap();
        let account = send(local(protocol, receiver.port(), SHORT), 7);
        assert!(why_all_are_lost(&account, 7).contains("no answer"), "{account}");
    }
}

#[test]
fn not_answering_at_first() {
    for protocol in BOTH {
        let receiver = Receiver::answering([Answer::Hang]).unwrap();
        let exporter = exporter(local(protocol, receiver.port(), SHORT));
        exporter.offer(span(1));
        assert_eq!(numbers(&receiver.spans(1)), [1], "{protocol:?}");
        assert_eq!(finish(exporter).accepted, 1);
    }
}

/// What is offered does not wait, what has no room is dropped, and all are counted.
#[test]
fn too_slow_for_what_comes() {
    for protocol in BOTH {
        let receiver = Receiver::answering([const { Answer::Gated }; 1000]).unwrap();
        let exporter = exporter(local(protocol, receiver.port(), LONG));
        exporter.offer(span(1));
        assert_eq!(receiver.requests(1), 1);
        (2..=100_000).for_each(|number| exporter.offer(span(number)));
        (0..1000).for_each(|_| receiver.let_one_through());
        let account = finish(exporter);
        assert_eq!(account.accepted + account.all_lost(), 100_000, "{account}");
        assert_eq!(account.accepted, 65_536 + 1, "{account}");
        assert!(account.lost.keys().all(|why| why.contains("no room")), "{account}");
        assert_eq!(receiver.spans(65_537).len(), 65_537);
    }
}

#[test]
fn an_abandoned_exporter_counts_what_it_leaves() {
    let receiver = Receiver::answering([Answer::Hang]).unwrap();
    let mut exporter = exporter(local(Protocol::Grpc, receiver.port(), LONG));
    (1..=5000).for_each(|number| exporter.offer(span(number)));
    assert_eq!(receiver.requests(1), 1);
    exporter.abandon();
    let account = crate::block_on(exporter.closed());
    assert_eq!((account.accepted, account.all_lost()), (0, 5000), "{account}");
}

#[test]
fn what_speaks_another_protocol_is_no_backend() {
    for protocol in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // The other side goes as soon as it has read this.
                let _gone = std::io::Write::write_all(&mut &stream, b"SSH-2.0-OpenSSH_9.2\r\n");
            }
        });
        let account = send(local(protocol, port, SHORT), 7);
        why_all_are_lost(&account, 7);
    }
}
