//! The programs' instructions, for those that aya does not load.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_func_info, bpf_insn};

use super::{ProbeError, error::absent, syscall::load_types};

/// One program's code.
#[derive(Debug)]
pub(super) struct ProgramCode<'a> {
    pub(super) instructions: &'a [bpf_insn],
    /// The program's functions and the object's types, where it has several: the kernel wants to know those that it
    /// calls back.
    pub(super) functions: Option<(&'a [bpf_func_info], BorrowedFd<'a>)>,
}

/// The object with the maps' descriptors filled in.
#[derive(Debug)]
pub(super) struct Relocated {
    object: aya_obj::Object,
    types: ObjectTypes,
}

/// The object's types, as the kernel has them.
#[derive(Debug)]
enum ObjectTypes {
    /// Nobody asked for them yet.
    NotLoaded,
    /// It takes none.
    NoneTaken,
    Loaded(OwnedFd),
}

impl Relocated {
    pub(super) fn new(object: &[u8], descriptor: &dyn Fn(&str) -> Option<i32>) -> Result<Self, ProbeError> {
        let failed = |why: String| ProbeError::Kernel { what: "read the eBPF object".to_owned(), why };
        let mut object = aya_obj::Object::parse(object).map_err(|error| failed(error.to_string()))?;
        let definitions: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
        let maps: Vec<_> =
            definitions.iter().filter_map(|(name, map)| Some((name.as_str(), descriptor(name)?, map))).collect();
        let text = object.functions.keys().map(|&(section, _)| section).collect();
        object.relocate_maps(maps.into_iter(), &text).map_err(|error| failed(error.to_string()))?;
        object.relocate_calls(&text).map_err(|error| failed(error.to_string()))?;
        Ok(Self { object, types: ObjectTypes::NotLoaded })
    }

    pub(super) fn code(&mut self, program: &'static str) -> Result<ProgramCode<'_>, ProbeError> {
        let key = self.object.programs.get(program).ok_or_else(|| absent(program))?.function_key();
        let has_several = |function: &aya_obj::Function| function.func_info.func_info.len() > 1;
        if matches!(self.types, ObjectTypes::NotLoaded) && self.object.functions.get(&key).is_some_and(has_several) {
            self.types = types(&mut self.object)?;
        }
        let function = self.object.functions.get(&key).ok_or_else(|| absent(program))?;
        let functions = match &self.types {
            ObjectTypes::Loaded(types) if has_several(function) => {
                Some((function.func_info.func_info.as_slice(), types.as_fd()))
            }
            ObjectTypes::Loaded(_) | ObjectTypes::NotLoaded | ObjectTypes::NoneTaken => None,
        };
        Ok(ProgramCode { instructions: &function.instructions, functions })
    }
}

fn types(object: &mut aya_obj::Object) -> Result<ObjectTypes, ProbeError> {
    const WHAT: &str = "load the eBPF programs' types";
    let failed = |why: String| ProbeError::Kernel { what: WHAT.to_owned(), why };
    let Some(features) = aya::features().btf() else { return Ok(ObjectTypes::NoneTaken) };
    let types = object.fixup_and_sanitize_btf(features).map_err(|error| failed(error.to_string()))?;
    let Some(bytes) = types.map(aya_obj::btf::Btf::to_bytes) else { return Ok(ObjectTypes::NoneTaken) };
    load_types(&bytes).map(ObjectTypes::Loaded).map_err(|error| ProbeError::kernel(WHAT, &error))
}
