//! Writes the records and recordings of the corpus: one of each event, as the agent writes them.

#[path = "../../userspace/crates/discovery/src/layout/handmade.rs"]
mod handmade;

use std::{error::Error, fs, path::Path};

use asyncscope_trace::{event::{
        At, Change, ChainFrame, Completion, Connection, Event, Message, Moment, SpawnWay, Start, State, TaskId, TaskRef,
        Turn, TurnOf, Value, What,
        encode::encode,
    }, facts::{Facts, Hook, HookSite, HookState, ImageId, NamedThread, NotSeen, Proof, Sees, TaskType, VtableFunction}, recording::Writer};
use probe_common::record::Source;

const TASK: TaskRef = TaskRef { header: 0x7f00_0000_1000, id: Some(TaskId(7)), vtable: 0x5500_0000_2000 };

const CONNECTION: Connection = Connection { source: Source::Http2, key: 0x7f00_0000_2000 };

fn message(start: Start, values: u8) -> What {
    let value = |name| Value { name, bytes: b"7-\x1b</svg>".to_vec(), cut: name == 1 };
    let values = (0..values).map(value).collect();
    let substream = 3;
    What::Message(Box::new(Message {
        connection: CONNECTION,
        substream,
        written: false,
        by: None,
        early: false,
        start,
        grpc_status: Some(5),
        values,
    }))
}

fn events() -> Vec<Event> {
    let (old, new) = (State(0xc5), State(0xcc));
    let turn = Some(Turn { driver: TurnOf::Time, sp: 0x7fff_0000_0000 });
    let moment = Moment { completion: Completion::Over, turn };
    let what = [
        What::Spawn { task: TASK, state: old, caller: 0x5500_0000_3000, way: SpawnWay::Owned, completion: Completion::GoesOn },
        What::PollStart { task: TASK, state: old },
        What::Wake { task: TASK, old, new, caller: 0x5500_0000_4000, owned: true, predicted: false, moment },
        What::PollEnd { task: TASK, old, new },
        What::Abort { task: TASK, old, new, predicted: true },
        What::Shutdown { task: TASK, state: new },
        What::Panic,
        What::PollExit,
        What::Gap { since: 1_000, lost: 3 },
        What::ThreadName { name: "tokio-rt-worker".to_owned() },
        What::ThreadAtRest,
        What::Frames { chain: 9, partial: true, frames: vec![ChainFrame { frame: 1, depth: 0 }] },
        What::Awaited { task: TASK, chain: 9 },
        What::Stream { connection: CONNECTION, change: Change::Left },
        message(Start::Request { method: b"GET".to_vec(), path: b"/a".to_vec(), cut: true }, 3),
        message(Start::Response { status: 200 }, 0),
        message(Start::Trailers, 1),
    ];
    let at = |seq| At { time: 1_000 + 10 * seq, cpu: 1, seq, tid: 42, sp: 0x7fff_0000_0000 - 16 * seq };
    (0..).zip(what).map(|(seq, what)| Event { at: at(seq), what }).collect()
}

fn facts() -> Facts {
    let mut facts = Facts { tokio: Some("1.47.1".to_owned()), ..Facts::default() };
    facts.types = vec![TaskType { vtable: TASK.vtable, name: Some("svc::request".to_owned()), ..TaskType::default() }];
    facts.threads = vec![NamedThread { tid: 42, name: "svc".to_owned() }];
    let proof = Proof::Vtable { function: VtableFunction::Poll };
    let site = HookSite { address: 0x2000, instruction: "push %rbx".to_owned(), emulated: true, proof };
    let hook = Hook { sees: Sees::PollStart, image: ImageId::EXECUTABLE, state: HookState::Armed(site) };
    facts.hooks = vec![hook];
    facts
}

fn recording(repeated: usize, whole: bool) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = Writer::create(Vec::new(), &facts())?;
    for event in std::iter::repeat_n(events(), repeated).flatten() {
        writer.write(&event)?;
    }
    let losses = [NotSeen::new("ring-full", 3)];
    writer.loss(&losses)?;
    writer.facts(&facts())?;
    let mut bytes = writer.finish(2_000, &losses)?;
    if !whole {
        bytes.truncate(bytes.len() / 2);
    }
    Ok(bytes)
}

/// System calls: whether they write, and their bytes.
type Calls<'a> = &'a [(u8, &'a [u8])];

const HEADS: [(&str, Calls<'_>); 5] = [
    (
        "exchange",
        &[
            (0, b"GET /a?b HTTP/1.1\r\nx-request-id: 7\r\n\r\n"),
            (1, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
            (0, b"HEAD /a HTTP/1.1\r\n\r\n"),
            (1, b"HTTP/1.1 204 No Content\r\n\r\n"),
        ],
    ),
    (
        "chunked",
        &[
            (0, b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\na: b\r\n\r\n"),
            (1, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ],
    ),
    ("upgrade", &[(0, b"GET / HTTP/1.1\r\nupgrade: x\r\n\r\n"), (1, b"HTTP/1.1 101 Switching\r\n\r\n"), (0, b"x")]),
    ("connect", &[(1, b"CONNECT a:1 HTTP/1.1\r\n\r\n"), (0, b"HTTP/1.1 200 OK\r\n\r\n"), (1, b"x")]),
    ("http2", &[(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
];

/// Each part but the last with its length before it.
fn sections(parts: [&[u8]; 2], last: &[u8]) -> Vec<u8> {
    let with_len = |part: &[u8]| [&u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes(), part].concat();
    [parts.map(with_len).concat(), last.to_vec()].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (number, event) in events().iter().enumerate() {
        let mut bytes = Vec::new();
        encode(event, &mut bytes);
        fs::write(corpus.join("records").join(format!("{number:02}.record")), bytes)?;
    }
    for (name, calls) in HEADS {
        let call = |(written, bytes): &(u8, &[u8])| {
            let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
            [&[*written], &len[..], bytes].concat()
        };
        fs::write(corpus.join("heads").join(name), calls.iter().flat_map(call).collect::<Vec<u8>>())?;
    }
    let layouts = sections([handmade::ABBREVIATIONS, &handmade::info()], b"async\0");
    fs::write(corpus.join("layouts").join("task.dwarf"), layouts)?;
    let recordings = [("one", 1, true), ("many", 60, true), ("cut", 60, false), ("empty", 0, true)];
    for (name, repeated, whole) in recordings {
        fs::write(corpus.join("recording").join(format!("{name}.ascope")), recording(repeated, whole)?)?;
    }
    Ok(())
}
