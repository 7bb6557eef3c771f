//! What can be seen in a target.

use serde::Serialize;

/// One thing that a user may want to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// What.
    pub what: &'static str,
    /// How far it can be seen.
    pub works: Works,
    /// Why, where it is not all.
    pub why: Option<String>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

/// How far something can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// As it is.
    Yes,
    /// Not all of it.
    Partly,
    /// Not at all.
    No,
}
