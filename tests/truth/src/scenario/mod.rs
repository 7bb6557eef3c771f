//! The scenarios: each lives what one kind of program does, for a bounded time.

mod aborts;
mod before_attach;
mod blocking;
mod drivers;
mod ending;
mod execs;
mod first_leaves;
mod forks;
mod guests;
mod limits;
mod load;
mod local_set;
mod many_sites;
mod outputs;
mod panic_storm;
mod panics;
mod plain;
mod sealed;
mod shutdown;
mod storm;
mod threads;
mod work;
mod yields;

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

use self::ending::Ending;
use self::guests::Guest;
use crate::names;
use crate::stage::Stage;

macro_rules! scenarios {
    ($($scenario:ident $name:literal $run:expr;)*) => {
        /// What to live.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Scenario { $($scenario,)* BeforeAttach, Load, Idle, Steady, ExecOther, ExecItself, FirstLeaves, Guests(Guest), End(Ending) }

        impl Scenario {
            /// The scenario of this name.
            pub(crate) fn by_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$scenario,)*
                    "before_attach" => Self::BeforeAttach,
                    "load" => Self::Load,
                    "idle" => Self::Idle,
                    "steady" => Self::Steady,
                    "exec_other" => Self::ExecOther,
                    "exec_itself" => Self::ExecItself,
                    "first_leaves" => Self::FirstLeaves,
                    "guest_early" => Self::Guests(Guest::Early),
                    "guest_late" => Self::Guests(Guest::Late),
                    _ => return Ending::by_name(name.strip_prefix("ending_")?).map(Self::End),
                })
            }

            /// Gives the start signals and lives it.
            pub(crate) fn run(self, stage: &Stage) -> Result<()> {
                match self {
                    Self::BeforeAttach => before_attach::run(stage),
                    Self::Load => load::run(stage),
                    Self::Idle => load::idle(stage),
                    Self::Steady => limits::steady(stage),
                    Self::ExecOther => execs::into_other(stage),
                    Self::ExecItself => execs::into_itself(stage),
                    Self::FirstLeaves => first_leaves::run(stage),
                    Self::Guests(when) => guests::run(stage, when),
                    Self::End(ending) => ending::run(stage, ending),
                    $(Self::$scenario => {
                        stage.go()?;
                        let run: fn(Deadline) -> Result<()> = $run;
                        run(Deadline::after(stage.seconds))
                    })*
                }
            }
        }
    };
}

scenarios! {
    MultiThread "multi_thread" plain::multi_thread;
    CurrentThread "current_thread" plain::current_thread;
    SeveralRuntimes "several_runtimes" plain::several_runtimes;
    AddressReuse "address_reuse" plain::address_reuse;
    LocalSet "local_set" local_set::run;
    Blocking "blocking" blocking::run;
    Panics "panics" panics::run;
    Aborts "aborts" aborts::run;
    Shutdown "shutdown" shutdown::run;
    Yields "yields" yields::run;
    ManySites "many_sites" many_sites::run;
    Storm "storm" storm::run;
    Names "names" |_| names::run();
    Forks "forks" forks::run;
    Threads "threads" threads::run;
    PanicStorm "panic_storm" panic_storm::run;
    NoDescriptors "no_descriptors" limits::no_descriptors;
    Sealed "sealed" sealed::run;
    Outputs "outputs" outputs::run;
    Drivers "drivers" drivers::run;
}

/// When a scenario has to stop starting new work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    fn after(seconds: f64) -> Self {
        Self(Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)))
    }

    pub(crate) fn open(self) -> bool {
        Instant::now() < self.0
    }
}

pub(crate) fn multi_thread_runtime(workers: usize) -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

pub(crate) fn current_thread_runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Blocks this thread inside whatever it is doing: long enough to be found there.
pub(crate) fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
