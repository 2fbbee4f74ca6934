//! Senders of a block's transactions, recovered on several threads ahead of execution.

use std::thread;

use alloy_primitives::Address;
use opal_protocol::TxEnvelope;

use crate::threads::cores;

/// Fewer signatures than this are not worth a further thread.
const LEAST_PER_THREAD: usize = 16;
/// Threads that one block may take.
const MOST_THREADS: usize = 16;

/// Whose sender could not be recovered, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index}: {reason}")]
pub(crate) struct SenderError {
    /// Place in the list.
    pub(crate) index: usize,
    /// What is wrong with its signature.
    pub(crate) reason: String,
}

/// The senders, in order. Those that `known` tells are taken as they are.
///
/// # Errors
/// The first transaction whose signature belongs to nobody.
pub(crate) fn senders(
    transactions: &[TxEnvelope],
    known: impl FnMut(&TxEnvelope) -> Option<Address>,
) -> Result<Vec<Address>, SenderError> {
    let mut senders: Vec<Option<Address>> = transactions.iter().map(known).collect();
    let unknown = senders.iter().filter(|sender| sender.is_none()).count();
    let threads = (unknown / LEAST_PER_THREAD).clamp(1, cores().min(MOST_THREADS));
    if threads == 1 {
        fill(0, transactions, &mut senders)?;
    } else {
        let share = transactions.len().div_ceil(threads);
        let parts = transactions.chunks(share).zip(senders.chunks_mut(share)).enumerate();
        thread::scope(|scope| {
            let running: Vec<_> = parts
                .map(|(part, (transactions, senders))| {
                    scope.spawn(move || fill(part * share, transactions, senders))
                })
                .collect();
            running.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    Ok(senders.into_iter().flatten().collect())
}

/// Recovers what is missing in `senders`; the first of `transactions` has the place `offset`.
fn fill(
    offset: usize,
    transactions: &[TxEnvelope],
    senders: &mut [Option<Address>],
) -> Result<(), SenderError> {
    for (index, (tx, sender)) in transactions.iter().zip(senders).enumerate() {
        if sender.is_none() {
            *sender = Some(tx.recover().map_err(|error| SenderError {
                index: offset + index,
                reason: error.to_string(),
            })?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_primitives::{B256, Signature, U256};
    use alloy_signer::SignerSync;
    use alloy_signer_local::PrivateKeySigner;
    use opal_protocol::DepositTransaction;

    use super::*;

    fn transactions(count: u64) -> (Vec<TxEnvelope>, Vec<Address>) {
        let signed = |nonce: u64| {
            let key = PrivateKeySigner::from_bytes(&B256::from(U256::from(1 + nonce % 7))).unwrap();
            let tx = TxLegacy { nonce, ..TxLegacy::default() };
            let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
            (TxEnvelope::Legacy(tx.into_signed(signature)), key.address())
        };
        let deposit = DepositTransaction { from: Address::repeat_byte(9), ..Default::default() };
        std::iter::once((deposit.into(), Address::repeat_byte(9)))
            .chain((1..count).map(signed))
            .unzip()
    }

    #[test]
    fn senders_come_in_the_order_of_the_transactions() {
        for count in [0, 1, 5, 40, 200] {
            let (transactions, mut expected) = transactions(count);
            expected.truncate(transactions.len());
            assert_eq!(senders(&transactions, |_| None), Ok(expected), "{count}");
        }
    }

    #[test]
    fn known_senders_are_taken_and_the_first_bad_signature_is_told() {
        let (mut transactions, mut expected) = transactions(100);
        let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
        for bad in [70, 90] {
            transactions[bad] = TxEnvelope::Legacy(TxLegacy::default().into_signed(nobody));
        }
        assert_eq!(senders(&transactions, |_| None).unwrap_err().index, 70);
        let known = Address::repeat_byte(3);
        let hash = transactions[70].tx_hash();
        let tell = |tx: &TxEnvelope| (tx.tx_hash() == hash).then_some(known);
        // Both have one hash.
        (expected[70], expected[90]) = (known, known);
        assert_eq!(senders(&transactions, tell), Ok(expected));
    }
}
