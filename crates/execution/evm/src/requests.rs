//! Execution-layer requests of an L1 block (EIP-7685): deposits found in logs (EIP-6110), and what
//! the withdrawal and consolidation contracts hand out (EIP-7002, EIP-7251).

use alloc::vec::Vec;

use alloy_eips::{eip6110, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, Log, b256};
use opal_protocol::Receipt;
use sha2::{Digest, Sha256};

/// The contracts to call after the last transaction, with the type of their requests.
pub(crate) const CONTRACTS: [(Address, u8); 2] = [
    (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7002::WITHDRAWAL_REQUEST_TYPE),
    (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_TYPE),
];

/// `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// Offsets and lengths in a log's data: public key, credentials, amount, signature, index. The
/// contract encodes five byte strings of fixed length, so the places are fixed.
const FIELDS: [(usize, usize); 5] = [(192, 48), (288, 32), (352, 8), (416, 96), (544, 8)];
const LOG_LENGTH: usize = 576;

/// A deposit log whose layout the deposit contract cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a deposit contract log does not have the layout of EIP-6110")]
pub struct InvalidDepositLog;

/// The deposit request of a block, type byte included; `None` when there are no deposits.
pub(crate) fn deposits(
    receipts: &[Receipt],
    contract: Address,
) -> Result<Option<Bytes>, InvalidDepositLog> {
    let mut request = alloc::vec![eip6110::DEPOSIT_REQUEST_TYPE];
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if log.address == contract && log.topics().first() == Some(&DEPOSIT_EVENT) {
            push_deposit(log, &mut request)?;
        }
    }
    Ok((request.len() > 1).then(|| request.into()))
}

fn push_deposit(log: &Log, request: &mut Vec<u8>) -> Result<(), InvalidDepositLog> {
    let data = &log.data.data;
    if data.len() != LOG_LENGTH {
        return Err(InvalidDepositLog);
    }
    // Each field is preceded by a word with its length, and the head holds the offsets of those.
    for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
        if !is_word(data, index * 32, offset - 32) || !is_word(data, offset - 32, length) {
            return Err(InvalidDepositLog);
        }
        request.extend_from_slice(&data[offset..offset + length]);
    }
    Ok(())
}

fn is_word(data: &[u8], at: usize, value: usize) -> bool {
    let (head, tail) = data[at..at + 32].split_at(24);
    head.iter().all(|byte| *byte == 0) && tail == (value as u64).to_be_bytes()
}

/// SHA-256 over the SHA-256 of each request.
pub(crate) fn hash(requests: &[Bytes]) -> B256 {
    let mut hasher = Sha256::new();
    for request in requests {
        hasher.update(Sha256::digest(request));
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
    use alloy_primitives::{LogData, U256};
    use opal_protocol::TxType;

    use super::*;

    fn deposit_log() -> Vec<u8> {
        let mut data = alloc::vec![0_u8; LOG_LENGTH];
        for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
            data[index * 32..][..32].copy_from_slice(&U256::from(offset - 32).to_be_bytes::<32>());
            data[offset - 32..offset].copy_from_slice(&U256::from(length).to_be_bytes::<32>());
            data[offset..offset + length].fill(index as u8 + 1);
        }
        data
    }

    fn receipt(data: Vec<u8>) -> Receipt {
        let data = LogData::new_unchecked(alloc::vec![DEPOSIT_EVENT], data.into());
        Receipt {
            tx_type: TxType::Legacy,
            success: true,
            cumulative_gas_used: 0,
            logs: alloc::vec![Log { address: Address::ZERO, data }],
            deposit_nonce: None,
            deposit_receipt_version: None,
        }
    }

    #[test]
    fn deposits_are_read_from_logs() {
        let request = deposits(&[receipt(deposit_log())], Address::ZERO).unwrap().unwrap();
        assert_eq!(request.len(), 1 + 48 + 32 + 8 + 96 + 8);
        assert_eq!((request[0], request[1], request[192]), (0, 1, 5));
        assert_eq!(deposits(&[receipt(deposit_log())], Address::repeat_byte(1)), Ok(None));
        let mut wrong = deposit_log();
        wrong[31] = 0;
        assert_eq!(deposits(&[receipt(wrong)], Address::ZERO), Err(InvalidDepositLog));
    }

    #[test]
    fn no_requests_hash_to_the_constant() {
        assert_eq!(hash(&[]), EMPTY_REQUESTS_HASH);
    }
}
