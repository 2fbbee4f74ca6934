//! Re-executing a block and holding its header against the outcome.

use alloc::format;
use alloc::string::String;

use core::fmt;

use alloy_consensus::Header;
use alloy_eips::eip1559::GAS_LIMIT_BOUND_DIVISOR;
use alloy_primitives::Address;
use opal_protocol::extra_data::decode_extra_data_of_fork;
use opal_protocol::{Block, Hardfork};

use crate::executor::{BlockExecutor, BlockHashes, ExecutedBlock};
use crate::input::MAX_GAS_LIMIT;
use crate::{BlockError, BlockInput, ChainSpec, Parent, State, TxError};

/// Longest `extraData` of a block.
const MAX_EXTRA_DATA: usize = 32;
/// Lowest gas limit of an L1 block.
const MIN_GAS_LIMIT: u64 = 5_000;

/// A header field, by the name that the JSON-RPC gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// The variants are the header's own field names; docs would only repeat them.
#[allow(missing_docs)]
pub enum HeaderField {
    ParentHash,
    OmmersHash,
    Beneficiary,
    StateRoot,
    TransactionsRoot,
    ReceiptsRoot,
    LogsBloom,
    Difficulty,
    Number,
    GasLimit,
    GasUsed,
    Timestamp,
    ExtraData,
    MixHash,
    Nonce,
    BaseFee,
    WithdrawalsRoot,
    BlobGasUsed,
    ExcessBlobGas,
    ParentBeaconBlockRoot,
    RequestsHash,
    /// Anything that the list above does not name.
    Hash,
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ParentHash => "parentHash",
            Self::OmmersHash => "sha3Uncles",
            Self::Beneficiary => "miner",
            Self::StateRoot => "stateRoot",
            Self::TransactionsRoot => "transactionsRoot",
            Self::ReceiptsRoot => "receiptsRoot",
            Self::LogsBloom => "logsBloom",
            Self::Difficulty => "difficulty",
            Self::Number => "number",
            Self::GasLimit => "gasLimit",
            Self::GasUsed => "gasUsed",
            Self::Timestamp => "timestamp",
            Self::ExtraData => "extraData",
            Self::MixHash => "mixHash",
            Self::Nonce => "nonce",
            Self::BaseFee => "baseFeePerGas",
            Self::WithdrawalsRoot => "withdrawalsRoot",
            Self::BlobGasUsed => "blobGasUsed",
            Self::ExcessBlobGas => "excessBlobGas",
            Self::ParentBeaconBlockRoot => "parentBeaconBlockRoot",
            Self::RequestsHash => "requestsHash",
            Self::Hash => "hash",
        })
    }
}

/// Executes `block` on its parent's state and checks every header field. `senders` are those of
/// the transactions, in order.
///
/// # Errors
/// When the block breaks a rule: the first header field that is wrong with what it should be, or
/// the first transaction that cannot be executed; or when the state cannot be read.
pub fn execute_block(
    spec: &ChainSpec,
    parent: Parent<'_>,
    block: &Block,
    senders: &[Address],
    state: &State,
    hashes: BlockHashes<'_>,
) -> Result<ExecutedBlock, BlockError> {
    run_block(spec, parent, block, senders, state, hashes, |_, _| ())
}

/// How far a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the first transaction.
    Begun,
    /// After the last transaction, before the roots.
    Executed,
}

/// [`execute_block`] on a state that has all accounts, of which those that the transactions name
/// are read ahead. Calls `executed` after the last transaction, before the roots.
///
/// # Errors
/// As [`execute_block`].
pub fn execute_block_ahead(
    spec: &ChainSpec,
    parent: Parent<'_>,
    block: &Block,
    senders: &[Address],
    state: &State,
    hashes: BlockHashes<'_>,
    executed: impl FnOnce(),
) -> Result<ExecutedBlock, BlockError> {
    let mut executed = Some(executed);
    run_block(spec, parent, block, senders, state, hashes, |stage, executor| match stage {
        Stage::Begun => executor.read_ahead(block.body.transactions.iter(), senders),
        Stage::Executed => {
            if let Some(executed) = executed.take() {
                executed();
            }
        }
    })
}

/// [`execute_block`] that shows the executor at each stage.
pub(crate) fn run_block(
    spec: &ChainSpec,
    parent: Parent<'_>,
    block: &Block,
    senders: &[Address],
    state: &State,
    hashes: BlockHashes<'_>,
    mut watch: impl FnMut(Stage, &mut BlockExecutor<'_>),
) -> Result<ExecutedBlock, BlockError> {
    if senders.len() != block.body.transactions.len() {
        return Err(BlockError::Senders {
            senders: senders.len(),
            transactions: block.body.transactions.len(),
        });
    }
    check_before(spec, parent, block)?;
    let input = BlockInput::from_block(block);
    let mut executor = BlockExecutor::new(spec, parent, input, state, hashes)?;
    watch(Stage::Begun, &mut executor);
    for (index, (tx, sender)) in block.body.transactions.iter().zip(senders).enumerate() {
        executor.transact(tx, *sender).map_err(|error| match error {
            // Not the block's fault.
            TxError::State(error) => BlockError::State(error),
            TxError::Evm(error) => BlockError::Evm(error),
            error => BlockError::Transaction { index, error },
        })?;
    }
    watch(Stage::Executed, &mut executor);
    let executed = executor.finish()?;
    compare(&block.header, executed.block.header())?;
    Ok(executed)
}

fn mismatch(
    number: u64,
    field: HeaderField,
    expected: impl fmt::Display,
    got: impl fmt::Display,
) -> BlockError {
    BlockError::Header { number, field, expected: format!("{expected}"), got: format!("{got}") }
}

fn presence<T>(
    header: &Header,
    field: HeaderField,
    value: Option<&T>,
    needed: bool,
) -> Result<(), BlockError> {
    match (value.is_some(), needed) {
        (false, true) => Err(mismatch(header.number, field, "present", "absent")),
        (true, false) => Err(mismatch(header.number, field, "absent", "present")),
        _ => Ok(()),
    }
}

/// What can be checked without executing, and must be before the header's values are used.
fn check_before(spec: &ChainSpec, parent: Parent<'_>, block: &Block) -> Result<(), BlockError> {
    let header = &block.header;
    let (number, time) = (header.number, header.timestamp);
    if parent.header.number.checked_add(1) != Some(number) {
        let expected = parent.header.number.saturating_add(1);
        return Err(mismatch(number, HeaderField::Number, expected, number));
    }
    if header.parent_hash != parent.hash {
        return Err(mismatch(number, HeaderField::ParentHash, parent.hash, header.parent_hash));
    }
    if time <= parent.header.timestamp {
        let expected = format!("above {}", parent.header.timestamp);
        return Err(mismatch(number, HeaderField::Timestamp, expected, time));
    }
    if header.extra_data.len() > MAX_EXTRA_DATA {
        let expected = format!("at most {MAX_EXTRA_DATA} bytes");
        return Err(mismatch(number, HeaderField::ExtraData, expected, &header.extra_data));
    }
    if header.gas_limit > MAX_GAS_LIMIT {
        let expected = format!("at most {MAX_GAS_LIMIT}");
        return Err(mismatch(number, HeaderField::GasLimit, expected, header.gas_limit));
    }
    if !block.body.ommers.is_empty() {
        let got = format!("that of {} headers", block.body.ommers.len());
        return Err(mismatch(number, HeaderField::OmmersHash, "of an empty list", got));
    }
    presence(
        header,
        HeaderField::ParentBeaconBlockRoot,
        header.parent_beacon_block_root.as_ref(),
        spec.has_beacon_root(time),
    )?;
    presence(
        header,
        HeaderField::WithdrawalsRoot,
        block.body.withdrawals.as_ref(),
        spec.has_withdrawals(time),
    )?;
    match spec.hardfork(time) {
        Some(fork) => {
            if block.body.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) {
                return Err(mismatch(
                    number,
                    HeaderField::WithdrawalsRoot,
                    "of an empty list",
                    "that of withdrawals",
                ));
            }
            if fork >= Hardfork::Holocene {
                decode_extra_data_of_fork(fork, &header.extra_data)?;
            }
        }
        None => {
            check_l1_gas_limit(parent.header, header)?;
            if let Some(max) = spec.max_block_size(time) {
                let got = alloy_rlp::Encodable::length(block);
                if got > max {
                    return Err(BlockError::Size { got, max });
                }
            }
        }
    }
    Ok(())
}

/// An L1 block's gas limit may differ from its parent's by less than a 1024th.
fn check_l1_gas_limit(parent: &Header, header: &Header) -> Result<(), BlockError> {
    let bound = parent.gas_limit / GAS_LIMIT_BOUND_DIVISOR;
    let difference = parent.gas_limit.abs_diff(header.gas_limit);
    if difference >= bound.max(1) && difference != 0 || header.gas_limit < MIN_GAS_LIMIT {
        let expected = format!("within {bound} of {}", parent.gas_limit);
        return Err(mismatch(header.number, HeaderField::GasLimit, expected, header.gas_limit));
    }
    Ok(())
}

/// The first field in which `got` differs from what execution gave.
fn compare(got: &Header, expected: &Header) -> Result<(), BlockError> {
    fn text<T: fmt::Debug>(value: Option<T>) -> String {
        value.map_or_else(|| "absent".into(), |value| format!("{value:?}"))
    }
    macro_rules! same {
        ($field:ident, $name:ident) => {
            if got.$field != expected.$field {
                return Err(mismatch(
                    got.number,
                    HeaderField::$name,
                    &expected.$field,
                    &got.$field,
                ));
            }
        };
        (optional $field:ident, $name:ident) => {
            if got.$field != expected.$field {
                let (expected, found) = (text(expected.$field), text(got.$field));
                return Err(mismatch(got.number, HeaderField::$name, expected, found));
            }
        };
    }
    same!(optional base_fee_per_gas, BaseFee);
    same!(gas_used, GasUsed);
    same!(optional blob_gas_used, BlobGasUsed);
    same!(optional excess_blob_gas, ExcessBlobGas);
    same!(receipts_root, ReceiptsRoot);
    same!(logs_bloom, LogsBloom);
    same!(state_root, StateRoot);
    same!(transactions_root, TransactionsRoot);
    same!(optional withdrawals_root, WithdrawalsRoot);
    same!(optional requests_hash, RequestsHash);
    same!(ommers_hash, OmmersHash);
    same!(difficulty, Difficulty);
    same!(nonce, Nonce);
    same!(parent_hash, ParentHash);
    same!(beneficiary, Beneficiary);
    same!(number, Number);
    same!(gas_limit, GasLimit);
    same!(timestamp, Timestamp);
    same!(extra_data, ExtraData);
    same!(mix_hash, MixHash);
    same!(optional parent_beacon_block_root, ParentBeaconBlockRoot);
    let (got_hash, expected_hash) = (got.hash_slow(), expected.hash_slow());
    if got_hash != expected_hash {
        return Err(mismatch(got.number, HeaderField::Hash, expected_hash, got_hash));
    }
    Ok(())
}
