//! Deposits: source hashes, and the transactions that L1 logs ask for. Spec: `deposits.md`.

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, b256, keccak256};

use crate::{DepositTransaction, Receipt};

/// `keccak256("TransactionDeposited(address,address,uint256,bytes)")`.
pub const TRANSACTION_DEPOSITED: B256 =
    b256!("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

/// Bytes of the packed deposit before its calldata: mint, value, gas limit, creation flag.
const OPAQUE_HEADER: usize = 32 + 32 + 8 + 1;

/// What makes a deposit unique: each kind hashes in a domain of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositSource<'a> {
    /// A log of the portal; the index counts over all logs of the L1 block.
    User {
        /// Hash of the L1 block.
        l1_block_hash: B256,
        /// Index of the log in the block.
        log_index: u64,
    },
    /// The L1 attributes deposit.
    L1Info {
        /// Hash of the L1 origin.
        l1_block_hash: B256,
        /// Position of the L2 block in its epoch.
        sequence_number: u64,
    },
    /// An upgrade transaction.
    Upgrade {
        /// The transaction's published description.
        intent: &'a str,
    },
    /// The deposits after those that L1 forces (interop); position in the block as in `L1Info`.
    AfterForceInclude {
        /// Hash of the L1 origin.
        l1_block_hash: B256,
        /// Position of the L2 block in its epoch.
        sequence_number: u64,
    },
    /// The replacement of a block that interop invalidated.
    InvalidatedBlock {
        /// Output root of the invalid block.
        output_root: B256,
    },
}

impl DepositSource<'_> {
    /// The deposit's source hash: `keccak256(domain ++ id)`.
    pub fn hash(&self) -> B256 {
        let pair = |hash: &B256, number: u64| {
            let mut input = [0u8; 64];
            input[..32].copy_from_slice(hash.as_slice());
            input[56..].copy_from_slice(&number.to_be_bytes());
            keccak256(input)
        };
        let (domain, id) = match self {
            Self::User { l1_block_hash, log_index } => (0, pair(l1_block_hash, *log_index)),
            Self::L1Info { l1_block_hash, sequence_number } => {
                (1, pair(l1_block_hash, *sequence_number))
            }
            Self::Upgrade { intent } => (2, keccak256(intent)),
            Self::AfterForceInclude { l1_block_hash, sequence_number } => {
                (3, pair(l1_block_hash, *sequence_number))
            }
            Self::InvalidatedBlock { output_root } => (4, *output_root),
        };
        let mut input = [0u8; 64];
        input[31] = domain;
        input[32..].copy_from_slice(id.as_slice());
        keccak256(input)
    }
}

/// Why a log of the portal is no deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DepositError {
    /// Not the four topics of the event.
    #[error("deposit log has {0} topics, expected 4")]
    Topics(usize),
    /// Another event.
    #[error("log is not TransactionDeposited but {0}")]
    Selector(B256),
    /// An unknown deposit version.
    #[error("deposit has version {0}, expected 0")]
    Version(B256),
    /// Data that is not a multiple of 32 bytes, or lacks offset and length.
    #[error("deposit log has {0} bytes of data")]
    DataLength(usize),
    /// The offset of the opaque data is not 32.
    #[error("deposit log has opaque data at offset {0}, expected 32")]
    Offset(U256),
    /// The length of the opaque data does not fit the log.
    #[error("deposit log claims {claimed} bytes of opaque data but carries {present}")]
    OpaqueLength {
        /// Length field.
        claimed: U256,
        /// Bytes that follow it.
        present: usize,
    },
    /// Opaque data shorter than its fixed part.
    #[error("deposit has {0} bytes of opaque data, the least is 73")]
    OpaqueTooShort(usize),
    /// More wei than 128 bits hold: more than any portal can lock.
    #[error("deposit mints {0} wei")]
    Mint(U256),
}

/// Decodes a `TransactionDeposited` log. `log_index` counts over all logs of the L1 block.
///
/// # Errors
/// When the log is malformed, which no OptimismPortal emits.
pub fn decode_deposit_log(
    log: &Log,
    block_hash: B256,
    log_index: u64,
) -> Result<DepositTransaction, DepositError> {
    let [selector, from, to, version] = log.topics() else {
        return Err(DepositError::Topics(log.topics().len()));
    };
    if *selector != TRANSACTION_DEPOSITED {
        return Err(DepositError::Selector(*selector));
    }
    let data = &log.data.data;
    if data.len() < 64 || !data.len().is_multiple_of(32) {
        return Err(DepositError::DataLength(data.len()));
    }
    let offset = U256::from_be_slice(&data[..32]);
    if offset != U256::from(32) {
        return Err(DepositError::Offset(offset));
    }
    let claimed = U256::from_be_slice(&data[32..64]);
    let present = data.len() - 64;
    // The padding must be the least that fills the last word.
    let length = usize::try_from(claimed)
        .ok()
        .filter(|length| *length <= present && present - *length < 32)
        .ok_or(DepositError::OpaqueLength { claimed, present })?;
    if *version != B256::ZERO {
        return Err(DepositError::Version(*version));
    }
    let opaque = data.slice(64..64 + length);
    if opaque.len() < OPAQUE_HEADER {
        return Err(DepositError::OpaqueTooShort(opaque.len()));
    }
    let mint = U256::from_be_slice(&opaque[..32]);
    let mut gas = [0u8; 8];
    gas.copy_from_slice(&opaque[64..72]);
    let to = if opaque[72] == 0 { TxKind::Call(Address::from_word(*to)) } else { TxKind::Create };
    Ok(DepositTransaction {
        source_hash: DepositSource::User { l1_block_hash: block_hash, log_index }.hash(),
        from: Address::from_word(*from),
        to,
        mint: u128::try_from(mint).map_err(|_| DepositError::Mint(mint))?,
        value: U256::from_be_slice(&opaque[32..64]),
        gas_limit: u64::from_be_bytes(gas),
        is_system_transaction: false,
        input: opaque.slice(OPAQUE_HEADER..),
    })
}

/// Encodes a deposit as the portal's log: the inverse of [`decode_deposit_log`], but for the source
/// hash. Used by tests and by an L1 in memory.
pub fn encode_deposit_log(portal: Address, deposit: &DepositTransaction) -> Log {
    let length = OPAQUE_HEADER + deposit.input.len();
    let mut data = Vec::with_capacity(64 + length.next_multiple_of(32));
    data.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(length).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(deposit.mint).to_be_bytes::<32>());
    data.extend_from_slice(&deposit.value.to_be_bytes::<32>());
    data.extend_from_slice(&deposit.gas_limit.to_be_bytes());
    data.push(u8::from(deposit.to.is_create()));
    data.extend_from_slice(&deposit.input);
    data.resize(64 + length.next_multiple_of(32), 0);
    let to = deposit.to.to().copied().unwrap_or_default();
    let topics =
        Vec::from([TRANSACTION_DEPOSITED, deposit.from.into_word(), to.into_word(), B256::ZERO]);
    Log::new_unchecked(portal, topics, Bytes::from(data))
}

/// The user deposits of an L1 block, in order of their logs. Failed transactions leave no deposit.
///
/// # Errors
/// When a log of the portal is malformed: deposits may not be skipped, so derivation cannot go on.
pub fn deposits_of_block(
    receipts: &[Receipt],
    portal: Address,
    block_hash: B256,
) -> Result<Vec<DepositTransaction>, DepositError> {
    let mut deposits = Vec::new();
    let mut log_index = 0;
    for receipt in receipts {
        for log in &receipt.logs {
            if receipt.success
                && log.address == portal
                && log.topics().first() == Some(&TRANSACTION_DEPOSITED)
            {
                deposits.push(decode_deposit_log(log, block_hash, log_index)?);
            }
            log_index += 1;
        }
    }
    Ok(deposits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::TxType;
    use alloc::vec;

    #[test]
    fn the_log_index_counts_over_the_block_and_failed_transactions_leave_no_deposit() {
        let portal = Address::repeat_byte(1);
        let deposit = DepositTransaction { gas_limit: 5, mint: 6, ..Default::default() };
        let good = encode_deposit_log(portal, &deposit);
        let mut other = good.clone();
        other.address = Address::ZERO;
        let receipt = |success, logs| Receipt {
            tx_type: TxType::Legacy,
            success,
            cumulative_gas_used: 0,
            logs,
            deposit_nonce: None,
            deposit_receipt_version: None,
        };
        let receipts = [
            receipt(true, vec![other.clone(), good.clone()]),
            receipt(false, vec![good.clone()]),
            receipt(true, vec![good.clone()]),
        ];
        let block = B256::repeat_byte(2);
        let deposits = deposits_of_block(&receipts, portal, block).unwrap();
        let hashes: Vec<_> = deposits.iter().map(|d| d.source_hash).collect();
        let expected =
            [1, 3].map(|log_index| DepositSource::User { l1_block_hash: block, log_index }.hash());
        assert_eq!(hashes, expected);
        let mut bad = good;
        bad.data.data = bad.data.data.slice(..64);
        assert!(deposits_of_block(&[receipt(true, vec![bad])], portal, block).is_err());
    }
}
