//! What the live tests share: running targets and the agent, and comparing what the agent [`seen`]
//! with the [`truth`] that the target lived.
//!
//! [`seen`]: crate::seen::Seen
//! [`truth`]: crate::truth::Truth

pub mod agent;
pub mod compare;
pub mod kernel;
pub mod paths;
pub mod process;
pub mod seen;
pub mod target;
pub mod trial;
pub mod truth;
