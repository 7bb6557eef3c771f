//! Spans for a tracing backend: options that are absent where asyncscope was built without them.

use clap::Args;

use crate::session::ExportOptions;

#[cfg(feature = "otlp")]
pub(super) use with::SpanArguments;

#[cfg(not(feature = "otlp"))]
pub(super) use NoSpanArguments as SpanArguments;

/// No options.
#[cfg(not(feature = "otlp"))]
#[derive(Args, Clone, Debug)]
pub(super) struct NoSpanArguments {}

#[cfg(not(feature = "otlp"))]
impl NoSpanArguments {
    pub(super) fn into_options(self) -> Option<ExportOptions> {
        let Self {} = self;
        None
    }
}

#[cfg(feature = "otlp")]
mod with {
    use std::time::Duration;

    use clap::ValueEnum;

    use super::{Args, ExportOptions};
    use asyncscope_view::otlp::{SampleRatio, SpanOptions, Traces};

    /// Spans for a tracing backend.
    #[derive(Args, Clone, Debug)]
    pub(in crate::cli) struct SpanArguments {
        /// Send spans to this OTLP endpoint, such as `http://localhost:4317`; `-` prints them as OTLP/JSON. Without
        /// a URL, and for all else, OpenTelemetry's environment variables count
        #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
        otlp: Option<String>,
        /// Things that become spans
        #[arg(long, value_enum, default_value_t, requires = "otlp")]
        traces: TracesArgument,
        /// Waits, polls, and delays before these, that are long enough to be reported
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1ms", requires = "otlp")]
        min_span: Duration,
        /// The part of all traces that is sent, from 0 to 1, chosen by trace id
        #[arg(long, value_name = "RATIO", default_value = "1", requires = "otlp")]
        sample_ratio: SampleRatio,
    }

    /// A value of `--traces`.
    #[derive(Clone, Copy, Debug, Default, ValueEnum)]
    enum TracesArgument {
        /// Requests, the calls made for them, and their tasks.
        #[default]
        Requests,
        /// All others as well: tasks that no task spawned begin traces.
        Tasks,
    }

    impl SpanArguments {
        pub(in crate::cli) fn into_options(self) -> Option<ExportOptions> {
            let Self { otlp, traces, min_span, sample_ratio: sampling } = self;
            let traces = match traces {
                TracesArgument::Requests => Traces::Requests,
                TracesArgument::Tasks => Traces::Tasks,
            };
            let to = otlp.map(|url| Some(url).filter(|url| !url.is_empty()));
            to.map(|to| ExportOptions { to, options: SpanOptions { traces, sampling }, min_span })
        }
    }
}
