//! The L1 attributes deposit: the transaction that opens every L2 block and tells it about L1.
//!
//! Its calldata has a form per fork, told apart by selector. A fork's activation block still
//! carries the previous form, because the contract that reads the new one is deployed in it. Spec:
//! `deposits.md`, "L1 Attributes Deposited Transaction"; `{ecotone,isthmus,jovian}/l1-attributes.md`.

use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::{Address, B64, B256, Bytes, TxKind, U256};

use crate::deposit::DepositSource;
use crate::extra_data::{ExtraDataError, decode_extra_data};
use crate::l1_fees::{MIN_BLOB_BASE_FEE, blob_base_fee, blob_base_fee_cancun};
use crate::predeploys::{L1_BLOCK, L1_INFO_DEPOSITOR};
use crate::system_config::FeeScalars;
use crate::upgrades::MissingUpgrade;
use crate::{
    Block, BlockId, DepositTransaction, Hardfork, L2BlockRef, RollupConfig, SystemConfig,
    TxEnvelope,
};

/// Gas of the deposit from Regolith on.
pub const L1_INFO_GAS: u64 = 1_000_000;
/// Gas of the deposit in Bedrock, where it was a system transaction.
pub const L1_INFO_GAS_BEDROCK: u64 = 150_000_000;
/// What a DA footprint gas scalar of zero in the system configuration stands for.
pub const DEFAULT_DA_FOOTPRINT_GAS_SCALAR: u16 = 400;

/// The calldata's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum L1InfoForm {
    /// `setL1BlockValues`: ABI words.
    #[default]
    Bedrock,
    /// `setL1BlockValuesEcotone`: packed.
    Ecotone,
    /// `setL1BlockValuesIsthmus`: with the operator fee.
    Isthmus,
    /// `setL1BlockValuesJovian`: with the DA footprint scalar.
    Jovian,
}

impl L1InfoForm {
    const ALL: [Self; 4] = [Self::Bedrock, Self::Ecotone, Self::Isthmus, Self::Jovian];

    /// Selector of the setter.
    pub const fn selector(self) -> [u8; 4] {
        match self {
            Self::Bedrock => [0x01, 0x5d, 0x8e, 0xb9],
            Self::Ecotone => [0x44, 0x0a, 0x5e, 0x20],
            Self::Isthmus => [0x09, 0x89, 0x99, 0xbe],
            Self::Jovian => [0x3d, 0xb6, 0xbe, 0x2b],
        }
    }

    /// Length of the calldata, selector included.
    pub const fn calldata_len(self) -> usize {
        match self {
            Self::Bedrock => 4 + 8 * 32,
            Self::Ecotone => 4 + 5 * 32,
            Self::Isthmus => 4 + 5 * 32 + 12,
            Self::Jovian => 4 + 5 * 32 + 14,
        }
    }

    /// The form in an L2 block with this timestamp.
    pub fn of_block(config: &RollupConfig, l2_time: u64) -> Self {
        let settled =
            |fork| config.is_active(fork, l2_time) && !config.is_activation_block(fork, l2_time);
        if settled(Hardfork::Jovian) {
            Self::Jovian
        } else if settled(Hardfork::Isthmus) {
            Self::Isthmus
        } else if settled(Hardfork::Ecotone) {
            Self::Ecotone
        } else {
            Self::Bedrock
        }
    }
}

/// What an L2 block is told about L1. Fields that the form does not carry are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1BlockInfo {
    /// Which form the calldata has.
    pub form: L1InfoForm,
    /// Number of the L1 origin.
    pub number: u64,
    /// Timestamp of the L1 origin.
    pub timestamp: u64,
    /// Base fee of the L1 origin, in wei.
    pub base_fee: U256,
    /// Blob base fee of the L1 origin, in wei; from Ecotone on.
    pub blob_base_fee: U256,
    /// Hash of the L1 origin.
    pub block_hash: B256,
    /// Position of the L2 block in its epoch.
    pub sequence_number: u64,
    /// The batcher that counts from this epoch on.
    pub batcher_address: Address,
    /// L1 fee overhead; Bedrock form only.
    pub l1_fee_overhead: U256,
    /// L1 fee scalar; Bedrock form only.
    pub l1_fee_scalar: U256,
    /// From Ecotone on.
    pub base_fee_scalar: u32,
    /// From Ecotone on.
    pub blob_base_fee_scalar: u32,
    /// From Isthmus on.
    pub operator_fee_scalar: u32,
    /// From Isthmus on.
    pub operator_fee_constant: u64,
    /// From Jovian on.
    pub da_footprint_gas_scalar: u16,
}

/// Why calldata is no L1 attributes, or a block has none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1InfoError {
    /// Fewer than the four bytes of a selector.
    #[error("L1 attributes have no selector")]
    NoSelector,
    /// An unknown selector.
    #[error("unknown L1 attributes selector {0:02x?}")]
    Selector([u8; 4]),
    /// Not the length of the form.
    #[error("L1 attributes in {form:?} form have {length} bytes, expected {}", form.calldata_len())]
    Length {
        /// Form that the selector names.
        form: L1InfoForm,
        /// Bytes found.
        length: usize,
    },
    /// A number or address that does not fit its type.
    #[error("L1 attributes word at byte {0} has non-zero padding")]
    Padding(usize),
    /// Another form than the fork demands.
    #[error("L1 attributes in {found:?} form, expected {expected:?}")]
    Form {
        /// Form found.
        found: L1InfoForm,
        /// Form of the fork.
        expected: L1InfoForm,
    },
    /// The block's first transaction is not a deposit.
    #[error("block {0} does not begin with the L1 attributes deposit")]
    Missing(BlockId),
    /// A block at the genesis number with another hash.
    #[error("block {found} is not the genesis block {expected}")]
    Genesis {
        /// Block found.
        found: BlockId,
        /// Genesis of the configuration.
        expected: BlockId,
    },
    /// The scalar of the system configuration has an unknown version.
    #[error("system config scalar {0} has an unknown version")]
    Scalar(B256),
    /// The block's extra data is not what the fork demands.
    #[error(transparent)]
    ExtraData(#[from] ExtraDataError),
    /// The block activates a fork, and how much gas that adds is in a bundle that was not loaded.
    #[error(transparent)]
    Upgrade(#[from] MissingUpgrade),
}

/// Reads big-endian fields one after another. The caller has checked the total length.
struct Fields<'a> {
    data: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some(bytes) = self.data.get(self.at..self.at + N) {
            out.copy_from_slice(bytes);
        }
        self.at += N;
        out
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn word(&mut self) -> B256 {
        B256::new(self.take())
    }

    fn u256(&mut self) -> U256 {
        U256::from_be_bytes(self.take::<32>())
    }

    fn zeroes<const N: usize>(&mut self) -> Result<(), L1InfoError> {
        let at = self.at;
        if self.take::<N>() == [0; N] { Ok(()) } else { Err(L1InfoError::Padding(at)) }
    }

    fn u64_word(&mut self) -> Result<u64, L1InfoError> {
        self.zeroes::<24>()?;
        Ok(self.u64())
    }

    fn address_word(&mut self) -> Result<Address, L1InfoError> {
        self.zeroes::<12>()?;
        Ok(Address::new(self.take()))
    }
}

impl L1BlockInfo {
    /// Decodes calldata of any form.
    ///
    /// # Errors
    /// On an unknown selector, a wrong length, or non-zero padding.
    pub fn decode(calldata: &[u8]) -> Result<Self, L1InfoError> {
        let selector = *calldata.first_chunk::<4>().ok_or(L1InfoError::NoSelector)?;
        let form = L1InfoForm::ALL
            .into_iter()
            .find(|form| form.selector() == selector)
            .ok_or(L1InfoError::Selector(selector))?;
        if calldata.len() != form.calldata_len() {
            return Err(L1InfoError::Length { form, length: calldata.len() });
        }
        let mut fields = Fields { data: calldata, at: 4 };
        let mut info = Self { form, ..Self::default() };
        if form == L1InfoForm::Bedrock {
            info.number = fields.u64_word()?;
            info.timestamp = fields.u64_word()?;
            info.base_fee = fields.u256();
            info.block_hash = fields.word();
            info.sequence_number = fields.u64_word()?;
            info.batcher_address = fields.address_word()?;
            info.l1_fee_overhead = fields.u256();
            info.l1_fee_scalar = fields.u256();
            return Ok(info);
        }
        info.base_fee_scalar = fields.u32();
        info.blob_base_fee_scalar = fields.u32();
        info.sequence_number = fields.u64();
        info.timestamp = fields.u64();
        info.number = fields.u64();
        info.base_fee = fields.u256();
        info.blob_base_fee = fields.u256();
        info.block_hash = fields.word();
        info.batcher_address = fields.address_word()?;
        if form >= L1InfoForm::Isthmus {
            info.operator_fee_scalar = fields.u32();
            info.operator_fee_constant = fields.u64();
        }
        if form >= L1InfoForm::Jovian {
            info.da_footprint_gas_scalar = u16::from_be_bytes(fields.take());
        }
        Ok(info)
    }

    /// Decodes the calldata of an L2 block, which must have the form of its fork.
    ///
    /// # Errors
    /// As [`L1BlockInfo::decode`], and when the form is another fork's.
    pub fn decode_in_block(
        config: &RollupConfig,
        l2_time: u64,
        calldata: &[u8],
    ) -> Result<Self, L1InfoError> {
        let info = Self::decode(calldata)?;
        let expected = L1InfoForm::of_block(config, l2_time);
        if info.form == expected {
            Ok(info)
        } else {
            Err(L1InfoError::Form { found: info.form, expected })
        }
    }

    /// The calldata, in the form of `self.form`.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.form.calldata_len());
        out.extend_from_slice(&self.form.selector());
        if self.form == L1InfoForm::Bedrock {
            for word in [
                U256::from(self.number),
                U256::from(self.timestamp),
                self.base_fee,
                self.block_hash.into(),
                U256::from(self.sequence_number),
                self.batcher_address.into_word().into(),
                self.l1_fee_overhead,
                self.l1_fee_scalar,
            ] {
                out.extend_from_slice(&word.to_be_bytes::<32>());
            }
            return out.into();
        }
        out.extend_from_slice(&self.base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.base_fee.to_be_bytes::<32>());
        out.extend_from_slice(&self.blob_base_fee.to_be_bytes::<32>());
        out.extend_from_slice(self.block_hash.as_slice());
        out.extend_from_slice(self.batcher_address.into_word().as_slice());
        if self.form >= L1InfoForm::Isthmus {
            out.extend_from_slice(&self.operator_fee_scalar.to_be_bytes());
            out.extend_from_slice(&self.operator_fee_constant.to_be_bytes());
        }
        if self.form >= L1InfoForm::Jovian {
            out.extend_from_slice(&self.da_footprint_gas_scalar.to_be_bytes());
        }
        out.into()
    }

    /// The L1 origin.
    pub const fn l1_origin(&self) -> BlockId {
        BlockId { hash: self.block_hash, number: self.number }
    }
}

/// What the L1 attributes deposit of an L2 block at `l2_time` says, its L1 origin being
/// `l1_header`.
///
/// # Errors
/// When the system configuration's scalar has an unknown version.
pub fn l1_info(
    config: &RollupConfig,
    system_config: &SystemConfig,
    sequence_number: u64,
    l1_header: &Header,
    l1_hash: B256,
    l2_time: u64,
) -> Result<L1BlockInfo, L1InfoError> {
    let form = L1InfoForm::of_block(config, l2_time);
    let mut info = L1BlockInfo {
        form,
        number: l1_header.number,
        timestamp: l1_header.timestamp,
        base_fee: U256::from(l1_header.base_fee_per_gas.unwrap_or_default()),
        block_hash: l1_hash,
        sequence_number,
        batcher_address: system_config.batcher_address,
        ..L1BlockInfo::default()
    };
    if form == L1InfoForm::Bedrock {
        info.l1_fee_overhead = system_config.overhead.into();
        info.l1_fee_scalar = system_config.scalar.into();
        return Ok(info);
    }
    let scalars = system_config.fee_scalars().ok_or(L1InfoError::Scalar(system_config.scalar))?;
    info.base_fee_scalar = scalars.base_fee_scalar;
    info.blob_base_fee_scalar = scalars.blob_base_fee_scalar;
    let before_fix = config.pectra_blob_schedule_time.is_some_and(|t| l1_header.timestamp < t);
    let blob_base_fee = if before_fix {
        blob_base_fee_cancun(l1_header)
    } else {
        match &config.l1_blob_schedule {
            Some(schedule) => schedule.blob_base_fee(l1_header),
            None => blob_base_fee(config.l1_chain_id, l1_header),
        }
    };
    info.blob_base_fee = blob_base_fee.unwrap_or(MIN_BLOB_BASE_FEE);
    if form >= L1InfoForm::Isthmus {
        (info.operator_fee_scalar, info.operator_fee_constant) = system_config.operator_fee();
    }
    if form >= L1InfoForm::Jovian {
        info.da_footprint_gas_scalar = match system_config.da_footprint_gas_scalar {
            0 => DEFAULT_DA_FOOTPRINT_GAS_SCALAR,
            scalar => scalar,
        };
    }
    Ok(info)
}

/// The L1 attributes deposit of an L2 block.
///
/// # Errors
/// As [`l1_info`].
pub fn l1_info_deposit(
    config: &RollupConfig,
    system_config: &SystemConfig,
    sequence_number: u64,
    l1_header: &Header,
    l1_hash: B256,
    l2_time: u64,
) -> Result<DepositTransaction, L1InfoError> {
    let info = l1_info(config, system_config, sequence_number, l1_header, l1_hash, l2_time)?;
    let regolith = config.is_active(Hardfork::Regolith, l2_time);
    Ok(DepositTransaction {
        source_hash: DepositSource::L1Info { l1_block_hash: l1_hash, sequence_number }.hash(),
        from: L1_INFO_DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        mint: 0,
        value: U256::ZERO,
        gas_limit: if regolith { L1_INFO_GAS } else { L1_INFO_GAS_BEDROCK },
        is_system_transaction: !regolith,
        input: info.encode(),
    })
}

/// The L1 attributes of an L2 block other than genesis.
///
/// # Errors
/// When the block does not begin with a well-formed attributes deposit.
pub fn l1_info_of_block(
    config: &RollupConfig,
    hash: B256,
    block: &Block,
) -> Result<L1BlockInfo, L1InfoError> {
    let Some(TxEnvelope::Deposit(deposit)) = block.body.transactions.first() else {
        return Err(L1InfoError::Missing(BlockId { hash, number: block.header.number }));
    };
    L1BlockInfo::decode_in_block(config, block.header.timestamp, &deposit.input)
}

fn is_genesis(config: &RollupConfig, id: BlockId) -> Result<bool, L1InfoError> {
    let expected = config.genesis.l2;
    match (id.number == expected.number, id.hash == expected.hash) {
        (false, _) => Ok(false),
        (true, true) => Ok(true),
        (true, false) => Err(L1InfoError::Genesis { found: id, expected }),
    }
}

/// The reference of an L2 block, its L1 origin read from the attributes deposit.
///
/// # Errors
/// When the block has no well-formed attributes deposit, or claims the genesis number with another
/// hash.
pub fn l2_block_ref(
    config: &RollupConfig,
    hash: B256,
    block: &Block,
) -> Result<L2BlockRef, L1InfoError> {
    let header = &block.header;
    let (l1_origin, sequence_number) =
        if is_genesis(config, BlockId { hash, number: header.number })? {
            (config.genesis.l1, 0)
        } else {
            let info = l1_info_of_block(config, hash, block)?;
            (info.l1_origin(), info.sequence_number)
        };
    Ok(L2BlockRef {
        hash,
        number: header.number,
        parent_hash: header.parent_hash,
        timestamp: header.timestamp,
        l1_origin,
        sequence_number,
    })
}

/// The system configuration in force in an L2 block, read back out of the block itself. This, not
/// the history of L1, is what the next block of the same epoch is built with: what a fork does not
/// write into the block is lost.
///
/// # Errors
/// As [`l2_block_ref`], when the block's extra data is not what the fork demands, and when the block
/// activates a fork whose bundle is needed and was not loaded.
pub fn system_config_of(
    config: &RollupConfig,
    hash: B256,
    block: &Block,
) -> Result<SystemConfig, L1InfoError> {
    let header = &block.header;
    if is_genesis(config, BlockId { hash, number: header.number })? {
        return Ok(config.genesis.system_config);
    }
    let time = header.timestamp;
    let info = l1_info_of_block(config, hash, block)?;
    let extra = decode_extra_data(config, time, &header.extra_data)?;
    let mut system_config = SystemConfig {
        batcher_address: info.batcher_address,
        overhead: info.l1_fee_overhead.into(),
        scalar: info.l1_fee_scalar.into(),
        gas_limit: config.lasting_gas_limit(header.gas_limit, time)?,
        eip1559_params: extra.eip1559_params(),
        ..SystemConfig::default()
    };
    if info.form >= L1InfoForm::Ecotone {
        system_config.scalar = FeeScalars {
            base_fee_scalar: info.base_fee_scalar,
            blob_base_fee_scalar: info.blob_base_fee_scalar,
        }
        .encode();
    }
    if config.is_active(Hardfork::Isthmus, time) {
        system_config.set_operator_fee(info.operator_fee_scalar, info.operator_fee_constant);
    }
    if config.is_active(Hardfork::Jovian, time) {
        system_config.min_base_fee = extra.min_base_fee;
        system_config.da_footprint_gas_scalar = info.da_footprint_gas_scalar;
    }
    Ok(system_config)
}

/// What [`system_config_of`] will read out of the block that is built with `system_config` at
/// `l2_time`: the same rules, without the block.
pub fn system_config_after(
    config: &RollupConfig,
    system_config: &SystemConfig,
    l2_time: u64,
) -> SystemConfig {
    let form = L1InfoForm::of_block(config, l2_time);
    let active = |fork| config.is_active(fork, l2_time);
    let mut after = SystemConfig {
        batcher_address: system_config.batcher_address,
        gas_limit: system_config.gas_limit.saturating_add(config.kept_upgrade_gas(l2_time)),
        ..SystemConfig::default()
    };
    if form == L1InfoForm::Bedrock {
        after.overhead = system_config.overhead;
        after.scalar = system_config.scalar;
    } else {
        after.scalar = system_config.fee_scalars().unwrap_or_default().encode();
    }
    if active(Hardfork::Holocene) {
        after.eip1559_params = if system_config.eip1559_params == B64::ZERO {
            crate::extra_data::default_eip1559_params(config)
        } else {
            system_config.eip1559_params
        };
    }
    if form >= L1InfoForm::Isthmus {
        let (scalar, constant) = system_config.operator_fee();
        after.set_operator_fee(scalar, constant);
    }
    if active(Hardfork::Jovian) {
        after.min_base_fee = system_config.min_base_fee;
    }
    if form >= L1InfoForm::Jovian {
        after.da_footprint_gas_scalar = match system_config.da_footprint_gas_scalar {
            0 => DEFAULT_DA_FOOTPRINT_GAS_SCALAR,
            scalar => scalar,
        };
    }
    after
}
