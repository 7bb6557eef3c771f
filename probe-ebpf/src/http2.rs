//! Hooks on HTTP/2 header blocks, where h2's streams take or give them: whole, and not compressed.
//!
//! Where the parts of a block lie was learned by the agent; here it is held against what it must be. The
//! stream's id stands in the frame and in the pointer to the stream: where the two differ, this is no
//! block, and nothing of it is recorded.

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::{Array, HashMap, LruHashMap},
    helpers::{bpf_get_attach_cookie, bpf_probe_read_user},
    macros::{btf_map, uprobe},
    programs::ProbeContext,
};
use probe_common::{
    config::{HTTP2_GRPC_STATUS, HTTP2_NAME_PADDED, Http2Cookie, Http2Layout},
    http::NAME_MAX,
    loss::Loss,
    message_builder::MessageBuilder,
    record::{Change, NO_GRPC_STATUS, PATH_MAX, Source, VALUES_MAX, message as flags},
};

use crate::{
    emit::lost,
    message::{change, copy, give_back, message, take, value_from_target},
    regs, stack,
};

/// The layouts of blocks.
#[btf_map]
static HTTP2_LAYOUT: Array<Http2Layout, 1> = Array::new();

/// The names of the headers that are looked for, padded with 0, and their places in the list.
#[btf_map]
static HTTP2_NAMES: HashMap<[u8; HTTP2_NAME_PADDED], u8, 32> = HashMap::new();

/// The highest stream that each connection has opened. Ids only grow: a lower one is of another
/// connection, in the same place.
#[btf_map]
static HTTP2_STREAMS: LruHashMap<u64, u32, 4096> = LruHashMap::new();

/// More fields of a block than this are not looked at.
const FIELDS_MAX: u64 = 64;

/// At the entry of a function that takes or gives a header block; see [`Http2Cookie`].
#[uprobe]
pub fn http2_head(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    // SAFETY: the context is this program's own.
    let cookie = Http2Cookie::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    let Some(layout) = HTTP2_LAYOUT.get(0) else { return 0 };
    let (mut frame, pointer) = (regs::word(&ctx, cookie.frame), regs::word(&ctx, cookie.stream));
    if cookie.written {
        if read::<u8>(frame + u64::from(cookie.tag_at)) != Some(cookie.tag) {
            return 0; // another frame: data, mostly
        }
        frame += u64::from(cookie.offset);
    }
    let store = read::<u64>(pointer + u64::from(layout.store));
    let stream = read::<u32>(pointer + u64::from(layout.stream_id));
    let (Some(store), Some(stream)) = (store, stream) else {
        lost(Loss::Http2Unreadable);
        return 0;
    };
    if stream % 2 == 0 {
        return 0; // pushed by the server
    }
    let Some(slot) = take() else {
        change(&ctx, Source::Http2, store, Change::Lost);
        return 0;
    };
    slot.draft.record.substream = stream;
    if cookie.written {
        slot.draft.record.flags = flags::WRITTEN;
    }
    if fill(layout, &mut slot.draft, frame, stream) {
        if slot.draft.record.flags & flags::REQUEST != 0 {
            opened(&ctx, store, stream);
        }
        message(&ctx, &mut slot.draft, Source::Http2, store);
    } else {
        lost(Loss::Http2Unreadable);
        change(&ctx, Source::Http2, store, Change::Lost);
    }
    give_back(slot);
    0
}

/// Notes that a connection opened a stream.
#[inline(always)]
fn opened(ctx: &ProbeContext, store: u64, stream: u32) {
    // SAFETY: the value is copied at once. The connection's lock is held where a stream is opened.
    if let Some(&highest) = unsafe { HTTP2_STREAMS.get(&store) }
        && stream <= highest
    {
        change(ctx, Source::Http2, store, Change::Closed);
    }
    // It has room for another: the longest unused goes.
    let _ = HTTP2_STREAMS.insert(&store, &stream, 0);
}

/// Fills the draft from the frame; `false` where it cannot be read, or is none.
#[inline(always)]
fn fill(layout: &Http2Layout, draft: &mut MessageBuilder, frame: u64, stream: u32) -> bool {
    if read::<u32>(frame + u64::from(layout.stream)) != Some(stream) {
        return false;
    }
    let status = read::<u16>(frame + u64::from(layout.status));
    let method = read::<u8>(frame + u64::from(layout.method));
    let (Some(status), Some(method)) = (status, method) else { return false };
    if method <= layout.methods {
        // A request with a status is none; h2 refuses it, too.
        if status != 0 || !request(layout, draft, frame, method) {
            return false;
        }
        draft.record.flags |= flags::REQUEST;
    } else if status == 0 {
        draft.record.flags |= flags::TRAILERS;
    } else if status >= 100 && status < 1000 {
        draft.record.status = status;
    } else {
        return false;
    }
    fields(layout, draft, frame)
}

#[inline(always)]
fn request(layout: &Http2Layout, draft: &mut MessageBuilder, frame: u64, method: u8) -> bool {
    let name = layout.method_names[usize::from(method & 15)];
    let len = (8 - name.leading_zeros() / 8) as u8;
    let to = draft.room(u32::from(len));
    // SAFETY: at least 256 bytes follow `to`.
    unsafe { to.cast::<u64>().write_unaligned(name) };
    draft.record.method_len = len;
    match read::<u64>(frame + u64::from(layout.path_vtable)) {
        None => false,
        Some(0) => true, // CONNECT has none
        Some(_) => {
            let address = read::<u64>(frame + u64::from(layout.path_pointer));
            let len = read::<u64>(frame + u64::from(layout.path_length));
            let (Some(address), Some(len)) = (address, len) else { return false };
            path(draft, address, len)
        }
    }
}

/// Copies the path up to its query.
#[inline(always)]
fn path(draft: &mut MessageBuilder, address: u64, len: u64) -> bool {
    // One byte more than is kept says whether it goes on.
    let copied = if len > PATH_MAX as u64 { PATH_MAX as u64 + 1 } else { len } as u32;
    let to = draft.room(0);
    if !copy(to, copied, address) {
        return false;
    }
    let mut end = 0;
    while end < copied && end <= PATH_MAX as u32 {
        // SAFETY: at least 256 bytes follow `to`.
        let byte = unsafe { *to.add(end as usize & 0xff) };
        if byte == b'?' || byte == b'#' {
            break;
        }
        end += 1;
    }
    if end > PATH_MAX as u32 {
        end = PATH_MAX as u32;
        draft.record.flags |= flags::PATH_CUT;
    }
    draft.room(end);
    draft.record.path_len = end as u8;
    true
}

#[inline(always)]
fn fields(layout: &Http2Layout, draft: &mut MessageBuilder, frame: u64) -> bool {
    let entries = read::<u64>(frame + u64::from(layout.entries));
    let len = read::<u64>(frame + u64::from(layout.entries_length));
    let (Some(entries), Some(len)) = (entries, len) else { return false };
    let mut place = 0;
    while place < FIELDS_MAX && place < len {
        if !field(layout, draft, entries + place * u64::from(layout.entry_size)) {
            return false;
        }
        place += 1;
    }
    if len > FIELDS_MAX {
        lost(Loss::Http2TooManyFields);
    }
    true
}

/// Takes note of a field that is looked for; `false` where it cannot be read.
#[inline(always)]
fn field(layout: &Http2Layout, draft: &mut MessageBuilder, entry: u64) -> bool {
    let Some(vtable) = read::<u64>(entry + u64::from(layout.name_vtable)) else { return false };
    let Some(len) = read::<u64>(entry + u64::from(layout.name_length)) else { return false };
    if vtable == 0 || len > NAME_MAX as u64 || layout.name_lengths >> (len & 31) & 1 == 0 {
        return true;
    }
    let Some(address) = read::<u64>(entry + u64::from(layout.name_pointer)) else { return false };
    let mut name = [0; HTTP2_NAME_PADDED];
    if !copy(name.as_mut_ptr(), len as u32 & (HTTP2_NAME_PADDED as u32 - 1), address) {
        return false;
    }
    // SAFETY: the value is copied at once, and the agent never changes the map while hooks are armed.
    let Some(&place) = (unsafe { HTTP2_NAMES.get(&name) }) else { return true };
    let address = read::<u64>(entry + u64::from(layout.value_pointer));
    let len = read::<u64>(entry + u64::from(layout.value_length));
    let (Some(address), Some(len)) = (address, len) else { return false };
    if place == HTTP2_GRPC_STATUS {
        return grpc_status(draft, address, len);
    }
    usize::from(draft.record.values) >= VALUES_MAX || value_from_target(draft, place, address, len)
}

/// A number of at most two digits; gRPC has none above 16. Another is none.
#[inline(always)]
fn grpc_status(draft: &mut MessageBuilder, address: u64, len: u64) -> bool {
    let Some(first) = (if len == 1 || len == 2 { read::<u8>(address) } else { Some(0) }) else { return false };
    let Some(second) = (if len == 2 { read::<u8>(address + 1) } else { Some(b'0') }) else { return false };
    let (tens, ones) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
    draft.record.grpc_status = match len {
        _ if tens > 9 || ones > 9 => NO_GRPC_STATUS,
        1 => tens,
        _ => tens * 10 + ones,
    };
    true
}

#[inline(always)]
fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}
