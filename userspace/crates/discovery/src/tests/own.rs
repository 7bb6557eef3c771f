//! Discovery on the test executable itself: a real program with tokio in it.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    sync::LazyLock,
};

use crate::{
    addr::ElfAddr,
    code::x86_64::code::Code,
    discover,
    image::elf::Elf,
    names::demangled,
    process::Process,
    tokio::{
        plan::{Plan, Program},
        vtables::Vtable,
    },
};
use asyncscope_trace::facts::{Hook, Proof, Sees, TaskKind};

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
pub(super) struct Own {
    pub(super) file: Vec<u8>,
    pub(super) plan: Plan,
}

pub(super) static OWN: LazyLock<Own> = LazyLock::new(|| {
    assert_eq!(tasks(), 3);
    let file = fs::read("/proc/self/exe").unwrap();
    let plan = discover(&Elf::parse(&file).unwrap()).unwrap();
    Own { file, plan }
});

/// Finds the functions of such a name, whatever they are generic over.
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
    // There is no h2 in this executable.
    let missing: Vec<_> =
        plan.hooks.iter().filter(|hook| hook.armed().is_none() && hook.sees != Sees::Http2Head).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let check = |sees: Sees| assert!(plan.hooks.iter().any(|hook| hook.sees == sees), "{sees:?}");
    [Sees::PollStart, Sees::PollEnd, Sees::Shutdown, Sees::Wake].into_iter().for_each(check);
    [Sees::Abort, Sees::Spawn, Sees::Panic, Sees::Turn].into_iter().for_each(check);
    let completes = |proof: &Proof| {
        matches!(proof, Proof::Exchange { completes: true, .. } | Proof::WakerEntry | Proof::TransitionEntry)
    };
    let ends = plan.hooks.iter().filter(|hook| hook.sees == Sees::PollEnd);
    assert!(ends.filter_map(Hook::armed).any(|site| completes(&site.proof)), "{:?}", plan.hooks);
    assert_eq!(plan.types.len(), plan.vtables.len());
    sound(file, plan);
}

/// Every placement is where it says in the file.
pub(super) fn sound(file: &[u8], plan: &Plan) {
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

#[test]
fn names_its_types() {
    let check = |kind| {
        let found = OWN
            .plan
            .types
            .iter()
            .any(|ty| ty.kind == kind && ty.name.as_ref().is_some_and(|name| name.contains("own::tasks")));
        assert!(found, "{kind:?}: {:?}", OWN.plan.types);
    };
    check(TaskKind::Spawned);
    check(TaskKind::Blocking);
    check(TaskKind::Local);
}
