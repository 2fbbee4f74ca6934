//! How a transaction is validated, charged and paid for: the OP Stack's rules as a handler on
//! revm, beside Ethereum's own.
//!
//! A deposit was paid for on L1. It buys no gas, checks no nonce, and cannot be left out: if it is
//! invalid, or if its execution fails, its mint and a higher nonce remain. Spec: `deposits.md`,
//! "Execution"; `exec-engine.md`, "Fees"; `isthmus/exec-engine.md`, "Operator Fee".

use core::marker::PhantomData;

use alloc::boxed::Box;
use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, U256};
use opal_protocol::Hardfork;
use opal_protocol::predeploys::{BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::context::journaled_state::account::JournaledAccountTr;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultGas};
use revm::context::{
    Block, BlockEnv, Cfg, CfgEnv, Context, ContextTr, Evm, Journal, JournalTr, LocalContextTr,
    Transaction, TxEnv,
};
use revm::handler::instructions::EthInstructions;
use revm::handler::pre_execution::{
    calculate_caller_fee, validate_account_nonce_and_code_with_components,
};
use revm::handler::{EthFrame, EvmTr, FrameResult, Handler, post_execution, validation};
use revm::inspector::{Inspector, InspectorHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{GasTracker, InitialAndFloorGas};
use revm::state::AccountInfo;

use crate::executor::BlockHashes;
use crate::inspect::{InspectedEvm, show_invalid_deposit};
use crate::l1_fee::{DataSize, L1FeeParams};
use crate::precompiles::{OpalPrecompiles, precompiles};
use crate::probe::{self, Probe};
use crate::reads::Reads;
use crate::{Account, State, StateError};

/// What the EVM reads from: a snapshot and the hashes of ancestor blocks.
pub struct BlockDb<'a> {
    pub(crate) state: State,
    pub(crate) reads: Reads,
    pub(crate) hashes: BlockHashes<'a>,
    /// What a simulation watches; `None` in blocks.
    pub(crate) probe: Option<Probe<'a>>,
}

impl<'a> BlockDb<'a> {
    /// Nothing was read yet.
    pub(crate) fn new(state: State, hashes: BlockHashes<'a>) -> Self {
        Self { state, reads: Reads::default(), hashes, probe: None }
    }
}

impl Database for BlockDb<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.reads.account(&self.state, &address)?.account.as_ref().map(Account::info))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        revm::DatabaseRef::code_by_hash_ref(&self.state, code_hash)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, StateError> {
        self.reads.storage(&self.state, &address, index)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        (self.hashes)(number).ok_or(StateError::MissingBlockHash(number))
    }
}

/// What the rules of a layer need beside revm's own context.
pub enum Layer {
    L1,
    L2(Box<L2Context>),
}

/// An OP chain's part of the context.
pub struct L2Context {
    pub(crate) fork: Hardfork,
    /// Read from state when the first user transaction of the block arrives.
    pub(crate) fees: Option<L1FeeParams>,
    /// What is special about the transaction in hand.
    pub(crate) tx: L2Tx,
    /// Its L1 fee, once validated.
    l1_cost: U256,
}

/// What an OP chain knows of a transaction beyond Ethereum's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum L2Tx {
    /// A deposit: paid for on L1.
    Deposit { mint: u128, is_system: bool },
    /// A user's transaction, which pays for its size on L1.
    User(DataSize),
    /// A simulation, which pays for its gas at most.
    Call,
}

/// The context that inspectors see: revm's, over a block's state.
pub type OpalContext<'a> =
    Context<BlockEnv, TxEnv, CfgEnv, BlockDb<'a>, Journal<BlockDb<'a>>, Layer>;
pub(crate) type OpalEvm<'a> = Evm<
    OpalContext<'a>,
    (),
    EthInstructions<EthInterpreter, OpalContext<'a>>,
    OpalPrecompiles,
    EthFrame<EthInterpreter>,
>;
pub(crate) type EvmError = EVMError<StateError>;
pub(crate) type EvmResult = Result<ExecutionResult<HaltReason>, EvmError>;

/// An EVM for one block.
pub(crate) fn new_evm<'a>(
    db: BlockDb<'a>,
    block: BlockEnv,
    cfg: CfgEnv,
    fork: Option<Hardfork>,
) -> OpalEvm<'a> {
    let spec = *cfg.spec();
    let instructions = match &db.probe {
        None => EthInstructions::new_mainnet_with_spec(spec),
        Some(_) => probe::instructions(spec),
    };
    let layer = match fork {
        None => Layer::L1,
        Some(fork) => {
            Layer::L2(Box::new(L2Context { fork, fees: None, tx: L2Tx::Call, l1_cost: U256::ZERO }))
        }
    };
    let context = Context::<BlockEnv, TxEnv, CfgEnv, BlockDb<'a>, _, ()>::new(db, spec)
        .with_block(block)
        .with_cfg(cfg)
        .with_chain(layer);
    Evm::new(context, instructions, precompiles(fork, spec))
}

/// Runs one transaction; its changes stay in the journal. After an error the journal is as before,
/// except that an invalid deposit is not an error.
pub(crate) fn run(evm: &mut OpalEvm<'_>, tx: TxEnv, l2: L2Tx) -> EvmResult {
    match set_tx(&mut evm.ctx, tx, l2) {
        false => L1Handler(PhantomData).run(evm),
        true => L2Handler(PhantomData).run(evm),
    }
}

/// Like [`run`], watched by an inspector.
pub(crate) fn inspect<'a, I: Inspector<OpalContext<'a>>>(
    evm: &mut OpalEvm<'a>,
    tx: TxEnv,
    l2: L2Tx,
    inspector: &mut I,
) -> EvmResult {
    let is_l2 = set_tx(&mut evm.ctx, tx, l2);
    let mut evm = InspectedEvm { evm, inspector };
    match is_l2 {
        false => L1Handler(PhantomData).inspect_run(&mut evm),
        true => L2Handler(PhantomData).inspect_run(&mut evm),
    }
}

/// Puts the transaction in place; says whether the rules are those of an OP chain.
fn set_tx(context: &mut OpalContext<'_>, tx: TxEnv, l2: L2Tx) -> bool {
    if !tx.authorization_list.is_empty() {
        forget_touched(context.journal_mut());
    }
    context.tx = tx;
    match &mut context.chain {
        Layer::L1 => false,
        Layer::L2(context) => {
            context.tx = l2;
            true
        }
    }
}

/// Accounts that were touched by an earlier transaction of the block and stayed empty do not exist
/// (EIP-161), and an authorization of theirs gets no refund (EIP-7702). The journal spans the block
/// and takes the touch for existence.
fn forget_touched(journal: &mut Journal<BlockDb<'_>>) {
    let (_, state) = journal.db_and_state_mut();
    for account in state.values_mut() {
        if account.is_loaded_as_not_existing() && account.is_empty() {
            account.unmark_touch();
        }
    }
}

/// Ethereum's rules, for the plain EVM and for the inspected one.
struct L1Handler<E>(PhantomData<fn() -> E>);

impl<'a, E> Handler for L1Handler<E>
where
    E: EvmTr<Context = OpalContext<'a>, Frame = EthFrame<EthInterpreter>>,
{
    type Evm = E;
    type Error = EvmError;
    type HaltReason = HaltReason;

    fn run_exec_loop(&mut self, evm: &mut E, first: FrameInit) -> Result<FrameResult, EvmError> {
        probe::run_frames(evm, first)
    }
}

impl<'a, I: Inspector<OpalContext<'a>>> InspectorHandler for L1Handler<InspectedEvm<'_, 'a, I>> {
    type IT = EthInterpreter;
}

/// The OP Stack's rules, for the plain EVM and for the inspected one.
struct L2Handler<E>(PhantomData<fn() -> E>);

fn l2(layer: &mut Layer) -> Result<&mut L2Context, EvmError> {
    match layer {
        Layer::L2(context) => Ok(context),
        Layer::L1 => Err(EvmError::Custom("an L2 rule was asked of an L1".into())),
    }
}

/// Mint of the deposit in hand, and whether it is a system transaction; `None` for all others.
const fn deposit(context: &OpalContext<'_>) -> Option<(u128, bool)> {
    match &context.chain {
        Layer::L2(context) => match context.tx {
            L2Tx::Deposit { mint, is_system } => Some((mint, is_system)),
            _ => None,
        },
        Layer::L1 => None,
    }
}

/// The block's fee parameters, read once: user transactions cannot change them.
fn fee_params(
    context: &mut L2Context,
    journal: &mut Journal<BlockDb<'_>>,
) -> Result<L1FeeParams, StateError> {
    if let Some(fees) = context.fees {
        return Ok(fees);
    }
    // Past the journal's accounting, so that no slot becomes warm.
    let (db, state) = journal.db_and_state_mut();
    let changed = state.get(&L1_BLOCK);
    let fees = L1FeeParams::read(context.fork, |slot| {
        match changed.and_then(|account| account.storage.get(&slot)) {
            Some(value) => Ok(value.present_value),
            None => db.storage(L1_BLOCK, slot),
        }
    })?;
    context.fees = Some(fees);
    Ok(fees)
}

impl<'a, E> Handler for L2Handler<E>
where
    E: EvmTr<Context = OpalContext<'a>, Frame = EthFrame<EthInterpreter>>,
{
    type Evm = E;
    type Error = EvmError;
    type HaltReason = HaltReason;

    fn run_exec_loop(&mut self, evm: &mut E, first: FrameInit) -> Result<FrameResult, EvmError> {
        probe::run_frames(evm, first)
    }

    fn validate_env(&self, evm: &mut E) -> Result<(), EvmError> {
        let Some((_, is_system)) = deposit(evm.ctx_ref()) else {
            return validation::validate_env(evm.ctx());
        };
        let regolith = l2(&mut evm.ctx().chain)?.fork >= Hardfork::Regolith;
        if is_system && regolith {
            return Err(EvmError::Transaction(InvalidTransaction::Str(
                "system transactions ended with Regolith".into(),
            )));
        }
        // L1 vouches for everything else, the length of init code included: contracts on L1 bound
        // what a deposit carries.
        Ok(())
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut E,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), EvmError> {
        let (block, tx, cfg, journal, layer, _) = evm.ctx().all_mut();
        let context = l2(layer)?;
        let is_call = tx.kind().is_call();

        let extra = match context.tx {
            L2Tx::Deposit { mint, .. } => {
                let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
                let balance = caller.balance().saturating_add(U256::from(mint));
                if tx.value() > balance {
                    return Err(lacks_funds(tx.value(), balance));
                }
                caller.set_balance(balance);
                if is_call {
                    caller.bump_nonce();
                }
                return Ok(());
            }
            L2Tx::User(size) => {
                let fees = fee_params(context, journal)?;
                context.l1_cost = fees.l1_cost(&size);
                context.l1_cost.saturating_add(fees.operator_fee(tx.gas_limit()))
            }
            L2Tx::Call => U256::ZERO,
        };

        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        validate_account_nonce_and_code_with_components(&caller.account().info, tx, cfg)?;
        let balance = *caller.balance();
        let Some(left) = balance.checked_sub(extra) else {
            return Err(lacks_funds(extra, balance));
        };
        caller.set_balance(calculate_caller_fee(left, tx, block, cfg)?);
        if is_call {
            caller.bump_nonce();
        }
        Ok(())
    }

    /// A deposit may use all the gas that L1 sold it, beyond the cap of EIP-7825: left to itself,
    /// revm sets what exceeds the cap aside for state growth, where no execution can reach it.
    fn tx_gas(&self, evm: &mut E, initial: &InitialAndFloorGas) -> GasTracker {
        let limit = evm.ctx().tx.gas_limit;
        let cap = if deposit(evm.ctx_ref()).is_some() {
            u64::MAX
        } else {
            Cfg::tx_gas_limit_cap(&evm.ctx().cfg)
        };
        let (remaining, reservoir) = initial.initial_gas_and_reservoir(limit, cap);
        GasTracker::new(limit, remaining, reservoir)
    }

    fn reimburse_caller(&self, evm: &mut E, result: &mut FrameResult) -> Result<(), EvmError> {
        let gas_limit = evm.ctx().tx.gas_limit;
        let context = l2(&mut evm.ctx().chain)?;
        // The operator fee was taken for the whole gas limit; what was not used comes back.
        let operator_refund = match (context.tx, &context.fees) {
            (L2Tx::Deposit { .. }, _) => return Ok(()),
            (L2Tx::User(_), Some(fees)) => {
                fees.operator_fee(gas_limit) - fees.operator_fee(result.gas().used())
            }
            _ => U256::ZERO,
        };
        Ok(post_execution::reimburse_caller(evm.ctx(), result.gas(), operator_refund)?)
    }

    fn reward_beneficiary(&self, evm: &mut E, result: &mut FrameResult) -> Result<(), EvmError> {
        if deposit(evm.ctx_ref()).is_some() {
            return Ok(());
        }
        post_execution::reward_beneficiary(evm.ctx(), result.gas())?;
        let (block, _, _, journal, layer, _) = evm.ctx().all_mut();
        let context = l2(layer)?;
        let used = result.gas().used();
        let base_fee = U256::from(block.basefee()) * U256::from(used);
        journal.balance_incr(BASE_FEE_VAULT, base_fee)?;
        if let (L2Tx::User(_), Some(fees)) = (context.tx, &context.fees) {
            journal.balance_incr(L1_FEE_VAULT, context.l1_cost)?;
            // Before Isthmus the vault need not exist, and witnesses lack it: it must not be read.
            if context.fork >= Hardfork::Isthmus {
                journal.balance_incr(OPERATOR_FEE_VAULT, fees.operator_fee(used))?;
            }
        }
        Ok(())
    }

    fn catch_error(&self, evm: &mut E, error: EvmError) -> EvmResult {
        evm.ctx().local_mut().clear();
        evm.ctx().journal_mut().discard_tx();
        evm.frame_stack().clear();
        let (Some((mint, is_system)), EvmError::Transaction(_)) = (deposit(evm.ctx_ref()), &error)
        else {
            return Err(error);
        };
        // An invalid deposit is included as failed: it keeps its mint, raises the nonce and uses
        // up its gas limit.
        let caller = evm.ctx().tx.caller;
        let gas_limit = evm.ctx().tx.gas_limit;
        let regolith = l2(&mut evm.ctx().chain)?.fork >= Hardfork::Regolith;
        let journal = evm.ctx().journal_mut();
        let mut account = journal.load_account_mut(caller)?.data;
        account.incr_balance(U256::from(mint));
        account.bump_nonce();
        journal.commit_tx();
        let gas_used = if is_system && !regolith { 0 } else { gas_limit };
        Ok(ExecutionResult::Revert {
            gas: ResultGas::default().with_total_gas_spent(gas_used),
            logs: Vec::new(),
            output: Bytes::new(),
        })
    }
}

impl<'a, I: Inspector<OpalContext<'a>>> InspectorHandler for L2Handler<InspectedEvm<'_, 'a, I>> {
    type IT = EthInterpreter;

    fn inspect_run(&mut self, evm: &mut Self::Evm) -> EvmResult {
        match self.inspect_run_without_catch_error(evm) {
            Ok(output) => Ok(output),
            Err(error) => {
                if let (Some(_), EVMError::Transaction(error)) = (deposit(evm.ctx_ref()), &error) {
                    show_invalid_deposit(evm, error);
                }
                self.catch_error(evm, error)
            }
        }
    }
}

fn lacks_funds(needed: U256, balance: U256) -> EvmError {
    EvmError::Transaction(InvalidTransaction::LackOfFundForMaxFee {
        fee: Box::new(needed),
        balance: Box::new(balance),
    })
}

/// The block's L1 fee parameters as they stand now; `None` on an L1.
pub(crate) fn block_fees(evm: &mut OpalEvm<'_>) -> Result<Option<L1FeeParams>, StateError> {
    let (_, _, _, journal, layer, _) = evm.ctx().all_mut();
    match layer {
        Layer::L1 => Ok(None),
        Layer::L2(context) => fee_params(context, journal).map(Some),
    }
}

/// The block's L1 fee parameters if a transaction needed them.
pub(crate) fn known_fees(evm: &OpalEvm<'_>) -> Option<L1FeeParams> {
    match &evm.ctx.chain {
        Layer::L1 => None,
        Layer::L2(context) => context.fees,
    }
}
