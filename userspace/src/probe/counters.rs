//! The programs' counters.

use aya::maps::{MapData, PerCpuArray};
use probe_common::loss::Loss;

use super::{ProbeError, load::LoadedObject};

/// The maps of counters.
pub(super) struct Counters {
    attempts: PerCpuArray<MapData, u64>,
    lost: PerCpuArray<MapData, u64>,
}

/// The number of times that each [`Loss`] happened, by CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<(Loss, Vec<u64>)>);

impl Losses {
    /// Over all CPUs, each kind that happened.
    #[must_use]
    pub fn by_kind(&self) -> Vec<(Loss, u64)> {
        let sums = self.0.iter().map(|(loss, by_cpu)| (*loss, by_cpu.iter().sum()));
        sums.filter(|&(_, sum): &(Loss, u64)| sum > 0).collect()
    }

    /// The number of records of this CPU that will never arrive.
    #[must_use]
    pub fn missing_from(&self, cpu: usize) -> u64 {
        let leave_gaps = self.0.iter().filter(|(loss, _)| loss.leaves_gap());
        leave_gaps.filter_map(|(_, by_cpu)| by_cpu.get(cpu)).sum()
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    pub(super) fn new(loaded: &mut LoadedObject) -> Result<Self, ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::aya("use the map of counters", &error);
        Ok(Self {
            attempts: loaded.take_map("ATTEMPTS")?.try_into().map_err(failed)?,
            lost: loaded.take_map("LOST")?.try_into().map_err(failed)?,
        })
    }

    pub(super) fn attempted(&self) -> Result<Vec<u64>, ProbeError> {
        read(&self.attempts, 0)
    }

    pub(super) fn losses(&self) -> Result<Losses, ProbeError> {
        let counts = Loss::ALL.iter().map(|&loss| Ok((loss, read(&self.lost, loss as u32)?)));
        counts.collect::<Result<_, ProbeError>>().map(Losses)
    }
}

fn read(map: &PerCpuArray<MapData, u64>, index: u32) -> Result<Vec<u64>, ProbeError> {
    let values = map.get(&index, 0).map_err(|error| ProbeError::aya("read a counter", &error))?;
    Ok(values.iter().copied().collect())
}
