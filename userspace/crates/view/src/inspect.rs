//! What can be seen in a process or an executable: as text, and as JSON.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    names::{printable, task_type},
    sentences,
};
use asyncscope_trace::facts::{
    Ability, CurrentTask, FunctionStarts, Hook, HookSite, HookState, RunningTask, RunningUnknown, Support, TaskType,
};

/// All there is to show. Addresses are the file's.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection<'a> {
    /// The executable.
    pub file: &'a str,
    /// Its GNU build id in hexadecimal.
    pub build_id: Option<&'a str>,
    /// tokio's version.
    pub tokio: Option<&'a str>,
    /// The versions of tokio whose sources are named in it.
    pub tokio_versions: &'a [String],
    /// The place where tokio keeps the running task's id, once that was observed.
    pub current_task: Option<CurrentTask>,
    /// The place that samples take it from, or the reason why they cannot.
    pub running: Result<RunningTask, RunningUnknown>,
    /// The number of its function symbols.
    pub symbols: usize,
    /// The way in which the starts of its functions are known.
    pub function_starts: FunctionStarts,
    /// The separate file that names come from.
    pub debug_file: Option<String>,
    /// The things that a user may want to see, and how far they can be seen.
    pub abilities: &'a [Ability],
    /// The task types.
    pub types: &'a [TaskType],
    /// The paths of the files that hooks are in, by their numbers.
    pub images: &'a [String],
    /// The hooks, and those that are missing.
    pub hooks: &'a [Hook],
}

/// The version of the JSON: raised when a field changes its meaning or goes.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    kind: &'static str,
    format: u32,
    #[serde(flatten)]
    inspection: &'a Inspection<'a>,
}

/// Writes one JSON object.
///
/// # Errors
///
/// The writer's.
pub fn json(inspection: &Inspection<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { kind: "inspect", format: FORMAT, inspection })?;
    writeln!(out)
}

/// Writes text; each hook on a line if `each_hook`.
///
/// # Errors
///
/// The writer's.
pub fn text(inspection: &Inspection<'_>, each_hook: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", inspection.file.escape_debug())?;
    writeln!(out, "  build id   {}", inspection.build_id.unwrap_or("none"))?;
    writeln!(out, "  tokio      {}", version(inspection))?;
    writeln!(out, "  symbols    {} functions", inspection.symbols)?;
    if let Some(starts) = sentences::function_starts(inspection.function_starts) {
        writeln!(out, "  functions  {starts}")?;
    }
    writeln!(out, "  running    {}", running(inspection))?;
    writeln!(out, "  sampling   {}", sampled(&inspection.running))?;
    if let Some(file) = &inspection.debug_file {
        writeln!(out, "  debug file {}", file.escape_debug())?;
    }
    writeln!(out, "\ncan be seen")?;
    inspection.abilities.iter().try_for_each(|ability| ability_line(ability, inspection.images, out))?;
    writeln!(out, "\ntask types ({})", inspection.types.len())?;
    inspection.types.iter().try_for_each(|ty| type_line(ty, out))?;
    writeln!(out, "\nhooks")?;
    if each_hook {
        return inspection.hooks.iter().try_for_each(|hook| hook_line(hook, inspection.images, out));
    }
    hooks_by_kind(inspection.hooks, inspection.images, out)?;
    writeln!(out, "\n`--verbose` shows each hook's address and instruction.")
}

fn version(inspection: &Inspection<'_>) -> String {
    match (inspection.tokio, inspection.tokio_versions) {
        (Some(version), _) => version.to_owned(),
        (None, []) => "version not known (the file names sources of none)".to_owned(),
        (None, several) => format!("{} (the file names sources of each)", several.join(" or ")),
    }
}

fn running(inspection: &Inspection<'_>) -> String {
    match (inspection.current_task, &inspection.running) {
        (None, Err(RunningUnknown::InLibrary)) => {
            "task's id not looked for in a library's thread-local memory".to_owned()
        }
        (Some(CurrentTask { below, looks, agree, tasks }), _) => format!(
            "task's id at %fs:-{below:#x}, where it stood in {agree} of {looks} looks at polls of {tasks} tasks"
        ),
        (None, _) => {
            "task's id not observed in thread-local memory yet: any recording of such a process does".to_owned()
        }
    }
}

fn sampled(running: &Result<RunningTask, RunningUnknown>) -> String {
    match running {
        Ok(RunningTask { below, tagged, proof }) => {
            let tag = if *tagged { ", where the word before it is 1" } else { "" };
            format!("task's id at %fs:-{below:#x}{tag}: {}", sentences::running_proof(proof))
        }
        Err(why) => {
            let why = printable(&sentences::running_unknown(why));
            format!("not possible, as it is not proved where the running task's id stands: {why}")
        }
    }
}

fn ability_line(ability: &Ability, images: &[String], out: &mut dyn Write) -> io::Result<()> {
    let works = match ability.works {
        Support::Yes => "yes",
        Support::Partly => "partly",
        Support::No => "no",
    };
    write!(out, "  {works:<7} {}", sentences::aspect(ability.what))?;
    if let Some(why) = sentences::shortfall(ability, images) {
        write!(out, ": {}", printable(&why))?;
    }
    if let Some(remedy) = ability.remedy {
        write!(out, "; {}", sentences::remedy(remedy))?;
    }
    writeln!(out)
}

fn type_line(ty: &TaskType, out: &mut dyn Write) -> io::Result<()> {
    let kind = if ty.runtime { "the runtime's own".to_owned() } else { format!("{:?}", ty.kind).to_lowercase() };
    let (name, named_by) = (task_type(ty), sentences::named_by(&ty.named_by));
    writeln!(out, "  {kind:<18} {}  ({})", name.escape_debug(), named_by.escape_debug())
}

fn hook_line(hook: &Hook, images: &[String], out: &mut dyn Write) -> io::Result<()> {
    let (sees, how) = (sentences::sees(hook.sees), printable(&sentences::hook(hook, images)));
    match &hook.state {
        HookState::Armed(HookSite { address, instruction, emulated, .. }) => {
            let cost = if *emulated { "emulated" } else { "stepped" };
            writeln!(out, "  {sees:<10} {address:#10x}  {cost:<8}  {instruction:<28} {how}")
        }
        HookState::Missing(_) => writeln!(out, "  {sees:<10} missing: {how}"),
    }
}

fn hooks_by_kind(hooks: &[Hook], images: &[String], out: &mut dyn Write) -> io::Result<()> {
    let mut counts: BTreeMap<(&str, bool, String), (usize, usize)> = BTreeMap::new();
    for hook in hooks {
        let kind = (sentences::sees(hook.sees), hook.armed().is_none(), sentences::hook(hook, images));
        let (all, emulated) = counts.entry(kind).or_default();
        *all += 1;
        *emulated += usize::from(hook.armed().is_some_and(|site| site.emulated));
    }
    for ((sees, missing, how), (all, emulated)) in counts {
        let how = printable(&how);
        if missing {
            writeln!(out, "  {sees:<10} missing: {how}")?;
        } else {
            writeln!(
                out,
                "  {sees:<10} {all:>4} ({emulated} emulated by the kernel, {} stepped)  {how}",
                all - emulated
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncscope_trace::facts::{Aspect, ImageId, MissingReason, Remedy, Sees, Shortfall};

    fn hostile() -> Vec<TaskType> {
        vec![TaskType { name: Some("svc\u{1b}[31m\n</svg>".into()), ..TaskType::default() }]
    }

    #[test]
    fn names_are_escaped() {
        let types = hostile();
        let named = Some("no \u{1b}".into());
        let missing = MissingReason::WakerDisagrees { vtable: 1, named };
        let why = Shortfall::Hook { image: ImageId::EXECUTABLE, missing: missing.clone() };
        let remedy = Some(Remedy::Symbols);
        let abilities = [Ability { what: Aspect::Aborts, works: Support::No, why: Some(why), remedy }];
        let hooks = [Hook::missing(Sees::Wake, ImageId(1), missing)];
        let images = ["a\u{1b}".to_owned(), "/lib/b\u{1b}.so".to_owned()];
        let inspection = Inspection {
            file: "a\u{1b}",
            build_id: None,
            tokio: Some("1.54.1"),
            tokio_versions: &[],
            current_task: None,
            running: Err(RunningUnknown::Tag { tagged: false, tokio: "1\u{1b}".into() }),
            symbols: 3,
            function_starts: FunctionStarts::Descent { in_tables: 2, found: 40 },
            debug_file: None,
            abilities: &abilities,
            types: &types,
            images: &images,
            hooks: &hooks,
        };
        let mut out = Vec::new();
        text(&inspection, false, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(!shown.contains('\u{1b}') && shown.contains("no      aborts: the waker"), "{shown}");
        assert!(shown.contains("functions  40 found by following code from the task vtables"), "{shown}");
        assert!(shown.contains("wake       missing: b\\u{1b}.so: the waker"), "{shown}");
        let mut out = Vec::new();
        json(&inspection, &mut out).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["types"][0]["name"], types[0].name.as_deref().unwrap());
        assert_eq!(read["abilities"][0]["works"], "no");
        assert_eq!(read["function_starts"], serde_json::json!({"by": "descent", "in_tables": 2, "found": 40}));
    }
}
