//! Bounds on what a tracer may record and how long it may run. A struct log with stack and memory
//! of every step would otherwise take more memory than any machine has.

use std::time::Duration;

use alloy_primitives::{Address, Log, U256};
use jsonrpsee::types::ErrorObjectOwned;
use opal_evm::EvmContext;
use revm::Inspector;
use revm::bytecode::opcode;
use revm::context_interface::context::ContextError;
use revm::interpreter::interpreter_types::{Jumps, LoopControl, MemoryTr, ReturnData};
use revm::interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter};

use crate::rpc::error;
use crate::rpc::gate::Deadline;

/// What a call frame takes beside its input.
const FRAME_BYTES: usize = 1_024;
/// What a step of the struct log takes beside stack, memory and storage.
const STEP_BYTES: usize = 384;
/// What a word of the stack takes in the log and in JSON.
const WORD_BYTES: usize = 64;
/// What a slot takes in each copy of a contract's storage.
const SLOT_BYTES: usize = 160;
/// Steps between two looks at the clock.
const CLOCK_INTERVAL: u32 = 256;

/// What one request may record, over all its transactions, and until when.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    max: usize,
    deadline: Deadline,
    spent: Option<Spent>,
}

#[derive(Clone, Copy, Debug)]
enum Spent {
    Bytes,
    Time,
}

impl Budget {
    pub fn new(max: usize, timeout: Duration) -> Self {
        Self { left: max, max, deadline: Deadline::new(timeout), spent: None }
    }

    /// Bytes that may still be recorded.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Sets bytes aside.
    pub fn take(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.spent = Some(Spent::Bytes),
        }
    }

    fn look_at_clock(&mut self) {
        if self.deadline.passed() {
            self.spent = Some(Spent::Time);
        }
    }

    /// Why the request can't go on, if it can't.
    pub fn error(&self) -> Option<ErrorObjectOwned> {
        Some(match self.spent? {
            Spent::Bytes => error::limit_exceeded(format!(
                "trace exceeds {} bytes; ask for less (disableStack, disableStorage, no \
                 enableMemory, limit), for a single transaction, or for another tracer",
                self.max
            )),
            Spent::Time => self.deadline.error(),
        })
    }

    /// Fails once bytes or time are spent.
    pub fn check(&mut self) -> Result<(), ErrorObjectOwned> {
        self.look_at_clock();
        self.error().map_or(Ok(()), Err)
    }
}

/// What a tracer keeps of each step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recorded {
    pub steps: bool,
    pub stack: bool,
    pub memory: bool,
    pub storage: bool,
    pub return_data: bool,
    /// Steps after these are not kept.
    pub most_steps: Option<u64>,
}

/// A tracer within a budget: when it is spent, the execution stops.
#[derive(Debug)]
pub(super) struct Limited<'b, I> {
    pub tracer: &'b mut I,
    pub recorded: Recorded,
    pub budget: &'b mut Budget,
    ticks: u32,
    steps: u64,
    slots: usize,
}

impl<'b, I> Limited<'b, I> {
    pub const fn new(tracer: &'b mut I, recorded: Recorded, budget: &'b mut Budget) -> Self {
        Self { tracer, recorded, budget, ticks: 0, steps: 0, slots: 0 }
    }

    fn pay_for_step(&mut self, interp: &Interpreter) {
        let Recorded { stack, memory, storage, return_data, most_steps, .. } = self.recorded;
        if most_steps.is_some_and(|most| self.steps >= most) {
            return;
        }
        self.steps += 1;
        let mut bytes = STEP_BYTES;
        if stack {
            bytes += interp.stack.len() * WORD_BYTES;
        }
        if memory {
            // The bytes, and in JSON two digits for each.
            bytes += interp.memory.size() * 3;
        }
        if storage && matches!(interp.bytecode.opcode(), opcode::SLOAD | opcode::SSTORE) {
            self.slots += 1;
            bytes += self.slots * SLOT_BYTES;
        }
        if return_data {
            bytes += interp.return_data.buffer().len() * 2;
        }
        self.budget.take(bytes);
    }
}

impl<'a, I: Inspector<EvmContext<'a>>> Inspector<EvmContext<'a>> for Limited<'_, I> {
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut EvmContext<'a>) {
        self.tracer.initialize_interp(interp, context);
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut EvmContext<'a>) {
        if self.recorded.steps {
            self.pay_for_step(interp);
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(CLOCK_INTERVAL) {
            self.budget.look_at_clock();
        }
        if self.budget.spent.is_none() {
            return self.tracer.step(interp, context);
        }
        context.error = Err(ContextError::Custom("trace stopped".into()));
        interp.bytecode.action().take();
        interp.bytecode.reset_action();
        interp.halt_fatal();
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut EvmContext<'a>) {
        self.tracer.step_end(interp, context);
    }

    fn log(&mut self, context: &mut EvmContext<'a>, log: Log) {
        self.budget.take(FRAME_BYTES + 2 * log.data.data.len());
        self.tracer.log(context, log);
    }

    fn log_full(&mut self, interp: &mut Interpreter, context: &mut EvmContext<'a>, log: Log) {
        self.budget.take(FRAME_BYTES + 2 * log.data.data.len());
        self.tracer.log_full(interp, context, log);
    }

    fn call(
        &mut self,
        context: &mut EvmContext<'a>,
        inputs: &mut CallInputs,
    ) -> Option<CallOutcome> {
        self.budget.take(FRAME_BYTES + 3 * inputs.input.len());
        self.tracer.call(context, inputs)
    }

    fn call_end(
        &mut self,
        context: &mut EvmContext<'a>,
        inputs: &CallInputs,
        outcome: &mut CallOutcome,
    ) {
        self.budget.take(2 * outcome.result.output.len());
        self.tracer.call_end(context, inputs, outcome);
    }

    fn create(
        &mut self,
        context: &mut EvmContext<'a>,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        self.budget.take(FRAME_BYTES + 3 * inputs.init_code().len());
        self.tracer.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut EvmContext<'a>,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.budget.take(2 * outcome.result.output.len());
        self.tracer.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        Inspector::<EvmContext<'a>>::selfdestruct(self.tracer, contract, target, value);
    }
}
