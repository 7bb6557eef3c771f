//! `report`: from a recording to every output.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::outputs::Wanted;
use crate::{
    model::{Detail, Graph, Setup},
    recording::Reader,
    view::summary::Lost,
};

/// Makes outputs of a recording; `-` is standard input.
///
/// # Errors
///
/// A sentence: why it is no recording, which output cannot be written, or, with all outputs written
/// from what could be read, how much that was.
pub fn report(recording: &Path, wanted: &Wanted) -> Result<()> {
    let name = || recording.display().to_string();
    let from: Box<dyn Read> = if recording == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(recording).with_context(|| format!("cannot read {}", name()))?)
    };
    let reader = Reader::new(BufReader::new(from)).with_context(name)?;
    let outputs = wanted.open()?;
    let detail = if outputs.want_intervals() { Detail::Intervals } else { Detail::Totals };
    let mut graph = Graph::new(&Setup::from(reader.facts()).with_detail(detail));
    let mut last_ns = reader.facts().armed.monotonic_ns;
    let read = reader.read(&mut |event| {
        last_ns = last_ns.max(event.at.time);
        graph.apply(&event);
    });
    graph.finish(read.end_ns.unwrap_or(last_ns));
    outputs.write(&graph, &read.facts, &Lost { by_kind: read.loss.clone() }, &mut io::stdout())?;
    match read.trouble() {
        Some(trouble) if read.damage.is_some() => bail!("{}: {trouble}", name()),
        Some(trouble) => eprintln!("asyncscope: {}: {trouble}", name()),
        None => {}
    }
    Ok(())
}
