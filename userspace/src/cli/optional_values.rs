//! Options that may come without their value, before a target.
//!
//! clap gives such an option the word behind it, so of `attach --logs 4242` it says that the target is missing. Where
//! that is what is missing, and one such option alone can have taken it, the word is the target.

use std::ffi::OsString;

use clap::{Command, CommandFactory as _, Error, Parser as _, error::ErrorKind};

use super::args::Arguments;

/// Parses a command line, whose first word is the program.
///
/// # Errors
///
/// What clap finds wrong with it as it stands.
pub(super) fn parse(words: Vec<OsString>) -> Result<Arguments, Error> {
    let error = match Arguments::try_parse_from(&words) {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => error,
        decided => return decided,
    };
    let parsed = without_value(words).and_then(|words| Arguments::try_parse_from(words).ok());
    parsed.ok_or(error)
}

/// Returns the words with an empty value for the one option that took the word behind it for its value.
fn without_value(mut words: Vec<OsString>) -> Option<Vec<OsString>> {
    let mut command = Arguments::command();
    command.build();
    let options = optional_values(command.find_subcommand(words.get(1)?)?);
    let takes_next = |pair: &[OsString]| {
        let is_option = options.iter().any(|option| pair[0] == option.as_str());
        is_option && !pair[1].as_encoded_bytes().starts_with(b"-")
    };
    let mut places = words.windows(2).enumerate().filter(|(_, pair)| takes_next(pair)).map(|(place, _)| place);
    let (Some(place), None) = (places.next(), places.next()) else { return None };
    words[place].push("=");
    Some(words)
}

/// Returns the options of a command that may come without their value, with their dashes.
fn optional_values(command: &Command) -> Vec<String> {
    let may_lack =
        |arg: &&clap::Arg| arg.get_num_args().is_some_and(|count| count.min_values() == 0 && count.takes_values());
    let options = command.get_opts().filter(may_lack).filter_map(clap::Arg::get_long);
    options.map(|name| format!("--{name}")).collect()
}
