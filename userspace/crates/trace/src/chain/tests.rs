//! Walks over memory that is an array.

use proptest::prelude::*;

use super::{
    ring::WaitGraph,
    snapshot::{Doing, Snapshot, TaskSnapshot},
    *,
};
use crate::{
    event::TaskId,
    facts::{AwaitFrame, AwaitKind},
};

/// A reader of memory that starts at 0x1000.
fn memory(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Option<()> + '_ {
    |at, buffer| {
        let start = usize::try_from(at.checked_sub(0x1000)?).ok()?;
        buffer.copy_from_slice(bytes.get(start..start.checked_add(buffer.len())?)?);
        Some(())
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn edge(offset: u32, step: Step, to: u32) -> Edge {
    Edge { offset, step, to, unless: None }
}

fn frame(frame: u32, edges: Vec<Edge>) -> Variant {
    Variant { frame: Some(frame), edges, ..Variant::default() }
}

fn plain(variant: Variant) -> Layout {
    Layout { discriminant: None, variants: vec![variant] }
}

/// A program whose layout 0 is the task's, by the vtable 7.
fn program(layouts: Vec<Layout>) -> Program {
    let frames = (0..8).map(|n| AwaitFrame { name: format!("f{n}"), kind: AwaitKind::Await, ..AwaitFrame::default() });
    Program {
        frames: frames.collect(),
        layouts,
        boxed: vec![(0x50, 2), (0x60, 3)],
        tasks: vec![(7, 0)],
        ..Program::default()
    }
}

/// Frames with their depths, and the cut.
fn check(layouts: Vec<Layout>, bytes: &[u8], expected: &[(u32, u16)], cut: Option<Cut>) {
    let chain = walk(&program(layouts), 0x1000, 7, &mut memory(bytes)).unwrap();
    let frames: Vec<_> = chain.nodes.iter().map(|node| (node.frame, node.depth)).collect();
    assert_eq!((frames.as_slice(), chain.cut), (expected, cut));
}

fn states() -> Layout {
    let of = |value, variant: Variant| Variant { value: Some(value), ..variant };
    Layout {
        discriminant: Some(Discriminant { offset: 8, size: 1 }),
        variants: vec![
            of(0, frame(5, vec![])),
            of(3, frame(0, vec![edge(16, Step::Inside, 1)])),
            of(4, frame(6, vec![])),
        ],
    }
}

#[test]
fn a_state_decides_what_is_awaited() {
    let layouts = || vec![states(), plain(frame(1, vec![]))];
    check(layouts(), &words(&[9, 0, 9]), &[(5, 0)], None);
    check(layouts(), &words(&[9, 3, 9]), &[(0, 0), (1, 1)], None);
    check(layouts(), &words(&[9, 4, 9]), &[(6, 0)], None);
    // Only one byte is the discriminant.
    check(layouts(), &words(&[9, 0x103, 9]), &[(0, 0), (1, 1)], None);
}

#[test]
fn a_state_that_a_type_does_not_have_cuts_the_chain() {
    check(vec![states()], &words(&[9, 9, 9]), &[], Some(Cut::NoSuchState));
    check(vec![states()], &words(&[9]), &[], Some(Cut::Unreadable));
}

#[test]
fn pointers_and_boxes_are_followed() {
    let ends = |first: u32| vec![plain(frame(first, vec![])), plain(frame(first + 1, vec![]))];
    let pointer = vec![plain(frame(0, vec![edge(0, Step::Pointer { add: 8 }, 1)])), states(), plain(frame(1, vec![]))];
    check(pointer, &words(&[0x1008, 9, 9, 4]), &[(0, 0), (6, 1)], None);
    let boxed = |vtable| {
        let mut layouts = vec![plain(frame(0, vec![edge(0, Step::Boxed { vtable: 8 }, 1)])), plain(frame(7, vec![]))];
        layouts.extend(ends(1));
        (layouts, words(&[0x1000, vtable]))
    };
    for (vtable, expected) in [(0x50, 1), (0x60, 2), (0x70, 7)] {
        let (layouts, bytes) = boxed(vtable);
        check(layouts, &bytes, &[(0, 0), (expected, 1)], None);
    }
    check(
        vec![plain(frame(0, vec![edge(0, Step::Pointer { add: 0 }, 1)])), states()],
        &words(&[0]),
        &[(0, 0)],
        Some(Cut::Unreadable),
    );
}

#[test]
fn several_in_a_row_and_in_a_list_are_all_branches() {
    let item = || plain(frame(1, vec![]));
    let slice = vec![plain(frame(0, vec![edge(0, Step::Slice { count: 8, stride: 8 }, 1)])), item()];
    check(slice, &words(&[0x1000, 3]), &[(0, 0), (1, 1), (1, 1), (1, 1)], None);
    let list = || vec![plain(frame(0, vec![edge(0, Step::Links { item: 8, next: 0 }, 1)])), item()];
    check(list(), &words(&[0x1008, 0x1018, 9, 0, 9]), &[(0, 0), (1, 1), (1, 1)], None);
    // A list in a ring ends.
    let chain = walk(&program(list()), 0x1000, 7, &mut memory(&words(&[0x1008, 0x1008]))).unwrap();
    assert_eq!((chain.nodes.len(), chain.cut), (65, Some(Cut::TooLong)));
}

#[test]
fn a_branch_that_is_off_is_left_out() {
    let branch = |bit, to| Edge { unless: Some(Unless { pointer: 0, bit }), ..edge(8, Step::Inside, to) };
    let layouts =
        vec![plain(frame(0, vec![branch(0, 1), branch(1, 2)])), plain(frame(1, vec![])), plain(frame(2, vec![]))];
    check(layouts.clone(), &words(&[0x1008, 0b01]), &[(0, 0), (2, 1)], None);
    check(layouts.clone(), &words(&[0x1008, 0b10]), &[(0, 0), (1, 1)], None);
    check(layouts, &words(&[0x1008, 0b00]), &[(0, 0), (1, 1), (2, 1)], None);
}

#[test]
fn a_circle_ends() {
    let circle = vec![plain(frame(0, vec![edge(0, Step::Pointer { add: 0 }, 0)]))];
    let chain = walk(&program(circle), 0x1000, 7, &mut memory(&words(&[0x1000]))).unwrap();
    assert_eq!((chain.nodes.len(), chain.cut), (100, Some(Cut::TooLong)));
    let silent = vec![plain(Variant { edges: vec![edge(0, Step::Pointer { add: 0 }, 0); 9], ..Variant::default() })];
    let chain = walk(&program(silent), 0x1000, 7, &mut memory(&words(&[0x1000]))).unwrap();
    assert_eq!((chain.nodes.len(), chain.cut), (0, Some(Cut::TooLong)));
}

#[test]
fn leaves_report_what_they_wait_for() {
    let leaf = |waits| {
        let leaf = Some(Leaf { waits, word: 0, second: 8 });
        vec![plain(Variant { frame: Some(0), leaf, ..Variant::default() })]
    };
    let seen = |waits| walk(&program(leaf(waits)), 0x1000, 7, &mut memory(&words(&[2, 5]))).unwrap().nodes[0].seen;
    assert_eq!(seen(Waits::Until), Some(Seen::Until(2_000_000_005)));
    assert_eq!(seen(Waits::Task), Some(Seen::Task(2)));
    assert_eq!(seen(Waits::Address), Some(Seen::Address(2)));
    let number = |offset, size| Number { offset, size };
    let waits = Waits::Permits { wanted: number(8, 8), missing: number(0, 4) };
    assert_eq!(seen(waits), Some(Seen::Permits { address: 2, wanted: 5, missing: 2 }));
}

#[test]
fn what_is_kept_says_how_much() {
    let number = Number { offset: 8, size: 8 };
    let kept = |share| {
        let holds = vec![Hold { frame: 1, pointer: 0, add: 4, len: 8, share }];
        let layouts = vec![plain(Variant { frame: Some(0), holds, ..Variant::default() })];
        let chain = walk(&program(layouts), 0x1000, 7, &mut memory(&words(&[0x2000, 5]))).unwrap();
        let [held] = chain.nodes[0].holds[..] else { panic!("{chain:?}") };
        assert_eq!((held.frame, held.start, held.len), (1, 0x2004, 8));
        held.kept
    };
    assert_eq!(kept(Share::All), Kept::All);
    assert_eq!(kept(Share::Reader), Kept::Reader);
    assert_eq!(kept(Share::Writer(number)), Kept::Writer(5));
    assert_eq!(kept(Share::Permits(Some(number))), Kept::Permits(Some(5)));
    assert_eq!(kept(Share::Permits(None)), Kept::Permits(None));
}

#[test]
fn unknown_tasks_have_no_chain() {
    assert_eq!(walk(&program(vec![]), 0x1000, 8, &mut memory(&[])), None);
}

/// A task that waits at these leaves and keeps these things, each eight bytes long.
fn task(id: u64, waits: &[Seen], keeps: &[u64]) -> TaskSnapshot {
    let holds = keeps.iter().map(|&start| Held { frame: 0, start, len: 8, kept: Kept::All }).collect();
    let root = Node { frame: 0, depth: 0, seen: None, holds };
    let leaf = |&seen: &Seen| Node { frame: 1, depth: 1, seen: Some(seen), holds: vec![] };
    let nodes = [root].into_iter().chain(waits.iter().map(leaf)).collect();
    TaskSnapshot {
        id: TaskId(id),
        header: id * 0x100,
        vtable: 7,
        state: Doing::Waiting,
        chain: Some(Chain { nodes, cut: None }),
        unread: None,
        joined: (1..10).map(|id| (id * 0x100, TaskId(id))).collect(),
    }
}

/// The same, keeping such shares of the thing at 0x10.
fn sharing(id: u64, waits: &[Seen], shares: &[Kept]) -> TaskSnapshot {
    let mut task = task(id, waits, &vec![0x10; shares.len()]);
    let holds = task.chain.iter_mut().flat_map(|chain| &mut chain.nodes[0].holds);
    holds.zip(shares).for_each(|(held, &kept)| held.kept = kept);
    task
}

fn rings(tasks: Vec<TaskSnapshot>) -> Vec<Vec<u64>> {
    let snapshot = Snapshot { tasks, ..Snapshot::default() };
    let rings = WaitGraph::of(&snapshot).rings(&snapshot);
    rings.into_iter().map(|ring| ring.into_iter().map(|(id, _)| id.0).collect()).collect()
}

#[test]
fn rings_of_locks_and_joins_are_found() {
    let lock = Seen::Address;
    let join = |id: u64| Seen::Task(id * 0x100);
    assert_eq!(rings(vec![task(1, &[lock(0x24)], &[0x10]), task(2, &[lock(0x10)], &[0x20])]), [[1, 2]]);
    assert_eq!(rings(vec![task(1, &[lock(0x10)], &[0x10])]), [[1]]);
    assert_eq!(rings(vec![task(3, &[join(1)], &[]), task(1, &[join(2)], &[]), task(2, &[join(3)], &[])]), [[1, 2, 3]]);
    // Behind a ring is not in it.
    assert_eq!(rings(vec![task(1, &[lock(0x10)], &[0x10]), task(2, &[lock(0x10)], &[])]), [[1]]);
}

#[test]
fn what_can_go_on_is_no_ring() {
    let lock = Seen::Address;
    let none: [[u64; 0]; 0] = [];
    // A branch with a timer, a lock nobody is known to have, one that two seem to have, and one beside it.
    assert_eq!(rings(vec![task(1, &[lock(0x10), Seen::Until(5)], &[0x10])]), none);
    assert_eq!(rings(vec![task(1, &[lock(0x10)], &[])]), none);
    assert_eq!(rings(vec![task(1, &[lock(0x10)], &[0x10]), task(2, &[Seen::Until(1)], &[0x10])]), none);
    assert_eq!(rings(vec![task(1, &[lock(0x18)], &[0x10])]), none);
    let mut ready = task(1, &[lock(0x10)], &[0x10]);
    ready.state = Doing::Ready;
    assert_eq!(rings(vec![ready]), none);
    let mut cut = task(1, &[lock(0x10)], &[0x10]);
    cut.chain.as_mut().unwrap().cut = Some(Cut::NoSuchState);
    assert_eq!(rings(vec![cut]), none);
}

/// Waits for this many permits of the thing at 0x10, of which this many are not there yet.
fn permits(wanted: u64, missing: u64) -> Seen {
    Seen::Permits { address: 0x10, wanted, missing }
}

const JOIN_2: Seen = Seen::Task(0x200);
const NONE: [[u64; 0]; 0] = [];

#[test]
fn permits_make_no_ring() {
    for count in [Some(1), Some(9), None] {
        let permit = Kept::Permits(count);
        assert_eq!(rings(vec![sharing(1, &[JOIN_2], &[permit]), sharing(2, &[permits(1, 1)], &[])]), NONE);
        assert_eq!(rings(vec![sharing(1, &[permits(1, 1)], &[permit])]), NONE);
        assert_eq!(
            rings(vec![sharing(1, &[JOIN_2], &[permit, Kept::Reader]), sharing(2, &[permits(9, 8)], &[])]),
            NONE
        );
    }
}

#[test]
fn a_lock_that_one_has_makes_a_ring_whoever_waits() {
    assert_eq!(rings(vec![sharing(1, &[JOIN_2], &[Kept::All]), sharing(2, &[permits(1, 1)], &[])]), [[1, 2]]);
    let written = || sharing(1, &[JOIN_2], &[Kept::Writer(9)]);
    assert_eq!(rings(vec![written(), sharing(2, &[permits(1, 1)], &[])]), [[1, 2]]);
    assert_eq!(rings(vec![written(), sharing(2, &[permits(9, 9)], &[])]), [[1, 2]]);
    // Two that say how many there are, and not the same.
    assert_eq!(rings(vec![written(), sharing(2, &[permits(8, 8)], &[])]), NONE);
}

#[test]
fn a_writer_waits_for_readers_that_are_all_there_are() {
    let reads = |id, waits: Seen| sharing(id, &[waits], &[Kept::Reader]);
    assert_eq!(rings(vec![reads(1, JOIN_2), sharing(2, &[permits(9, 1)], &[])]), [[1, 2]]);
    // Another reader, which is not found.
    assert_eq!(rings(vec![reads(1, JOIN_2), sharing(2, &[permits(9, 2)], &[])]), NONE);
    // It waits for each of them, so for the one as well that waits for it.
    let others = vec![reads(1, JOIN_2), sharing(2, &[permits(9, 2)], &[]), reads(3, Seen::Until(5))];
    assert_eq!(rings(others), [[1, 2]]);
}

#[test]
fn a_reader_waits_for_others_only_where_none_can_go_on() {
    let reads = |id, waits: Seen| sharing(id, &[waits], &[Kept::Reader]);
    let writes = |id, missing| sharing(id, &[permits(9, missing)], &[]);
    // Behind a writer that waits for it itself.
    assert_eq!(rings(vec![reads(1, permits(1, 1)), writes(2, 1)]), [[1, 2]]);
    assert_eq!(rings(vec![reads(1, JOIN_2), sharing(2, &[permits(1, 1)], &[]), writes(3, 1)]), [[1, 2]]);
    // That writer gives up after a while, and what it has got goes to the reader.
    let gives_up = sharing(2, &[permits(9, 1), Seen::Until(5)], &[]);
    assert_eq!(rings(vec![reads(1, permits(1, 1)), gives_up]), NONE);
    // How many may read is known by nobody.
    assert_eq!(rings(vec![reads(1, permits(1, 1))]), NONE);
    assert_eq!(rings(vec![reads(1, JOIN_2), sharing(2, &[permits(1, 1)], &[])]), NONE);
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Inside),
        any::<u32>().prop_map(|add| Step::Pointer { add }),
        (0u32..64).prop_map(|vtable| Step::Boxed { vtable }),
        (0u32..64, any::<u32>()).prop_map(|(count, stride)| Step::Slice { count, stride }),
        (0u32..64, 0u32..64).prop_map(|(item, next)| Step::Links { item, next }),
    ]
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let edge = (0u32..64, any_step(), 0u32..6, proptest::option::of((0u32..64, any::<u8>())));
    let edge = edge.prop_map(|(offset, step, to, unless)| {
        let unless = unless.map(|(pointer, bit)| Unless { pointer, bit });
        Edge { offset, step, to, unless }
    });
    let variant = (proptest::option::of(0u64..4), proptest::option::of(0u32..8), proptest::collection::vec(edge, 0..5));
    let variant = variant.prop_map(|(value, frame, edges)| Variant { value, frame, edges, ..Variant::default() });
    let discriminant = proptest::option::of((0u32..64, 0u8..16));
    (discriminant, proptest::collection::vec(variant, 0..4)).prop_map(|(discriminant, variants)| Layout {
        discriminant: discriminant.map(|(offset, size)| Discriminant { offset, size }),
        variants,
    })
}

proptest! {
    #[test]
    fn any_program_on_any_memory_ends(
        layouts in proptest::collection::vec(any_layout(), 0..6),
        memory in proptest::collection::vec(prop_oneof![0u64..4, 0x1000u64..0x1100, any::<u64>()], 0..32),
    ) {
        let bytes = words(&memory);
        let chain = walk(&program(layouts), 0x1000, 7, &mut self::memory(&bytes)).unwrap();
        prop_assert!(chain.nodes.len() <= 600);
    }
}
