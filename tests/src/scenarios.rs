//! The truth program's scenarios that end by themselves.

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The truth program's name for it.
    pub name: &'static str,
    /// `true` if it makes more events than buffers hold on a busy machine.
    pub storms: bool,
    /// `true` if it needs panics that unwind.
    pub panics: bool,
}

/// All of them.
pub const ALL: [Scenario; 14] = [
    plain("multi_thread"),
    plain("current_thread"),
    plain("local_set"),
    plain("blocking"),
    plain("several_runtimes"),
    Scenario { panics: true, ..plain("panics") },
    plain("aborts"),
    plain("shutdown"),
    plain("yields"),
    plain("many_sites"),
    plain("before_attach"),
    plain("address_reuse"),
    Scenario { storms: true, ..plain("storm") },
    plain("names"),
];

const fn plain(name: &'static str) -> Scenario {
    Scenario { name, storms: false, panics: false }
}
