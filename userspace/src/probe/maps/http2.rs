//! What the programs need to know to see HTTP/2 header blocks.

use aya::Ebpf;
use probe_common::{
    config::{HTTP2_GRPC_STATUS, HTTP2_NAME_PADDED, Http2Layout},
    http::NAME_MAX,
};
use zerocopy::IntoBytes as _;

use super::{fill, insert};
use crate::probe::error::ProbeError;

type Name = [u8; HTTP2_NAME_PADDED];
type LayoutBytes = [u8; size_of::<Http2Layout>()];

/// Hands down how blocks lie, and the names of the headers that are looked for. A name that is too long is
/// never found.
pub(in crate::probe) fn set(ebpf: &mut Ebpf, mut layout: Http2Layout, headers: &[String]) -> Result<(), ProbeError> {
    const WHAT: &str = "fill the maps for HTTP/2";
    let listed = (0..HTTP2_GRPC_STATUS).zip(headers).map(|(place, name)| (place, name.as_str()));
    let all = listed.chain([(HTTP2_GRPC_STATUS, "grpc-status")]);
    let names: Vec<(Name, u8)> = all.filter_map(|(place, name)| Some((padded(name)?, place))).collect();
    for (name, _) in &names {
        let length = name.iter().take_while(|&&byte| byte != 0).count();
        layout.name_lengths |= 1 << (length & 31);
    }
    insert(ebpf, "HTTP2_NAMES", WHAT, names)?;
    let mut bytes: LayoutBytes = [0; size_of::<LayoutBytes>()];
    bytes.copy_from_slice(layout.as_bytes());
    fill(ebpf, "HTTP2_LAYOUT", WHAT, [(0, bytes)])
}

fn padded(name: &str) -> Option<Name> {
    let mut key = [0; HTTP2_NAME_PADDED];
    let to = key.get_mut(..name.len()).filter(|_| (1..=NAME_MAX).contains(&name.len()))?;
    to.copy_from_slice(name.as_bytes());
    Some(key)
}
