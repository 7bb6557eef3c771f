//! What is done with bytes that anyone may have written. The fuzz targets and the bounded test that
//! stands in for them do the same.

use std::path::Path;

use asyncscope::{
    event::{decode::decode, encode::encode},
    model::{Graph, Setup},
    recording::{self, Reader},
    target::{debug::DebugFile, discover, elf::Elf},
};

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
    let mut graph = Graph::new(&Setup::from(reader.facts()));
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
