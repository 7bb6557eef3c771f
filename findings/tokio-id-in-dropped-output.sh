#!/usr/bin/env bash
# tokio 1.54.1: in the drop of an output that nobody took, `tokio::task::id()` is the finished task's, in whosever poll
# that drop runs.
#
# A task finishes with a value. Another task holds its JoinHandle, and drops it unread: the value is dropped there, inside
# of the second one's poll. Meanwhile the id of "the currently running task" is that of the first, which will never run
# again; a line earlier and a line later it is the second one's.
#
# Who logs, counts or spawns in a destructor and goes by the task id books it on a task that is over.
#
# Seen with tokio 1.54.1, rustc 1.95.0, on Linux 6.18 (2026-11-30). Needs cargo.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "dropped"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
[workspace]
TOML
cat > "$folder/src/main.rs" <<'RUST'
use tokio::task::{JoinHandle, id, yield_now};

struct Output;

impl Drop for Output {
    fn drop(&mut self) {
        println!("dropped by {}", id());
    }
}

async fn drops(handle: JoinHandle<Output>) {
    while !handle.is_finished() {
        yield_now().await;
    }
    println!("before: {}", id());
    drop(handle);
    println!("after: {}", id());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let first = tokio::spawn(async { Output });
        println!("first: {}", first.id());
        let second = tokio::spawn(drops(first));
        println!("second: {}", second.id());
        second.await.unwrap();
    });
}
RUST
cargo run --quiet --manifest-path "$folder/Cargo.toml" | tee "$folder/seen"
value() { sed -n "s/^$1:* //p" "$folder/seen"; }
[ "$(value 'dropped by')" = "$(value first)" ] && [ "$(value before)" = "$(value second)" ] \
    && [ "$(value after)" = "$(value second)" ] || { echo "this has changed"; exit 1; }
