//! The eBPF object: its maps, and its programs' instructions.

use std::{
    borrow::Cow,
    env, fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, Map, MapData},
};

use aya_log::EbpfLogger;

use super::{ProbeError, Watched};

/// Built by `cargo xtask build-ebpf` from `probe-ebpf`, and committed.
static OBJECT: &[u8] = aya::include_bytes_aligned!("asyncscope.bpf.o");
/// Another object to load instead, for CI on a machine whose compiler is not the pinned one.
const OBJECT_VARIABLE: &str = "ASYNCSCOPE_BPF_OBJECT";

/// The loaded object: maps exist, programs are not attached.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    object: Cow<'static, [u8]>,
    /// Descriptors of the maps that were taken out of `ebpf`; their takers outlive the loading.
    taken: Vec<(&'static str, i32)>,
}

/// Whether another object than the one built in is loaded.
#[must_use]
pub fn is_fresh_object() -> bool {
    env::var_os(OBJECT_VARIABLE).is_some()
}

impl Loaded {
    pub(super) fn new(watched: &Watched, logs: bool) -> Result<Self, ProbeError> {
        let object = match env::var_os(OBJECT_VARIABLE) {
            Some(path) => Cow::Owned(
                fs::read(&path).map_err(|error| ProbeError::kernel(&format!("read {}", path.display()), &error))?,
            ),
            None => Cow::Borrowed(OBJECT),
        };
        let level = if logs { ALL_LEVELS } else { 0 };
        let ebpf = EbpfLoader::new()
            .override_global(aya_log::LEVEL, &level, true)
            .load(&object)
            .map_err(|error| ProbeError::aya("create the eBPF maps", &error))?;
        let mut loaded = Self { ebpf, object, taken: Vec::new() };
        loaded.set_vtables(&watched.vtables)?;
        Ok(loaded)
    }

    fn set_vtables(&mut self, vtables: &[(u64, u32)]) -> Result<(), ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::aya("fill the map of task vtables", &error);
        let map = self.ebpf.map_mut("VTABLES").ok_or_else(|| absent("VTABLES"))?;
        let mut map: HashMap<&mut MapData, u64, u32> = map.try_into().map_err(failed)?;
        vtables.iter().try_for_each(|(vtable, id_offset)| map.insert(vtable, id_offset, 0)).map_err(failed)
    }

    pub(super) fn take_map(&mut self, name: &'static str) -> Result<Map, ProbeError> {
        let map = self.ebpf.take_map(name).ok_or_else(|| absent(name))?;
        self.taken.extend(descriptor(&map).map(|fd| (name, fd)));
        Ok(map)
    }

    /// The reader of the programs' own diagnostics.
    pub(super) fn logger(&mut self) -> Result<EbpfLogger<&'static dyn log::Log>, ProbeError> {
        const MAP: &str = "AYA_LOGS";
        self.taken.extend(self.ebpf.map(MAP).and_then(descriptor).map(|fd| (MAP, fd)));
        EbpfLogger::init(&mut self.ebpf).map_err(|error| ProbeError::aya("read the programs' diagnostics", &error))
    }

    /// One program's instructions, with the maps' descriptors filled in.
    pub(super) fn instructions(&self, program: &'static str) -> Result<Vec<aya_obj::generated::bpf_insn>, ProbeError> {
        let failed = |why: String| ProbeError::Kernel { what: "read the eBPF object".to_owned(), why };
        let mut object = aya_obj::Object::parse(&self.object).map_err(|error| failed(error.to_string()))?;
        let definitions: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
        let descriptor = |name: &str| {
            self.taken
                .iter()
                .find(|(taken, _)| *taken == name)
                .map(|&(_, fd)| fd)
                .or_else(|| self.ebpf.map(name).and_then(descriptor))
        };
        let maps: Vec<_> =
            definitions.iter().filter_map(|(name, map)| Some((name.as_str(), descriptor(name)?, map))).collect();
        let text = object.functions.keys().map(|&(section, _)| section).collect();
        object.relocate_maps(maps.into_iter(), &text).map_err(|error| failed(error.to_string()))?;
        object.relocate_calls(&text).map_err(|error| failed(error.to_string()))?;
        let key = object.programs.get(program).ok_or_else(|| absent(program))?.function_key();
        let function = object.functions.get(&key).ok_or_else(|| absent(program))?;
        Ok(function.instructions.clone())
    }
}

/// The programs' own diagnostics, down to the finest.
const ALL_LEVELS: u8 = u8::MAX;

fn descriptor(map: &Map) -> Option<i32> {
    match map {
        Map::Array(map)
        | Map::HashMap(map)
        | Map::PerCpuArray(map)
        | Map::ArrayOfMaps(map)
        | Map::RingBuf(map)
        | Map::PerCpuHashMap(map) => Some(map.fd().as_fd().as_raw_fd()),
        _ => None,
    }
}

pub(super) fn absent(name: &str) -> ProbeError {
    ProbeError::Kernel {
        what: format!("find {name} in the eBPF object"),
        why: "the object is of another version".to_owned(),
    }
}
