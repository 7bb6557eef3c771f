//! A task vtable that is none, and polls of tasks that never were: with ids that repeat, states that no task has,
//! and headers that are no headers. What names it has would break a terminal, or a page, that shows them as they are.

use std::hint::black_box;

type Function = extern "C" fn(*const Header);

/// As tokio's: seven functions, and where a task has its trailer, its scheduler and its id.
#[repr(C)]
struct Vtable([Function; 7], [usize; 3]);

#[repr(C)]
struct Header {
    state: u64,
    queue_next: u64,
    vtable: *const Vtable,
    owner: u64,
    id: u64,
    rest: [u64; 8],
}

static VTABLE: Vtable = Vtable([poll, schedule, dealloc, read, schedule, again, again], [0x60, 0x20, 0x20]);

#[unsafe(export_name = "_ZN5tokio7runtime4task3raw4poll17h0123456789abcdefE")]
extern "C" fn poll(header: *const Header) {
    let depth = black_box(header as u64) % 8;
    if depth != 0 {
        // Deeper and deeper, with headers that are none.
        poll((header as u64 - 1) as *const Header);
    }
    black_box(());
}

#[unsafe(export_name = "_ZN5tokio7runtime4task3raw8schedule17h0123456789abcdefE")]
extern "C" fn schedule(header: *const Header) {
    black_box(header);
}

/// The drop of a task whose future has this name.
#[unsafe(export_name = "_ZN4core3ptr104drop_in_place$LT$tokio..runtime..task..core..Cell$LT$\u{1b}[31m$LT$$u2f$svg$GT$$LT$script$GT$x..y$C$S$GT$$GT$17h0123456789abcdefE")]
extern "C" fn dealloc(header: *const Header) {
    black_box((header, 1));
}

extern "C" fn read(header: *const Header) {
    black_box((header, 2));
}

/// Without an end, whoever follows it.
extern "C" fn again(header: *const Header) {
    if black_box(header).is_null() {
        again(header);
    }
    loop {
        std::thread::park();
        if black_box(header).is_aligned() {
            again(header);
        }
    }
}

/// Reports polls for ever.
pub(crate) fn report() {
    let forged = |state, id| Header { state, queue_next: 0, vtable: &raw const VTABLE, owner: 0, id, rest: [id; 8] };
    let headers: Vec<Header> = (0..64).map(|n: u64| forged(n.wrapping_mul(0x0123_4567_89ab_cdef), n / 8)).collect();
    let nowhere = [0, 8, 0x1000, usize::MAX & !7, 0xffff_8880_0000_0000].map(|address: usize| address as *const Header);
    loop {
        headers.iter().map(|header| &raw const *header).chain(nowhere).for_each(|header| poll(header));
        headers.iter().for_each(|header| poll((&raw const *header).wrapping_byte_add(7)));
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}
