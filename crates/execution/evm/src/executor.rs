//! Executing and assembling one block.

mod simulate;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::{BlockBody, Header, Transaction};
use alloy_eips::Encodable2718;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip4895::Withdrawals;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, U256, hex};
use alloy_trie::EMPTY_ROOT_HASH;
use opal_protocol::predeploys::{
    BEACON_ROOTS, CREATE2_DEPLOYER, HISTORY_STORAGE, L2_TO_L1_MESSAGE_PASSER,
};
use opal_protocol::{Block, Hardfork, Receipt, SealedBlock, TxEnvelope, TxType};
use revm::SystemCallEvm;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, ContextTr, JournalTr, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;

use crate::handler::{self, BlockDb, EvmResult, L2Tx, OpalEvm};
use crate::header::{next_base_fee, next_excess_blob_gas};
use crate::keccak::hash_all;
use crate::l1_fee::{DataSize, FastLz, L1FeeParams};
use crate::requests;
use crate::trie::jobs::{Job, one_by_one};
use crate::trie::ordered::ordered_root;
use crate::tx_env::tx_env;
use crate::{BlockError, BlockInput, ChainSpec, Parent, State, StateError, TxError};
pub use simulate::Simulation;

/// Code, in hex, of the deterministic deployment contract that Canyon's first block puts in place,
/// and a genesis with Canyon. Spec: `canyon/overview.md`, "Create2Deployer".
pub const CREATE2_DEPLOYER_CODE: &str = include_str!("create2_deployer.hex");

/// Hash of an ancestor block by number; the EVM asks for the last 256.
pub type BlockHashes<'a> = &'a dyn Fn(u64) -> Option<B256>;

/// What became of an executed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOutcome {
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Return data, or the reason of a revert.
    pub output: Bytes,
    /// The contract it created.
    pub created: Option<Address>,
}

/// A block with what its execution gave.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The block.
    pub block: SealedBlock,
    /// One receipt for each transaction.
    pub receipts: Vec<Receipt>,
    /// The state after the block.
    pub state: State,
    /// Execution-layer requests of an L1 block, type byte first (EIP-7685).
    pub requests: Vec<Bytes>,
    /// L1 fee parameters for RPC receipts; `None` when no transaction but deposits is in the block,
    /// and on an L1.
    pub l1_fees: Option<L1FeeParams>,
}

/// Executes a block's transactions one by one and assembles the block.
pub struct BlockExecutor<'a> {
    spec: &'a ChainSpec,
    parent: Parent<'a>,
    input: BlockInput,
    fork: Option<Hardfork>,
    base_fee: u64,
    excess_blob_gas: Option<u64>,
    max_blob_gas: u64,
    evm: OpalEvm<'a>,
    transactions: Vec<TxEnvelope>,
    encoded: Vec<Vec<u8>>,
    /// Bytes of the encoded transactions in a block's list, at most.
    size: usize,
    receipts: Vec<Receipt>,
    fastlz: FastLz,
    gas_used: u64,
    blob_gas_used: u64,
    da_footprint: u64,
    /// Whether a simulated call without a price runs for free.
    free_gas: bool,
}

impl core::fmt::Debug for BlockExecutor<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlockExecutor")
            .field("number", &self.number())
            .field("input", &self.input)
            .field("transactions", &self.transactions.len())
            .field("gas_used", &self.gas_used)
            .finish_non_exhaustive()
    }
}

/// Bytes before a transaction in a block's list, which say how long it is, at most.
const LENGTH: usize = 9;

/// Transactions from which on the roots of lists are a job beside the state root.
const MANY_TRANSACTIONS: usize = 64;

/// What a header says of the lists of a block.
struct ListRoots {
    transactions: B256,
    receipts: B256,
    bloom: Bloom,
}

impl ListRoots {
    /// For these receipts, and transactions as the EIP-2718 encodes them.
    fn of(receipts: &[Receipt], transactions: &[Vec<u8>]) -> Self {
        let blooms = blooms(receipts);
        let with_bloom: Vec<(&Receipt, &Bloom)> = receipts.iter().zip(&blooms).collect();
        Self {
            transactions: ordered_root(transactions, |tx, out| out.extend_from_slice(tx)),
            receipts: ordered_root(&with_bloom, |(receipt, bloom), out| {
                receipt.encode_for_receipts_root(bloom, out);
            }),
            bloom: blooms.iter().fold(Bloom::ZERO, |all, bloom| all | *bloom),
        }
    }
}

/// The bloom filter of each receipt.
fn blooms(receipts: &[Receipt]) -> Vec<Bloom> {
    let logs = || receipts.iter().flat_map(|receipt| &receipt.logs);
    let inputs: Vec<&[u8]> = logs()
        .flat_map(|log| {
            let topics = log.topics().iter().map(|topic| topic.as_slice());
            core::iter::once(log.address.as_slice()).chain(topics)
        })
        .collect();
    let mut hashes = hash_all(&inputs).into_iter();
    let of_receipt = |receipt: &Receipt| {
        let inputs = receipt.logs.iter().map(|log| 1 + log.topics().len()).sum();
        let mut bloom = Bloom::ZERO;
        hashes.by_ref().take(inputs).for_each(|hash| bloom.accrue(BloomInput::Hash(hash)));
        bloom
    };
    receipts.iter().map(of_receipt).collect()
}

/// The EVM's settings for a block.
pub(crate) fn cfg_env(spec: &ChainSpec, timestamp: u64) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(spec.evm_spec(timestamp)).with_chain_id(spec.chain_id);
    if let Some(params) = spec.blob_params(timestamp) {
        cfg.set_max_blobs_per_tx(params.max_blobs_per_tx);
    }
    cfg
}

/// Excess blob gas and its price as the EVM sees them; on an OP chain the price is always 1.
pub(crate) fn blob_env(
    spec: &ChainSpec,
    timestamp: u64,
    excess: Option<u64>,
) -> Option<BlobExcessGasAndPrice> {
    let excess_blob_gas = excess?;
    let blob_gasprice =
        spec.blob_params(timestamp).map_or(1, |params| params.calc_blob_fee(excess_blob_gas));
    Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice })
}

impl<'a> BlockExecutor<'a> {
    /// Begins a block on `parent`, whose state is `state`, and makes the calls that come before
    /// the first transaction.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn new(
        spec: &'a ChainSpec,
        parent: Parent<'a>,
        input: BlockInput,
        state: &State,
        hashes: BlockHashes<'a>,
    ) -> Result<Self, BlockError> {
        let db = BlockDb::new(state.clone(), hashes);
        let mut this = Self::with_db(spec, parent, input, db);
        this.before_transactions()?;
        Ok(this)
    }

    /// Before anything has run.
    fn with_db(
        spec: &'a ChainSpec,
        parent: Parent<'a>,
        input: BlockInput,
        db: BlockDb<'a>,
    ) -> Self {
        let time = input.timestamp;
        let fork = spec.hardfork(time);
        let base_fee = next_base_fee(spec, parent.header, time);
        let excess_blob_gas = next_excess_blob_gas(spec, parent.header, time);
        let block = BlockEnv {
            number: U256::from(parent.header.number + 1),
            beneficiary: input.beneficiary,
            timestamp: U256::from(time),
            gas_limit: input.gas_limit,
            basefee: base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(input.prev_randao),
            blob_excess_gas_and_price: blob_env(spec, time, excess_blob_gas),
            slot_num: 0,
        };
        Self {
            evm: handler::new_evm(db, block, cfg_env(spec, time), fork),
            max_blob_gas: spec.blob_params(time).map_or(0, |p| p.max_blob_gas_per_block()),
            spec,
            parent,
            input,
            fork,
            base_fee,
            excess_blob_gas,
            transactions: Vec::new(),
            encoded: Vec::new(),
            size: 0,
            receipts: Vec::new(),
            fastlz: FastLz::default(),
            gas_used: 0,
            blob_gas_used: 0,
            da_footprint: 0,
            free_gas: false,
        }
    }

    fn before_transactions(&mut self) -> Result<(), BlockError> {
        let time = self.input.timestamp;
        let parent_time = self.parent.header.timestamp;
        if self.spec.is_active(Hardfork::Canyon, time)
            && !self.spec.is_active(Hardfork::Canyon, parent_time)
        {
            self.deploy_create2_deployer()?;
        }
        if let Some(root) = self.input.parent_beacon_block_root {
            self.evm.system_call_one(BEACON_ROOTS, root.0.into())?;
        }
        if self.spec.has_requests(time) {
            self.evm.system_call_one(HISTORY_STORAGE, self.parent.hash.0.into())?;
        }
        Ok(())
    }

    fn deploy_create2_deployer(&mut self) -> Result<(), BlockError> {
        let code = hex::decode(CREATE2_DEPLOYER_CODE.trim())
            .map_err(|error| BlockError::Evm(error.to_string()))?;
        let journal = self.evm.ctx.journal_mut();
        journal.load_account(CREATE2_DEPLOYER).map_err(BlockError::State)?;
        journal.set_code(CREATE2_DEPLOYER, crate::state::bytecode(code.into()));
        journal.commit_tx();
        Ok(())
    }

    pub(crate) const fn evm(&self) -> &OpalEvm<'a> {
        &self.evm
    }

    /// Number of the block.
    pub const fn number(&self) -> u64 {
        self.parent.header.number + 1
    }

    /// The block's base fee, in wei.
    pub const fn base_fee(&self) -> u64 {
        self.base_fee
    }

    /// Gas used so far.
    pub const fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Gas that transactions may still use.
    pub const fn gas_left(&self) -> u64 {
        self.input.gas_limit.saturating_sub(self.gas_used)
    }

    /// Bytes that an encoded block with another `bytes` of transaction has, at most.
    pub fn size_with(&self, bytes: usize) -> usize {
        /// A header, and the lengths of the lists.
        const FRAME: usize = 1_024;
        /// A withdrawal.
        const WITHDRAWAL: usize = 64;
        let withdrawals = self.input.withdrawals.as_ref().map_or(0, Vec::len);
        FRAME + withdrawals * WITHDRAWAL + self.size + bytes + LENGTH
    }

    /// Blob gas used so far; zero on an OP chain.
    pub const fn blob_gas_used(&self) -> u64 {
        self.blob_gas_used
    }

    /// DA footprint so far, in gas; zero before Jovian.
    pub const fn da_footprint(&self) -> u64 {
        self.da_footprint
    }

    /// Receipts so far.
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// A storage slot after the transactions so far. Looking at it leaves no trace in the block.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn storage(&self, address: &Address, slot: U256) -> Result<U256, StateError> {
        let journal = &self.evm.ctx.journaled_state;
        let Some(account) = journal.inner.state.get(address) else {
            return journal.database.state.storage(address, slot);
        };
        match account.storage.get(&slot) {
            Some(slot) => Ok(slot.present_value()),
            // A contract of this block, or one that destroyed itself, has no other slots.
            None if account.is_created() || account.is_selfdestructed() => Ok(U256::ZERO),
            None => journal.database.state.storage(address, slot),
        }
    }

    /// Reads the accounts that transactions name before these are executed, which changes nothing
    /// but the time that they take. Not for an executor over a witness: a transaction that fails
    /// early does not look at its recipient, which need not be in the witness then.
    pub fn read_ahead<'t>(
        &mut self,
        transactions: impl Iterator<Item = &'t TxEnvelope>,
        senders: &[Address],
    ) {
        let addresses: Vec<Address> =
            transactions.filter_map(Transaction::to).chain(senders.iter().copied()).collect();
        let journal = &mut self.evm.ctx.journaled_state;
        let BlockDb { state, reads, .. } = &mut journal.database;
        let new = reads.read_ahead(state, addresses);
        // Room for them at once: these tables would grow a dozen times, and move all they hold.
        journal.inner.state.reserve(new);
        let transactions = senders.len();
        self.transactions.reserve(transactions);
        self.encoded.reserve(transactions);
        self.receipts.reserve(transactions);
    }

    /// Executes a transaction on top of those before it.
    ///
    /// # Errors
    /// When it does not fit or is invalid; the block is then as if it had never been tried. After
    /// an error that [is fatal](TxError::is_fatal) the executor must be dropped.
    pub fn transact(&mut self, tx: &TxEnvelope, sender: Address) -> Result<TxOutcome, TxError> {
        self.apply(tx, sender, handler::run)
    }

    /// [`BlockExecutor::transact`] with the way to run the EVM: plain, or inspected.
    pub(crate) fn apply(
        &mut self,
        tx: &TxEnvelope,
        sender: Address,
        run: impl FnOnce(&mut OpalEvm<'a>, TxEnv, L2Tx) -> EvmResult,
    ) -> Result<TxOutcome, TxError> {
        let regolith = self.fork.is_none_or(|fork| fork >= Hardfork::Regolith);
        let free_system_tx = match tx {
            TxEnvelope::Deposit(_) if self.fork.is_none() => {
                return Err(TxError::Type(tx.tx_type() as u8));
            }
            TxEnvelope::Eip4844(_) if self.fork.is_some() => {
                return Err(TxError::Type(tx.tx_type() as u8));
            }
            TxEnvelope::Deposit(deposit) => deposit.is_system_transaction && !regolith,
            _ => false,
        };
        if tx.gas_limit() > self.gas_left() && !free_system_tx {
            let (needed, available) = (tx.gas_limit(), self.gas_left());
            return Err(TxError::BlockGas { needed, available });
        }
        let blob_gas =
            tx.blob_versioned_hashes().map_or(0, |hashes| hashes.len() as u64 * DATA_GAS_PER_BLOB);
        let blob_gas_left = self.max_blob_gas.saturating_sub(self.blob_gas_used);
        if blob_gas > blob_gas_left {
            return Err(TxError::BlobGas { needed: blob_gas, available: blob_gas_left });
        }

        let encoded = tx.encoded_2718();
        let mut footprint = 0;
        let l2 = match (self.fork, tx) {
            (None, _) => L2Tx::Call,
            (Some(_), TxEnvelope::Deposit(deposit)) => {
                L2Tx::Deposit { mint: deposit.mint, is_system: deposit.is_system_transaction }
            }
            (Some(fork), _) => {
                let size = DataSize::measure(&encoded, fork, &mut self.fastlz);
                if fork >= Hardfork::Jovian {
                    footprint = handler::block_fees(&mut self.evm)?
                        .map_or(0, |fees| fees.da_footprint(&size));
                    let available = self.input.gas_limit.saturating_sub(self.da_footprint);
                    if footprint > available {
                        return Err(TxError::DaFootprint { needed: footprint, available });
                    }
                }
                L2Tx::User(size)
            }
        };
        let deposit_nonce = match l2 {
            L2Tx::Deposit { .. } if regolith => {
                Some(self.evm.ctx.journal_mut().load_account(sender)?.info.nonce)
            }
            _ => None,
        };

        let result = run(&mut self.evm, tx_env(tx, sender), l2)?;
        let gas_used = match l2 {
            // Before Regolith deposits were not metered.
            L2Tx::Deposit { is_system: true, .. } if !regolith => 0,
            L2Tx::Deposit { .. } if !regolith => tx.gas_limit(),
            _ => result.tx_gas_used(),
        };
        self.gas_used += gas_used;
        self.blob_gas_used += blob_gas;
        self.da_footprint += footprint;

        let canyon = self.fork.is_some_and(|fork| fork >= Hardfork::Canyon);
        let success = result.is_success();
        let created = match &result {
            ExecutionResult::Success { output: Output::Create(_, address), .. } => *address,
            _ => None,
        };
        let output = result.output().cloned().unwrap_or_default();
        self.receipts.push(Receipt {
            tx_type: tx.tx_type(),
            success,
            cumulative_gas_used: self.gas_used,
            logs: result.into_logs(),
            deposit_nonce,
            deposit_receipt_version: (canyon && tx.tx_type() == TxType::Deposit).then_some(1),
        });
        self.transactions.push(tx.clone());
        self.size += encoded.len() + LENGTH;
        self.encoded.push(encoded);
        Ok(TxOutcome { success, gas_used, output, created })
    }

    /// Makes the calls that come after the last transaction, computes the roots and assembles the
    /// block.
    ///
    /// # Errors
    /// When the state cannot be read, or an L1's system contracts fail.
    pub fn finish(mut self) -> Result<ExecutedBlock, BlockError> {
        let time = self.input.timestamp;
        let requests = self.after_transactions()?;
        // Not read for its own sake: a witness of a block without users need not hold the slots.
        let l1_fees = handler::known_fees(&self.evm);
        let changes = self.evm.ctx.journal_mut().finalize();
        let BlockDb { state, reads, .. } = &self.evm.ctx.journaled_state.database;
        let (receipts, encoded) = (&self.receipts, &self.encoded);
        let run = if receipts.len() >= MANY_TRANSACTIONS { state.jobs() } else { one_by_one };
        let (mut lists, mut applied) = (None, None);
        let of_lists = || lists = Some(ListRoots::of(receipts, encoded));
        let of_state = || applied = Some(state.apply_read(changes, reads));
        run(alloc::vec![Box::new(of_lists) as Job<'_>, Box::new(of_state)]);
        let (Some(lists), Some(state)) = (lists, applied) else {
            return Err(BlockError::Evm("a job was not run".to_string()));
        };
        let state = state?;

        let isthmus = self.spec.is_active(Hardfork::Isthmus, time);
        let withdrawals_root = match &self.input.withdrawals {
            _ if isthmus => Some(state.storage_root(&L2_TO_L1_MESSAGE_PASSER)?),
            Some(list) if list.is_empty() => Some(EMPTY_ROOT_HASH),
            Some(list) => Some(alloy_consensus::proofs::calculate_withdrawals_root(list)),
            None => None,
        };
        let requests_hash = self.spec.has_requests(time).then(|| {
            if self.fork.is_some() { EMPTY_REQUESTS_HASH } else { requests::hash(&requests) }
        });
        let blob_gas_used = self.spec.has_beacon_root(time).then_some(
            // From Jovian on, OP chains keep the DA footprint in this field.
            if self.fork.is_some() { self.da_footprint } else { self.blob_gas_used },
        );
        let header = Header {
            parent_hash: self.parent.hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.input.beneficiary,
            state_root: state.root(),
            transactions_root: lists.transactions,
            receipts_root: lists.receipts,
            logs_bloom: lists.bloom,
            difficulty: U256::ZERO,
            number: self.number(),
            gas_limit: self.input.gas_limit,
            gas_used: self.gas_used,
            timestamp: time,
            extra_data: self.input.extra_data,
            mix_hash: self.input.prev_randao,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root,
            blob_gas_used,
            excess_blob_gas: self.excess_blob_gas,
            parent_beacon_block_root: self.input.parent_beacon_block_root,
            requests_hash,
            ..Default::default()
        };
        let body = BlockBody {
            transactions: self.transactions,
            ommers: Vec::new(),
            withdrawals: self.input.withdrawals.map(Withdrawals::new),
        };
        Ok(ExecutedBlock {
            block: SealedBlock::new(Block { header, body }),
            receipts: self.receipts,
            state,
            requests,
            l1_fees,
        })
    }

    /// The state after the transactions so far, without what comes after the last of a block.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn into_state(mut self) -> Result<State, StateError> {
        let changes = self.evm.ctx.journal_mut().finalize();
        self.evm.ctx.journaled_state.database.state.apply(changes)
    }

    fn after_transactions(&mut self) -> Result<Vec<Bytes>, BlockError> {
        let mut requests = Vec::new();
        let deposit_contract = match &self.spec.rules {
            crate::Rules::L1(rules) => rules.deposit_contract,
            // OP chains have neither requests nor withdrawals of this kind.
            crate::Rules::L2(_) => return Ok(requests),
        };
        if self.spec.evm_spec(self.input.timestamp) >= SpecId::PRAGUE {
            requests.extend(requests::deposits(&self.receipts, deposit_contract)?);
            for (address, kind) in requests::CONTRACTS {
                let data = self.call_system_contract(address)?;
                if !data.is_empty() {
                    let mut request = alloc::vec![kind];
                    request.extend_from_slice(&data);
                    requests.push(request.into());
                }
            }
        }
        let journal = self.evm.ctx.journal_mut();
        for withdrawal in self.input.withdrawals.iter().flatten() {
            let wei = U256::from(withdrawal.amount) * U256::from(1_000_000_000);
            journal.balance_incr(withdrawal.address, wei)?;
        }
        Ok(requests)
    }

    fn call_system_contract(&mut self, address: Address) -> Result<Bytes, BlockError> {
        let failed = |reason: String| BlockError::SystemContract { address, reason };
        let account = self.evm.ctx.journal_mut().load_account(address)?;
        if account.info.is_empty_code_hash() {
            return Err(failed("has no code; an L1 from Prague on needs it in genesis".into()));
        }
        match self.evm.system_call_one(address, Bytes::new())? {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            result => Err(failed(alloc::format!("call failed: {result:?}"))),
        }
    }
}
