//! Discovery on the test executable itself: a real program with tokio in it, whole and damaged.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    ops::Range,
    sync::LazyLock,
};

use object::{
    LittleEndian as LE,
    read::elf::{ElfFile64, FileHeader as _},
    read::{Object as _, ObjectSection as _},
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};

use super::image::{self, PROGRAM_HEADER_LEN, PROGRAM_HEADERS};
use crate::target::{
    addr::ElfAddr,
    discover,
    elf::Elf,
    names::demangled,
    plan::{Plan, Program},
    process::Process,
    vtables::Vtable,
    x86_64::code::Code,
};

/// Brings tokio's tasks into the executable: spawned, blocking and local ones.
fn tasks() -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let spawned = tokio::spawn(async { tokio::task::yield_now().await });
        let blocking = tokio::task::spawn_blocking(|| 2);
        blocking.abort_handle().abort();
        spawned.await.unwrap();
        let set = tokio::task::LocalSet::new();
        set.run_until(async { tokio::task::spawn_local(async { 3 }).await.unwrap() }).await
    })
}

/// The executable, and what is found in it, once for all tests.
struct Own {
    file: Vec<u8>,
    plan: Plan,
}

static OWN: LazyLock<Own> = LazyLock::new(|| {
    assert_eq!(tasks(), 3);
    let file = fs::read("/proc/self/exe").unwrap();
    let plan = discover(&Elf::parse(&file).unwrap()).unwrap();
    Own { file, plan }
});

/// Where functions of such a name begin, whatever they are generic over.
fn named(elf: &Elf<'_>, name: &str) -> BTreeSet<ElfAddr> {
    let generic = format!("{name}::<");
    let symbols = elf.symbols().iter().filter(|symbol| symbol.name.contains("tokio"));
    let of_name = symbols.filter(|symbol| {
        let demangled = demangled(symbol.name);
        demangled.ends_with(name) || demangled.contains(&generic)
    });
    of_name.map(|symbol| symbol.address).collect()
}

#[test]
fn structure_and_symbols_agree() {
    let Own { file, plan } = &*OWN;
    let elf = Elf::parse(file).unwrap();
    assert!(plan.vtables.len() >= 3, "{:?}", plan.vtables);
    let check = |what: &str, function: fn(&Vtable) -> ElfAddr| {
        let by_shape: BTreeSet<_> = plan.vtables.iter().map(function).collect();
        assert_eq!(by_shape, named(&elf, &format!("tokio::runtime::task::raw::{what}")), "{what}");
    };
    check("poll", |vtable| vtable.poll);
    check("schedule", |vtable| vtable.schedule);
    check("dealloc", |vtable| vtable.dealloc);
    check("try_read_output", |vtable| vtable.try_read_output);
    check("drop_join_handle_slow", |vtable| vtable.drop_join_handle_slow);
    check("shutdown", |vtable| vtable.shutdown);
    let code = Code::new(&elf);
    let check = |program, name: &str| {
        let functions = named(&elf, name);
        assert!(!functions.is_empty(), "{name}");
        for function in functions {
            let body = code.body(function).unwrap();
            let mut hooked = plan.placements.iter().filter(|placement| placement.program == program);
            assert!(hooked.any(|placement| body.index_of(placement.address.0).is_some()), "{program:?} {name}");
        }
    };
    check(Program::PollStart, "tokio::runtime::task::raw::poll");
    check(Program::Shutdown, "tokio::runtime::task::raw::shutdown");
    check(Program::Spawn, "::Spawner::spawn_task");
    check(Program::Spawn, "::task::local::Shared::schedule");
}

#[test]
fn finds_every_hook() {
    let Own { file, plan } = &*OWN;
    let missing: Vec<_> = plan.hooks.iter().filter(|hook| hook.address.is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let check = |sees: &str| assert!(plan.hooks.iter().any(|hook| hook.sees == sees), "{sees}");
    ["poll-start", "poll-end", "shutdown", "wake", "abort", "spawn", "panic"].into_iter().for_each(check);
    assert_eq!(plan.types.len(), plan.vtables.len());
    sound(file, plan);
}

/// Every placement is where it says in the file.
fn sound(file: &[u8], plan: &Plan) {
    let mut seen = HashSet::new();
    for placement in &plan.placements {
        let at = placement.offset.0 as usize;
        assert!(!placement.bytes.is_empty());
        assert_eq!(file.get(at..at + placement.bytes.len()), Some(placement.bytes.as_slice()), "{placement:?}");
        assert!(seen.insert((placement.program, placement.address)), "{placement:?}");
    }
}

#[test]
fn the_file_is_what_runs() {
    let Own { file, plan } = &*OWN;
    let process = Process::by_pid(std::process::id()).unwrap();
    let bias = process.bias(&Elf::parse(file).unwrap()).unwrap();
    for placement in &plan.placements {
        let mut memory = vec![0; placement.bytes.len()];
        let read = process.read_memory(placement.address.at_runtime(bias), &mut memory);
        assert_eq!((read, &memory), (memory.len(), &placement.bytes), "{placement:?}");
    }
}

#[test]
fn knows_the_version() {
    let tokio = OWN.plan.tokio.as_deref().unwrap();
    assert!(tokio.starts_with("1."), "{tokio}");
}

/// The executable with what tells of tokio alone, so that looking at it takes milliseconds.
struct Reduced {
    file: Vec<u8>,
    /// Where damage may matter, in the file.
    regions: BTreeMap<&'static str, Range<usize>>,
}

impl Reduced {
    fn new() -> Self {
        let Own { file: whole, plan } = &*OWN;
        let mut reduced = Self { file: whole.clone(), regions: BTreeMap::new() };
        let elf = Elf::parse(whole).unwrap();
        let mangled = ["tokio7runtime4task", "tokio..runtime..task..core..Cell", "5waker", "bind_inner"];
        let tells = |name: &str| mangled.iter().any(|part| name.contains(part));
        let kept: BTreeSet<_> = elf.symbols().iter().filter(|s| tells(s.name)).map(|s| s.address).collect();
        let functions: Vec<_> = elf.functions().iter().filter(|function| kept.contains(&function.start)).collect();
        let stated: Vec<_> = functions.iter().map(|function| (function.start.0, function.len)).collect();
        let object = ElfFile64::<LE>::parse(&**whole).unwrap();
        let frames_at = object.section_by_name(".eh_frame").unwrap().address();
        reduced.section(&object, ".eh_frame", |_| image::eh_frame(frames_at, &stated));
        let points_to_kept = |entry: &&[u8]| kept.contains(&ElfAddr(word(entry, 16)));
        reduced.section(&object, ".rela.dyn", |old| {
            old.chunks_exact(24).filter(points_to_kept).flatten().copied().collect()
        });
        let is_kept = |entry: &&[u8]| kept.contains(&ElfAddr(word(entry, 8)));
        reduced.section(&object, ".symtab", |old| old.chunks_exact(24).filter(is_kept).flatten().copied().collect());
        // No version is looked for in what is left of the first segment.
        let head = PROGRAM_HEADERS..PROGRAM_HEADERS + object.elf_program_headers().len() * PROGRAM_HEADER_LEN;
        let loaded = reduced.file[head.clone()].chunks_exact_mut(PROGRAM_HEADER_LEN).find(|header| header[0] == 1);
        loaded.unwrap()[32..40].copy_from_slice(&0x1000u64.to_le_bytes());
        let table = object.elf_header().e_shoff(LE) as usize;
        let vtables = &plan.vtables;
        let (first, last) = (vtables.first().unwrap().address, vtables.last().unwrap().address.plus(80));
        let at = |section: &str, address: ElfAddr| {
            let section = object.section_by_name(section).unwrap();
            (section.file_range().unwrap().0 + (address.0 - section.address())) as usize
        };
        let code = functions.iter().find(|function| function.start == vtables[0].poll).unwrap();
        reduced.regions.extend([
            ("head", 0..head.end),
            ("section table", table..table + object.elf_section_table().len() * 64),
            ("vtables", at(".data.rel.ro", first)..at(".data.rel.ro", last)),
            ("code", at(".text", code.start)..at(".text", code.start.plus(code.len))),
        ]);
        reduced
    }

    /// Replaces a section's content by something shorter.
    fn section(&mut self, object: &ElfFile64<'_, LE>, name: &'static str, change: impl FnOnce(&[u8]) -> Vec<u8>) {
        let section = object.section_by_name(name).unwrap();
        let (at, len) = section.file_range().unwrap();
        let (at, len) = (at as usize, len as usize);
        let content = change(&self.file[at..at + len]);
        assert!(content.len() <= len, "{name}");
        self.file[at..at + content.len()].copy_from_slice(&content);
        let header = object.elf_header().e_shoff(LE) as usize + section.index().0 * 64;
        self.file[header + 32..header + 40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        self.regions.insert(name, at..at + content.len());
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn damage_does_no_harm() {
    let Reduced { file, regions } = Reduced::new();
    let plan = discover(&Elf::parse(&file).unwrap()).unwrap();
    assert_eq!(plan.vtables, OWN.plan.vtables);
    let regions: Vec<_> = regions.into_iter().collect();
    let file = RefCell::new(file);
    let damage = (0..regions.len(), vec((any::<Index>(), any::<u8>()), 1..64));
    let outcome = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) }).run(
        &damage,
        |(region, changes)| {
            let (_, range) = &regions[region];
            let before = file.borrow()[range.clone()].to_vec();
            for (index, byte) in changes {
                file.borrow_mut()[range.start + index.index(range.len())] = byte;
            }
            if let Ok(plan) = Elf::parse(&file.borrow()).and_then(|elf| discover(&elf)) {
                sound(&file.borrow(), &plan);
            }
            file.borrow_mut()[range.clone()].copy_from_slice(&before);
            Ok(())
        },
    );
    outcome.unwrap();
}
