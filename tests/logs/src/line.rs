//! Lines, and who writes them.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Writes this line.
pub(crate) fn say(to: Stream, line: &str) {
    let written = match to {
        Stream::Out => writeln!(io::stdout(), "{line}"),
        // In pieces: standard error has no buffer.
        Stream::Err => {
            let (first, rest) = line.split_at_checked(1).unwrap_or((line, ""));
            writeln!(io::stderr(), "{first}{rest}")
        }
    };
    // Whoever read it may be gone.
    written.ok();
}

/// The beginning of a line that the task writes which is running here, for this request.
pub(crate) fn truth(request: &str) -> String {
    let seq = NEXT.fetch_add(1, Ordering::Relaxed);
    let task = tokio::task::try_id().map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!("T task={task} request={request} seq={seq}")
}

/// Writes a line of the task that is running here.
pub(crate) fn log(to: Stream, request: &str, text: &str) {
    say(to, &format!("{} {text}", truth(request)));
}
