//! The programs' maps that the agent fills, and how large they are.

pub(super) mod chains;
pub(super) mod http2;
pub(super) mod off_cpu;

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};

use super::{ProbeError, error::absent};

/// Puts the one value into a map of settings.
pub(super) fn set<T: Pod>(ebpf: &mut Ebpf, name: &'static str, value: T) -> Result<(), ProbeError> {
    let failed = |error: MapError| ProbeError::aya("fill a map of settings", &error);
    let mut map: Array<&mut MapData, T> = map(ebpf, name)?.try_into().map_err(failed)?;
    map.set(0, value, 0).map_err(failed)
}

/// Fills an array with these values, each at its place. `what` is said where it cannot be done.
pub(super) fn fill<T: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    what: &str,
    values: impl IntoIterator<Item = (u32, T)>,
) -> Result<(), ProbeError> {
    let failed = |error: MapError| ProbeError::aya(what, &error);
    let mut map: Array<&mut MapData, T> = map(ebpf, name)?.try_into().map_err(failed)?;
    values.into_iter().try_for_each(|(place, value)| map.set(place, value, 0)).map_err(failed)
}

/// Fills a hash map with these values. `what` is said where it cannot be done.
pub(super) fn insert<K: Pod, V: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    what: &str,
    values: impl IntoIterator<Item = (K, V)>,
) -> Result<(), ProbeError> {
    let failed = |error: MapError| ProbeError::aya(what, &error);
    let mut map: HashMap<&mut MapData, K, V> = map(ebpf, name)?.try_into().map_err(failed)?;
    values.into_iter().try_for_each(|(key, value)| map.insert(key, value, 0)).map_err(failed)
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map, ProbeError> {
    ebpf.map_mut(name).ok_or_else(|| absent(name))
}
