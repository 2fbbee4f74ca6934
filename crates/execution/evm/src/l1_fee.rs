//! What an OP chain charges for L1 data and for its operator, and where the numbers come from.
//!
//! The parameters stand in the storage of the `L1Block` predeploy, which the first deposit of each
//! block writes. Spec: `exec-engine.md` "L1-Cost fees", `ecotone/`, `fjord/`, `isthmus/` and
//! `jovian/exec-engine.md`.

use alloc::vec::Vec;

use alloy_eips::Encodable2718;
use alloy_primitives::U256;
use opal_protocol::predeploys::L1_BLOCK;
use opal_protocol::{Hardfork, TxEnvelope};

use crate::{ChainSpec, State, StateError};

const SLOT_BASE_FEE: U256 = U256::from_limbs([1, 0, 0, 0]);
const SLOT_ECOTONE_SCALARS: U256 = U256::from_limbs([3, 0, 0, 0]);
const SLOT_OVERHEAD: U256 = U256::from_limbs([5, 0, 0, 0]);
const SLOT_SCALAR: U256 = U256::from_limbs([6, 0, 0, 0]);
const SLOT_BLOB_BASE_FEE: U256 = U256::from_limbs([7, 0, 0, 0]);
const SLOT_OPERATOR_FEE: U256 = U256::from_limbs([8, 0, 0, 0]);

/// Smallest estimated size of a compressed transaction, in millionths of a byte.
const MIN_SIZE_SCALED: u64 = 100_000_000;
/// Estimated size = intercept + coefficient * FastLZ size, in millionths of a byte.
const SIZE_INTERCEPT: i64 = -42_585_600;
const SIZE_COEFFICIENT: i64 = 836_500;

/// How large a transaction is on L1, by each of the measures that forks have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSize {
    /// Zero bytes of the signed EIP-2718 encoding.
    pub zeros: u64,
    /// Other bytes.
    pub nonzeros: u64,
    /// Length after FastLZ compression; 0 before Fjord, where nobody asks.
    pub fastlz: u32,
}

impl DataSize {
    /// Measures an encoded transaction.
    pub fn of(encoded: &[u8], fork: Hardfork) -> Self {
        Self::measure(encoded, fork, &mut FastLz::default())
    }

    /// [`DataSize::of`] with a compressor that is used for many.
    pub(crate) fn measure(encoded: &[u8], fork: Hardfork, fastlz: &mut FastLz) -> Self {
        let zeros = encoded.iter().filter(|byte| **byte == 0).count() as u64;
        let fastlz = if fork >= Hardfork::Fjord { fastlz.size(encoded) } else { 0 };
        Self { zeros, nonzeros: encoded.len() as u64 - zeros, fastlz }
    }

    /// Estimated size after batch compression, in millionths of a byte (Fjord).
    pub fn estimated_scaled(&self) -> u64 {
        let estimate = SIZE_INTERCEPT + SIZE_COEFFICIENT * i64::from(self.fastlz);
        u64::try_from(estimate).unwrap_or(0).max(MIN_SIZE_SCALED)
    }

    /// Calldata gas; before Regolith with 68 bytes for the signature that was not counted yet.
    fn calldata_gas(&self, fork: Hardfork) -> u64 {
        let missing = if fork < Hardfork::Regolith { 68 } else { 0 };
        self.zeros * 4 + (self.nonzeros + missing) * 16
    }
}

/// The fee parameters of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1FeeParams {
    /// The fork whose formula applies.
    pub fork: Hardfork,
    /// Base fee of the L1 origin, in wei.
    pub base_fee: U256,
    /// Gas added to each transaction; only before Ecotone.
    pub overhead: U256,
    /// Multiplier in millionths; only before Ecotone.
    pub scalar: U256,
    /// Blob base fee of the L1 origin, in wei.
    pub blob_base_fee: U256,
    /// Multiplier of the base fee, in millionths.
    pub base_fee_scalar: u32,
    /// Multiplier of the blob base fee, in millionths.
    pub blob_base_fee_scalar: u32,
    /// Operator fee for each unit of gas (Isthmus: in millionths; Jovian: in hundreds).
    pub operator_fee_scalar: u32,
    /// Operator fee for each transaction, in wei.
    pub operator_fee_constant: u64,
    /// DA footprint in gas for each byte (Jovian); the value in storage, which is 0 until set.
    pub da_footprint_gas_scalar: u16,
    /// Ecotone is active but its scalars are not set yet: Bedrock's formula still applies.
    pub first_ecotone_block: bool,
}

impl L1FeeParams {
    /// Reads the parameters out of the `L1Block` predeploy through `slot`.
    ///
    /// # Errors
    /// Those of `slot`.
    pub fn read<E>(
        fork: Hardfork,
        mut slot: impl FnMut(U256) -> Result<U256, E>,
    ) -> Result<Self, E> {
        let mut params = Self {
            fork,
            base_fee: slot(SLOT_BASE_FEE)?,
            overhead: U256::ZERO,
            scalar: U256::ZERO,
            blob_base_fee: U256::ZERO,
            base_fee_scalar: 0,
            blob_base_fee_scalar: 0,
            operator_fee_scalar: 0,
            operator_fee_constant: 0,
            da_footprint_gas_scalar: 0,
            first_ecotone_block: false,
        };
        if fork >= Hardfork::Ecotone {
            params.blob_base_fee = slot(SLOT_BLOB_BASE_FEE)?;
            // Big-endian from the top: 16 bytes unused, base fee scalar at 16, blob scalar at 20.
            let scalars = slot(SLOT_ECOTONE_SCALARS)?.to_be_bytes::<32>();
            params.base_fee_scalar = be_u32(&scalars, 16);
            params.blob_base_fee_scalar = be_u32(&scalars, 20);
            params.first_ecotone_block = params.blob_base_fee.is_zero()
                && params.base_fee_scalar == 0
                && params.blob_base_fee_scalar == 0;
        }
        if fork < Hardfork::Ecotone || params.first_ecotone_block {
            params.overhead = slot(SLOT_OVERHEAD)?;
            params.scalar = slot(SLOT_SCALAR)?;
        }
        if fork >= Hardfork::Isthmus {
            let operator = slot(SLOT_OPERATOR_FEE)?.to_be_bytes::<32>();
            params.operator_fee_scalar = be_u32(&operator, 20);
            let mut constant = [0; 8];
            constant.copy_from_slice(&operator[24..32]);
            params.operator_fee_constant = u64::from_be_bytes(constant);
            if fork >= Hardfork::Jovian {
                params.da_footprint_gas_scalar = u16::from_be_bytes([operator[18], operator[19]]);
            }
        }
        Ok(params)
    }

    /// The fee for L1 data, in wei. Deposits do not pay it.
    pub fn l1_cost(&self, size: &DataSize) -> U256 {
        if size.zeros + size.nonzeros == 0 {
            return U256::ZERO;
        }
        if self.fork < Hardfork::Ecotone || self.first_ecotone_block {
            return self.l1_gas(size).saturating_mul(self.base_fee).saturating_mul(self.scalar)
                / U256::from(1_000_000);
        }
        let weighted = self.weighted_price();
        if self.fork < Hardfork::Fjord {
            return weighted.saturating_mul(U256::from(size.calldata_gas(self.fork)))
                / U256::from(16_000_000);
        }
        weighted.saturating_mul(U256::from(size.estimated_scaled()))
            / U256::from(1_000_000_000_000_u64)
    }

    /// The L1 gas that receipts report: with the overhead before Ecotone, 16 for each estimated
    /// byte from Fjord on.
    pub fn l1_gas(&self, size: &DataSize) -> U256 {
        if self.fork < Hardfork::Ecotone || self.first_ecotone_block {
            U256::from(size.calldata_gas(self.fork)).saturating_add(self.overhead)
        } else if self.fork < Hardfork::Fjord {
            U256::from(size.calldata_gas(self.fork))
        } else {
            U256::from(size.estimated_scaled()) * U256::from(16) / U256::from(1_000_000)
        }
    }

    /// The operator fee for this much gas, in wei; zero before Isthmus.
    pub fn operator_fee(&self, gas: u64) -> U256 {
        if self.fork < Hardfork::Isthmus {
            return U256::ZERO;
        }
        let product = U256::from(gas) * U256::from(self.operator_fee_scalar);
        let variable = if self.fork >= Hardfork::Jovian {
            product * U256::from(100)
        } else {
            product / U256::from(1_000_000)
        };
        variable + U256::from(self.operator_fee_constant)
    }

    /// A transaction's DA footprint in gas; zero before Jovian and for deposits.
    pub fn da_footprint(&self, size: &DataSize) -> u64 {
        if self.fork < Hardfork::Jovian {
            return 0;
        }
        (size.estimated_scaled() / 1_000_000)
            .saturating_mul(u64::from(self.da_footprint_gas_scalar))
    }

    /// 16 * base fee * its scalar + blob base fee * its scalar.
    fn weighted_price(&self) -> U256 {
        let calldata = self
            .base_fee
            .saturating_mul(U256::from(16))
            .saturating_mul(U256::from(self.base_fee_scalar));
        calldata.saturating_add(
            self.blob_base_fee.saturating_mul(U256::from(self.blob_base_fee_scalar)),
        )
    }

    /// The L1-fee fields of a transaction's RPC receipt; deposits have none.
    pub fn info(&self, tx: &TxEnvelope) -> Option<L1FeeInfo> {
        if tx.is_deposit_tx() {
            return None;
        }
        let size = DataSize::of(&tx.encoded_2718(), self.fork);
        let ecotone = self.fork >= Hardfork::Ecotone && !self.first_ecotone_block;
        let operator = self.fork >= Hardfork::Isthmus
            && (self.operator_fee_scalar != 0 || self.operator_fee_constant != 0);
        let jovian = self.fork >= Hardfork::Jovian;
        Some(L1FeeInfo {
            l1_fee: self.l1_cost(&size),
            l1_gas_used: self.l1_gas(&size),
            l1_gas_price: self.base_fee,
            l1_fee_scalar: (!ecotone).then_some(self.scalar),
            l1_blob_base_fee: ecotone.then_some(self.blob_base_fee),
            l1_base_fee_scalar: ecotone.then_some(self.base_fee_scalar),
            l1_blob_base_fee_scalar: ecotone.then_some(self.blob_base_fee_scalar),
            operator_fee_scalar: operator.then_some(self.operator_fee_scalar),
            operator_fee_constant: operator.then_some(self.operator_fee_constant),
            da_footprint_gas_scalar: jovian.then_some(self.da_footprint_gas_scalar),
            da_footprint: jovian.then(|| self.da_footprint(&size)),
        })
    }

    /// The parameters in force in the block after which the state is `state`; `None` on an L1.
    ///
    /// # Errors
    /// When a trie node is missing.
    pub fn at(spec: &ChainSpec, timestamp: u64, state: &State) -> Result<Option<Self>, StateError> {
        let Some(fork) = spec.hardfork(timestamp) else { return Ok(None) };
        Self::read(fork, |slot| state.storage(&L1_BLOCK, slot)).map(Some)
    }
}

/// The L1-fee fields of an RPC receipt. `None` means that the fork's receipts lack the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1FeeInfo {
    /// `l1Fee`, in wei.
    pub l1_fee: U256,
    /// `l1GasUsed`.
    pub l1_gas_used: U256,
    /// `l1GasPrice`: the L1 base fee, in wei.
    pub l1_gas_price: U256,
    /// `l1FeeScalar`, in millionths (the RPC shows it as a decimal fraction); before Ecotone.
    pub l1_fee_scalar: Option<U256>,
    /// `l1BlobBaseFee`, in wei; from Ecotone on.
    pub l1_blob_base_fee: Option<U256>,
    /// `l1BaseFeeScalar`; from Ecotone on.
    pub l1_base_fee_scalar: Option<u32>,
    /// `l1BlobBaseFeeScalar`; from Ecotone on.
    pub l1_blob_base_fee_scalar: Option<u32>,
    /// `operatorFeeScalar`; from Isthmus on, when scalar or constant is set.
    pub operator_fee_scalar: Option<u32>,
    /// `operatorFeeConstant`; from Isthmus on, when scalar or constant is set.
    pub operator_fee_constant: Option<u64>,
    /// `daFootprintGasScalar`; from Jovian on.
    pub da_footprint_gas_scalar: Option<u16>,
    /// The transaction's DA footprint, shown as `blobGasUsed`; from Jovian on.
    pub da_footprint: Option<u64>,
}

fn be_u32(bytes: &[u8; 32], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// Length that FastLZ (level 1) would compress `data` to. Only the length matters: consensus
/// charges by it. Spec: `fjord/exec-engine.md`, "FastLZ Implementation".
pub fn fastlz_size(data: &[u8]) -> u32 {
    FastLz::default().size(data)
}

/// Places in [`FastLz`]'s table.
const TABLE: usize = 8192;

/// FastLZ with its table, which takes longer to clear than most transactions do to compress: so it
/// is not cleared, and says what belongs to earlier data.
#[derive(Default)]
pub(crate) struct FastLz {
    /// Where each hash of three bytes was last seen, counted over all data; empty before the first.
    seen: Vec<u32>,
    /// Bytes of all data before.
    before: u32,
}

impl FastLz {
    /// [`fastlz_size`].
    pub(crate) fn size(&mut self, data: &[u8]) -> u32 {
        /// Matches are looked for up to here before the end.
        const TAIL: usize = 13;
        /// A match may extend to here before the end.
        const MATCH_TAIL: usize = 4;
        /// How far back a match may lie.
        const WINDOW: usize = 8192;

        let limit = data.len().saturating_sub(TAIL);
        if limit <= 2 {
            return literals_size(data.len()) as u32;
        }
        // No data is as long as 4 GiB.
        let length = data.len() as u32;
        if self.seen.is_empty() || self.before.checked_add(length).is_none() {
            self.seen.clear();
            self.seen.resize(TABLE, 0);
            self.before = 0;
        }
        let before = self.before;
        self.before += length;
        let seen = &mut self.seen[..TABLE];
        let mut size = 0;
        let mut anchor = 0;
        let mut at = 2;
        while at < limit {
            let word = three_bytes(data, at);
            let slot = &mut seen[hash(word)];
            // What was not seen yet counts as seen at the beginning.
            let earlier = slot.saturating_sub(before) as usize;
            *slot = before + at as u32;
            if at - earlier >= WINDOW || three_bytes(data, earlier) != word {
                at += 1;
                continue;
            }
            if at + 1 >= limit {
                break;
            }
            size += literals_size(at - anchor);
            let longest = (data.len() - MATCH_TAIL).saturating_sub(at + 3);
            let same = data[earlier + 3..]
                .iter()
                .zip(&data[at + 3..])
                .take(longest)
                .take_while(|(a, b)| a == b)
                .count();
            // The reference counts the byte that differs as part of its comparison.
            let length = if same < longest { same + 1 } else { same };
            size += match_size(length);
            at += length;
            for _ in 0..2 {
                seen[hash(three_bytes(data, at))] = before + at as u32;
                at += 1;
            }
            anchor = at;
        }
        size += literals_size(data.len() - anchor);
        size as u32
    }
}

/// Bytes for a run of literals: one control byte for up to 32.
const fn literals_size(count: usize) -> usize {
    count + count.div_ceil(32)
}

/// Bytes for a match whose length, less the first two bytes, is `length`.
const fn match_size(length: usize) -> usize {
    let length = length - 1;
    3 * (length / 262) + if length % 262 >= 6 { 3 } else { 2 }
}

fn three_bytes(data: &[u8], at: usize) -> u32 {
    u32::from(data[at]) | u32::from(data[at + 1]) << 8 | u32::from(data[at + 2]) << 16
}

const fn hash(word: u32) -> usize {
    ((word as u64 * 2_654_435_769) >> 19) as usize & 0x1fff
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_was_compressed_before_changes_nothing() {
        let mut number = 7_u64;
        let mut next = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33) as usize
        };
        let mut data: Vec<Vec<u8>> = (0..30).map(|length| alloc::vec![7; length]).collect();
        for _ in 0..200 {
            let (length, symbols) = ((next() % 20_000) >> (next() % 10), 1 + next() % 40);
            data.push((0..length).map(|_| (next() % symbols) as u8).collect());
        }
        // The last bytes that the table can count, and those after them.
        let before = u32::MAX - 50_000;
        for mut used in [FastLz::default(), FastLz { seen: alloc::vec![before; TABLE], before }] {
            for data in data.iter().chain(data.iter().rev()) {
                assert_eq!(used.size(data), fastlz_size(data));
            }
        }
    }
}
