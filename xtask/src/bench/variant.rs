//! What is measured: asyncscope, and what a user could choose instead.

use super::build::Build;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Variant {
    /// asyncscope's hooks, with programs that do nothing
    Floor,
    /// `asyncscope attach`
    Trace,
    /// `asyncscope attach --mode sample`
    Sample,
    /// A bpftrace script that counts the calls of the same functions
    Bpftrace,
    /// `perf record`
    Perf,
    /// tokio-console's subscriber, built in
    Console,
    /// `tracing` and OpenTelemetry's SDK, built in
    Otel,
}

impl Variant {
    pub(super) const ALL: [Self; 7] =
        [Self::Floor, Self::Trace, Self::Sample, Self::Bpftrace, Self::Perf, Self::Console, Self::Otel];

    /// As the document calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Floor => "the floor: empty programs",
            Self::Trace => "**asyncscope, trace**",
            Self::Sample => "**asyncscope, sample**",
            Self::Bpftrace => "bpftrace",
            Self::Perf => "perf record",
            Self::Console => "tokio-console's subscriber",
            Self::Otel => "tracing and OpenTelemetry",
        }
    }

    /// Returns how it is built in, if it is: then it cannot be attached.
    pub(super) fn built_in(self) -> Option<Build> {
        Some(self.build()).filter(|build| *build != Build::Plain)
    }

    /// Returns how the service is built for it.
    pub(super) fn build(self) -> Build {
        match self {
            Self::Floor | Self::Trace | Self::Sample | Self::Bpftrace | Self::Perf => Build::Plain,
            Self::Console => Build::Console,
            Self::Otel => Build::Otel,
        }
    }
}
