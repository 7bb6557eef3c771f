//! A ring buffer for each CPU.

use aya::maps::{ArrayOfMaps, Map, MapData, RingBuf};

use super::{ProbeError, load::LoadedObject};

/// The shortest record takes this many bytes of a ring, its own header included.
const RECORD_MIN: u32 = 40;

/// As much as an agent that does not get a CPU for a second needs on a small machine, and not more
/// memory than this on a large one.
fn default_bytes(cpus: usize) -> u32 {
    const ALL: u32 = 64 << 20;
    let each = ALL / u32::try_from(cpus).unwrap_or(u32::MAX).max(1);
    each.clamp(512 << 10, 8 << 20).next_power_of_two()
}

/// The ring buffers.
#[derive(Debug)]
pub(super) struct Rings {
    buffers: Vec<Ring>,
    /// No more records than a full ring holds are taken from one ring at a time, so that a busy CPU
    /// cannot hold up the others.
    at_a_time: u32,
    _by_cpu: ArrayOfMaps<MapData, MapData>,
}

struct Ring(RingBuf<MapData>);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl Rings {
    /// Makes one for each CPU that is online.
    pub(super) fn create(loaded: &mut LoadedObject, bytes: Option<u32>) -> Result<Self, ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::aya("create the ring buffers", &error);
        let mut by_cpu: ArrayOfMaps<MapData, MapData> = loaded.take_map("RINGS")?.try_into().map_err(failed)?;
        let cpus = aya::util::online_cpus().map_err(|(what, error)| ProbeError::kernel(what, &error))?;
        let bytes = bytes.unwrap_or_else(|| default_bytes(cpus.len()));
        let mut buffers = Vec::new();
        for cpu in cpus {
            let definition = aya_obj::Map::new_from_params(
                aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32,
                0,
                0,
                bytes,
                0,
            );
            let map = MapData::create(definition, "asyncscope_ring", None).map_err(failed)?;
            by_cpu.set(cpu, &map, 0).map_err(failed)?;
            buffers.push(Ring(Map::RingBuf(map).try_into().map_err(failed)?));
        }
        Ok(Self { buffers, at_a_time: bytes / RECORD_MIN, _by_cpu: by_cpu })
    }

    pub(super) fn drain(&mut self, sink: &mut dyn FnMut(&[u8])) {
        for Ring(ring) in &mut self.buffers {
            for _ in 0..self.at_a_time {
                let Some(record) = ring.next() else { break };
                sink(&record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::default_bytes;

    #[test]
    fn rings_share_a_budget() {
        let check = |cpus, kib: u32| assert_eq!(default_bytes(cpus), kib << 10, "{cpus} CPUs");
        check(0, 8192);
        check(2, 8192);
        check(8, 8192);
        check(12, 8192);
        check(16, 4096);
        check(64, 1024);
        check(128, 512);
        check(1024, 512);
    }
}
