//! Functions of files without unwind tables, by recursive descent: from starts that are sure, along jumps, and into
//! what direct calls lead to. Code behind a call counts only once the called function is known to return.
//!
//! The slots of vtables that this code loads are starts as well. Cases of jump tables, whose length nothing states, are
//! taken where decoding in order from the code before arrives at them as well. Whatever else is not reached stays undecoded, and so without a hook.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use iced_x86::{
    Code as Opcode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, Register,
};

use super::{
    code::{loaded_address, pointed_to},
    coverage::{DecodedBytes, Mark},
    table::{self, Table},
    values::Values,
};
use crate::{
    addr::ElfAddr,
    image::{
        elf::{Elf, ElfFunction},
        found::FoundCode,
    },
};

/// More instructions than this are not decoded: those of some 300 MB of code.
const INSTRUCTIONS_MAX: usize = 1 << 26;
/// More functions than this are not looked at.
const FUNCTIONS_MAX: usize = 1 << 21;
/// Jumps that leave their function for one that nothing calls are looked for this many times.
const ROUNDS_MAX: usize = 8;

/// The functions that are reached from these starts, and the runs of instructions in them, by address.
#[must_use]
pub fn find(elf: &Elf<'_>, starts: impl IntoIterator<Item = ElfAddr>) -> FoundCode {
    let mut descent = Descent {
        elf,
        coverage: DecodedBytes::new(elf.executable()),
        by_start: BTreeMap::new(),
        functions: Vec::new(),
        work: Vec::new(),
        tables: Vec::new(),
        far: Vec::new(),
        loaded: BTreeSet::new(),
        never_return: elf.never_returning_imports(),
        info: InstructionInfoFactory::new(),
        left: INSTRUCTIONS_MAX,
    };
    for start in starts {
        descent.add(start.0);
    }
    descent.run();
    for _ in 0..ROUNDS_MAX {
        let jumped_to = descent.jumped_to_from_elsewhere();
        if jumped_to.is_empty() {
            break;
        }
        for start in jumped_to {
            descent.add(start);
        }
        descent.run();
    }
    descent.found()
}

/// More slots than these no vtable has.
const SLOTS_MAX: u64 = 64;
/// The greatest alignment of a type in a vtable.
const ALIGNMENT_MAX: u64 = 1 << 12;
/// Compilers start functions at multiples of this.
const FUNCTION_ALIGNMENT: u64 = 16;

/// Code of a function to go on with.
#[derive(Clone)]
struct Work {
    function: usize,
    at: u64,
    /// The stack there, as far as it is known.
    stack: Values,
}

/// Work that waits for a function to return.
#[derive(Clone)]
enum WaitingWork {
    /// The code behind a call of it.
    Code(Work),
    /// That function, which becomes this one by jumping on.
    Caller(usize),
}

struct DescendedFunction {
    start: u64,
    returns: bool,
    waiting: Vec<WaitingWork>,
}

struct Descent<'e, 'data> {
    elf: &'e Elf<'data>,
    coverage: DecodedBytes<'data>,
    by_start: BTreeMap<u64, usize>,
    functions: Vec<DescendedFunction>,
    work: Vec<Work>,
    /// Jumps through tables that were not followed yet.
    tables: Vec<(usize, Table, Values)>,
    /// Jumps that lead to another function, unless other code leads there in the one they stand in.
    far: Vec<Work>,
    /// Addresses that code loads.
    loaded: BTreeSet<ElfAddr>,
    /// The places of pointers to functions of other files that never return.
    never_return: BTreeSet<ElfAddr>,
    info: InstructionInfoFactory,
    left: usize,
}

impl Descent<'_, '_> {
    /// A function starts there; `None` where no code is.
    fn add(&mut self, start: u64) -> Option<usize> {
        if let Some(&known) = self.by_start.get(&start) {
            return Some(known);
        }
        if self.functions.len() >= FUNCTIONS_MAX {
            return None;
        }
        let number = self.functions.len();
        let returns = match self.coverage.mark(start)? {
            Mark::None => false,
            Mark::First => true,
            // Not between two instructions: one of the two ways there is wrong.
            Mark::Inside => return None,
        };
        self.by_start.insert(start, number);
        self.functions.push(DescendedFunction { start, returns, waiting: Vec::new() });
        self.work.push(Work { function: number, at: start, stack: Values::at_entry(0, Some(0)) });
        Some(number)
    }

    fn run(&mut self) {
        loop {
            self.work_off();
            let tables = std::mem::take(&mut self.tables);
            let far = if tables.is_empty() { std::mem::take(&mut self.far) } else { Vec::new() };
            if tables.is_empty() && far.is_empty() {
                return;
            }
            for (function, table, stack) in tables {
                self.cases(function, table, &stack);
            }
            for Work { function, at, .. } in far {
                if self.coverage.mark(at) != Some(Mark::First) || self.owner(at) != Some(function) {
                    self.leave(function, at);
                }
            }
        }
    }

    fn work_off(&mut self) {
        while let Some(work) = self.work.pop() {
            self.straight_on(work);
        }
    }

    /// The function that the code there belongs to.
    fn owner(&self, at: u64) -> Option<usize> {
        self.by_start.range(..=at).next_back().map(|(_, &function)| function)
    }

    fn straight_on(&mut self, Work { mut function, at, mut stack }: Work) {
        // Another function may have been found to start before it meanwhile.
        if let Some(owner) = self.owner(at).filter(|&owner| owner != function) {
            self.returns(function);
            function = owner;
        }
        let Some(bytes) = self.coverage.bytes(at) else { return self.returns(function) };
        let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
        let mut before: VecDeque<Instruction> = VecDeque::new();
        let mut instruction = Instruction::default();
        loop {
            let at = decoder.ip();
            if at != self.functions[function].start
                && let Some(&other) = self.by_start.get(&at)
            {
                return self.becomes(function, other);
            }
            match self.coverage.mark(at) {
                Some(Mark::First) if self.owner(at) == Some(function) => return,
                Some(Mark::None) if decoder.can_decode() && self.left > 0 => {}
                _ => return self.returns(function),
            }
            decoder.decode_out(&mut instruction);
            self.left -= 1;
            if instruction.is_invalid() || !self.coverage.take(at, instruction.len()) {
                return self.returns(function);
            }
            self.vtable(&instruction);
            if !self.goes_on(function, &instruction, &before, &stack) {
                return;
            }
            step(&mut stack, &instruction, &mut self.info);
            if before.len() == table::REACH {
                before.pop_front();
            }
            before.push_back(instruction);
        }
    }

    /// Returns `true` if the instruction behind this one runs after it, as far as is known now.
    fn goes_on(
        &mut self,
        function: usize,
        instruction: &Instruction,
        before: &VecDeque<Instruction>,
        stack: &Values,
    ) -> bool {
        match instruction.flow_control() {
            FlowControl::ConditionalBranch => {
                self.jump(function, instruction, stack);
                true
            }
            FlowControl::UnconditionalBranch => {
                self.jump(function, instruction, stack);
                false
            }
            FlowControl::Return => {
                self.returns(function);
                false
            }
            FlowControl::IndirectBranch | FlowControl::IndirectCall if self.is_end(instruction) => false,
            FlowControl::IndirectBranch => {
                let before: Vec<Instruction> = before.iter().copied().collect();
                match (pointed_to(self.elf, instruction), Table::of(&before, instruction)) {
                    (Some(to), _) => self.leave(function, to.0),
                    (None, Some(table)) => self.tables.push((function, table, stack.clone())),
                    (None, None) => self.returns(function),
                }
                false
            }
            FlowControl::Call if instruction.is_call_near() => {
                self.call(function, Some(instruction.near_branch_target()), instruction, stack)
            }
            FlowControl::IndirectCall => {
                let to = pointed_to(self.elf, instruction).map(|to| to.0);
                self.call(function, to, instruction, stack)
            }
            FlowControl::Exception => false,
            FlowControl::Interrupt => instruction.code() != Opcode::Int3,
            _ => true,
        }
    }

    /// Functions start where the slots of a vtable say whose address is loaded.
    fn vtable(&mut self, instruction: &Instruction) {
        let Some(address) = loaded_address(self.elf, instruction).filter(|address| address.0.is_multiple_of(8)) else {
            return;
        };
        if self.elf.pointer(address.plus(8 * 3)).is_none() || !self.loaded.insert(address) {
            return;
        }
        let code = |slot: u64| {
            let to = self.elf.pointer(address.plus(8 * slot))?;
            self.coverage.mark(to.0).map(|_| to.0)
        };
        let plain = |slot: u64| {
            let at = address.plus(8 * slot);
            self.elf.word(at).filter(|_| !self.elf.holds_address(at))
        };
        // Of a trait: what drops the value, if anything has to, its size and its alignment, and methods. Of a waker:
        // four functions.
        let of_trait = plain(1).is_some()
            && plain(2).is_some_and(|alignment| alignment.is_power_of_two() && alignment <= ALIGNMENT_MAX)
            && (code(0).is_some() || plain(0) == Some(0));
        let slots: Vec<u64> = if of_trait {
            code(0).into_iter().chain((3..SLOTS_MAX).map_while(code)).collect()
        } else {
            (0..4).map_while(code).collect()
        };
        if of_trait || slots.len() == 4 {
            for start in slots {
                self.add(start);
            }
        }
    }

    /// Returns `true` if it goes to another file's function that never returns.
    fn is_end(&self, instruction: &Instruction) -> bool {
        instruction.is_ip_rel_memory_operand()
            && self.never_return.contains(&ElfAddr(instruction.ip_rel_memory_address()))
    }

    fn call(&mut self, function: usize, to: Option<u64>, call: &Instruction, stack: &Values) -> bool {
        let Some(called) = to.and_then(|to| self.add(to)) else { return true };
        if self.functions[called].returns {
            return true;
        }
        let behind = Work { function, at: call.next_ip(), stack: stack.clone() };
        self.functions[called].waiting.push(WaitingWork::Code(behind));
        false
    }

    fn jump(&mut self, function: usize, jump: &Instruction, stack: &Values) {
        let (to, start) = (jump.near_branch_target(), self.functions[function].start);
        let is_own = to >= start && self.owner(to) == Some(function);
        let Some(mark) = self.coverage.mark(to).filter(|_| is_own) else { return self.leave(function, to) };
        // With the stack as at the start, and to where functions begin: the function may be done.
        let may_leave = to > jump.ip() && to.is_multiple_of(FUNCTION_ALIGNMENT) && stack.sp == Some(0);
        let work = Work { function, at: to, stack: stack.clone() };
        match mark {
            Mark::None if may_leave => self.far.push(work),
            _ if to != start => self.work.push(work),
            _ => {}
        }
    }

    /// The function jumps to another.
    fn leave(&mut self, function: usize, to: u64) {
        match self.add(to) {
            Some(next) => self.becomes(function, next),
            None => self.returns(function),
        }
    }

    fn becomes(&mut self, function: usize, next: usize) {
        if self.functions[next].returns {
            self.returns(function);
        } else {
            self.functions[next].waiting.push(WaitingWork::Caller(function));
        }
    }

    fn returns(&mut self, function: usize) {
        let mut returning = vec![function];
        while let Some(function) = returning.pop() {
            let function = &mut self.functions[function];
            function.returns = true;
            for waiting in std::mem::take(&mut function.waiting) {
                match waiting {
                    WaitingWork::Code(behind) => self.work.push(behind),
                    WaitingWork::Caller(caller) => returning.push(caller),
                }
            }
        }
    }

    /// Goes on where a jump table leads.
    fn cases(&mut self, function: usize, table: Table, stack: &Values) {
        let start = self.functions[function].start;
        let next = self.by_start.range(start.saturating_add(1)..).next().map_or(u64::MAX, |(&next, _)| next);
        let is_inside = |case: &ElfAddr| case.0 > start && case.0 < next;
        let mut cases: Vec<u64> = table.targets(self.elf).take_while(is_inside).map(|case| case.0).collect();
        cases.sort_unstable();
        cases.dedup();
        let mut is_whole = !cases.is_empty();
        for case in cases {
            // Another function may have been found to start before it: what lies there is not of this table.
            if self.owner(case) != Some(function) {
                continue;
            }
            if self.coverage.mark(case) == Some(Mark::None) && self.coverage.leads_to(start, case) {
                self.straight_on(Work { function, at: case, stack: stack.clone() });
                self.work_off();
            } else {
                is_whole &= self.coverage.mark(case) == Some(Mark::First);
            }
        }
        if !is_whole {
            self.returns(function);
        }
    }

    /// The targets of jumps that leave their functions, where no function is known to start.
    fn jumped_to_from_elsewhere(&self) -> Vec<u64> {
        let mut found = Vec::new();
        for (start, bytes) in self.coverage.runs().map(|(start, end)| (start, self.coverage.between(start, end))) {
            for instruction in &mut Decoder::with_ip(64, bytes, start, DecoderOptions::NONE) {
                let jumps = matches!(
                    instruction.flow_control(),
                    FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                );
                let to = instruction.near_branch_target();
                if jumps && !self.by_start.contains_key(&to) && self.owner(to) != self.owner(instruction.ip()) {
                    found.push(to);
                }
            }
        }
        found
    }

    fn found(&self) -> FoundCode {
        let mut functions: Vec<ElfFunction> = Vec::new();
        let mut runs = Vec::new();
        let mut starts = self.by_start.keys().copied().peekable();
        for (mut start, end) in self.coverage.runs() {
            while start < end {
                while starts.next_if(|&next| next <= start).is_some_and(|next| next < start) {}
                let stop = starts.peek().copied().map_or(end, |next| next.min(end));
                if self.by_start.contains_key(&start) {
                    functions.push(ElfFunction { start: ElfAddr(start), len: stop - start });
                } else if let Some(last) = functions.last_mut() {
                    last.len = stop - last.start.0;
                }
                runs.push((ElfAddr(start), stop - start));
                start = stop;
            }
        }
        FoundCode { functions, runs }
    }
}

/// Follows the stack pointer, and RBP as far as it is a frame pointer.
fn step(stack: &mut Values, instruction: &Instruction, info: &mut InstructionInfoFactory) {
    let changes = match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pop | Mnemonic::Leave | Mnemonic::Enter => true,
        _ => matches!(instruction.op0_register(), Register::RSP | Register::RBP | Register::EBP | Register::ESP),
    };
    if changes && instruction.flow_control() == FlowControl::Next {
        stack.step(instruction, info);
    }
}
