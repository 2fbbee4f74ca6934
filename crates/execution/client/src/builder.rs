//! Payload building: forced transactions first, then the pool by tip within the block's limits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use alloy_consensus::Transaction;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, ExecutedBlock, State, TxError};
use opal_protocol::{PayloadAttributes, SealedBlock, TxEnvelope};

use crate::chain::Chain;
use crate::pool::{PooledTransaction, Sidecar, Unmet};
use crate::rules;
use crate::senders::senders;

/// A built block with what the consensus side needs beside it.
#[derive(Clone, Debug)]
pub struct BuiltPayload {
    /// The block.
    pub block: SealedBlock,
    /// Blobs of its blob transactions, by transaction hash, in block order.
    pub sidecars: Vec<(B256, Sidecar)>,
    /// Priority fees that the block earns, in wei.
    pub value: U256,
    /// Execution-layer requests of an L1 block, type byte first (EIP-7685).
    pub requests: Vec<Bytes>,
}

/// Limits on the data that pool transactions add to L1, set by the batcher through
/// `miner_setMaxDASize`. Sizes are the compressed size estimates of Fjord, in bytes; 0 is no limit.
#[derive(Debug, Default)]
pub struct DaLimits {
    max_tx: AtomicU64,
    max_block: AtomicU64,
}

impl DaLimits {
    /// Sets both limits.
    pub fn set(&self, max_tx: u64, max_block: u64) {
        self.max_tx.store(max_tx, Ordering::Relaxed);
        self.max_block.store(max_block, Ordering::Relaxed);
    }

    fn get(&self) -> (Option<u64>, Option<u64>) {
        let some = |limit: &AtomicU64| Some(limit.load(Ordering::Relaxed)).filter(|l| *l > 0);
        (some(&self.max_tx), some(&self.max_block))
    }
}

/// Why a block can't be built from the given attributes.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The attributes don't fit the chain.
    #[error("invalid payload attributes: {0}")]
    Attributes(String),
    /// A transaction that the attributes force into the block can't be executed.
    #[error("invalid payload attributes: transaction {index}: {reason}")]
    ForcedTransaction {
        /// Its index in the attributes.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// State could not be read; a fault of this node.
    #[error("state: {0}")]
    State(String),
}

/// Decodes the transactions of attributes and recovers their senders.
pub(crate) fn forced_transactions(
    attributes: &PayloadAttributes,
) -> Result<Vec<(TxEnvelope, Address)>, BuildError> {
    let decode = |(index, raw): (usize, &Bytes)| {
        let fail = |reason: String| BuildError::ForcedTransaction { index, reason };
        let input = &mut raw.as_ref();
        let tx = TxEnvelope::decode_2718(input).map_err(|error| fail(error.to_string()))?;
        if !input.is_empty() {
            return Err(fail("bytes after the end of the transaction".into()));
        }
        Ok(tx)
    };
    let raw = attributes.transactions.as_deref().unwrap_or_default();
    let transactions: Vec<_> = raw.iter().enumerate().map(decode).collect::<Result<_, _>>()?;
    let senders = senders(&transactions, |_| None).map_err(|error| {
        BuildError::ForcedTransaction { index: error.index, reason: error.reason }
    })?;
    Ok(transactions.into_iter().zip(senders).collect())
}

/// Whether the attributes fit the fork at their time.
pub(crate) fn check(
    spec: &ChainSpec,
    parent: &SealedBlock,
    attributes: &PayloadAttributes,
) -> Result<BlockInput, BuildError> {
    BlockInput::from_attributes(spec, parent.header(), attributes)
        .map_err(|error| BuildError::Attributes(error.to_string()))
}

/// A block as it was executed while building.
pub(crate) struct Built {
    pub payload: BuiltPayload,
    pub executed: ExecutedBlock,
    pub senders: Vec<Address>,
}

/// Builds a block on `parent`: the forced transactions, then what the pool has until `pool_until`;
/// nothing from the pool without it.
pub(crate) fn build(
    chain: &Chain,
    parent: &SealedBlock,
    state: &State,
    attributes: &PayloadAttributes,
    forced: &[(TxEnvelope, Address)],
    pool_until: Option<Instant>,
) -> Result<Built, BuildError> {
    let spec = chain.spec();
    let input = check(spec, parent, attributes)?;
    let hashes = |number| chain.ancestor_hash(parent.hash, number);
    let mut executor = BlockExecutor::new(spec, parent.into(), input, state, &hashes)
        .map_err(|error| BuildError::State(error.to_string()))?;
    let mut senders = Vec::with_capacity(forced.len());
    let named: Vec<Address> = forced.iter().map(|(_, sender)| *sender).collect();
    executor.read_ahead(forced.iter().map(|(tx, _)| tx), &named);
    for (index, (tx, sender)) in forced.iter().enumerate() {
        executor.transact(tx, *sender).map_err(|error| match error.is_fatal() {
            true => BuildError::State(error.to_string()),
            false => BuildError::ForcedTransaction { index, reason: error.to_string() },
        })?;
        senders.push(*sender);
    }
    let mut sidecars = Vec::new();
    if let Some(until) = pool_until {
        let blob_base_fee = rules::next_blob_base_fee(spec, parent.header(), attributes.timestamp);
        let conditions = Conditions { parent: state, timestamp: attributes.timestamp, spent: 0 };
        let fees = (executor.base_fee(), blob_base_fee);
        fill_from_pool(chain, &mut executor, fees, conditions, until, &mut senders, &mut sidecars)?;
    }
    let executed = executor.finish().map_err(|error| BuildError::State(error.to_string()))?;
    let value = rules::priority_fees(&executed);
    let payload = BuiltPayload {
        block: executed.block.clone(),
        sidecars,
        value,
        requests: executed.requests.clone(),
    };
    Ok(Built { payload, executed, senders })
}

fn fill_from_pool(
    chain: &Chain,
    executor: &mut BlockExecutor<'_>,
    (base_fee, blob_base_fee): (u64, u128),
    mut conditions: Conditions<'_>,
    until: Instant,
    senders: &mut Vec<Address>,
    sidecars: &mut Vec<(B256, Sidecar)>,
) -> Result<(), BuildError> {
    let (max_da_tx, max_da_block) = chain.da_limits().get();
    let max_size = chain.spec().max_block_size(conditions.timestamp);
    let mut da_used = 0u64;
    let mut best = chain.pool().best(base_fee, blob_base_fee);
    let most = (executor.gas_left() / MIN_TX_GAS).min(MOST_READ_AHEAD) as usize;
    let named: Vec<Address> = best.upcoming(most).map(PooledTransaction::sender).collect();
    executor.read_ahead(best.upcoming(most).map(PooledTransaction::tx), &named);
    while let Some(tx) = best.next() {
        if executor.gas_left() < MIN_TX_GAS || Instant::now() >= until {
            break;
        }
        if tx.tx().gas_limit() > executor.gas_left() {
            best.skip_sender();
            continue;
        }
        let da_size = tx.da_size();
        if max_da_tx.is_some_and(|max| da_size > max)
            || max_da_block.is_some_and(|max| da_used.saturating_add(da_size) > max)
        {
            best.skip_sender();
            continue;
        }
        if max_size.is_some_and(|max| executor.size_with(tx.tx().encode_2718_len()) > max) {
            best.skip_sender();
            continue;
        }
        match conditions.check(executor, &tx)? {
            Ok(()) => {}
            Err(unmet) => {
                best.skip_sender();
                tracing::debug!(
                    target: "opal::execution",
                    hash = %tx.hash(),
                    reason = unmet.text(),
                    "condition not met"
                );
                if matches!(unmet, Unmet::Broken(_)) {
                    chain.pool().remove(&tx.hash());
                }
                continue;
            }
        }
        match executor.transact(tx.tx(), tx.sender()) {
            Ok(_) => {
                da_used = da_used.saturating_add(da_size);
                senders.push(tx.sender());
                if let Some(sidecar) = tx.sidecar() {
                    sidecars.push((tx.hash(), sidecar.clone()));
                }
            }
            Err(error) if error.is_fatal() => return Err(BuildError::State(error.to_string())),
            Err(error) => {
                best.skip_sender();
                refused(chain, &tx, &error);
            }
        }
    }
    Ok(())
}

/// What the conditions of conditional transactions are checked against.
struct Conditions<'a> {
    /// State before the block.
    parent: &'a State,
    timestamp: u64,
    /// Cost of the conditions that were checked for this block.
    spent: usize,
}

/// The highest cost of all conditions that are checked for one block. As much as op-geth checks in
/// a second by default.
const MAX_CONDITION_COST: usize = 5_000;

impl Conditions<'_> {
    /// Slots are those after the transactions so far, storage roots those before the block: within
    /// a block nobody knows them.
    fn check(
        &mut self,
        executor: &BlockExecutor<'_>,
        tx: &PooledTransaction,
    ) -> Result<Result<(), Unmet>, BuildError> {
        let Some(condition) = tx.condition() else { return Ok(Ok(())) };
        self.spent = self.spent.saturating_add(condition.cost());
        if self.spent > MAX_CONDITION_COST {
            return Ok(Err(Unmet::Early("conditions of this block cost too much")));
        }
        if let Err(unmet) = condition.check_block(executor.number(), self.timestamp) {
            return Ok(Err(unmet));
        }
        condition
            .check_storage(
                |address, slot| executor.storage(&address, slot),
                |address| self.parent.storage_root(&address),
            )
            .map_err(|error| BuildError::State(error.to_string()))
    }
}

/// Transactions of the pool whose accounts are read before the first of them is executed, at most:
/// a block's time may be over before more are reached.
const MOST_READ_AHEAD: u64 = 4_096;

/// Least gas that any transaction needs.
const MIN_TX_GAS: u64 = 21_000;

/// A transaction that only fails in this block stays in the pool; one that can never run leaves.
fn refused(chain: &Chain, tx: &PooledTransaction, error: &TxError) {
    tracing::debug!(target: "opal::execution", hash = %tx.hash(), %error, "left out of the block");
    if !may_pass_later(error) {
        chain.pool().remove(&tx.hash());
    }
}

/// Nonce, funds and fees change with the chain, and a block has limits; all else is decided by the
/// transaction itself.
const fn may_pass_later(error: &TxError) -> bool {
    use opal_evm::InvalidTransaction::{
        BlobGasPriceGreaterThanMax, CallerGasLimitMoreThanBlock, GasPriceLessThanBasefee,
        LackOfFundForMaxFee, NonceTooHigh, NonceTooLow,
    };
    match error {
        TxError::Invalid(error) => matches!(
            error,
            BlobGasPriceGreaterThanMax { .. }
                | CallerGasLimitMoreThanBlock
                | GasPriceLessThanBasefee
                | LackOfFundForMaxFee { .. }
                | NonceTooHigh { .. }
                | NonceTooLow { .. }
        ),
        TxError::Type(_) => false,
        other => other.does_not_fit() || other.is_fatal(),
    }
}
