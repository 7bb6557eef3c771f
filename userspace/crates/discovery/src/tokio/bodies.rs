//! The async body that each task type resumes, by what its code states of it: a name where no symbols are.

use asyncscope_trace::facts::{AsyncBody, BodyStands, NameSource, NamedBy, TaskKind, TaskType};

use super::{abilities::is_unnamed, vtables::Vtable};
use crate::{
    code::x86_64::{code::Code, resumed},
    image::{elf::Elf, panic_location},
};

/// The types' bodies. Blocking tasks have none: they are closures.
pub(super) fn find(code: &Code<'_, '_>, vtables: &[Vtable], types: &mut [TaskType]) {
    for (vtable, ty) in vtables.iter().zip(types) {
        if ty.kind != TaskKind::Blocking {
            ty.body = of_type(code, vtable);
        }
    }
}

fn of_type(code: &Code<'_, '_>, vtable: &Vtable) -> Option<AsyncBody> {
    let found = resumed::find(code, vtable.poll, future(code.elf, vtable)?)?;
    let place = panic_location::at(code.elf, found.location)?;
    Some(AsyncBody { place, stands: if found.alone { BodyStands::Alone } else { BodyStands::Inside } })
}

/// The part of the task that its future, or what has become of it, takes: between the id and the trailer.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/core.rs#L118-L139>
fn future(elf: &Elf<'_>, vtable: &Vtable) -> Option<std::ops::Range<i64>> {
    let trailer = i64::try_from(vtable.trailer_offset(elf)?).ok()?;
    Some(i64::from(vtable.id_offset) + 8..trailer)
}

/// Names those that are still unnamed after the places of such bodies.
pub(super) fn name(types: &mut [TaskType], stands: BodyStands) {
    for ty in types.iter_mut().filter(|ty| is_unnamed(ty)) {
        if let Some(body) = ty.body.as_ref().filter(|body| body.stands == stands) {
            ty.name = Some(format!("{}:{}", body.place.file, body.place.line));
            ty.named_by = NamedBy { source: NameSource::PanicLocation, debug_file: None };
        }
    }
}
