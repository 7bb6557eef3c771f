//! What is done with bytes that anyone may have written. The fuzz targets and the bounded test that
//! stands in for them do the same.

use std::path::Path;

use asyncscope_discovery::{
    addr::ElfAddr,
    discover,
    image::{debug::DebugFile, elf::Elf},
    layout,
    tokio::vtables::Vtable,
};
use asyncscope_model::{Config, Graph};
use asyncscope_trace::{
    chain,
    event::{decode::decode, encode::encode},
    recording::{self, Reader},
};
use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};

/// Where a block's head has the length of what follows, and its checksum.
const STORED_LEN_AT: usize = 12;
const CRC_AT: usize = 16;
const HEAD_LEN: usize = 20;
const FILE_HEADER_LEN: usize = 16;

/// An executable, with names by its own debug info. Beside that path lies nothing.
pub(crate) fn discovery(bytes: &[u8]) {
    let debug = DebugFile::executable(Path::new("/nonexistent/program"));
    if let Ok(elf) = Elf::parse(bytes).and_then(|elf| elf.with_debug(&debug)) {
        let _ = discover(&elf);
    }
}

/// The task's vtable and poll function in debug info of [`layouts`].
const VTABLE: u64 = 0x7000;
const POLL: u64 = 0x1000;

/// Debug info: `.debug_abbrev` and `.debug_info`, each with its length of two bytes before it, and `.debug_str`.
/// What it compiles to is run on memory that is the same bytes again and again.
pub(crate) fn layouts(bytes: &[u8]) {
    let (abbreviations, rest) = section(bytes);
    let (info, strings) = section(rest);
    let data = |id| match id {
        SectionId::DebugAbbrev => abbreviations,
        SectionId::DebugInfo => info,
        SectionId::DebugStr => strings,
        _ => &[],
    };
    let Ok(dwarf) = Dwarf::load(|id| Ok::<_, ()>(EndianSlice::new(data(id), LittleEndian))) else { return };
    let layouts = layout::of_dwarf(&dwarf, &[vtable()]);
    let mut reads = 0_u32;
    let mut read = |at: u64, buffer: &mut [u8]| {
        reads += 1;
        let start = usize::try_from(at % bytes.len().max(1) as u64).ok()?;
        buffer.iter_mut().zip(bytes.iter().cycle().skip(start)).for_each(|(to, from)| *to = *from);
        Some(())
    };
    let whole = chain::walk(&layouts.program, 0, VTABLE, &mut read);
    for node in whole.iter().flat_map(|chain| &chain.nodes) {
        assert!(layouts.program.frames.len() > node.frame as usize, "a frame that is none");
    }
    assert!(reads < 10_000_000, "{reads} reads");
}

fn section(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk() else { return (&[], &[]) };
    rest.split_at(rest.len().min(u16::from_le_bytes(*len).into()))
}

fn vtable() -> Vtable {
    let none = ElfAddr(0);
    Vtable {
        address: ElfAddr(VTABLE),
        poll: ElfAddr(POLL),
        schedule: none,
        dealloc: none,
        try_read_output: none,
        drop_join_handle_slow: none,
        shutdown: none,
        id_offset: 0,
    }
}

/// One record. An event that was read from bytes is the same after it was written again.
pub(crate) fn records(bytes: &[u8]) {
    let Ok(event) = decode(bytes) else { return };
    let mut again = Vec::new();
    encode(&event, &mut again);
    assert_eq!(decode(&again).as_ref(), Ok(&event));
}

/// A recording: as it is, and with right checksums, which no mutation would find.
pub(crate) fn recording(bytes: &[u8]) {
    let _ = recording::read(bytes, &mut |_| {});
    let mended = mended(bytes);
    let Ok(reader) = Reader::new(&*mended) else { return };
    let mut graph = Graph::new(&Config::from(reader.facts()).with_log_lines(Some(1 << 20)));
    let whole = reader.read(&mut |event| graph.apply(&event));
    graph.finish(whole.end_ns.unwrap_or_default());
    let _ = whole.trouble();
}

fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let mut at = FILE_HEADER_LEN;
    while let Some(head) = mended.get(at..).and_then(|rest| rest.get(..HEAD_LEN)) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[..CRC_AT]);
        let len = u32::from_le_bytes(head[STORED_LEN_AT..CRC_AT].try_into().unwrap_or_default()) as usize;
        let payload = at + HEAD_LEN;
        let Some(stored) = mended.get(payload..payload.saturating_add(len)) else { break };
        crc.update(stored);
        mended[at + CRC_AT..payload].copy_from_slice(&crc.finalize().to_le_bytes());
        at = payload + len;
    }
    mended
}
