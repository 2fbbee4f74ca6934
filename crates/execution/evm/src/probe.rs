//! What a simulation wants to know of the code it runs, and how it stops code that runs too long.
//!
//! Blocks run without any of this: their instruction table has no probes, and the loop over frames
//! looks at one flag.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::bytecode::opcode;
use revm::context::{ContextTr, Host, JournalTr};
use revm::context_interface::context::ContextError;
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, EvmTr, FrameData, FrameResult, ItemOrResult};
use revm::interpreter::instructions::{block_info, control, host};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::{FrameInit, FrameInput};
use revm::interpreter::interpreter_types::InputsTr;
use revm::interpreter::{
    CallScheme, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
};
use revm::primitives::hardfork::SpecId;

use crate::handler::{EvmError, OpalContext};

/// Where logs of plain value transfers seem to come from (ERC-7528).
pub const TRANSFER_LOG_ADDRESS: Address = address!("EeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE");

/// `Transfer(address,address,uint256)`.
const TRANSFER_TOPIC: B256 =
    b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Instructions of the counted kinds between two looks at the stop signal.
const STOP_INTERVAL: u32 = 1_024;

/// Asked now and then while code runs; `true` ends it.
pub type Stop<'a> = &'a dyn Fn() -> bool;

/// What to watch while code runs.
#[derive(Default)]
pub struct Probe<'a> {
    pub(crate) stop: Option<Stop<'a>>,
    ticks: u32,
    /// Whether the stop signal ended the run.
    pub(crate) stopped: bool,
    /// Collects what an access list would hold.
    pub(crate) accesses: Option<Accesses>,
    /// Writes a log for each transfer of value.
    pub(crate) transfers: bool,
    /// What the BASEFEE instruction gives, where gas is free whatever the base fee is.
    pub(crate) base_fee: Option<u64>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(stop: Option<Stop<'a>>) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Whether the run must end now.
    fn tick(&mut self) -> bool {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(STOP_INTERVAL) && self.stop.is_some_and(|stop| stop()) {
            self.stopped = true;
        }
        self.stopped
    }
}

/// Addresses and slots that code touched (EIP-2930).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accesses {
    /// Warm anyway: listed only for the sake of their slots.
    warm: AddressSet,
    addresses: BTreeSet<Address>,
    slots: BTreeSet<(Address, U256)>,
}

impl Accesses {
    /// Begins with what a list holds already.
    pub(crate) fn new(warm: AddressSet, list: &AccessList) -> Self {
        let mut this = Self { warm, ..Self::default() };
        for item in &list.0 {
            this.address(item.address);
            let slots = item.storage_keys.iter();
            this.slots.extend(slots.map(|slot| (item.address, U256::from_be_bytes(slot.0))));
        }
        this
    }

    fn address(&mut self, address: Address) {
        if !self.warm.contains(&address) {
            self.addresses.insert(address);
        }
    }

    /// The list, sorted.
    pub(crate) fn list(&self) -> AccessList {
        let with_slots = self.slots.iter().map(|(address, _)| *address);
        let addresses: BTreeSet<Address> =
            self.addresses.iter().copied().chain(with_slots).collect();
        let item = |address: Address| {
            let slots = self.slots.range((address, U256::ZERO)..=(address, U256::MAX));
            let storage_keys: Vec<B256> = slots.map(|(_, slot)| B256::from(*slot)).collect();
            AccessListItem { address, storage_keys }
        };
        AccessList(addresses.into_iter().map(item).collect())
    }
}

type Ctx<'c, 'a> = InstructionContext<'c, OpalContext<'a>, EthInterpreter>;

type Function<'a> = fn(Ctx<'_, 'a>) -> InstructionExecResult;

fn probe<'c, 'a>(host: &'c mut OpalContext<'a>) -> Option<&'c mut Probe<'a>> {
    host.journaled_state.database.probe.as_mut()
}

/// The instructions of a fork that report to the probe.
pub(crate) fn instructions<'a>(spec: SpecId) -> EthInstructions<EthInterpreter, OpalContext<'a>> {
    let mut table = EthInstructions::new_mainnet_with_spec(spec);
    let probes: [(u8, Function<'a>); 9] = [
        // Code can't loop without one of these.
        (opcode::JUMPDEST, jumpdest),
        (opcode::BASEFEE, basefee),
        (opcode::BALANCE, balance),
        (opcode::EXTCODESIZE, extcodesize),
        (opcode::EXTCODECOPY, extcodecopy),
        (opcode::EXTCODEHASH, extcodehash),
        (opcode::SLOAD, sload),
        (opcode::SSTORE, sstore),
        (opcode::SELFDESTRUCT, selfdestruct),
    ];
    for (opcode, function) in probes {
        let gas = table.gas_table()[usize::from(opcode)];
        table.insert_instruction(opcode, Instruction::new(function), gas);
    }
    table
}

fn jumpdest(ctx: Ctx<'_, '_>) -> InstructionExecResult {
    if probe(ctx.host).is_some_and(Probe::tick) {
        ctx.host.error = Err(ContextError::Custom("stopped".into()));
        return Err(InstructionResult::FatalExternalError);
    }
    control::jumpdest(ctx)
}

fn basefee(ctx: Ctx<'_, '_>) -> InstructionExecResult {
    let Some(base_fee) = probe(ctx.host).and_then(|probe| probe.base_fee) else {
        return block_info::basefee(ctx);
    };
    match ctx.interpreter.stack.push(U256::from(base_fee)) {
        true => Ok(()),
        false => Err(InstructionResult::StackOverflow),
    }
}

/// Notes the address on top of the stack.
fn note_address(ctx: &mut Ctx<'_, '_>) {
    if let Some(accesses) = probe(ctx.host).and_then(|probe| probe.accesses.as_mut())
        && let Ok(word) = ctx.interpreter.stack.peek(0)
    {
        accesses.address(Address::from_word(word.into()));
    }
}

/// Notes the slot on top of the stack.
fn note_slot(ctx: &mut Ctx<'_, '_>) {
    let address = ctx.interpreter.input.target_address();
    if let Some(accesses) = probe(ctx.host).and_then(|probe| probe.accesses.as_mut())
        && let Ok(slot) = ctx.interpreter.stack.peek(0)
    {
        accesses.slots.insert((address, slot));
    }
}

fn balance(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_address(&mut ctx);
    host::balance(ctx)
}

fn extcodesize(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_address(&mut ctx);
    host::extcodesize(ctx)
}

fn extcodecopy(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_address(&mut ctx);
    host::extcodecopy(ctx)
}

fn extcodehash(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_address(&mut ctx);
    host::extcodehash(ctx)
}

fn sload(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_slot(&mut ctx);
    host::sload(ctx)
}

fn sstore(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_slot(&mut ctx);
    host::sstore(ctx)
}

fn selfdestruct(mut ctx: Ctx<'_, '_>) -> InstructionExecResult {
    note_address(&mut ctx);
    if probe(ctx.host).is_some_and(|probe| probe.transfers)
        && let Ok(word) = ctx.interpreter.stack.peek(0)
    {
        let from = ctx.interpreter.input.target_address();
        let value = ctx.host.balance(from).map(|load| load.data).unwrap_or_default();
        log_transfer(ctx.host, from, Address::from_word(word.into()), value);
    }
    host::selfdestruct(ctx)
}

/// The journal takes the log back when the frame it belongs to fails.
fn log_transfer(context: &mut OpalContext<'_>, from: Address, to: Address, value: U256) {
    if value.is_zero() {
        return;
    }
    let topics = alloc::vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
    let data = LogData::new_unchecked(topics, B256::from(value).into());
    context.journal_mut().log(Log { address: TRANSFER_LOG_ADDRESS, data });
}

/// Runs frames until the first one returns, as revm's own loop does, and reports to the probe.
pub(crate) fn run_frames<'a, E>(evm: &mut E, first: FrameInit) -> Result<FrameResult, EvmError>
where
    E: EvmTr<Context = OpalContext<'a>, Frame = EthFrame<EthInterpreter>>,
{
    if let ItemOrResult::Result(result) = begin_frame(evm, first, true)? {
        return Ok(result);
    }
    loop {
        let result = match evm.frame_run()? {
            ItemOrResult::Item(frame) => match begin_frame(evm, frame, false)? {
                ItemOrResult::Item(()) => continue,
                // No frame was pushed, so none is popped.
                ItemOrResult::Result(result) => result,
            },
            ItemOrResult::Result(result) => result,
        };
        if let Some(result) = evm.frame_return_result(result)? {
            return Ok(result);
        }
    }
}

fn begin_frame<'a, E>(
    evm: &mut E,
    frame: FrameInit,
    is_first: bool,
) -> Result<ItemOrResult<(), FrameResult>, EvmError>
where
    E: EvmTr<Context = OpalContext<'a>, Frame = EthFrame<EthInterpreter>>,
{
    let Some(probe) = probe(evm.ctx()) else {
        return Ok(evm.frame_init(frame)?.map_item(|_| ()));
    };
    if probe.tick() {
        return Err(EvmError::Custom("stopped".into()));
    }
    if let (Some(accesses), FrameInput::Call(call)) = (&mut probe.accesses, &frame.frame_input)
        && !is_first
    {
        accesses.address(call.bytecode_address);
    }
    let transfer = probe.transfers.then(|| Transfer::of(&frame.frame_input)).flatten();
    let begun = evm.frame_init(frame)?.map_item(|frame| match &frame.data {
        FrameData::Create(create) => Some(create.created_address),
        FrameData::Call(_) => None,
    });
    if let Some(transfer) = transfer {
        let to = match &begun {
            ItemOrResult::Item(created) => transfer.to.or(*created),
            ItemOrResult::Result(FrameResult::Call(call)) => {
                transfer.to.filter(|_| call.result.is_ok())
            }
            ItemOrResult::Result(FrameResult::Create(create)) => create.address,
        };
        if let Some(to) = to {
            log_transfer(evm.ctx(), transfer.from, to, transfer.value);
        }
    }
    Ok(begun.map_item(|_| ()))
}

/// Value that a frame brings along.
struct Transfer {
    from: Address,
    /// `None` for a contract that is about to be created.
    to: Option<Address>,
    value: U256,
}

impl Transfer {
    fn of(input: &FrameInput) -> Option<Self> {
        match input {
            FrameInput::Call(call) if matches!(call.scheme, CallScheme::Call) => Some(Self {
                from: call.caller,
                to: Some(call.target_address),
                value: call.value.get(),
            }),
            FrameInput::Create(create) => {
                Some(Self { from: create.caller(), to: None, value: create.value() })
            }
            _ => None,
        }
    }
}
