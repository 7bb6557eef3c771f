//! What is known before anyone interprets it: events in time order, facts about the target, their recordings, and
//! programs that read await chains from memory.

pub mod chain;
pub mod event;
pub mod facts;
pub mod recording;
