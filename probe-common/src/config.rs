//! What the agent hands down to the programs: cookies.
//!
//! A cookie says what one hook's instruction means, so that one program serves all hooks of its kind.

/// The event to see at a hook on a state transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TransitionEvent {
    /// Transitions out of RUNNING: the ends of polls.
    PollEnd = 0,
    /// Every use of a waker.
    Wake = 1,
    /// Transitions into CANCELLED.
    Abort = 2,
    /// Transitions out of RUNNING, at an exchange that does nothing but complete tasks. The programs make no
    /// difference between it and [`Self::PollEnd`]; the agent can have these alone.
    TaskEnd = 3,
}

/// The cookie of a hook on the instruction after a `lock cmpxchg` on a task's state word.
///
/// There, RAX holds the old word, ZF whether the exchange took place, and two other registers the
/// header's address and the new word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionCookie {
    /// The event to see.
    pub watch: TransitionEvent,
    /// The register with the header: its place in the kernel's `pt_regs`, in words.
    pub header: u8,
    /// The register with the new state word, numbered alike.
    pub new: u8,
    /// The place of the outermost hooked function's return address, in bytes above the stack pointer.
    pub caller: Option<u16>,
    /// True if the function that completes a task here unsets `JOIN_WAKER` once it has used the waker.
    pub unsets_waker: bool,
}

impl TransitionCookie {
    const NO_CALLER: u16 = u16::MAX;

    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        let caller = match self.caller {
            Some(offset) => offset,
            None => Self::NO_CALLER,
        };
        self.watch as u64
            | ((self.header as u64) << 8)
            | ((self.new as u64) << 16)
            | ((self.unsets_waker as u64) << 24)
            | ((caller as u64) << 32)
    }

    /// Unpacks the cookie; an unknown `watch` reads as [`TransitionEvent::PollEnd`].
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        let caller = (cookie >> 32) as u16;
        Self {
            watch: match cookie as u8 {
                1 => TransitionEvent::Wake,
                2 => TransitionEvent::Abort,
                3 => TransitionEvent::TaskEnd,
                _ => TransitionEvent::PollEnd,
            },
            header: (cookie >> 8) as u8 & 31,
            new: (cookie >> 16) as u8 & 31,
            caller: if caller == Self::NO_CALLER { None } else { Some(caller) },
            unsets_waker: (cookie >> 24) & 1 != 0,
        }
    }
}

/// The cookie of a hook at the entry of a function that makes a transition, where the state before is
/// read and the state after predicted: for builds in which no exchange instruction can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum EntryCookie {
    /// `waker::wake_by_val` or `wake_by_ref`.
    Wake = 0,
    /// `State::transition_to_idle`.
    Idle = 1,
    /// `State::transition_to_complete`.
    Complete = 2,
    /// `State::transition_to_notified_and_cancel`.
    Abort = 3,
    /// As [`Self::Complete`], where `JOIN_WAKER` is unset once the `JoinHandle`'s waker was used.
    CompleteUnsets = 4,
}

/// A part of the runtime that takes turns in which it wakes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::TryFromBytes))]
#[repr(u64)]
pub enum Driver {
    /// Readiness of sockets and the like.
    Io = 0,
    /// Timers.
    Time = 1,
}

/// The cookie of a hook at a driver's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnCookie {
    /// At the entry of the function that is the turn, with the stack pointer as it was there.
    Begins(Driver),
    /// In a function that calls it, so that the stack pointer is above the turn's: it has returned.
    HasReturned,
}

impl TurnCookie {
    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        match self {
            Self::HasReturned => 0,
            Self::Begins(driver) => 1 | ((driver as u64) << 8),
        }
    }

    /// Unpacks the cookie.
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        match (cookie & 1, cookie >> 8) {
            (0, _) => Self::HasReturned,
            (_, 0) => Self::Begins(Driver::Io),
            _ => Self::Begins(Driver::Time),
        }
    }
}

/// The way by which a new task goes to its scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpawnWay {
    /// A runtime's list of owned tasks: `OwnedTasks::bind_inner`.
    Owned = 0,
    /// The blocking pool: its `Spawner::spawn_task`.
    Blocking = 1,
    /// A `LocalSet`'s queue, which woken tasks pass as well: a spawn only if the id is new. Its `Shared::schedule`.
    Local = 2,
}

/// The cookie of a spawn hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnCookie {
    /// By which way.
    pub way: SpawnWay,
    /// The register with the header: its place in the kernel's `pt_regs`, in words.
    pub header: u8,
    /// True if the stack pointer points to the return address, as at a function's entry.
    pub at_entry: bool,
}

impl SpawnCookie {
    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.way as u64 | ((self.header as u64) << 8) | ((self.at_entry as u64) << 16)
    }

    /// Unpacks the cookie; an unknown `way` reads as [`SpawnWay::Owned`].
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        Self {
            way: match cookie as u8 {
                1 => SpawnWay::Blocking,
                2 => SpawnWay::Local,
                _ => SpawnWay::Owned,
            },
            header: (cookie >> 8) as u8 & 31,
            at_entry: (cookie >> 16) & 1 != 0,
        }
    }
}

/// A system call, by what it does with its descriptors; the cookie of a hook right after the call, where the
/// registers with its arguments still hold them, or, for [`Call::Close`], before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Call {
    /// `read`
    Read = 0,
    /// `write`
    Write = 1,
    /// `readv`, `preadv2`
    ReadVector = 2,
    /// `writev`, `pwritev2`
    WriteVector = 3,
    /// `recvfrom`
    Receive = 4,
    /// `sendto`
    Send = 5,
    /// `recvmsg`
    ReceiveMessage = 6,
    /// `sendmsg`
    SendMessage = 7,
    /// `sendfile`: what goes out is not in memory.
    SendFile = 8,
    /// `splice`: neither is what comes in.
    Splice = 9,
    /// `recvmmsg`, `sendmmsg`: meant for datagrams.
    Several = 10,
    /// `close`
    Close = 16,
    /// `accept`, `accept4`
    Accept = 17,
    /// `connect`
    Connect = 18,
    /// `dup`, `dup2`, `dup3`
    Duplicate = 19,
    /// `fcntl`, which may duplicate.
    Control = 20,
}

impl Call {
    /// Returns the x86-64 system call with this number, if it matters.
    /// <https://github.com/torvalds/linux/blob/v6.12/arch/x86/entry/syscalls/syscall_64.tbl>
    #[must_use]
    pub const fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Read,
            1 => Self::Write,
            19 | 327 => Self::ReadVector,
            20 | 328 => Self::WriteVector,
            45 => Self::Receive,
            44 => Self::Send,
            47 => Self::ReceiveMessage,
            46 => Self::SendMessage,
            40 => Self::SendFile,
            275 => Self::Splice,
            299 | 307 => Self::Several,
            3 => Self::Close,
            43 | 288 => Self::Accept,
            42 => Self::Connect,
            32 | 33 | 292 => Self::Duplicate,
            72 => Self::Control,
            _ => return None,
        })
    }

    /// Returns `true` if it moves bytes between memory and a descriptor.
    #[must_use]
    pub const fn moves_bytes(self) -> bool {
        (self as u64) < Self::SendFile as u64
    }

    /// Returns the call of this cookie; an unknown one reads as [`Call::Several`], after which nothing is known.
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        match cookie {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::ReadVector,
            3 => Self::WriteVector,
            4 => Self::Receive,
            5 => Self::Send,
            6 => Self::ReceiveMessage,
            7 => Self::SendMessage,
            8 => Self::SendFile,
            9 => Self::Splice,
            16 => Self::Close,
            17 => Self::Accept,
            18 => Self::Connect,
            19 => Self::Duplicate,
            20 => Self::Control,
            _ => Self::Several,
        }
    }
}

/// The process whose system calls count: uprobes also fire in a child that shares the target's memory until it
/// executes another program, and that child's descriptors are not the target's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WatchedProcess {
    /// The device and the inode of the target's pid namespace.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// The target's process id there.
    pub pid: u64,
}

/// The place of the id of the task that a thread runs, and the most that is taken of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sampling {
    /// The place in the kernel's `task_struct` of what `%fs` points to in user space, in bytes from its start.
    pub thread_pointer: u64,
    /// The id stands this many bytes below that address.
    pub below: u64,
    /// 1 where the word before the id says whether there is one: 1 then, and the id is left over otherwise.
    pub tagged: u64,
    /// The most pages that are taken of a stack, the one with the stack pointer not counted.
    pub stack_pages: u64,
    /// 1 where polls are traced: the id is looked at only where their hooks do not say who acts.
    pub traced: u64,
}

/// The layout of an HTTP/2 header block in the target's memory: offsets in bytes from the start of a frame
/// (`h2::frame::headers::Headers`), unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable))]
#[repr(C)]
pub struct Http2Layout {
    /// The stream's id, of 4 bytes.
    pub stream: u16,
    /// The status, of 2 bytes; 0 where there is none.
    pub status: u16,
    /// The tag of the method, of 1 byte.
    pub method: u16,
    /// The path's vtable; 0 where there is no path.
    pub path_vtable: u16,
    /// The address of the path's bytes.
    pub path_pointer: u16,
    /// The number of the path's bytes.
    pub path_length: u16,
    /// The address of the header entries.
    pub entries: u16,
    /// The number of the header entries.
    pub entries_length: u16,
    /// The distance between header entries.
    pub entry_size: u16,
    /// In an entry, from its start: the name's vtable; 0 where the name is one that `http` knows.
    pub name_vtable: u16,
    /// In an entry, from its start: the address of the name's bytes.
    pub name_pointer: u16,
    /// In an entry, from its start: the number of the name's bytes.
    pub name_length: u16,
    /// In an entry, from its start: the address of the value's bytes.
    pub value_pointer: u16,
    /// In an entry, from its start: the number of the value's bytes.
    pub value_length: u16,
    /// In a `store::Ptr`, from its start: the address of the connection's store.
    pub store: u16,
    /// In a `store::Ptr`, from its start: the stream's id, of 4 bytes.
    pub stream_id: u16,
    /// The highest tag of a method; a higher one says that there is none. The two highest are methods
    /// that `http` does not know.
    pub methods: u8,
    /// 0.
    pub zero: [u8; 3],
    /// The lengths that names in the list have: bit 1 for 1 byte, and so on; bit 0 for 32 bytes.
    pub name_lengths: u32,
    /// By tag: the methods, as bytes from the lowest on, padded with 0.
    pub method_names: [u64; 16],
}

/// The names of headers that are looked for in HTTP/2, padded with 0: as long as this, in bytes. No name is
/// longer than [`crate::http::NAME_MAX`].
pub const HTTP2_NAME_PADDED: usize = 2 * crate::http::NAME_MAX;
/// The place in the list of names that stands for `grpc-status`.
pub const HTTP2_GRPC_STATUS: u8 = u8::MAX;

/// The cookie of a hook on an HTTP/2 header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Cookie {
    /// The register with the address of the frame, or of the enum around it: its place in the kernel's
    /// `pt_regs`, in words.
    pub frame: u8,
    /// The register with the address of the `store::Ptr`, numbered alike.
    pub stream: u8,
    /// True if the target sends the block; then the register is that of an enum around the frame.
    pub written: bool,
    /// The frame's place in the enum, in bytes.
    pub offset: u8,
    /// The place of the enum's tag of 1 byte, in bytes.
    pub tag_at: u16,
    /// The tag that says that there is such a frame.
    pub tag: u8,
}

impl Http2Cookie {
    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.frame as u64
            | ((self.stream as u64) << 8)
            | ((self.written as u64) << 16)
            | ((self.offset as u64) << 24)
            | ((self.tag_at as u64) << 32)
            | ((self.tag as u64) << 48)
    }

    /// Unpacks the cookie.
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        Self {
            frame: cookie as u8 & 31,
            stream: (cookie >> 8) as u8 & 31,
            written: (cookie >> 16) & 1 != 0,
            offset: (cookie >> 24) as u8,
            tag_at: (cookie >> 32) as u16,
            tag: (cookie >> 48) as u8,
        }
    }
}
