//! What the programs need to know to see HTTP/2 header blocks.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use probe_common::{
    config::{HTTP2_GRPC_STATUS, HTTP2_NAME_PADDED, Http2Layout},
    http::NAME_MAX,
};
use zerocopy::IntoBytes as _;

use super::{ProbeError, load::absent};

type Name = [u8; HTTP2_NAME_PADDED];
type Layout = [u8; size_of::<Http2Layout>()];

/// Hands down how blocks lie, and the names of the headers that are looked for. A name that is too long is
/// never found.
pub(super) fn set(ebpf: &mut Ebpf, mut layout: Http2Layout, headers: &[String]) -> Result<(), ProbeError> {
    let failed = |error: MapError| ProbeError::aya("fill the maps for HTTP/2", &error);
    let listed = (0..HTTP2_GRPC_STATUS).zip(headers).map(|(place, name)| (place, name.as_str()));
    let map = ebpf.map_mut("HTTP2_NAMES").ok_or_else(|| absent("HTTP2_NAMES"))?;
    let mut map: HashMap<&mut MapData, Name, u8> = map.try_into().map_err(failed)?;
    for (place, name) in listed.chain([(HTTP2_GRPC_STATUS, "grpc-status")]) {
        let Some(key) = padded(name) else { continue };
        map.insert(key, place, 0).map_err(failed)?;
        layout.name_lengths |= 1 << (name.len() & 31);
    }
    let mut bytes: Layout = [0; size_of::<Layout>()];
    bytes.copy_from_slice(layout.as_bytes());
    let map = ebpf.map_mut("HTTP2_LAYOUT").ok_or_else(|| absent("HTTP2_LAYOUT"))?;
    let mut map: Array<&mut MapData, Layout> = map.try_into().map_err(failed)?;
    map.set(0, bytes, 0).map_err(failed)
}

fn padded(name: &str) -> Option<Name> {
    let mut key = [0; HTTP2_NAME_PADDED];
    let to = key.get_mut(..name.len()).filter(|_| (1..=NAME_MAX).contains(&name.len()))?;
    to.copy_from_slice(name.as_bytes());
    Some(key)
}
