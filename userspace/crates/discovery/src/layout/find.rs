//! Members of types, by name, through whatever is wrapped around them.

use std::{collections::VecDeque, rc::Rc};

use super::{
    dies::{DieOffset, Dies, Kind, Type},
    scan::Index,
};

/// Members inside members that are looked at for one name.
const LOOKED_AT_MAX: usize = 512;

/// A part of a value: where it is in it, in bytes, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) at: DieOffset,
}

/// Types, found where they are described.
pub(super) struct Finder<'a, 'd> {
    pub(super) dies: &'d Dies<'a>,
    pub(super) index: &'d Index<'a>,
}

impl<'a> Finder<'a, '_> {
    /// The type at this place, or where it is described if it is only mentioned here.
    pub(super) fn get(&self, at: DieOffset) -> Option<(DieOffset, Rc<Type<'a>>)> {
        let found = self.dies.get(at)?;
        if !found.declaration {
            return Some((at, found));
        }
        let described = self.index.described(at, found.name)?;
        Some((described, self.dies.get(described)?))
    }

    /// The path of a type without its generic arguments.
    pub(super) fn base(&self, at: DieOffset, ty: &Type<'_>) -> String {
        let path = self.index.path(at, ty.name);
        path.split_once('<').map_or_else(|| path.clone(), |(base, _)| base.to_owned())
    }

    /// The part with this name, by what is nearest to the outside.
    pub(super) fn member(&self, of: Part, name: &str) -> Option<Part> {
        self.first(of, |_, _, named| named == Some(name))
    }

    /// The parts with these names, each inside the one before.
    pub(super) fn members(&self, of: Part, names: &[&str]) -> Option<Part> {
        names.iter().try_fold(of, |part, name| self.member(part, name))
    }

    /// The pointer that this is wrapped around, and what it points to.
    pub(super) fn pointer(&self, of: Part) -> Option<(u64, DieOffset)> {
        let pointer = self.first(of, |_, ty, _| ty.kind == Kind::Pointer)?;
        Some((pointer.offset, self.dies.get(pointer.at)?.target?))
    }

    /// The first part that is wanted, by its type and the name it has; inside an enum only where one variant
    /// alone has parts.
    pub(super) fn first(&self, of: Part, wanted: impl Fn(&Part, &Type<'_>, Option<&str>) -> bool) -> Option<Part> {
        let mut todo = VecDeque::from([(of, None)]);
        for _ in 0..LOOKED_AT_MAX {
            let (part, name) = todo.pop_front()?;
            let Some((at, ty)) = self.get(part.at) else { continue };
            let part = Part { at, ..part };
            if wanted(&part, &ty, name) {
                return Some(part);
            }
            todo.extend(self.parts(part, &ty));
        }
        None
    }

    fn parts(&self, of: Part, ty: &Type<'a>) -> Vec<(Part, Option<&'a str>)> {
        let inside = |offset: u64, at: DieOffset| Part { offset: of.offset.saturating_add(offset), at };
        let mut parts: Vec<_> =
            ty.members.iter().map(|member| (inside(member.offset, member.at), Some(member.name))).collect();
        let variants = ty
            .choice
            .iter()
            .flat_map(|choice| &choice.variants)
            .filter(|variant| self.get(variant.member.at).is_some_and(|(_, variant)| !variant.members.is_empty()));
        if let [only] = variants.collect::<Vec<_>>().as_slice() {
            parts.push((inside(only.member.offset, only.member.at), None));
        }
        parts
    }
}
