//! Debug info made by hand, and what it compiles to.

use gimli::SectionId;
use proptest::prelude::*;

use super::{
    handmade::{ABBREVIATIONS, info},
    *,
};
use crate::{addr::ElfAddr, image::debug::sections::Dwarf};
use asyncscope_trace::chain::walk;

fn compiled(info: &[u8], abbreviations: &[u8]) -> Layouts {
    let section = |id| match id {
        SectionId::DebugInfo => info,
        SectionId::DebugAbbrev => abbreviations,
        _ => &[],
    };
    let dwarf = Dwarf::load(|id| Ok::<_, ()>(sections::slice(section(id)))).unwrap();
    let none = ElfAddr(0);
    let vtable = Vtable {
        address: ElfAddr(0x7000),
        poll: ElfAddr(0x1000),
        schedule: none,
        dealloc: none,
        try_read_output: none,
        drop_join_handle_slow: none,
        shutdown: none,
        id_offset: 0,
    };
    of_dwarf(&dwarf, &[vtable])
}

/// Names the task's frames where its state is this.
fn frames(layouts: &Layouts, state: u8) -> Vec<String> {
    let mut memory = [0; 64];
    memory[48] = state;
    let mut read = |at: u64, buffer: &mut [u8]| {
        let at = usize::try_from(at).ok()?;
        buffer.copy_from_slice(memory.get(at..at.checked_add(buffer.len())?)?);
        Some(())
    };
    let chain = walk(&layouts.program, 0, 0x7000, &mut read).unwrap_or_default();
    let name = |node: &asyncscope_trace::chain::Node| layouts.program.frames[node.frame as usize].name.clone();
    chain.nodes.iter().map(name).collect()
}

#[test]
fn a_future_is_found_in_its_task() {
    let layouts = compiled(&info(), ABBREVIATIONS);
    assert_eq!(frames(&layouts, 0), ["svc::f"]);
    assert_eq!(frames(&layouts, 3), ["svc::f", "oneshot::Receiver"]);
    assert_eq!(frames(&layouts, 4), [""; 0]);
}

#[test]
fn debug_info_that_leaves_something_out_leads_nowhere() {
    let without = |part: &str| {
        let mut info = info();
        let at = info.windows(part.len()).position(|bytes| bytes == part.as_bytes()).unwrap();
        info[at] = b'x';
        frames(&compiled(&info, ABBREVIATIONS), 3)
    };
    let nothing = [""; 0];
    assert_eq!(without("poll<svc"), nothing);
    assert_eq!(without("Cell<svc"), nothing);
    assert_eq!(without("stage"), nothing);
    assert_eq!(without("__awaitee"), ["svc::f"]);
    assert_eq!(without("Receiver<u8>"), ["svc::f"]);
}

#[test]
fn any_wrong_byte_is_survived() {
    let info = info();
    let mutated = |bytes: &[u8], at: usize, byte| [&bytes[..at], &[byte], &bytes[at + 1..]].concat();
    for byte in [0, 1, 2, 3, 5, 0x7f, 0x80, 0xff] {
        (0..info.len()).for_each(|at| drop(frames(&compiled(&mutated(&info, at, byte), ABBREVIATIONS), 3)));
        (0..ABBREVIATIONS.len()).for_each(|at| drop(frames(&compiled(&info, &mutated(ABBREVIATIONS, at, byte)), 3)));
    }
}

proptest! {
    #[test]
    fn anything_is_survived(
        some in proptest::collection::vec(any::<u8>(), 0..60),
        at in 0usize..400,
    ) {
        let mut info = info();
        let at = at.min(info.len());
        info.splice(at..at, some);
        drop(frames(&compiled(&info, ABBREVIATIONS), 3));
    }
}
