//! Streams of valid messages, cut in any way, against httparse; and any bytes at all.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::drive::{Driven, HEADERS, Read, Seen, Written};

#[derive(Clone, Debug)]
enum Body {
    None,
    Length(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

fn body() -> impl Strategy<Value = Body> {
    // Bodies that look like messages are the ones that matter.
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(b"GET /fake HTTP/1.1\r\nb3: fake\r\n\r\n".to_vec()),
        Just(b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ];
    prop_oneof![
        Just(Body::None),
        bytes.clone().prop_map(Body::Length),
        vec(bytes.prop_filter("a chunk of nothing is the last", |bytes| !bytes.is_empty()), 0..4)
            .prop_map(Body::Chunked),
    ]
}

fn header() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("traceparent".to_owned()),
        Just("X-Request-ID".to_owned()),
        Just("B3".to_owned()),
        "[a-zA-Z0-9-]{1,40}".prop_filter("says how long the body is", |name| {
            !["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
        }),
    ];
    (name, "[ \t]{0,2}", "([!-~]([ -~]{0,40}[!-~])?)?", "[ \t]{0,2}")
        .prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}\r\n"))
}

fn message(start: impl Strategy<Value = String>) -> impl Strategy<Value = (Vec<u8>, usize)> {
    (start, vec(header(), 0..6), body()).prop_map(|(start, headers, body)| {
        let framing = match &body {
            Body::None => "content-length: 0\r\n".to_owned(),
            Body::Length(bytes) => format!("Content-Length:{}\r\n", bytes.len()),
            Body::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let mut bytes = format!("{start}\r\n{}{framing}\r\n", headers.concat()).into_bytes();
        let head = bytes.len();
        match body {
            Body::None => {}
            Body::Length(body) => bytes.extend(body),
            Body::Chunked(chunks) => {
                for chunk in chunks {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        (bytes, head)
    })
}

fn request() -> impl Strategy<Value = (Vec<u8>, usize)> {
    message("(GET|POST|PUT|X-ANY) /[a-z0-9/%]{0,250}(\\?[a-z=&]{0,30})? HTTP/1\\.1")
}

fn response() -> impl Strategy<Value = (Vec<u8>, usize)> {
    message("HTTP/1\\.1 (200|201|404|503)( [ -~]{0,20})?")
}

/// What httparse reads in these heads.
fn reference(messages: &[(Vec<u8>, usize)], written: bool) -> Vec<Seen> {
    let read = |(bytes, head): &(Vec<u8>, usize)| {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let head = &bytes[..*head];
        if written {
            let mut response = httparse::Response::new(&mut headers);
            assert_eq!(response.parse(head).unwrap(), httparse::Status::Complete(head.len()));
            Seen::Response { written, status: response.code.unwrap(), values: values(response.headers) }
        } else {
            let mut request = httparse::Request::new(&mut headers);
            assert_eq!(request.parse(head).unwrap(), httparse::Status::Complete(head.len()));
            let path = request.path.unwrap().split('?').next().unwrap().as_bytes();
            let cut = path.len() > 192;
            let path = path[..path.len().min(192)].to_vec();
            let method = request.method.unwrap().to_owned();
            Seen::Request { written, method, path, cut, values: values(request.headers) }
        }
    };
    messages.iter().map(read).collect()
}

fn values(headers: &[httparse::Header<'_>]) -> Vec<(u8, Vec<u8>)> {
    let listed = |header: &httparse::Header<'_>| {
        let place = HEADERS.iter().position(|name| name.eq_ignore_ascii_case(header.name))?;
        Some((u8::try_from(place).unwrap(), header.value.to_vec()))
    };
    headers.iter().filter_map(listed).take(4).collect()
}

/// Cuts the bytes at these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_pieces_of_valid_streams_give_the_heads_of_httparse(
        requests in vec(request(), 1..6),
        responses in vec(response(), 1..6),
        cuts in vec(any::<usize>(), 0..30),
    ) {
        let (bytes, answers): (Vec<u8>, Vec<u8>) = (
            requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect(),
            responses.iter().flat_map(|(bytes, _)| bytes.clone()).collect(),
        );
        let mut server = Driven::new();
        pieces(&bytes, &cuts).into_iter().for_each(|piece| server.call(Read, piece));
        pieces(&answers, &cuts).into_iter().for_each(|piece| server.call(Written, piece));
        let expected = [reference(&requests, false), reference(&responses, true)].concat();
        prop_assert_eq!(server.seen, expected);
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(calls in vec((any::<bool>(), vec(any::<u8>(), 0..200)), 0..20), known: bool) {
        let mut driven = if known { Driven::new() } else { Driven::attached() };
        for (written, bytes) in calls {
            driven.call(if written { Written } else { Read }, &bytes);
        }
    }

    #[test]
    fn almost_valid_bytes_do_no_harm(
        messages in vec(request(), 1..4),
        damage in vec((any::<usize>(), any::<u8>()), 0..6),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let mut bytes: Vec<u8> = messages.into_iter().flat_map(|(bytes, _)| bytes).collect();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let (mut whole, mut cut) = (Driven::new(), Driven::new());
        whole.call(Read, &bytes);
        pieces(&bytes, &cuts).into_iter().for_each(|piece| cut.call(Read, piece));
        // A message is reported before what follows it is looked at, in whatever pieces it comes.
        prop_assert_eq!(whole.seen, cut.seen);
    }
}
