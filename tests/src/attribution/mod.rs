//! Whose is each task and each call? What services lived that call in every way ([`truth`]), under a load of requests
//! of each kind ([`load`]), and what the agent claims of it, [compared](mod@compare) kind by kind and shown as a
//! [`table`].

pub mod compare;
pub mod load;
pub mod service;
pub mod table;
#[cfg(test)]
mod tests;
pub mod truth;
pub mod verdict;
