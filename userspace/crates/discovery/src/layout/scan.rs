//! One pass over all of `.debug_info`: where types, task functions and vtables of boxed futures are.

use std::collections::{BTreeSet, HashMap, HashSet};

use gimli::{Operation, constants};

use super::dies::{DieOffset, Dies, absolute, place};
use crate::{
    image::debug::units::{DwarfValue, Unit, attributes},
    names::demangled,
};

/// More types than this are not indexed: a large program has some hundred thousand.
const TYPES_MAX: usize = 1 << 23;
/// Entries nested deeper are not looked at.
const DEPTH_MAX: usize = 256;

/// The things that the pass found.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    /// The path to each namespace: its parent, and its own name. The first is the root.
    namespaces: Vec<(usize, &'a str)>,
    by_path: HashMap<(usize, &'a str), usize>,
    /// The namespace of each type; in order.
    types: Vec<(DieOffset, u32)>,
    /// The types that are described and not only mentioned.
    described: HashMap<(u32, &'a str), DieOffset>,
    /// The functions of `async` bodies as symbols name them, by namespace and name (`{async_fn#0}`).
    bodies: HashMap<(u32, &'a str), &'a str>,
    /// The types that have a `poll` of their own, without generic arguments.
    pub(super) polled: HashSet<String>,
    /// The vtables of boxed futures: address, and the vtable's type.
    pub(super) vtables: Vec<(u64, DieOffset)>,
    /// The task functions looked for: name, and the types it was made with.
    pub(super) tasks: HashMap<u64, Vec<TaskFunction<'a>>>,
    /// Thread-local variables: offset in the thread's block, and type.
    pub(super) thread_locals: Vec<(u64, DieOffset)>,
}

/// A task's poll function.
#[derive(Debug, Default)]
pub(super) struct TaskFunction<'a> {
    pub(super) name: &'a str,
    pub(super) future: Option<DieOffset>,
}

impl<'a> Index<'a> {
    /// Looks for the poll functions at these addresses, and for all that futures need.
    pub(super) fn new(dies: &Dies<'a>, polls: &BTreeSet<u64>) -> Self {
        let mut index = Self { namespaces: vec![(0, "")], ..Self::default() };
        for number in 0..dies.units.headers.len() {
            if let Some(unit) = dies.unit(number) {
                // What does not make sense ends the unit, not the pass.
                let _ = index.unit(dies, &unit, polls);
            }
        }
        index
    }

    /// The path of a type with its name: `tokio::time::sleep::Sleep`.
    pub(super) fn path(&self, at: DieOffset, name: &str) -> String {
        let mut parts = vec![name];
        let mut namespace = self.namespace(at);
        while namespace != 0 {
            let Some(&(parent, part)) = self.namespaces.get(namespace) else { break };
            parts.push(part);
            namespace = parent;
        }
        parts.reverse();
        parts.join("::")
    }

    fn namespace(&self, at: DieOffset) -> usize {
        let found = self.types.binary_search_by_key(&at, |&(at, _)| at);
        found.ok().and_then(|found| self.types.get(found)).map_or(0, |&(_, namespace)| namespace as usize)
    }

    /// The place where a type is described that is only mentioned at `at`.
    pub(super) fn described(&self, at: DieOffset, name: &str) -> Option<DieOffset> {
        self.described.get(&(u32::try_from(self.namespace(at)).ok()?, name)).copied()
    }

    /// The type with this path and name.
    pub(super) fn by_path(&self, path: &[&str], name: &str) -> Option<DieOffset> {
        let namespace = path.iter().try_fold(0, |parent, part| self.by_path.get(&(parent, *part)).copied())?;
        self.described.get(&(u32::try_from(namespace).ok()?, name)).copied()
    }

    /// The name that symbols have for the body of this `async` function's or block's type.
    pub(super) fn body(&self, at: DieOffset, environment: &str) -> Option<String> {
        let namespace = u32::try_from(self.namespace(at)).ok()?;
        let name = environment.split_once("_env#").map(|(kind, rest)| {
            let number = rest.split_once('}').map_or(rest, |(number, _)| number);
            format!("{kind}#{number}}}")
        })?;
        self.bodies.get(&(namespace, name.as_str())).map(|linkage| demangled(linkage))
    }

    fn unit(&mut self, dies: &Dies<'a>, unit: &Unit<'a>, polls: &BTreeSet<u64>) -> Option<()> {
        let mut entries = unit.entries_raw(None).ok()?;
        // The namespace at each depth, and whether a task's function is open.
        let mut around: Vec<usize> = vec![0; 1];
        let mut function: Option<(isize, Option<u64>)> = None;
        while !entries.is_empty() {
            let (depth, here) = (entries.next_depth(), entries.next_offset());
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            let (tag, specifications) = (abbreviation.tag(), attributes(abbreviation)?);
            let level = usize::try_from(depth).ok()?;
            if level >= DEPTH_MAX {
                entries.skip_attributes(specifications).ok()?;
                continue;
            }
            let inherited = around.get(level).or(around.last()).copied().unwrap_or(0);
            around.truncate(level + 1);
            around.resize(level + 1, inherited);
            function = function.filter(|&(outer, _)| depth > outer);
            match tag {
                constants::DW_TAG_namespace => {
                    let name = named(dies, unit, &mut entries, specifications)?.name.unwrap_or("");
                    let parent = around.last().copied().unwrap_or(0);
                    let own = self.intern(parent, name);
                    around.push(own);
                }
                constants::DW_TAG_structure_type | constants::DW_TAG_union_type => {
                    let entry = named(dies, unit, &mut entries, specifications)?;
                    self.add_type(absolute(unit, here)?, around.last().copied().unwrap_or(0), &entry);
                }
                constants::DW_TAG_subprogram => {
                    let entry = named(dies, unit, &mut entries, specifications)?;
                    let task = entry.low_pc.filter(|address| polls.contains(address));
                    if function.is_none() {
                        self.add_function(around.last().copied().unwrap_or(0), &entry);
                        function = Some((depth, task));
                    }
                    if let (Some(address), Some(name)) = (task, entry.name) {
                        self.tasks.entry(address).or_default().push(TaskFunction { name, future: None });
                    }
                }
                constants::DW_TAG_template_type_parameter => {
                    let at = Dies::type_of(unit, &mut entries, specifications);
                    if let Some((outer, Some(address))) = function
                        && depth == outer + 1
                        && let Some(task) = self.tasks.get_mut(&address).and_then(|tasks| tasks.last_mut())
                    {
                        task.future = task.future.or(at);
                    }
                }
                constants::DW_TAG_variable if function.is_none() => {
                    let entry = named(dies, unit, &mut entries, specifications)?;
                    self.add_variable(&entry);
                }
                _ => entries.skip_attributes(specifications).ok()?,
            }
        }
        Some(())
    }

    fn intern(&mut self, parent: usize, name: &'a str) -> usize {
        let namespaces = &mut self.namespaces;
        *self.by_path.entry((parent, name)).or_insert_with(|| {
            namespaces.push((parent, name));
            namespaces.len() - 1
        })
    }

    fn add_type(&mut self, at: DieOffset, namespace: usize, entry: &NamedEntry<'a>) {
        let (Some(name), Ok(namespace)) = (entry.name, u32::try_from(namespace)) else { return };
        if self.types.len() >= TYPES_MAX {
            return;
        }
        self.types.push((at, namespace));
        if !entry.declaration {
            self.described.entry((namespace, name)).or_insert(at);
        }
    }

    fn add_function(&mut self, namespace: usize, entry: &NamedEntry<'a>) {
        let (Some(name), Some(linkage), Ok(namespace)) = (entry.name, entry.linkage, u32::try_from(namespace)) else {
            return;
        };
        if name.starts_with("{async_") || name.starts_with("{gen_") {
            let body = name.split_once('<').map_or(name, |(body, _)| body);
            self.bodies.entry((namespace, body)).or_insert(linkage);
        } else if name == "poll" || name.starts_with("poll<") {
            self.polled.extend(implementor(&demangled(linkage)));
        }
    }

    fn add_variable(&mut self, entry: &NamedEntry<'a>) {
        let (Some(name), Some(at)) = (entry.name, entry.ty) else { return };
        match entry.location {
            Some(Location::Address(address)) if is_futures_vtable(name) => self.vtables.push((address, at)),
            Some(Location::ThreadLocal(offset)) => self.thread_locals.push((offset, at)),
            _ => {}
        }
    }
}

/// `<svc::A as core::future::future::Future>::{vtable}`
fn is_futures_vtable(name: &str) -> bool {
    name.strip_suffix("::{vtable}").and_then(|name| name.rsplit_once(" as ")).is_some_and(|(_, of)| {
        let path = of.split_once('<').map_or(of, |(path, _)| path).trim_end_matches('>');
        path.ends_with("Future")
    })
}

/// The type, without generic arguments, whose `Future::poll` this is.
fn implementor(function: &str) -> Option<String> {
    let (ty, of) = function.strip_prefix('<')?.rsplit_once(" as ")?;
    of.starts_with("core::future::future::Future>").then(|| ty.split_once('<').map_or(ty, |(path, _)| path).to_owned())
}

/// An entry, as far as the pass looks at it.
#[derive(Default)]
struct NamedEntry<'a> {
    name: Option<&'a str>,
    linkage: Option<&'a str>,
    declaration: bool,
    low_pc: Option<u64>,
    ty: Option<DieOffset>,
    location: Option<Location>,
}

enum Location {
    Address(u64),
    ThreadLocal(u64),
}

fn named<'a>(
    dies: &Dies<'a>,
    unit: &Unit<'a>,
    entries: &mut gimli::EntriesRaw<'_, crate::image::debug::sections::Slice<'a>>,
    specifications: &[gimli::AttributeSpecification],
) -> Option<NamedEntry<'a>> {
    let mut entry = NamedEntry::default();
    for &specification in specifications {
        let attribute = entries.read_attribute(specification).ok()?;
        match attribute.name() {
            constants::DW_AT_name => entry.name = dies.text(unit, attribute.value()),
            constants::DW_AT_linkage_name => entry.linkage = dies.text(unit, attribute.value()),
            constants::DW_AT_declaration => entry.declaration = true,
            constants::DW_AT_low_pc => entry.low_pc = dies.units.dwarf.attr_address(unit, attribute.value()).ok()?,
            constants::DW_AT_type => entry.ty = place(unit, attribute.value()),
            constants::DW_AT_location => entry.location = location(dies, unit, attribute.value()),
            _ => {}
        }
    }
    Some(entry)
}

/// The place of a variable that lies in one place: its address, or its offset in each thread's block.
fn location<'a>(dies: &Dies<'a>, unit: &Unit<'a>, value: DwarfValue<'a>) -> Option<Location> {
    let DwarfValue::Exprloc(expression) = value else { return None };
    let mut operations = expression.operations(unit.encoding());
    let first = operations.next().ok()??;
    match (first, operations.next().ok()?) {
        (Operation::Address { address }, None) => Some(Location::Address(address)),
        (Operation::AddressIndex { index }, None) => dies.units.dwarf.address(unit, index).ok().map(Location::Address),
        (Operation::UnsignedConstant { value }, Some(Operation::TLS)) => Some(Location::ThreadLocal(value)),
        _ => None,
    }
}
