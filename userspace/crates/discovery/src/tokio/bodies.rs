//! The async body that each task type resumes, by what its code states of it: a name where no symbols are.

use std::collections::{BTreeSet, HashMap};

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

/// Marks the names of symbols that types have whose bodies lie in several source files. Those of one function lie in
/// one: the glue of another was folded into that of the one that has the name.
pub(super) fn doubt_names(types: &mut [TaskType]) {
    let mut files: HashMap<String, BTreeSet<String>> = HashMap::new();
    let is_by_symbol = |ty: &TaskType| matches!(ty.named_by.source, NameSource::Symbols | NameSource::V0Symbol);
    for ty in types.iter().filter(|ty| is_by_symbol(ty)) {
        if let (Some(name), Some(body)) = (&ty.name, &ty.body)
            && body.stands == BodyStands::Alone
        {
            files.entry(name.clone()).or_default().insert(body.place.file.clone());
        }
    }
    for ty in types.iter_mut().filter(|ty| is_by_symbol(ty)) {
        let of_name = ty.name.as_ref().and_then(|name| files.get(name));
        ty.or_another |= of_name.is_some_and(|files| files.len() > 1);
    }
}

#[cfg(test)]
mod tests {
    use asyncscope_trace::facts::SourcePlace;

    use super::*;

    fn ty(name: &str, source: NameSource, file: &str, stands: BodyStands) -> TaskType {
        TaskType {
            name: Some(name.to_owned()),
            named_by: NamedBy { source, debug_file: None },
            body: Some(AsyncBody { place: SourcePlace { file: file.to_owned(), line: 9, column: 5 }, stands }),
            ..TaskType::default()
        }
    }

    #[test]
    fn a_name_with_bodies_in_two_files_is_doubtful() {
        let check = |others: TaskType, doubtful| {
            let mut types = [ty("svc::a", NameSource::Symbols, "svc/src/a.rs", BodyStands::Alone), others];
            doubt_names(&mut types);
            assert_eq!(types[0].or_another, doubtful, "{types:?}");
        };
        check(ty("svc::a", NameSource::Symbols, "svc/src/b.rs", BodyStands::Alone), true);
        check(ty("svc::a", NameSource::Symbols, "svc/src/a.rs", BodyStands::Alone), false);
        check(ty("svc::a", NameSource::Symbols, "svc/src/b.rs", BodyStands::Inside), false);
        check(ty("svc::a", NameSource::Dwarf, "svc/src/b.rs", BodyStands::Alone), false);
        check(ty("svc::b", NameSource::Symbols, "svc/src/b.rs", BodyStands::Alone), false);
    }
}
