//! What to write.

use std::time::Duration;

use clap::Args;

use super::{
    formats::FormatArguments,
    spans::SpanArguments,
    values::{GroupArgument, WeightArgument},
};
use crate::session::OutputOptions;
use asyncscope_view::{
    format::{Comparison, Extra, ViewOptions},
    formats::FORMATS,
    select::Selection,
};

/// The outputs to write. Without any, a summary is printed.
#[derive(Args, Clone, Debug)]
pub(super) struct OutputArguments {
    #[command(flatten)]
    formats: FormatArguments,
    /// Weight in flamegraph, folded stacks and profile: time inside polls, between them, or both; or CPU time, of a run
    /// with --mode sample [default: busy, and cpu of such a run]
    #[arg(long, value_enum)]
    weight: Option<WeightArgument>,
    /// Group samples of CPU time by this first [default: task]
    #[arg(long, value_enum)]
    group_by: Option<GroupArgument>,
    /// From which length on a poll counts for --long-polls
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1ms", requires = "long-polls")]
    long_poll_min: Duration,
    /// One request, by its correlation ID, its trace id, the beginning of either, or the number `--requests` shows:
    /// its story as text, or what --flamegraph, --folded and --pprof are about
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only requests of this path, as it is without its query; `/orders/*` for all that begin with `/orders/`
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// Only requests that took at least this long, such as 100ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    slower_than: Option<Duration>,
    /// Have the flamegraph compare these slow requests with the faster ones: red is what they spend more on
    #[arg(long, requires = "slower_than", requires = comparing(), conflicts_with = "request", conflicts_with_all = not_comparing())]
    diff: bool,
    #[command(flatten)]
    spans: SpanArguments,
}

/// The option of the output that draws comparisons.
fn comparing() -> &'static str {
    let drawn = FORMATS.iter().find(|format| format.diff == Comparison::Drawn);
    drawn.map_or("", |format| format.option)
}

/// The options of outputs that cannot draw them.
fn not_comparing() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().filter(|format| format.diff == Comparison::Refused).map(|format| format.option)
}

impl OutputArguments {
    /// The options that were given and have this recorded.
    pub(super) fn asked(&self, extra: Extra) -> impl Iterator<Item = &'static str> {
        self.formats.asked(extra)
    }

    /// `is_recorded`: whether all events are kept as well.
    pub(super) fn into_options(self, is_recorded: bool) -> OutputOptions {
        let Self { formats, weight, group_by, long_poll_min, request, route, slower_than, diff, spans } = self;
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let view = ViewOptions {
            weight: weight.map(Into::into),
            group_by: group_by.map(Into::into),
            selection: Selection { id: request, route, slower_than_ns: slower_than.map(ns) },
            diff,
            long_poll_ns: ns(long_poll_min),
        };
        OutputOptions { record: None, formats: formats.into_wanted(is_recorded), otlp: spans.into_options(), view }
    }
}
