//! The truth: what this process lived, kept until its end and printed then, one fact a line.
//!
//! | line | what |
//! | --- | --- |
//! | `R RID TASK KIND` | the request of this name came to the service in that task |
//! | `C RID TASK` | that task was spawned for it, and for nobody else |
//! | `D NAME TASK` | that task serves whoever asks it |
//! | `K RID.N END` | a call of this name was made for it, and `answered` or `dropped` |

use std::sync::{Mutex, PoisonError};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn log(line: String) {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

fn this_task() -> String {
    tokio::task::try_id().map_or_else(|| "none".to_owned(), |id| id.to_string())
}

/// Notes that this task brought a request to the service.
pub(crate) fn request(rid: &str, kind: &str) {
    log(format!("R {rid} {} {kind}", this_task()));
}

/// Notes that this task is a request's.
pub(crate) fn child(rid: &str) {
    log(format!("C {rid} {}", this_task()));
}

/// Notes that this task is everybody's.
pub(crate) fn driver(name: &str) {
    log(format!("D {name} {}", this_task()));
}

/// A call, noted when it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    name: String,
    answered: bool,
}

impl Call {
    pub(crate) fn new(name: String) -> Self {
        Self { name, answered: false }
    }

    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        log(format!("K {} {}", self.name, if self.answered { "answered" } else { "dropped" }));
    }
}

#[expect(clippy::print_stdout, reason = "the truth is the target's output")]
pub(crate) fn print() {
    for line in LINES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{line}");
    }
}
