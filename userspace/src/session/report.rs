//! `report`: from a recording to every output.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::{
    export::{OnFull, Ready},
    outputs::OutputOptions,
};
use asyncscope_model::{Config, Graph};
use asyncscope_trace::recording::Reader;
use asyncscope_view::lost::{self, Lost};

/// Spans are made once for so much time of the recording, as in a live run.
const EMIT_EVERY_NS: u64 = 100_000_000;

/// As much is kept of the target's lines, in bytes: a recording can unfold to more than there is memory.
const LINES_MAX: u64 = 4 << 30;

/// Makes outputs of a recording; `-` is standard input.
///
/// # Errors
///
/// A sentence: why it is no recording, which output cannot be written, or, with all outputs written
/// from what could be read, how much that was.
pub fn report(recording: &Path, wanted: &OutputOptions) -> Result<()> {
    let name = || recording.display().to_string();
    let from: Box<dyn Read> = if recording == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(recording).with_context(|| format!("cannot read {}", name()))?)
    };
    let reader = Reader::new(BufReader::new(from)).with_context(name)?;
    let mut outputs = wanted.open()?;
    outputs.fit(reader.facts())?;
    let export = outputs.otlp.take();
    let noted = export.as_ref().map(Ready::noted);
    let setup = Config::from(reader.facts()).with_detail(outputs.detail(reader.facts())).with_span_detail(noted);
    let setup = setup.with_long_polls(outputs.long_polls_ns());
    let mut graph = Graph::new(&setup.with_log_lines(outputs.need_lines().then_some(LINES_MAX)));
    let mut last_ns = reader.facts().armed.monotonic_ns;
    let mut export = export.map(|ready| ready.start(reader.facts())).transpose()?;
    if let Some(export) = &export {
        export.hurry();
    }
    let (forget, mut emitted_ns) = (!outputs.need_tasks(), last_ns);
    let read = reader.read_known(&mut |facts, event| {
        last_ns = last_ns.max(event.at.time);
        graph.apply(&event);
        if let Some(export) = &mut export
            && last_ns.saturating_sub(emitted_ns) >= EMIT_EVERY_NS
        {
            export.round(&mut graph, facts, last_ns, forget, OnFull::Wait);
            emitted_ns = last_ns;
        }
    });
    graph.lost_samples(lost::samples(&read.loss));
    graph.finish(read.end_ns.unwrap_or(last_ns));
    if export.is_none() || outputs.need_tasks() {
        outputs.write(&graph, &read.facts, &Lost::of(&read.loss, &graph), &mut io::stdout())?;
    }
    let exported = export.map_or(Ok(()), |export| export.finish(&mut graph, &read.facts));
    match read.trouble() {
        Some(trouble) if read.damage.is_some() && exported.is_err() => {
            eprintln!("asyncscope: {}: {trouble}", name());
        }
        Some(trouble) if read.damage.is_some() => bail!("{}: {trouble}", name()),
        Some(trouble) => eprintln!("asyncscope: {}: {trouble}", name()),
        None => {}
    }
    exported
}
