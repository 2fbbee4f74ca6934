//! Consolidation: whether a block that the chain has already is the one that L1 demands. Spec:
//! `derivation.md`, "L1-consolidation: payload attributes matching".

use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B64, B256};
use opal_protocol::extra_data::{ExtraDataError, decode_extra_data, default_eip1559_params};
use opal_protocol::{Block, Hardfork, PayloadAttributes, RollupConfig};

/// The first difference between attributes and block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another parent.
    #[error("parent is {block}, expected {expected}")]
    Parent {
        /// In the block.
        block: B256,
        /// Expected.
        expected: B256,
    },
    /// Another time.
    #[error("timestamp is {block}, derived {attributes}")]
    Timestamp {
        /// In the block.
        block: u64,
        /// In the attributes.
        attributes: u64,
    },
    /// Another randomness.
    #[error("prevRandao is {block}, derived {attributes}")]
    PrevRandao {
        /// In the block.
        block: B256,
        /// In the attributes.
        attributes: B256,
    },
    /// Another number of transactions.
    #[error("block has {block} transactions, derived {attributes}")]
    TransactionCount {
        /// In the block.
        block: usize,
        /// In the attributes.
        attributes: usize,
    },
    /// Another transaction.
    #[error("transaction {0} differs from the derived one")]
    Transaction(usize),
    /// Another gas limit.
    #[error("gas limit is {block}, derived {attributes:?}")]
    GasLimit {
        /// In the block.
        block: u64,
        /// In the attributes.
        attributes: Option<u64>,
    },
    /// Withdrawals that the fork does not allow, or none where it demands an empty list.
    #[error("withdrawals are not as the fork demands")]
    Withdrawals,
    /// A withdrawals root that the fork does not allow.
    #[error("withdrawals root {0:?} is not as the fork demands")]
    WithdrawalsRoot(Option<B256>),
    /// Another beacon block root.
    #[error("parent beacon block root is {block:?}, derived {attributes:?}")]
    ParentBeaconBlockRoot {
        /// In the block.
        block: Option<B256>,
        /// In the attributes.
        attributes: Option<B256>,
    },
    /// Another recipient of fees.
    #[error("fee recipient is {block}, derived {attributes}")]
    FeeRecipient {
        /// In the block.
        block: Address,
        /// In the attributes.
        attributes: Address,
    },
    /// Extra data that the fork does not allow.
    #[error(transparent)]
    ExtraData(#[from] ExtraDataError),
    /// Other EIP-1559 parameters.
    #[error("EIP-1559 parameters are {block}, derived {attributes:?}")]
    Eip1559Params {
        /// In the block.
        block: B64,
        /// In the attributes, zero replaced by the chain's defaults.
        attributes: Option<B64>,
    },
    /// Another minimum base fee.
    #[error("minimum base fee is {block}, derived {attributes:?}")]
    MinBaseFee {
        /// In the block.
        block: u64,
        /// In the attributes.
        attributes: Option<u64>,
    },
}

/// Compares all that the attributes determine with a block.
///
/// # Errors
/// The first difference.
pub fn attributes_match_block(
    config: &RollupConfig,
    parent_hash: B256,
    attributes: &PayloadAttributes,
    block: &Block,
) -> Result<(), Mismatch> {
    let header = &block.header;
    let time = header.timestamp;
    if header.parent_hash != parent_hash {
        return Err(Mismatch::Parent { block: header.parent_hash, expected: parent_hash });
    }
    if attributes.timestamp != time {
        return Err(Mismatch::Timestamp { block: time, attributes: attributes.timestamp });
    }
    if attributes.prev_randao != header.mix_hash {
        return Err(Mismatch::PrevRandao {
            block: header.mix_hash,
            attributes: attributes.prev_randao,
        });
    }
    let derived = attributes.transactions.as_deref().unwrap_or_default();
    let found = &block.body.transactions;
    if derived.len() != found.len() {
        return Err(Mismatch::TransactionCount { block: found.len(), attributes: derived.len() });
    }
    for (i, (raw, tx)) in derived.iter().zip(found).enumerate() {
        if raw.len() != tx.encode_2718_len() || *raw != tx.encoded_2718() {
            return Err(Mismatch::Transaction(i));
        }
    }
    if attributes.gas_limit != Some(header.gas_limit) {
        return Err(Mismatch::GasLimit {
            block: header.gas_limit,
            attributes: attributes.gas_limit,
        });
    }
    check_withdrawals(config, attributes, block)?;
    if attributes.parent_beacon_block_root != header.parent_beacon_block_root {
        return Err(Mismatch::ParentBeaconBlockRoot {
            block: header.parent_beacon_block_root,
            attributes: attributes.parent_beacon_block_root,
        });
    }
    if attributes.suggested_fee_recipient != header.beneficiary {
        return Err(Mismatch::FeeRecipient {
            block: header.beneficiary,
            attributes: attributes.suggested_fee_recipient,
        });
    }
    let extra = decode_extra_data(config, time, &header.extra_data)?;
    if config.is_active(Hardfork::Holocene, time) {
        let params = attributes.eip1559_params.map(|params| match params {
            B64::ZERO => default_eip1559_params(config),
            params => params,
        });
        if params != Some(extra.eip1559_params()) {
            return Err(Mismatch::Eip1559Params {
                block: extra.eip1559_params(),
                attributes: params,
            });
        }
    }
    let min_base_fee = config.is_active(Hardfork::Jovian, time).then_some(extra.min_base_fee);
    if attributes.min_base_fee != min_base_fee {
        return Err(Mismatch::MinBaseFee {
            block: extra.min_base_fee,
            attributes: attributes.min_base_fee,
        });
    }
    Ok(())
}

fn check_withdrawals(
    config: &RollupConfig,
    attributes: &PayloadAttributes,
    block: &Block,
) -> Result<(), Mismatch> {
    let time = block.header.timestamp;
    let canyon = config.is_active(Hardfork::Canyon, time);
    let isthmus = config.is_active(Hardfork::Isthmus, time);
    if !canyon {
        return if attributes.withdrawals.is_none() { Ok(()) } else { Err(Mismatch::Withdrawals) };
    }
    let block_list = block.body.withdrawals.as_ref().map(|list| list.len());
    let attributes_list = attributes.withdrawals.as_ref().map(|list| list.len());
    if block_list != Some(0) || attributes_list != Some(0) {
        return Err(Mismatch::Withdrawals);
    }
    // From Isthmus on the root commits to the message passer's storage, before to the empty list.
    let root = block.header.withdrawals_root;
    let right = if isthmus { root.is_some() } else { root == Some(EMPTY_WITHDRAWALS) };
    if right { Ok(()) } else { Err(Mismatch::WithdrawalsRoot(root)) }
}
