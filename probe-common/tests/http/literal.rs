//! One head, or one exchange, at a time.

use probe_common::http::Reported;

use crate::drive::{Driven, Read, Seen, Written};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn get(path: &str) -> Seen {
    request("GET", path, false)
}

fn request(method: &str, path: &str, cut: bool) -> Seen {
    let path = path.as_bytes().to_vec();
    Seen::Request { written: false, method: method.to_owned(), path, cut, values: Vec::new() }
}

fn response(status: u16) -> Seen {
    Seen::Response { written: true, status, values: Vec::new() }
}

/// What a server sees that reads `read` and then writes `written`, each in one call and byte by byte.
fn check(read: &str, written: &str, expected: &[Seen]) {
    check_bytes(read.as_bytes(), written.as_bytes(), expected);
}

fn check_bytes(read: &[u8], written: &[u8], expected: &[Seen]) {
    for size in [usize::MAX, 1, 3] {
        let mut server = Driven::new();
        read.chunks(size.min(read.len().max(1))).for_each(|bytes| server.call(Read, bytes));
        written.chunks(size.min(written.len().max(1))).for_each(|bytes| server.call(Written, bytes));
        assert_eq!(server.seen, expected, "{} by {size}", read.escape_ascii());
    }
}

fn lost(read: &str) {
    let mut server = Driven::new();
    server.call(Read, read.as_bytes());
    assert!(matches!(server.seen.as_slice(), [] | [Seen::Changed(Reported::LostUnreported)]), "{read:?}");
    let mut server = Driven::new();
    server.call(Read, b"GET / HTTP/1.1\r\n\r\n");
    server.call(Written, OK.as_bytes());
    server.call(Read, read.as_bytes());
    assert_eq!(server.seen, [get("/"), response(200), Seen::Changed(Reported::Lost)], "{read:?}");
}

#[test]
fn start_lines_are_read() {
    check("GET / HTTP/1.1\r\n\r\n", OK, &[get("/"), response(200)]);
    check("\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n", OK, &[get("/"), response(200)]);
    check("GET /a\nHost: x\n\n", "", &[]);
    check("GET /a HTTP/1.1\nHost: x\n\n", "", &[get("/a")]);
    check("OPTIONS * HTTP/1.1\r\n\r\n", "", &[request("OPTIONS", "*", false)]);
    check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404\r\n\r\n", &[get("/"), response(404)]);
    check("GET / HTTP/1.1\r\n\r\n", "HTTP/1.0 500 Internal Error ü\r\n\r\n", &[get("/"), response(500)]);
}

#[test]
fn queries_and_passwords_are_not_kept() {
    check("GET /a?secret=1 HTTP/1.1\r\n\r\n", "", &[get("/a")]);
    check("GET /a#secret HTTP/1.1\r\n\r\n", "", &[get("/a")]);
    check("GET http://me:secret@host/a?b HTTP/1.1\r\n\r\n", "", &[get("/a")]);
    check("GET http://host HTTP/1.1\r\n\r\n", "", &[get("/")]);
    check("GET http://host?secret HTTP/1.1\r\n\r\n", "", &[get("/")]);
    check("CONNECT host:443 HTTP/1.1\r\n\r\n", "", &[request("CONNECT", "host:443", false)]);
    lost("CONNECT me:secret@host:443 HTTP/1.1\r\n\r\n");
    lost("CONNECT host:443?me:secret@host:443 HTTP/1.1\r\n\r\n");
}

#[test]
fn long_paths_are_cut() {
    let path = format!("/{}", "x".repeat(300));
    check(&format!("GET {path} HTTP/1.1\r\n\r\n"), "", &[request("GET", &path[..192], true)]);
}

#[test]
fn bodies_are_passed_over() {
    let fake = "GET /fake HTTP/1.1\r\n\r\n";
    let len = fake.len();
    let post = request("POST", "/a", false);
    check(
        &format!("POST /a HTTP/1.1\r\ncontent-length: {len}\r\n\r\n{fake}GET /b HTTP/1.1\r\n\r\n"),
        &format!("{OK}{OK}"),
        &[post.clone(), get("/b"), response(200), response(200)],
    );
    check(
        &format!(
            "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked \r\n\r\n{len:X};a=\"b\"\r\n{fake}\r\n1 \r\nG\r\n0\r\nA: b\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
        ),
        "",
        &[post, get("/b")],
    );
}

#[test]
fn responses_without_a_body_have_none() {
    let head = request("HEAD", "/a", false);
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    check(
        "HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        &format!("{long}{OK}"),
        &[head, get("/b"), response(200), response(200)],
    );
    let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n";
    check(
        "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        &format!("{unchanged}{OK}"),
        &[get("/a"), get("/b"), response(304), response(200)],
    );
    check(
        "GET /a HTTP/1.1\r\n\r\n",
        &format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n{OK}"),
        &[get("/a"), response(100), response(103), response(200)],
    );
}

#[test]
fn a_body_up_to_the_end_hides_what_looks_like_a_head() {
    check("GET /a HTTP/1.0\r\n\r\n", &format!("HTTP/1.0 200 OK\r\n\r\n{OK}"), &[get("/a"), response(200)]);
}

#[test]
fn upgrades_and_tunnels_leave() {
    let left = Seen::Changed(Reported::Left);
    check(
        "GET /a HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\nGET /no HTTP/1.1\r\n\r\n",
        &[get("/a"), response(101), left.clone()],
    );
    // What comes before the answer may be either.
    check(
        "GET /a HTTP/1.1\r\nUpgrade: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        &[get("/a"), response(101), left.clone()],
    );
    check(
        "GET /a HTTP/1.1\r\nUpgrade: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        OK,
        &[get("/a"), Seen::Changed(Reported::Lost)],
    );
    let mut refused = Driven::new();
    refused.call(Read, b"GET /a HTTP/1.1\r\nUpgrade: x\r\n\r\n");
    refused.call(Written, OK.as_bytes());
    refused.call(Read, b"GET /b HTTP/1.1\r\n\r\n");
    assert_eq!(refused.seen, [get("/a"), response(200), get("/b")]);
    assert_eq!(refused.connection.lose(), Reported::Lost);
    assert_eq!((refused.connection.lose(), refused.connection.close()), (Reported::Nothing, Reported::Closed));
    let connect = request("CONNECT", "host:443", false);
    check(
        "CONNECT host:443 HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        &[connect.clone(), response(200), left.clone()],
    );
    check(
        "CONNECT host:443 HTTP/1.1\r\n\r\n",
        "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx",
        &[connect, response(403)],
    );
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", &[left]);
}

#[test]
fn what_could_be_read_in_two_ways_is_lost() {
    lost("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length: \r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n");
    lost("POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\n");
    lost("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n");
    lost("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n");
    lost("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    lost("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n");
    lost("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n");
    lost("GET / HTTP/1.1\r\nHost: \u{1b}[31m\r\n\r\n");
    lost("GET / HTTP/1.1\r\nHost: a\r\n\rX");
    lost("GET / HTTP/1.1\r\n: a\r\n\r\n");
    lost("GET / HTTP/1.2\r\n\r\n");
    lost("GET  HTTP/1.1\r\n\r\n");
    lost("GET /\u{1b}[31m HTTP/1.1\r\n\r\n");
    lost("A-METHOD-OF-SEVENTEEN / HTTP/1.1\r\n\r\n");
}

#[test]
fn a_chunk_that_is_none_is_lost() {
    let after = |chunk: &str| {
        let mut server = Driven::new();
        server.call(Read, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        server.call(Read, chunk.as_bytes());
        assert_eq!(server.seen.last(), Some(&Seen::Changed(Reported::Lost)), "{chunk:?}");
    };
    ["\r\n", "x\r\n", "1\nx", "10000000000000000\r\n", "1\r\nxx\r\n", "1;a\nb\r\n", "0\r\nA: b\rC", "0\r\n A: b\r\n"]
        .into_iter()
        .for_each(after);
}

#[test]
fn other_protocols_are_left_alone_and_not_reported() {
    for bytes in [&b"\x16\x03\x01\x02"[..], b"*1\r\n$4\r\nPING\r\n", b"220 mail\r\n", b"\0\0\0\x08", b"get foo\r\n"] {
        let mut server = Driven::new();
        server.call(Read, bytes);
        assert!(!server.connection.is_followed(), "{bytes:?}");
        assert_eq!(server.seen, []);
    }
}

#[test]
fn values_of_listed_headers_are_kept_and_no_others() {
    let values = |head: &str, expected: &[(u8, &[u8])]| {
        let mut server = Driven::new();
        server.call(Read, format!("GET / HTTP/1.1\r\n{head}\r\n").as_bytes());
        let [Seen::Request { values, .. }] = server.seen.as_slice() else { panic!("{:?}", server.seen) };
        let expected: Vec<_> = expected.iter().map(|&(name, value)| (name, value.to_vec())).collect();
        assert_eq!(*values, expected, "{head:?}");
    };
    values("X-Request-Id: 7\r\n", &[(1, b"7")]);
    values("x-REQUEST-id:  \t a b \t\r\ncookie: secret\r\n", &[(1, b"a b")]);
    values("b3:\r\ntraceparent: x\r\n", &[(2, b""), (0, b"x")]);
    values("x-request-i: 7\r\nx-request-idd: 8\r\nb33: 9\r\nb: 1\r\n", &[]);
    values("b3: 1\r\nb3: 2\r\nb3: 3\r\nb3: 4\r\nb3: 5\r\n", &[(2, b"1"), (2, b"2"), (2, b"3"), (2, b"4")]);
    let long = "v".repeat(200);
    values(&format!("b3: {long}\r\nx-request-id: 1\r\n"), &[(2 | 0x80, &long.as_bytes()[..128]), (1, b"1")]);
}

#[test]
fn values_that_are_no_text_are_kept_as_they_are() {
    let mut server = Driven::new();
    server.call(Read, b"GET /\xff\x9b HTTP/1.1\r\nb3: \xff\xfe\x9b31m\r\n\r\n");
    let [Seen::Request { path, values, .. }] = server.seen.as_slice() else { panic!("{:?}", server.seen) };
    assert_eq!((path.as_slice(), values.as_slice()), (&b"/\xff\x9b"[..], &[(2, b"\xff\xfe\x9b31m".to_vec())][..]));
}

/// The bound that the programs set on the steps for one system call leaves room for it.
#[test]
fn a_head_of_64_kib_takes_few_steps() {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    while head.len() < 65_536 {
        head.extend(b"x-a-header-that-nobody-asked-for: and its value, which is not much longer\r\n");
    }
    head.extend(b"\r\n");
    let mut server = Driven::new();
    server.call(Read, &head);
    assert_eq!(server.seen, [get("/")]);
    assert!(server.steps < 20_000, "{} steps", server.steps);
    // The worst: nothing can be passed over.
    let mut server = Driven::new();
    let worst = [b"GET / HTTP/1.1\r\nb3: ".to_vec(), vec![b'x'; 65_536], b"\r\n\r\n".to_vec()].concat();
    server.call(Read, &worst);
    assert!(server.steps < 1 << 17, "{} steps", server.steps);
}

#[test]
fn clients_see_the_same_from_the_other_side() {
    let mut client = Driven::new();
    client.call(Written, b"GET /a HTTP/1.1\r\nb3: 1\r\n\r\n");
    client.call(Read, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nb3: 2\r\n\r\nab");
    client.call(Read, b"cHTTP/1.1");
    assert_eq!(
        client.seen,
        [
            Seen::Request {
                written: true,
                method: "GET".into(),
                path: b"/a".to_vec(),
                cut: false,
                values: vec![(2, b"1".to_vec())]
            },
            Seen::Response { written: false, status: 200, values: vec![(2, b"2".to_vec())] },
        ]
    );
    assert_eq!(client.connection.close(), Reported::Closed);
    assert_eq!(client.connection.close(), Reported::Nothing);
}

#[test]
fn a_response_where_requests_come_is_lost() {
    let mut server = Driven::new();
    server.call(Read, b"GET / HTTP/1.1\r\n\r\n");
    server.call(Read, OK.as_bytes());
    assert_eq!(server.seen, [get("/"), Seen::Changed(Reported::Lost)]);
}

#[test]
fn more_requests_than_are_kept_are_lost() {
    let mut server = Driven::new();
    server.call(Read, "GET /a HTTP/1.1\r\n\r\n".repeat(65).as_bytes());
    assert_eq!(server.seen.len(), 65);
    assert_eq!(server.seen.last(), Some(&Seen::Changed(Reported::Lost)));
}
