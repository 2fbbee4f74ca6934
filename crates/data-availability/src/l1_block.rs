//! Verified L1 blocks, and those of them that are kept in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::B256;
use opal_protocol::{L1BlockRef, Receipt, TxEnvelope};

/// Blocks kept in memory: enough for two nodes that read the same chain side by side.
const CACHED_BLOCKS: usize = 64;
/// Most bytes of blocks kept in memory, by [`L1BlockData::weight`].
const CACHED_BYTES: usize = 64 << 20;

/// An L1 block whose transactions and receipts match the roots in its header.
#[derive(Clone, Debug)]
pub struct L1BlockData {
    /// Hash, number, parent and time.
    pub reference: L1BlockRef,
    /// The header.
    pub header: Header,
    /// Transactions in block order.
    pub transactions: Arc<Vec<TxEnvelope>>,
    /// Receipts in block order.
    pub receipts: Arc<Vec<Receipt>>,
}

impl L1BlockData {
    /// About how much memory the block takes, in bytes.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 512;
        let transactions = self.transactions.iter().map(|tx| FIXED + tx.encode_2718_len());
        let receipts = self.receipts.iter().map(|receipt| {
            let logs = receipt.logs.iter();
            FIXED + logs.map(|log| FIXED / 2 + log.data.data.len()).sum::<usize>()
        });
        FIXED + transactions.sum::<usize>() + receipts.sum::<usize>()
    }
}

/// The blocks read last, by hash; the oldest entry leaves first.
#[derive(Default)]
pub(crate) struct Cache {
    blocks: HashMap<B256, Arc<L1BlockData>>,
    /// Hashes and weights.
    order: VecDeque<(B256, usize)>,
    bytes: usize,
}

impl Cache {
    /// The block with this hash.
    pub(crate) fn get(&self, hash: &B256) -> Option<Arc<L1BlockData>> {
        self.blocks.get(hash).cloned()
    }

    pub(crate) fn insert(&mut self, block: Arc<L1BlockData>) {
        let (hash, weight) = (block.reference.hash, block.weight());
        if self.blocks.insert(hash, block).is_none() {
            self.order.push_back((hash, weight));
            self.bytes += weight;
        }
        while (self.order.len() > CACHED_BLOCKS || self.bytes > CACHED_BYTES)
            && let Some((oldest, weight)) = self.order.pop_front()
        {
            self.bytes -= weight;
            self.blocks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake_server::{block, signed_tx};

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache::default();
        for number in 0..3 * CACHED_BLOCKS as u64 {
            let header = Header { number, ..Header::default() };
            cache.insert(Arc::new(L1BlockData {
                reference: L1BlockRef::from_header(header.hash_slow(), &header),
                header,
                transactions: Arc::default(),
                receipts: Arc::default(),
            }));
        }
        assert_eq!((cache.blocks.len(), cache.order.len()), (CACHED_BLOCKS, CACHED_BLOCKS));
        // Few blocks, but large ones.
        for nonce in 0..80 {
            let tx = signed_tx(nonce, vec![1; 1 << 20].into());
            let (sealed, receipts) = block(Header { number: nonce, ..Header::default() }, vec![tx]);
            let data = Arc::unwrap_or_clone(sealed.block);
            cache.insert(Arc::new(L1BlockData {
                reference: L1BlockRef::from_header(sealed.hash, &data.header),
                header: data.header,
                transactions: Arc::new(data.body.transactions),
                receipts: Arc::new(receipts),
            }));
            assert!(cache.bytes <= CACHED_BYTES);
        }
        assert_eq!((cache.blocks.len(), cache.order.len()), (63, 63));
        let weights = cache.blocks.values().map(|block| block.weight());
        assert_eq!(cache.bytes, weights.sum::<usize>());
    }
}
