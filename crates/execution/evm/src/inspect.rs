//! Watching execution: the same block executor and the same handler, with an inspector of revm's
//! that sees every call, instruction and log.
//!
//! A transaction that is inspected gives, beside its result, the accounts and slots that it used
//! as they were before it and as it left them. The block's own calls before the first and after
//! the last transaction are not shown, as in the reference client.

use alloc::boxed::Box;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, map::AddressMap};
use opal_protocol::TxEnvelope;
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::result::{
    ExecResultAndState, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState, ResultGas,
};
use revm::context::{BlockEnv, FrameStack, TxEnv};
use revm::context_interface::CreateScheme;
use revm::handler::evm::{ContextDbError, FrameInitResult};
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, EvmTr, FrameInitOrResult, FrameResult};
use revm::inspector::handler::{frame_end, frame_start};
use revm::inspector::{Inspector, InspectorEvmTr};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{
    CallInput, CallInputs, CallOutcome, CallScheme, CallValue, CreateInputs, CreateOutcome,
    FrameInput, Gas, InstructionResult, InterpreterResult,
};
use revm::state::{AccountInfo, EvmState, TransactionId};

use crate::call::{self, CallBlock, CallError, CallRequest};
use crate::executor::BlockExecutor;
use crate::handler::{self, L2Tx, OpalContext, OpalEvm};
use crate::precompiles::OpalPrecompiles;
use crate::{State, StateError, TxError};

/// An inspected transaction or call.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The result, and the accounts and slots that were used, as the transaction left them. The
    /// gas is that of the receipt; `original_value` of a slot is its value before the transaction.
    pub outcome: ResultAndState,
    /// The state before it.
    pub before: StateBefore,
    /// The transaction as the EVM took it.
    pub tx: TxEnv,
}

/// The state before a transaction: what earlier ones of the block changed, over the parent's.
#[derive(Clone, Debug)]
pub struct StateBefore {
    accounts: AddressMap<AccountInfo>,
    state: State,
}

impl DatabaseRef for StateBefore {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        match self.accounts.get(&address) {
            Some(info) => Ok((!info.is_empty()).then(|| info.clone())),
            None => self.state.info(&address),
        }
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StateError> {
        let known = self.accounts.values().find(|info| info.code_hash == hash);
        match known.and_then(|info| info.code.clone()) {
            Some(code) => Ok(code),
            None => self.state.code_by_hash_ref(hash),
        }
    }

    /// Of slots that the transaction used, [`Inspected::outcome`] has the value before.
    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.state.storage(&address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash_ref(number)
    }
}

impl<'a> BlockExecutor<'a> {
    /// Like [`BlockExecutor::transact`], watched by `inspector`. An invalid deposit, which runs no
    /// code, is shown as a call that fails at once.
    ///
    /// # Errors
    /// As [`BlockExecutor::transact`]; and an inspector that stops the execution with an error of
    /// the context makes it fatal.
    pub fn inspect<I: Inspector<OpalContext<'a>>>(
        &mut self,
        tx: &TxEnvelope,
        sender: Address,
        inspector: &mut I,
    ) -> Result<Inspected, TxError> {
        let first = self.evm().ctx.journaled_state.inner.transaction_id;
        let mut seen = None;
        let outcome = self.apply(tx, sender, |evm, env, l2| {
            let result = handler::inspect(evm, env.clone(), l2, inspector)?;
            seen = Some((result.clone(), env));
            Ok(result)
        })?;
        let (result, tx) =
            seen.ok_or_else(|| TxError::Evm("the transaction did not run".into()))?;
        Ok(collect(&self.evm().ctx, with_gas(result, outcome.gas_used), tx, first))
    }

    /// The block as the EVM sees it.
    pub fn block_env(&self) -> &BlockEnv {
        &self.evm().ctx.block
    }

    /// Accounts that the block has used so far, with their slots.
    pub fn used(&self) -> impl Iterator<Item = (Address, impl Iterator<Item = U256>)> {
        let accounts = self.evm().ctx.journaled_state.inner.state.iter();
        accounts.map(|(address, account)| (*address, account.storage.keys().copied()))
    }

    /// The state after the transactions so far, hashed. The calls that end the block have not been
    /// made.
    ///
    /// # Errors
    /// When a trie node is missing.
    pub fn state_so_far(&self) -> Result<State, StateError> {
        let journal = &self.evm().ctx.journaled_state;
        journal.database.state.apply(journal.inner.state.clone())
    }
}

impl<'a> CallBlock<'a> {
    /// Like [`CallBlock::call`], watched by `inspector`, which has to stop it if need be; with the
    /// block as the EVM saw it.
    ///
    /// # Errors
    /// As [`CallBlock::call`].
    pub fn inspect<I: Inspector<OpalContext<'a>>>(
        &self,
        request: &CallRequest,
        inspector: &mut I,
    ) -> Result<(Inspected, BlockEnv), CallError> {
        let Self { spec, header, blob_base_fee, state, hashes, .. } = *self;
        let (mut evm, tx) =
            call::prepare(spec, header, blob_base_fee, state, hashes, request, None)?;
        let first = evm.ctx.journaled_state.inner.transaction_id;
        let result = handler::inspect(&mut evm, tx.clone(), L2Tx::Call, inspector)?;
        Ok((collect(&evm.ctx, result, tx, first), evm.ctx.block))
    }
}

/// The result with the gas that the receipt shows, which differs for deposits before Regolith.
fn with_gas(mut result: ExecutionResult<HaltReason>, gas_used: u64) -> ExecutionResult<HaltReason> {
    let (ExecutionResult::Success { gas, .. }
    | ExecutionResult::Revert { gas, .. }
    | ExecutionResult::Halt { gas, .. }) = &mut result;
    if gas.tx_gas_used() != gas_used {
        *gas = ResultGas::default().with_total_gas_spent(gas_used);
    }
    result
}

/// Cuts what the transactions since `first` used out of the journal, which spans the block.
fn collect(
    context: &OpalContext<'_>,
    result: ExecutionResult<HaltReason>,
    tx: TxEnv,
    first: TransactionId,
) -> Inspected {
    let journal = &context.journaled_state;
    let mut changes = EvmState::default();
    let mut accounts = AddressMap::default();
    for (address, account) in &journal.inner.state {
        if account.transaction_id < first {
            continue;
        }
        accounts.insert(*address, account.original_info());
        let slots = account.storage.iter();
        let mut own = revm::state::Account::from(account.original_info())
            .with_info(account.info.clone())
            .with_storage(
                slots
                    .filter(|(_, slot)| slot.transaction_id >= first)
                    .map(|(key, slot)| (*key, slot.clone())),
            );
        own.transaction_id = account.transaction_id;
        own.status = account.status;
        // The journal's global flags tell of the block, the local ones of the transaction.
        if !account.is_created_locally() {
            own.unmark_created();
        }
        if !account.is_selfdestructed_locally() {
            own.unmark_selfdestruct();
        }
        changes.insert(*address, own);
    }
    Inspected {
        outcome: ExecResultAndState::new(result, changes),
        before: StateBefore { accounts, state: journal.database.state.clone() },
        tx,
    }
}

/// The EVM with an inspector beside it, for the time of one transaction.
pub(crate) struct InspectedEvm<'e, 'a, I> {
    pub(crate) evm: &'e mut OpalEvm<'a>,
    pub(crate) inspector: &'e mut I,
}

type Instructions<'a> = EthInstructions<EthInterpreter, OpalContext<'a>>;
type Frame = EthFrame<EthInterpreter>;

impl<'a, I> EvmTr for InspectedEvm<'_, 'a, I> {
    type Context = OpalContext<'a>;
    type Instructions = Instructions<'a>;
    type Precompiles = OpalPrecompiles;
    type Frame = Frame;

    fn all(&self) -> (&OpalContext<'a>, &Instructions<'a>, &OpalPrecompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut OpalContext<'a>, &mut Instructions<'a>, &mut OpalPrecompiles, &mut FrameStack<Frame>)
    {
        self.evm.all_mut()
    }

    fn frame_init(
        &mut self,
        input: FrameInit,
    ) -> Result<FrameInitResult<'_, Frame>, ContextDbError<OpalContext<'a>>> {
        self.evm.frame_init(input)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<OpalContext<'a>>> {
        self.evm.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<OpalContext<'a>>> {
        self.evm.frame_return_result(result)
    }
}

impl<'a, I: Inspector<OpalContext<'a>>> InspectorEvmTr for InspectedEvm<'_, 'a, I> {
    type Inspector = I;

    fn all_inspector(
        &self,
    ) -> (&OpalContext<'a>, &Instructions<'a>, &OpalPrecompiles, &FrameStack<Frame>, &I) {
        let (context, instructions, precompiles, frames) = self.evm.all();
        (context, instructions, precompiles, frames, self.inspector)
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut OpalContext<'a>,
        &mut Instructions<'a>,
        &mut OpalPrecompiles,
        &mut FrameStack<Frame>,
        &mut I,
    ) {
        let (context, instructions, precompiles, frames) = self.evm.all_mut();
        (context, instructions, precompiles, frames, self.inspector)
    }
}

/// Shows the inspector a deposit that was refused before it could run: a call or creation that
/// fails with all its gas. The journal is rolled back after this.
pub(crate) fn show_invalid_deposit<'a, I: Inspector<OpalContext<'a>>>(
    evm: &mut InspectedEvm<'_, 'a, I>,
    error: &InvalidTransaction,
) {
    let result = match error {
        InvalidTransaction::LackOfFundForMaxFee { .. } => InstructionResult::OutOfFunds,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => InstructionResult::OutOfGas,
        _ => InstructionResult::Revert,
    };
    let (context, inspector) = (&mut evm.evm.ctx, &mut *evm.inspector);
    let tx = &context.tx;
    let mut gas = Gas::new(tx.gas_limit);
    gas.spend_all();
    let result = InterpreterResult { result, output: Bytes::new(), gas };
    let (mut input, mut output) = match tx.kind {
        TxKind::Call(to) => (
            FrameInput::Call(Box::new(CallInputs {
                input: CallInput::Bytes(tx.data.clone()),
                return_memory_offset: 0..0,
                gas_limit: tx.gas_limit,
                reservoir: 0,
                bytecode_address: to,
                known_bytecode: Default::default(),
                target_address: to,
                caller: tx.caller,
                value: CallValue::Transfer(tx.value),
                scheme: CallScheme::Call,
                is_static: false,
                charged_new_account_state_gas: false,
            })),
            FrameResult::Call(CallOutcome::new(result, 0..0)),
        ),
        TxKind::Create => {
            let (caller, value) = (tx.caller, tx.value);
            let (code, gas) = (tx.data.clone(), tx.gas_limit);
            (
                FrameInput::Create(Box::new(CreateInputs::new(
                    caller,
                    CreateScheme::Create,
                    value,
                    code,
                    gas,
                    0,
                ))),
                FrameResult::Create(CreateOutcome::new(result, None)),
            )
        }
    };
    // An inspector may answer a call itself; there is nothing left here that the answer could
    // stand for.
    let _ = frame_start(context, inspector, &mut input);
    frame_end(context, inspector, &input, &mut output);
}
