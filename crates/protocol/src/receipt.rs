//! Receipts of both layers in one struct.

use alloc::vec::Vec;

use alloy_primitives::{Bloom, Log, bytes::BufMut, logs_bloom};
use alloy_rlp::{Encodable, Header};

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
        let ty = self.tx_type as u8;
        if ty != 0 {
            out.put_u8(ty);
        }
        let bloom = self.bloom();
        let deposit = ty == DEPOSIT_TX_TYPE;
        let nonce = self.deposit_nonce.filter(|_| deposit);
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

    /// The form that enters the receipts root: between Regolith and Canyon the root was computed
    /// without the deposit nonce, a quirk that consensus keeps.
    pub fn for_receipts_root(&self) -> Self {
        let mut receipt = self.clone();
        if receipt.deposit_receipt_version.is_none() {
            receipt.deposit_nonce = None;
        }
        receipt
    }
}
