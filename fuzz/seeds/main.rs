//! Writes the records and recordings of the corpus: one of each event, as the agent writes them.

use std::{error::Error, fs, path::Path};

use asyncscope::{
    event::{At, Event, SpawnWay, State, TaskId, TaskRef, What, encode::encode},
    facts::{Facts, Hook, TaskType, Thread},
    recording::Writer,
};

const TASK: TaskRef = TaskRef { header: 0x7f00_0000_1000, id: Some(TaskId(7)), vtable: 0x5500_0000_2000 };

fn events() -> Vec<Event> {
    let (old, new) = (State(0xc5), State(0xcc));
    let what = [
        What::Spawn { task: TASK, state: old, caller: 0x5500_0000_3000, way: SpawnWay::Owned },
        What::PollStart { task: TASK, state: old },
        What::Wake { task: TASK, old, new, caller: 0x5500_0000_4000, owned: true, predicted: false },
        What::PollEnd { task: TASK, old, new },
        What::Abort { task: TASK, old, new, predicted: true },
        What::Shutdown { task: TASK, state: new },
        What::Panic,
        What::PollExit,
        What::Gap { since: 1_000, lost: 3 },
        What::ThreadName { name: "tokio-rt-worker".to_owned() },
        What::ThreadAtRest,
    ];
    let at = |seq| At { time: 1_000 + 10 * seq, cpu: 1, seq, tid: 42, sp: 0x7fff_0000_0000 - 16 * seq };
    (0..).zip(what).map(|(seq, what)| Event { at: at(seq), what }).collect()
}

fn facts() -> Facts {
    let mut facts = Facts { tokio: Some("1.47.1".to_owned()), ..Facts::default() };
    facts.types = vec![TaskType { vtable: TASK.vtable, name: "svc::request".to_owned(), ..TaskType::default() }];
    facts.threads = vec![Thread { tid: 42, name: "svc".to_owned() }];
    let hook = Hook {
        sees: "poll-start".to_owned(),
        address: Some(0x2000),
        instruction: "push %rbx".to_owned(),
        emulated: true,
        how: "task vtable by shape: raw::poll".to_owned(),
    };
    facts.hooks = vec![hook];
    facts
}

fn recording(repeated: usize, whole: bool) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = Writer::create(Vec::new(), &facts())?;
    for event in std::iter::repeat_n(events(), repeated).flatten() {
        writer.write(&event)?;
    }
    let losses = [("ring-full".to_owned(), 3)];
    writer.loss(&losses)?;
    writer.facts(&facts())?;
    let mut bytes = writer.finish(2_000, &losses)?;
    if !whole {
        bytes.truncate(bytes.len() / 2);
    }
    Ok(bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (number, event) in events().iter().enumerate() {
        let mut bytes = Vec::new();
        encode(event, &mut bytes);
        fs::write(corpus.join("records").join(format!("{number:02}.record")), bytes)?;
    }
    let recordings = [("one", 1, true), ("many", 60, true), ("cut", 60, false), ("empty", 0, true)];
    for (name, repeated, whole) in recordings {
        fs::write(corpus.join("recording").join(format!("{name}.ascope")), recording(repeated, whole)?)?;
    }
    Ok(())
}
