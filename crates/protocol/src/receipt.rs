//! Receipts of both layers in one struct.

use alloc::vec::Vec;

use alloy_primitives::{Bloom, Log, bytes::BufMut, logs_bloom};
use alloy_rlp::{Decodable, Encodable, Header};

use crate::{DEPOSIT_TX_TYPE, TxType};

/// The consensus receipt of a transaction of either layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Type of the transaction that this is the receipt of.
    pub tx_type: TxType,
    /// Whether execution succeeded.
    pub success: bool,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Logs in the order in which they were emitted.
    pub logs: Vec<Log>,
    /// Sender's nonce before the deposit; present on deposits from Regolith on.
    pub deposit_nonce: Option<u64>,
    /// Receipt format of a deposit; `Some(1)` from Canyon on. Only then does the nonce enter the
    /// receipts root. Spec: `deposits.md`, "Deposit Receipt".
    pub deposit_receipt_version: Option<u64>,
}

impl Receipt {
    /// Bloom filter over the logs.
    pub fn bloom(&self) -> Bloom {
        logs_bloom(self.logs.iter())
    }

    /// EIP-2718 encoding with the bloom, as the receipts trie holds it.
    ///
    /// The nonce is written whenever it is set; a caller that computes a pre-Canyon receipts root
    /// uses [`Receipt::for_receipts_root`] first.
    pub fn encode_2718(&self, out: &mut dyn BufMut) {
        self.encode_2718_with(&self.bloom(), self.deposit_nonce, out);
    }

    /// The encoding that enters the receipts root, given the bloom filter over the logs: see
    /// [`Receipt::for_receipts_root`].
    pub fn encode_for_receipts_root(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        self.encode_2718_with(bloom, self.nonce_for_receipts_root(), out);
    }

    fn encode_2718_with(&self, bloom: &Bloom, deposit_nonce: Option<u64>, out: &mut dyn BufMut) {
        let ty = self.tx_type as u8;
        if ty != 0 {
            out.put_u8(ty);
        }
        let deposit = ty == DEPOSIT_TX_TYPE;
        let nonce = deposit_nonce.filter(|_| deposit);
        let version = self.deposit_receipt_version.filter(|_| deposit);
        let payload_length = self.success.length()
            + self.cumulative_gas_used.length()
            + bloom.length()
            + self.logs.length()
            + nonce.map_or(0, |n| n.length())
            + version.map_or(0, |v| v.length());
        Header { list: true, payload_length }.encode(out);
        self.success.encode(out);
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
        if let Some(n) = nonce {
            n.encode(out);
        }
        if let Some(v) = version {
            v.encode(out);
        }
    }

    /// Reads what [`Receipt::encode_2718`] writes. The bloom is not compared with the logs.
    ///
    /// # Errors
    /// When the encoding is not that of a receipt, or something follows it.
    pub fn decode_2718(raw: &[u8]) -> alloy_rlp::Result<Self> {
        use alloy_rlp::Error;
        let (tx_type, mut rest) = match raw.split_first() {
            Some((kind, rest)) if *kind < 0x80 && *kind != 0 => {
                let tx_type = TxType::try_from(*kind);
                (tx_type.map_err(|_| Error::Custom("unknown transaction type"))?, rest)
            }
            _ => (TxType::Legacy, raw),
        };
        let mut fields = Header::decode_bytes(&mut rest, true)?;
        if !rest.is_empty() {
            return Err(Error::UnexpectedLength);
        }
        let success = bool::decode(&mut fields)?;
        let cumulative_gas_used = u64::decode(&mut fields)?;
        Bloom::decode(&mut fields)?;
        let logs = Vec::<Log>::decode(&mut fields)?;
        let mut number = || -> alloy_rlp::Result<Option<u64>> {
            let there = !fields.is_empty() && tx_type as u8 == DEPOSIT_TX_TYPE;
            there.then(|| u64::decode(&mut fields)).transpose()
        };
        let (deposit_nonce, deposit_receipt_version) = (number()?, number()?);
        if !fields.is_empty() {
            return Err(Error::ListLengthMismatch { expected: 0, got: fields.len() });
        }
        Ok(Self {
            tx_type,
            success,
            cumulative_gas_used,
            logs,
            deposit_nonce,
            deposit_receipt_version,
        })
    }

    /// The form that enters the receipts root: between Regolith and Canyon the root was computed
    /// without the deposit nonce, a quirk that consensus keeps.
    pub fn for_receipts_root(&self) -> Self {
        Self { deposit_nonce: self.nonce_for_receipts_root(), ..self.clone() }
    }

    fn nonce_for_receipts_root(&self) -> Option<u64> {
        self.deposit_nonce.filter(|_| self.deposit_receipt_version.is_some())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec;
    use alloy_primitives::{Address, Bytes};

    fn encode(receipt: &Receipt) -> Vec<u8> {
        let mut out = Vec::new();
        receipt.encode_2718(&mut out);
        out
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        for (tx_type, nonce, version) in [
            (TxType::Legacy, None, None),
            (TxType::Eip7702, None, None),
            (TxType::Deposit, None, None),
            (TxType::Deposit, Some(7), None),
            (TxType::Deposit, Some(7), Some(1)),
        ] {
            let log = Log::new_unchecked(Address::repeat_byte(1), vec![], Bytes::from_static(&[2]));
            let receipt = Receipt {
                tx_type,
                success: true,
                cumulative_gas_used: 21_000,
                logs: vec![log],
                deposit_nonce: nonce,
                deposit_receipt_version: version,
            };
            let raw = encode(&receipt);
            assert_eq!(Receipt::decode_2718(&raw), Ok(receipt));
            let mut long = raw.clone();
            long.push(0);
            assert!(Receipt::decode_2718(&long).is_err());
            assert!(Receipt::decode_2718(&raw[..raw.len() - 1]).is_err());
        }
        assert!(Receipt::decode_2718(&[]).is_err());
        assert!(Receipt::decode_2718(&[0x55, 0xc0]).is_err());
        assert!(Receipt::decode_2718(&[0x00, 0xc0]).is_err());
    }
}
