//! One step: from a frame to its caller's, by a row of the unwind table.

use gimli::{
    CfaRule, EhFrame, Evaluation, EvaluationResult, Expression, Location, Register, RegisterRule, UnwindContext,
    UnwindExpression, Value, X86_64,
};

use super::module::TableSlice;
use super::{Module, Registers};
use asyncscope_trace::event::Ended;

/// An expression of a table is a few operations long.
const OPERATIONS_MAX: u32 = 256;
const ENCODING: gimli::Encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
/// The registers that a caller gets back.
const PRESERVED: [Register; 6] = [X86_64::RBP, X86_64::RBX, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

/// The caller's frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallerFrame {
    pub(super) registers: Registers,
    /// In the caller's code: in the call instruction, or where a signal interrupted it.
    pub(super) address: u64,
}

/// Keeps what steps share.
#[derive(Debug, Default)]
pub(super) struct Stepper {
    context: UnwindContext<usize>,
}

/// The state that a row's rules are applied to.
struct CalleeFrame<'a, R> {
    table: EhFrame<TableSlice<'a>>,
    registers: Registers,
    read: R,
}

impl Stepper {
    pub(super) fn step<E>(
        &mut self,
        module: &Module,
        address: u64,
        registers: Registers,
        read: &mut impl FnMut(u64) -> Result<u64, E>,
    ) -> Result<CallerFrame, Ended> {
        let (table, bases, fde) = module.entry(address).ok_or(Ended::NotUnderstood)?;
        if address.wrapping_sub(fde.initial_address()) >= fde.len() {
            return Err(Ended::NoTable);
        }
        let row = fde.unwind_info_for_address(&table, &bases, &mut self.context, address);
        let row = row.map_err(|_| Ended::NotUnderstood)?;
        let mut frame = CalleeFrame { table, registers, read };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                registers.get(*register).ok_or(Ended::NotUnderstood)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => frame.evaluate(*expression, None)?,
        };
        let caller = frame.caller(cfa, |register| row.register(register))?;
        let at = caller.ip.wrapping_sub(u64::from(!fde.is_signal_trampoline()));
        Ok(CallerFrame { registers: caller, address: at })
    }
}

impl<R: FnMut(u64) -> Result<u64, E>, E> CalleeFrame<'_, R> {
    fn caller(&mut self, cfa: u64, rule: impl Fn(Register) -> Option<RegisterRule<usize>>) -> Result<Registers, Ended> {
        // The first function of a thread says so by having no return address.
        let Some(of_return) = rule(X86_64::RA).filter(|rule| *rule != RegisterRule::Undefined) else {
            return Err(Ended::Thread);
        };
        let ip = self.apply(X86_64::RA, Some(of_return), cfa)?;
        if ip == 0 {
            return Err(Ended::Thread);
        }
        // A stack that does not shrink would never end. A signal may run on a stack of its own, whose end no
        // table says.
        if cfa <= self.registers.sp {
            return Err(Ended::NotUnderstood);
        }
        let mut kept = [0; PRESERVED.len()];
        for (to, register) in kept.iter_mut().zip(PRESERVED) {
            *to = self.apply(register, rule(register), cfa)?;
        }
        let [bp, bx, r @ ..] = kept;
        Ok(Registers { ip, sp: cfa, bp, bx, r })
    }

    fn apply(&mut self, register: Register, rule: Option<RegisterRule<usize>>, cfa: u64) -> Result<u64, Ended> {
        let own = |register| self.registers.get(register).ok_or(Ended::NotUnderstood);
        match rule {
            None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => own(register),
            Some(RegisterRule::Register(other)) => own(other),
            Some(RegisterRule::Offset(offset)) => self.read(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Ok(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Expression(expression)) => {
                let place = self.evaluate(expression, Some(cfa))?;
                self.read(place)
            }
            Some(RegisterRule::ValExpression(expression)) => self.evaluate(expression, Some(cfa)),
            Some(_) => Err(Ended::NotUnderstood),
        }
    }

    fn read(&mut self, address: u64) -> Result<u64, Ended> {
        (self.read)(address).map_err(|_| Ended::Cut)
    }

    /// As linkers' stubs for other libraries' functions have it.
    fn evaluate(&mut self, expression: UnwindExpression<usize>, initial: Option<u64>) -> Result<u64, Ended> {
        let expression: Expression<TableSlice<'_>> = expression.get(&self.table).map_err(|_| Ended::NotUnderstood)?;
        let mut evaluation: Evaluation<TableSlice<'_>> = expression.evaluation(ENCODING);
        evaluation.set_max_iterations(OPERATIONS_MAX);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate();
        loop {
            result = match result.map_err(|_| Ended::NotUnderstood)? {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.registers.get(register).ok_or(Ended::NotUnderstood)?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    let value = self.read(address)?;
                    evaluation.resume_with_memory(Value::Generic(value))
                }
                _ => return Err(Ended::NotUnderstood),
            };
        }
        match evaluation.result()[..] {
            [gimli::Piece { location: Location::Address { address }, .. }] => Ok(address),
            _ => Err(Ended::NotUnderstood),
        }
    }
}
