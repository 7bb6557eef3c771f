//! tokio in an image: its tasks' types, the instructions to hook, and what these can show.

pub mod abilities;
mod bodies;
pub(crate) mod coverage;
mod current_task;
pub(crate) mod discover;
mod flows;
mod instances;
pub mod plan;
pub(crate) mod plan_builder;
pub mod plan_cache;
pub mod plan_key;
mod sites;
mod spawns;
mod starts;
mod symbols;
pub(crate) mod turns;
mod types;
pub(crate) mod version;
pub mod vtables;
