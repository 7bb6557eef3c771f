//! HTTP/2 in the `h2` crate: where whole header blocks pass, and how they lie in memory.
//!
//! Blocks are seen where h2's streams give them away to be sent (`Prioritize::queue_frame`) and take them in
//! (`Recv::recv_headers`, `Recv::recv_trailers`). There a block is whole and not compressed, the stream's id
//! stands beside it, and the address of the connection's `Store` is the same in both directions.
//!
//! Symbols say which functions to look at. Where fields lie is learned from what the code of such functions
//! does with them (`layout`, `streams`); all of it has to fit together, or HTTP/2 is not watched.

pub(crate) mod layout;
mod names;
pub(crate) mod streams;

use iced_x86::{Instruction, Register};
use probe_common::config::{Http2Cookie, Http2Layout};

use self::{
    layout::{HeaderBlock, only},
    names::Names,
    streams::{Queued, StreamPointer},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::Code,
        entry, place_in_pt_regs,
        trace::{TraceEvent, trace},
    },
    image::elf::Elf,
    tokio::{plan::Program, plan_builder::Builder},
};
use asyncscope_trace::facts::{
    BlockPart, Http2Function, Http2Part, Http2Received, Http2Unknown, MissingReason, Proof, Sees,
};

/// The registers of the first arguments.
const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];

/// Places the hooks on header blocks, and says how these lie in memory. `None` where HTTP/2 cannot be
/// watched; then a missing hook says why, unless there is no h2.
pub(super) fn place(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, elf: &Elf<'_>) -> Option<Http2Layout> {
    let names = Names::new(elf);
    if !names.is_there() {
        if elf.symbols().is_empty() && is_mentioned(elf) {
            builder.missing(Sees::Http2Head, MissingReason::NoHttp2Symbols);
        }
        return None;
    }
    match find(code, &names) {
        Ok(found) => {
            found.hooks.iter().for_each(|hook| hook.place(builder, code));
            for part in found.missing {
                builder.missing(Sees::Http2Head, MissingReason::Http2Part { part });
            }
            Some(found.layout)
        }
        Err(reason) => {
            builder.missing(Sees::Http2Head, MissingReason::Http2Unknown { reason });
            None
        }
    }
}

/// By the paths of sources that panic messages leave in the file.
fn is_mentioned(elf: &Elf<'_>) -> bool {
    const PATHS: [&[u8]; 2] = [b"/h2-0.3.", b"/h2-0.4."];
    elf.read_only_data().any(|data| data.windows(8).any(|window| PATHS.contains(&window)))
}

/// The layout and hooks that were found, and the parts that are missing.
#[derive(Debug)]
struct FoundHttp2 {
    layout: Http2Layout,
    hooks: Vec<BlockHook>,
    missing: Vec<Http2Part>,
}

/// A hook at a function's entry.
#[derive(Debug)]
struct BlockHook {
    function: ElfAddr,
    /// The argument that is the frame, or the enum around it.
    frame: u8,
    /// The argument that is the stream.
    stream: u8,
    /// The way the frame is wrapped; `None` where the argument is the frame itself.
    queued: Option<Queued>,
    passes: Http2Function,
}

impl BlockHook {
    fn place(&self, builder: &mut Builder<'_, '_>, code: &Code<'_, '_>) {
        let Some(cookie) = self.cookie() else { return };
        let keeping = |argument: u8| entry::cheapest(code, self.function, *ARGUMENTS.get(usize::from(argument))?);
        // Both registers hold what was passed at the first of the two.
        match keeping(self.frame).into_iter().chain(keeping(self.stream)).min_by_key(Instruction::ip) {
            Some(at) => builder.place(
                Program::Http2Head,
                &at,
                cookie.pack(),
                Sees::Http2Head,
                Proof::Http2 { function: self.passes },
            ),
            None => builder.missing(Sees::Http2Head, MissingReason::Undecodable { function: self.function.0 }),
        }
    }

    fn cookie(&self) -> Option<Http2Cookie> {
        let register = |argument: u8| place_in_pt_regs(*ARGUMENTS.get(usize::from(argument))?);
        let (frame, stream) = (register(self.frame)?, register(self.stream)?);
        Some(match self.queued {
            None => Http2Cookie { frame, stream, written: false, offset: 0, tag_at: 0, tag: 0 },
            Some(queued) => Http2Cookie {
                frame,
                stream,
                written: true,
                offset: u8::try_from(queued.frame).ok()?,
                tag_at: u16::try_from(queued.tag_at).ok()?,
                tag: u8::try_from(queued.tag).ok()?,
            },
        })
    }
}

fn find(code: &Code<'_, '_>, names: &Names) -> Result<FoundHttp2, Http2Unknown> {
    let send = send(code, names)?;
    let entries = block(code, names, send.block)?;
    let receive = receive(code, names)?;
    let layout = fit(entries, &send, &receive)?;
    let sent = send.hooks.iter().map(|&(function, queued, stream)| BlockHook {
        function,
        frame: queued.argument,
        stream: stream.argument,
        queued: Some(queued),
        passes: Http2Function::QueueFrame,
    });
    let received = receive.hooks.iter().map(|&(function, frame, stream)| BlockHook {
        function,
        frame,
        stream: stream.argument,
        queued: None,
        passes: Http2Function::Receive,
    });
    let missing = send.missing.into_iter().chain(receive.missing).collect();
    Ok(FoundHttp2 { layout, hooks: sent.chain(received).collect(), missing })
}

/// All that was learned, as the programs need it, if it fits together.
fn fit(
    (block, length, stride): (HeaderBlock, i64, i64),
    send: &Send,
    receive: &Receive,
) -> Result<Http2Layout, Http2Unknown> {
    let same = |one: StreamPointer, other: StreamPointer| one.store == other.store && one.stream == other.stream;
    if !receive.hooks.iter().all(|(_, _, stream)| same(*stream, receive.stream))
        || !send.hooks.iter().all(|(_, _, stream)| same(*stream, receive.stream))
    {
        return Err(Http2Unknown::PointersDiffer);
    }
    let offset =
        |part: BlockPart, offset: i64| u16::try_from(offset).map_err(|_| Http2Unknown::Offset { part, offset });
    let at = |part: BlockPart, inside: i64| offset(part, send.block + inside);
    Ok(Http2Layout {
        stream: offset(BlockPart::Stream, send.stream_id)?,
        status: offset(BlockPart::Status, receive.status)?,
        method: at(BlockPart::Method, block.method)?,
        path_vtable: at(BlockPart::Path, block.path.vtable)?,
        path_pointer: at(BlockPart::Path, block.path.pointer)?,
        path_length: at(BlockPart::Path, block.path.length)?,
        entries: at(BlockPart::Fields, block.entries)?,
        entries_length: at(BlockPart::Fields, length)?,
        entry_size: offset(BlockPart::Fields, stride)?,
        name_vtable: offset(BlockPart::Fields, block.name.vtable)?,
        name_pointer: offset(BlockPart::Fields, block.name.pointer)?,
        name_length: offset(BlockPart::Fields, block.name.length)?,
        value_pointer: offset(BlockPart::Fields, block.value.pointer)?,
        value_length: offset(BlockPart::Fields, block.value.length)?,
        store: offset(BlockPart::Stream, receive.stream.store)?,
        stream_id: offset(BlockPart::Stream, receive.stream.stream)?,
        methods: block.allocated,
        zero: [0; 3],
        name_lengths: 0,
        method_names: methods(block.allocated),
    })
}

/// The layout of a block, the place of its entries' number, and the distance between entries. `in_frame`: where in a
/// frame the block lies.
fn block(code: &Code<'_, '_>, names: &Names, in_frame: i64) -> Result<(HeaderBlock, i64, i64), Http2Unknown> {
    let mut drops = names.blocks();
    if in_frame == 0 {
        drops.extend(names.frames());
    }
    let block = drops.iter().find_map(|&drop| layout::block(&trace(code, drop, 4)));
    let block = block.ok_or(Http2Unknown::NoBlock)?;
    let reader = |ending: &str, argument: u8| {
        names
            .ending(ending)
            .into_iter()
            .find_map(|reader| layout::entries(&trace(code, reader, 1), argument, block.entries))
    };
    // Headers are checked where they are sent; either may be part of the other.
    let entries = reader("::frame::headers::calculate_headermap_size", 0)
        .or_else(|| reader("::send::Send::check_headers", 0))
        .or_else(|| reader("::send::Send::send_headers", frame_sent(code, names)?));
    let (length, stride) = entries.ok_or(Http2Unknown::NoEntries)?;
    let size = [block.name, block.value].iter().flat_map(|bytes| [bytes.vtable, bytes.pointer, bytes.length]).max();
    if size.is_none_or(|last| last + 8 > stride) {
        return Err(Http2Unknown::EntriesOverlap);
    }
    Ok((block, length, stride))
}

/// The methods by tag, where `http` is one whose methods are known: those without a name of their own in
/// memory, in the order of their declaration, which is that of the tags of such an enum. The two last tags
/// are of methods that are spelled out.
///
/// Source: <https://github.com/hyperium/http/blob/e559023f67e3fad6ecc3ee91307be178e0f13626/src/method.rs#L53-L68>
fn methods(allocated: u8) -> [u64; 16] {
    const KNOWN: [&str; 10] = ["OPTIONS", "GET", "POST", "PUT", "DELETE", "HEAD", "TRACE", "CONNECT", "PATCH", "QUERY"];
    let known = match allocated {
        10 => &KNOWN[..9],
        11 => &KNOWN[..],
        _ => &[],
    };
    let mut names = [0; 16];
    for (to, name) in names.iter_mut().zip(known) {
        *to = name.bytes().rev().fold(0, |word, byte| word << 8 | u64::from(byte));
    }
    names
}

/// The argument of `send_headers` that is a frame whose block lies at its start.
fn frame_sent(code: &Code<'_, '_>, names: &Names) -> Option<u8> {
    let senders = names.ending("::send::Send::send_headers").into_iter();
    let (argument, block) = only(senders.filter_map(|sender| frame(&trace(code, sender, 0), names)))?;
    (block == 0).then_some(argument)
}

struct Send {
    /// The place of the block in a frame.
    block: i64,
    /// The place of the stream's id in a frame.
    stream_id: i64,
    hooks: Vec<(ElfAddr, Queued, StreamPointer)>,
    missing: Vec<Http2Part>,
}

fn send(code: &Code<'_, '_>, names: &Names) -> Result<Send, Http2Unknown> {
    let senders: Vec<_> =
        names.ending("::send::Send::send_headers").into_iter().map(|function| trace(code, function, 0)).collect();
    let frames: Vec<_> = senders.iter().filter_map(|events| Some((events, frame(events, names)?))).collect();
    let block = only(frames.iter().map(|(_, (_, block))| *block));
    let stream_id = only(frames.iter().filter_map(|(events, (frame, _))| streams::stream_of_frame(events, *frame)));
    let (Some(block), Some(stream_id)) = (block, stream_id) else {
        return Err(Http2Unknown::NoFrame);
    };
    let (mut hooks, mut missing) = (Vec::new(), Vec::new());
    for queue in names.ending("::prioritize::Prioritize::queue_frame") {
        let queued = only(frames.iter().filter_map(|(events, (frame, _))| streams::queued(events, *frame, queue)));
        let stream = streams::stream_pointer(&trace(code, queue, 1));
        match (queued, stream) {
            (Some(queued), Some(stream)) => hooks.push((queue, queued, stream)),
            _ => missing.push(Http2Part::QueueFrame { function: queue.0 }),
        }
    }
    if hooks.is_empty() {
        let part = |part| Http2Unknown::Parts { parts: vec![part] };
        return Err(missing.pop().map_or(Http2Unknown::NoQueueFrame, part));
    }
    Ok(Send { block, stream_id, hooks, missing })
}

struct Receive {
    /// The place of the status in a frame.
    status: i64,
    stream: StreamPointer,
    hooks: Vec<(ElfAddr, u8, StreamPointer)>,
    missing: Vec<Http2Part>,
}

fn receive(code: &Code<'_, '_>, names: &Names) -> Result<Receive, Http2Unknown> {
    let (mut hooks, mut missing, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let all = [
        ("::recv::Recv::recv_headers", Http2Received::Heads),
        ("::recv::Recv::recv_trailers", Http2Received::Trailers),
    ];
    for (ending, receives) in all {
        let functions = names.ending(ending);
        if functions.is_empty() {
            missing.push(Http2Part::NoReceive { receives });
        }
        for function in functions {
            let events = trace(code, function, 1);
            let frame = frame(&events, names);
            statuses.extend(
                streams::status_of_frame(&events)
                    .filter(|(argument, _)| frame.is_some_and(|(frame, _)| frame == *argument)),
            );
            match (frame, streams::stream_pointer(&events)) {
                (Some((frame, _)), Some(stream)) => hooks.push((function, frame, stream)),
                _ => missing.push(Http2Part::Receive { function: function.0, receives }),
            }
        }
    }
    let status = only(statuses.iter().map(|(_, status)| *status));
    match (status, hooks.first()) {
        (Some(status), Some(&(_, _, stream))) => Ok(Receive { status, stream, hooks, missing }),
        (None, _) => Err(Http2Unknown::NoStatus),
        (_, None) => Err(Http2Unknown::Parts { parts: missing }),
    }
}

/// The argument that is a frame, and the place of the block in it.
fn frame(events: &[TraceEvent], names: &Names) -> Option<(u8, i64)> {
    streams::frame_argument(events, |function| names.takes_block(function))
}
