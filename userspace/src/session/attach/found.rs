//! The hooks found in a process, restricted step by step to those that are attached.

use anyhow::Result;

use super::{
    checks, logs, other_tokios, sampling,
    syscalls::{self, SyscallUses},
    tokio_file::TokioFile,
};
use crate::{
    probe::{AttachRequest, Image, LogOptions, OffCpuTasks, Probe, SamplingOptions},
    session::plan::{AttachOptions, AwaitChains},
};
use asyncscope_discovery::{
    addr::{Bias, ElfAddr},
    code::x86_64::code::Code,
    image::elf::Elf,
    layout::{self, Layouts},
    layout_from_code,
    process::{Process, libraries::Loaded},
    tokio::plan::{Placement, Plan, Program},
};
use asyncscope_trace::{
    chain,
    facts::{NoLayouts, Sees, TaskKind, TaskType, Tracepoints},
};

/// Hooks and what belongs to them, as found and as still wanted.
#[derive(Debug)]
pub(super) struct FoundTarget {
    pub(super) plan: Plan,
    pub(super) bias: Bias,
    /// The tokio is that of a library.
    is_library: bool,
    /// The libraries that were looked at for other tokios.
    pub(super) loaded: Loaded,
    /// Nothing was missed: no instruction of the target ran before.
    pub(super) from_first_instruction: bool,
    pub(super) sampling: Option<SamplingOptions>,
    pub(super) purpose: SyscallUses,
    /// The headers whose values are recorded, where HTTP is watched.
    pub(super) headers: Option<Vec<String>>,
    pub(super) off_cpu: bool,
    /// The layouts of the target's futures, or why there are none. Addresses are the file's.
    pub(super) layouts: Result<Layouts, NoLayouts>,
    /// The layouts by which hooks report await chains, by addresses in memory.
    pub(super) followed: Option<chain::Program>,
    libraries: Vec<Image>,
    /// The reason why system calls are seen by tracepoints, if they are.
    tracepoints: Option<Tracepoints>,
    /// The descriptors of standard output and error that are seen, or why none is.
    prints: Result<Option<LogOptions>, String>,
}

impl FoundTarget {
    /// Takes the plan of the file whose tokio is watched, and looks for tokios in the libraries. Only reads.
    pub(super) fn new(
        mut plan: Plan,
        (file, bias): (&TokioFile, Bias),
        process: &Process,
        mut loaded: Loaded,
        from_first_instruction: bool,
    ) -> Self {
        other_tokios::note(process, &mut loaded, &mut plan);
        Self {
            plan,
            bias,
            is_library: file.is_library(),
            loaded,
            from_first_instruction,
            sampling: None,
            purpose: SyscallUses::default(),
            headers: None,
            off_cpu: false,
            layouts: Err(NoLayouts::NotAskedFor),
            followed: None,
            libraries: Vec::new(),
            tracepoints: None,
            prints: Ok(None),
        }
    }

    /// Leaves out what is not wanted, and decides how system calls are seen.
    ///
    /// # Errors
    ///
    /// There is no way to sample by task, or a library's code in memory is not that of its file.
    pub(super) fn restrict(&mut self, process: &Process, options: &AttachOptions) -> Result<()> {
        let Self { plan, libraries, .. } = self;
        let with_requests = options.http.is_some();
        self.sampling = options.sampling.map(|hz| sampling::restrict(plan, hz, with_requests)).transpose()?;
        self.purpose = SyscallUses { http: with_requests, logs: options.logs };
        if !self.purpose.is_nothing() {
            *libraries = syscalls::see(process, plan, self.from_first_instruction, options.syscalls, self.purpose)?;
        }
        self.prints = options.logs.then(|| logs::place(process, plan, libraries)).transpose();
        self.tracepoints = plan.tracepoints.clone();
        if !with_requests {
            syscalls::leave_out_http(plan, libraries);
        }
        self.headers = options.http.as_ref().map(|http| http.headers.clone());
        self.off_cpu = options.off_cpu;
        Ok(())
    }

    /// Compares the code in memory with the file's at each hook that is not in a C library.
    pub(super) fn verify(&self, process: &Process, file: &TokioFile) -> Result<()> {
        checks::check_memory(process, &file.name, &self.plan.placements, self.bias)
    }

    /// Compiles the layouts of futures, where they are wanted.
    pub(super) fn lay_out(&mut self, elf: &Elf<'_>, awaits: AwaitChains) {
        if awaits != AwaitChains::No {
            self.layouts = layouts(elf, &self.plan, self.is_library);
        }
        if awaits == AwaitChains::Read && self.layouts == Err(NoLayouts::NoTypes) {
            self.layouts = by_code(elf, &self.plan);
        }
        let followed = self.layouts.as_ref().ok().filter(|_| awaits == AwaitChains::Followed);
        self.followed = followed.map(|layouts| layouts.program.clone().moved(self.bias.0));
    }

    /// Returns what the probe has to know.
    pub(super) fn request(&self, pid: u32, options: &AttachOptions) -> AttachRequest {
        let Self { plan, bias, .. } = self;
        AttachRequest {
            pid,
            vtables: plan.vtables.iter().map(|vtable| (vtable.address.at_runtime(*bias).0, vtable.id_offset)).collect(),
            layouts: self.followed.clone(),
            off_cpu: self.off_cpu.then(|| off_cpu_tasks(plan, *bias)),
            http: options.http.as_ref().map(|http| syscalls::http_request(http, plan, pid)),
            prints: self.prints.as_ref().ok().copied().flatten(),
            sampling: self.sampling,
            running: plan.running_task().ok(),
        }
    }

    /// Returns the files with hooks in them, the one with the tokio first.
    pub(super) fn take_images(&mut self, process: &Process, file: &TokioFile) -> Result<Vec<Image>> {
        let placements = placements(&self.plan, self.followed.is_some());
        let (path, held) = file.link(process)?;
        let first = Image { path, held, placements };
        Ok(std::iter::once(first).chain(std::mem::take(&mut self.libraries)).collect())
    }

    /// Leaves out what the kernel refused, and says what of the target is not seen, or at others' cost.
    pub(super) fn settle(&mut self, process: &Process, probe: &Probe) {
        if let Some(error) = probe.without_http() {
            eprintln!("HTTP is not watched: {error}");
            syscalls::leave_out_http(&mut self.plan, &mut Vec::new());
            self.purpose.http = false;
            self.headers = None;
        }
        let refused = probe.without_prints().map(ToString::to_string);
        if let Some(why) = self.prints.as_ref().err().or(refused.as_ref()) {
            eprintln!("standard output and error are not captured: {why}");
            self.plan.hooks.retain(|hook| hook.sees != Sees::Logs);
            self.purpose.logs = false;
        }
        let images = self.plan.images(&process.executable);
        syscalls::announce(self.tracepoints.as_ref(), &images, self.purpose);
        if let Some(error) = probe.without_off_cpu() {
            eprintln!("off-CPU time inside polls is not observed: {error}");
            self.off_cpu = false;
        }
        other_tokios::announce(&other_tokios::sentences(&self.plan.hooks, &images));
    }
}

/// Compiles the layouts. Names of types do not say of which tokio they are: where there are several, no runtime's list
/// is looked for. Nor is it in a library, whose thread-local variables are at no fixed distance from `%fs`.
fn layouts(elf: &Elf<'_>, plan: &Plan, is_library: bool) -> Result<Layouts, NoLayouts> {
    let layouts = layout::compile(elf, &plan.vtables)?;
    Ok(if plan.several_tokios || is_library { Layouts { owned: None, ..layouts } } else { layouts })
}

/// Derives the layouts from the code of the futures, which knows no runtime's list.
fn by_code(elf: &Elf<'_>, plan: &Plan) -> Result<Layouts, NoLayouts> {
    let program = layout_from_code::compile(&Code::new(elf), &plan.vtables);
    if program.tasks.is_empty() { Err(NoLayouts::NoTypes) } else { Ok(Layouts { program, owned: None }) }
}

/// Returns the plan's probes, those at polls' starts reporting what is awaited if that is to be followed.
fn placements(plan: &Plan, follow: bool) -> Vec<Placement> {
    let mut placements = plan.placements.clone();
    for placement in placements.iter_mut().filter(|placement| follow && placement.program == Program::PollStart) {
        placement.program = Program::PollStartChain;
    }
    placements
}

/// Returns the tasks that are the runtime's own, and those that are there to block.
fn off_cpu_tasks(plan: &Plan, bias: Bias) -> OffCpuTasks {
    let of = |is_it: fn(&TaskType) -> bool| {
        plan.types.iter().filter(|ty| is_it(ty)).map(|ty| ElfAddr(ty.vtable).at_runtime(bias).0).collect()
    };
    OffCpuTasks { runtime: of(|ty| ty.runtime), closures: of(|ty| !ty.runtime && ty.kind == TaskKind::Blocking) }
}
