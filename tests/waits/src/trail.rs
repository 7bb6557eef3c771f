//! What a task says of itself: the awaits it has gone through to where it waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// One place in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here {
    pub(crate) function: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

/// The function and line of this expression, which has to stand on the line of its `.await`.
///
/// With a number: this many lines further down.
macro_rules! here {
    () => {
        here!(0)
    };
    ($down:literal) => {{
        fn inside() {}
        $crate::trail::Here {
            function: $crate::trail::function_around(std::any::type_name_of_val(&inside)),
            file: file!(),
            line: line!() + $down,
        }
    }};
}
pub(crate) use here;

pub(crate) fn function_around(inside: &'static str) -> &'static str {
    let around = inside.strip_suffix("::inside").unwrap_or(inside);
    around.strip_suffix("::{{closure}}").unwrap_or(around)
}

#[derive(Debug, Default)]
struct Node {
    /// `None`: the task itself.
    here: Option<Here>,
    leaf: Option<&'static str>,
    inside: Mutex<Vec<Arc<Node>>>,
}

/// Where a task is, from one of its futures on inwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Arc<Node>);

impl Trail {
    /// Whether both are of one task's root future.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Notes that what `make` makes is awaited here.
    pub(crate) fn at<F>(&self, here: Here, make: impl FnOnce(Trail) -> F) -> F {
        make(self.inside(here, None))
    }

    /// Notes that this is awaited here, and that it waits for something by itself.
    pub(crate) fn leaf<F>(&self, here: Here, leaf: &'static str, future: F) -> F {
        drop(self.inside(here, Some(leaf)));
        future
    }

    fn inside(&self, here: Here, leaf: Option<&'static str>) -> Trail {
        let node = Arc::new(Node { here: Some(here), leaf, inside: Mutex::default() });
        lock(&self.0.inside).push(Arc::clone(&node));
        Trail(node)
    }

    /// As the tests read it.
    pub(crate) fn report(&self) -> Value {
        let inside: Vec<Value> = lock(&self.0.inside).iter().map(|node| Trail(Arc::clone(node)).report()).collect();
        match self.0.here {
            None => json!(inside),
            Some(Here { function, file, line }) => {
                json!({ "function": function, "file": file, "line": line, "leaf": self.0.leaf, "inside": inside })
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
