//! The options of the table of outputs: one for each row.

use std::path::PathBuf;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches,
    builder::{OsStringValueParser, PathBufValueParser, TypedValueParser as _},
};

use asyncscope_view::{
    format::{Extra, Medium, OutputFormat},
    formats::FORMATS,
};

/// The outputs asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct FormatArguments(Vec<FormatArgument>);

#[derive(Clone, Debug)]
struct FormatArgument {
    format: &'static OutputFormat,
    path: Option<PathBuf>,
}

impl Args for FormatArguments {
    fn augment_args(command: Command) -> Command {
        command.args(FORMATS.iter().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FormatArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(FORMATS.iter().filter_map(|format| given(format, matches)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The options that have this recorded.
pub(super) fn recording(extra: Extra) -> impl Iterator<Item = &'static str> {
    FORMATS.iter().filter(move |format| format.records == Some(extra)).map(|format| format.option)
}

fn option(format: &'static OutputFormat) -> Arg {
    let option = Arg::new(format.option).long(format.option).help(format.help);
    match format.to {
        Medium::Terminal { .. } => option.action(ArgAction::SetTrue),
        Medium::File { value, optional, .. } => {
            let option = option.value_name(value);
            if optional {
                // An empty path is none: `--logs=`.
                option.value_parser(OsStringValueParser::new().map(PathBuf::from)).num_args(0..=1)
            } else {
                option.value_parser(PathBufValueParser::new())
            }
        }
    }
}

fn given(format: &'static OutputFormat, matches: &ArgMatches) -> Option<FormatArgument> {
    let (is_given, path) = match format.to {
        Medium::Terminal { .. } => (matches.get_flag(format.option), None),
        Medium::File { .. } => (matches.contains_id(format.option), matches.get_one(format.option).cloned()),
    };
    let path = path.filter(|path: &PathBuf| !path.as_os_str().is_empty());
    is_given.then_some(FormatArgument { format, path })
}

impl FormatArguments {
    /// The options that were given and have this recorded.
    pub(super) fn asked(&self, extra: Extra) -> impl Iterator<Item = &'static str> {
        let formats = self.0.iter().map(|argument| argument.format);
        formats.filter(move |format| format.records == Some(extra)).map(|format| format.option)
    }

    /// The outputs to be made. One that came without a path goes to the terminal, as text does, unless a recording or
    /// another output has the same.
    pub(super) fn into_wanted(self, is_recorded: bool) -> Vec<(&'static OutputFormat, Option<PathBuf>)> {
        let elsewhere = is_recorded || self.0.iter().any(FormatArgument::holds_log_lines);
        let mut all: Vec<_> = self.0.into_iter().map(|FormatArgument { format, path }| (format, path)).collect();
        all.retain(|(format, path)| format.is_text() || path.is_some() || !elsewhere);
        all
    }
}

impl FormatArgument {
    fn holds_log_lines(&self) -> bool {
        self.path.is_some() && self.format.keeps.log_lines
    }
}
