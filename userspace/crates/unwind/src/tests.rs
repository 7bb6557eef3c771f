use super::*;

/// This process's own.
fn own() -> Modules {
    let maps = asyncscope_discovery::process::procfs::maps(std::process::id());
    let process = asyncscope_discovery::process::Process::by_pid(std::process::id()).unwrap();
    Modules::find(&maps, &mut |at, to| process.read_memory(asyncscope_discovery::addr::RuntimeAddr(at), to))
}

/// The registers here, and the stack above.
#[inline(never)]
fn here() -> (Registers, Vec<u64>) {
    let mut registers = Registers::default();
    let mut kept = [0u64; 7];
    // SAFETY: stores registers into memory of this function.
    unsafe {
        std::arch::asm!(
            "mov [{to}], rsp", "mov [{to} + 8], rbp", "mov [{to} + 16], rbx", "mov [{to} + 24], r12",
            "mov [{to} + 32], r13", "mov [{to} + 40], r14", "mov [{to} + 48], r15",
            to = in(reg) kept.as_mut_ptr(), options(nostack)
        );
        std::arch::asm!("lea {ip}, [rip]", ip = out(reg) registers.ip, options(nostack, nomem));
    }
    let [sp, bp, bx, r @ ..] = kept;
    registers = Registers { sp, bp, bx, r, ..registers };
    let mut bytes = vec![0; 1 << 16];
    let process = asyncscope_discovery::process::Process::by_pid(std::process::id()).unwrap();
    let len = process.read_memory(asyncscope_discovery::addr::RuntimeAddr(sp), &mut bytes);
    let words = bytes[..len].chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    (registers, words.collect())
}

/// Unwinds a thread's stack of at most this many words, up to one address.
fn of_a_thread(limit: usize, end: Option<u64>) -> Unwound {
    std::thread::spawn(move || unwound(limit, |at| Some(at) == end)).join().unwrap()
}

fn unwound(limit: usize, is_end: impl Fn(u64) -> bool) -> Unwound {
    let (registers, stack) = here();
    let read = |at: u64| {
        let word = at.checked_sub(registers.sp).filter(|at| at.is_multiple_of(8)).map(|at| (at / 8) as usize);
        word.filter(|&at| at < limit).and_then(|at| stack.get(at).copied()).ok_or(())
    };
    unwind(&own(), registers, read, is_end)
}

#[test]
fn a_threads_stack_is_unwound_to_its_start() {
    let Unwound { frames, ended, .. } = of_a_thread(usize::MAX, None);
    assert_eq!(ended, Ended::Thread, "{frames:x?}");
    let start = a_threads_stack_is_unwound_to_its_start as fn() as usize as u64;
    assert!(frames.len() > 5 && !frames.contains(&start));
}

#[test]
fn a_stack_ends_at_the_address_given() {
    let whole = of_a_thread(usize::MAX, None);
    let third = whole.frames[2];
    let Unwound { frames, ended, .. } = of_a_thread(usize::MAX, Some(third));
    assert_eq!((frames.last(), ended), (Some(&third), Ended::Poll));
}

#[test]
fn a_function_is_found_from_inside_of_it() {
    let modules = own();
    let start = here as fn() -> (Registers, Vec<u64>) as usize as u64;
    let module = modules.of(start).unwrap();
    assert_eq!(module.function_start(here().0.ip), Some(start));
    assert_eq!(module.function_start(start), Some(start));
    assert_ne!(module.function_start(start - 1), Some(start));
    assert_eq!(module.function_start(0), None);
}

#[test]
fn a_cut_stack_says_so() {
    let Unwound { frames, ended, .. } = of_a_thread(16, None);
    assert_eq!(ended, Ended::Cut, "{frames:x?}");
}

#[test]
fn what_has_no_table_is_not_guessed() {
    let registers = Registers { ip: 0x10, sp: 0x1000, ..Registers::default() };
    let Unwound { frames, ended, .. } = unwind(&own(), registers, |_| Ok::<_, ()>(0), |_| false);
    assert_eq!((frames, ended), (vec![0x10], Ended::NoModule));
}

#[test]
fn damaged_tables_make_no_harm() {
    let maps = asyncscope_discovery::process::procfs::maps(std::process::id());
    let process = asyncscope_discovery::process::Process::by_pid(std::process::id()).unwrap();
    let (registers, _) = here();
    for seed in 1..40u64 {
        let mut damaged = |at: u64, to: &mut [u8]| {
            let len = process.read_memory(asyncscope_discovery::addr::RuntimeAddr(at), to);
            for (place, byte) in to.iter_mut().enumerate().skip(seed as usize % 7).step_by(1 + seed as usize * 13) {
                *byte ^= (at.wrapping_mul(seed) >> (place % 50)) as u8;
            }
            len
        };
        let modules = Modules::find(&maps, &mut damaged);
        let read = |at: u64| Ok::<_, ()>(at.wrapping_mul(seed));
        let Unwound { frames, .. } = unwind(&modules, registers, read, |_| false);
        assert!(frames.len() <= FRAMES_MAX);
    }
}
