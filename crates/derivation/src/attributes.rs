//! Payload attributes: what L1 and a batch make of the next L2 block. The sequencer builds its
//! blocks with the same function. Spec: `derivation.md`, "Deriving Payload Attributes".

use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, Log};
use opal_protocol::deposit::{DepositError, deposits_of_block};
use opal_protocol::l1_info::{L1InfoError, l1_info_deposit};
use opal_protocol::predeploys::SEQUENCER_FEE_VAULT;
use opal_protocol::system_config::{ConfigLogError, is_config_update};
use opal_protocol::upgrades::MissingUpgrade;
use opal_protocol::{
    BlockId, DEPOSIT_TX_TYPE, Hardfork, L2BlockRef, PayloadAttributes, Receipt, RollupConfig,
    SystemConfig,
};

/// What L2 takes from an L1 block: its header, its deposits, its configuration updates. Far smaller
/// than the block, so many can be kept.
#[derive(Clone, Debug)]
pub struct EpochData {
    hash: B256,
    header: Header,
    /// Encoded deposits, or why they cannot be decoded.
    deposits: Result<Vec<Bytes>, DepositError>,
    config_logs: Vec<Log>,
}

impl EpochData {
    /// Reads an L1 block. Its hash and receipts must have been checked against the header. The
    /// receipts matter only to the epoch's first L2 block; for a later one they may be empty.
    pub fn new(config: &RollupConfig, hash: B256, header: Header, receipts: &[Receipt]) -> Self {
        let deposits =
            deposits_of_block(receipts, config.deposit_contract_address, hash).map(|deposits| {
                // Not by way of an envelope, which would hash it.
                deposits.iter().map(|deposit| deposit.encoded_2718().into()).collect()
            });
        let config_logs = receipts
            .iter()
            .filter(|receipt| receipt.success)
            .flat_map(|receipt| &receipt.logs)
            .filter(|log| is_config_update(log, config))
            .cloned()
            .collect();
        Self { hash, header, deposits, config_logs }
    }

    /// Hash and number of the L1 block.
    pub const fn id(&self) -> BlockId {
        BlockId { hash: self.hash, number: self.header.number }
    }

    /// Header of the L1 block.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Applies the block's configuration updates; returns the malformed ones.
    pub fn update_system_config(
        &self,
        system_config: &mut SystemConfig,
        config: &RollupConfig,
    ) -> Vec<ConfigLogError> {
        system_config.apply_logs(self.config_logs.iter(), config, self.header.timestamp)
    }
}

/// Why attributes cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// The epoch is neither the parent's nor the one that follows it.
    #[error("L1 origin {epoch} does not follow {parent_origin}, the origin of the parent")]
    Origin {
        /// Epoch of the block to be built.
        epoch: BlockId,
        /// Epoch of its parent.
        parent_origin: BlockId,
    },
    /// L2 would be behind its L1 origin.
    #[error("block at {timestamp} would be before its L1 origin {epoch} at {origin_time}")]
    BeforeOrigin {
        /// Time of the block to be built.
        timestamp: u64,
        /// Its epoch.
        epoch: BlockId,
        /// Time of the epoch.
        origin_time: u64,
    },
    /// A deposit is malformed; deposits may not be skipped.
    #[error("deposits of L1 block {block}: {error}")]
    Deposit {
        /// The L1 block.
        block: BlockId,
        /// What is wrong.
        error: DepositError,
    },
    /// The L1 attributes deposit cannot be written.
    #[error(transparent)]
    L1Info(#[from] L1InfoError),
    /// The block activates a fork whose upgrade transactions were not loaded.
    #[error("block activates a fork, but {0}")]
    UpgradeTransactions(#[from] MissingUpgrade),
}

impl AttributesError {
    /// Whether the cause is a wrong view of L1 or L2, which a reset cures.
    pub(crate) const fn needs_reset(&self) -> bool {
        matches!(self, Self::Origin { .. } | Self::BeforeOrigin { .. })
    }
}

/// Attributes, and the system configuration that they were built with.
pub(crate) type Built = (PayloadAttributes, SystemConfig);

/// Attributes of the block after `parent` in the given epoch: the deposits that L1 demands, those of
/// the forks that the block activates, then `transactions`, and nothing from the pool. A sequencer
/// clears `no_tx_pool`, but not in a block that activates a fork.
///
/// `parent_system_config` is what [`opal_protocol::system_config_of`] reads out of the parent.
///
/// # Errors
/// When the epoch does not fit the parent, or L1 holds what no rule covers.
pub fn build_attributes(
    config: &RollupConfig,
    parent: &L2BlockRef,
    parent_system_config: &SystemConfig,
    epoch: &EpochData,
    transactions: &[Bytes],
) -> Result<PayloadAttributes, AttributesError> {
    build(config, parent, parent_system_config, epoch, transactions).map(|built| built.0)
}

pub(crate) fn build(
    config: &RollupConfig,
    parent: &L2BlockRef,
    parent_system_config: &SystemConfig,
    epoch: &EpochData,
    transactions: &[Bytes],
) -> Result<Built, AttributesError> {
    let (id, header) = (epoch.id(), &epoch.header);
    let mut system_config = *parent_system_config;
    let wrong_origin = AttributesError::Origin { epoch: id, parent_origin: parent.l1_origin };
    let no_deposits = Vec::new();
    let (deposits, sequence_number) = if parent.l1_origin.number == id.number {
        if parent.l1_origin.hash != id.hash {
            return Err(wrong_origin);
        }
        (&no_deposits, parent.sequence_number.saturating_add(1))
    } else {
        if parent.l1_origin.hash != header.parent_hash {
            return Err(wrong_origin);
        }
        let deposits = epoch
            .deposits
            .as_ref()
            .map_err(|error| AttributesError::Deposit { block: id, error: *error })?;
        // Malformed updates were reported when L1 was read.
        epoch.update_system_config(&mut system_config, config);
        (deposits, 0)
    };
    let timestamp = parent.timestamp.saturating_add(config.block_time);
    if timestamp < header.timestamp {
        let origin_time = header.timestamp;
        return Err(AttributesError::BeforeOrigin { timestamp, epoch: id, origin_time });
    }
    let mut upgrades = Vec::new();
    let mut gas_limit = system_config.gas_limit;
    for fork in config.schedule.upgrades_at(parent.timestamp, timestamp) {
        upgrades.extend(config.upgrade_deposits(fork)?);
        gas_limit = gas_limit.saturating_add(config.upgrade_gas(fork)?);
    }
    let l1_info =
        l1_info_deposit(config, &system_config, sequence_number, header, id.hash, timestamp)?;
    let mut all = Vec::with_capacity(1 + deposits.len() + upgrades.len() + transactions.len());
    all.push(l1_info.encoded_2718().into());
    all.extend_from_slice(deposits);
    all.append(&mut upgrades);
    all.extend_from_slice(transactions);

    let active = |fork| config.is_active(fork, timestamp);
    let attributes = PayloadAttributes {
        timestamp,
        prev_randao: header.mix_hash,
        suggested_fee_recipient: SEQUENCER_FEE_VAULT,
        withdrawals: active(Hardfork::Canyon).then(Vec::new),
        parent_beacon_block_root: active(Hardfork::Ecotone)
            .then(|| header.parent_beacon_block_root.unwrap_or_default()),
        transactions: Some(all),
        no_tx_pool: true,
        gas_limit: Some(gas_limit),
        eip1559_params: active(Hardfork::Holocene).then_some(system_config.eip1559_params),
        min_base_fee: active(Hardfork::Jovian).then_some(system_config.min_base_fee),
    };
    Ok((attributes, system_config))
}

/// The same attributes without the transactions that are not deposits: what is built in place of
/// attributes that execution refuses. Spec: `holocene/derivation.md`, "Engine Queue".
pub fn deposits_only(attributes: &PayloadAttributes) -> PayloadAttributes {
    let mut attributes = attributes.clone();
    if let Some(transactions) = &mut attributes.transactions {
        transactions.retain(is_deposit);
    }
    attributes
}

/// Whether attributes hold deposits and nothing else.
pub(crate) fn is_deposits_only(attributes: &PayloadAttributes) -> bool {
    attributes.transactions.iter().flatten().all(is_deposit)
}

fn is_deposit(tx: &Bytes) -> bool {
    tx.first() == Some(&DEPOSIT_TX_TYPE)
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
