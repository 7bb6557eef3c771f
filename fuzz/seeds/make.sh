#!/usr/bin/env bash
# Makes the corpus from its sources: small executables of every kind that discovery reads (needs gcc),
# records, recordings, and system calls with HTTP in them.
set -euo pipefail
cd "$(dirname "$0")/.."

elf() {
    local name=$1
    shift
    gcc -nostdlib -Wl,-z,separate-code,-z,max-page-size=64,--build-id,--eh-frame-hdr "$@" seeds/tasks.s -o "corpus/discovery/$name.elf"
}

rm -rf corpus
mkdir -p corpus/{discovery,heads,records,recording}
elf pie -static-pie
elf relr -static-pie -Wl,-z,pack-relative-relocs
elf fixed -static -no-pie
elf shared -shared
elf stripped -static-pie -s
elf debug -static-pie -g -gz=none
cargo run --quiet --bin seeds
du -sh corpus
