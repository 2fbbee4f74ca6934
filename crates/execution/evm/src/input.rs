//! What consensus decides about a block before its transactions are executed.

use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_eips::eip1559::calculate_block_gas_limit;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, Bytes};
use opal_protocol::extra_data::ExtraDataError;
use opal_protocol::{Block, Hardfork, PayloadAttributes, SealedBlock};

use crate::ChainSpec;
use crate::header::extra_data;

/// Highest gas limit of a block.
pub(crate) const MAX_GAS_LIMIT: u64 = i64::MAX as u64;

/// The block to build on.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Its hash.
    pub hash: B256,
    /// Its header.
    pub header: &'a Header,
}

impl<'a> From<&'a SealedBlock> for Parent<'a> {
    fn from(block: &'a SealedBlock) -> Self {
        Self { hash: block.hash, header: block.header() }
    }
}

/// What consensus decides about a block, apart from its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInput {
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Receives priority fees.
    pub beneficiary: Address,
    /// Randomness: the header's mix hash.
    pub prev_randao: B256,
    /// Gas limit of the block.
    pub gas_limit: u64,
    /// The header's extra data.
    pub extra_data: Bytes,
    /// From Cancun and Ecotone on.
    pub parent_beacon_block_root: Option<B256>,
    /// From Shanghai and Canyon on; always empty on an OP chain.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// Why payload attributes cannot become a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The fork at this time needs a field that is not there.
    #[error("payload attributes lack {0}, which the fork at their time needs")]
    Missing(&'static str),
    /// The fork at this time has no such field.
    #[error("payload attributes have {0}, which the fork at their time does not know")]
    Unexpected(&'static str),
    /// A block must be later than its parent.
    #[error("timestamp {timestamp} is not after the parent's {parent}")]
    Timestamp {
        /// Time of the attributes.
        timestamp: u64,
        /// Time of the parent.
        parent: u64,
    },
    /// No header may have such a gas limit.
    #[error("gas limit {0} is above {MAX_GAS_LIMIT}, the highest of a block")]
    GasLimit(u64),
    /// The EIP-1559 parameters are not usable.
    #[error(transparent)]
    Fees(#[from] ExtraDataError),
}

impl BlockInput {
    /// The input for a block by these attributes. On an L1, a gas limit is a wish: the block's
    /// moves towards it as far as it may.
    ///
    /// # Errors
    /// When the attributes do not fit the fork at their time.
    pub fn from_attributes(
        spec: &ChainSpec,
        parent: &Header,
        attributes: &PayloadAttributes,
    ) -> Result<Self, InputError> {
        let time = attributes.timestamp;
        if time <= parent.timestamp {
            return Err(InputError::Timestamp { timestamp: time, parent: parent.timestamp });
        }
        let fits = |name, present: bool, needed: bool| match (present, needed) {
            (true, false) => Err(InputError::Unexpected(name)),
            (false, true) => Err(InputError::Missing(name)),
            _ => Ok(()),
        };
        fits("withdrawals", attributes.withdrawals.is_some(), spec.has_withdrawals(time))?;
        fits(
            "parentBeaconBlockRoot",
            attributes.parent_beacon_block_root.is_some(),
            spec.has_beacon_root(time),
        )?;
        let holocene = spec.is_active(Hardfork::Holocene, time);
        let jovian = spec.is_active(Hardfork::Jovian, time);
        fits("eip1559Params", attributes.eip1559_params.is_some(), holocene)?;
        fits("minBaseFee", attributes.min_base_fee.is_some(), jovian)?;
        let gas_limit = if spec.is_l2() {
            if attributes.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) {
                return Err(InputError::Unexpected("withdrawals"));
            }
            attributes.gas_limit.ok_or(InputError::Missing("gasLimit"))?
        } else {
            let wish = attributes.gas_limit.unwrap_or(parent.gas_limit);
            calculate_block_gas_limit(parent.gas_limit, wish)
        };
        if gas_limit > MAX_GAS_LIMIT {
            return Err(InputError::GasLimit(gas_limit));
        }
        let extra_data = match attributes.eip1559_params {
            None => Bytes::new(),
            Some(params) => extra_data(spec, time, params, attributes.min_base_fee)?,
        };
        Ok(Self {
            timestamp: time,
            beneficiary: attributes.suggested_fee_recipient,
            prev_randao: attributes.prev_randao,
            gas_limit,
            extra_data,
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            withdrawals: attributes.withdrawals.clone(),
        })
    }

    /// The input that a block was made from.
    pub fn from_block(block: &Block) -> Self {
        let header = &block.header;
        Self {
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            prev_randao: header.mix_hash,
            gas_limit: header.gas_limit,
            extra_data: header.extra_data.clone(),
            parent_beacon_block_root: header.parent_beacon_block_root,
            withdrawals: block.body.withdrawals.as_ref().map(|list| list.to_vec()),
        }
    }
}
