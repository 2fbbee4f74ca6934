//! L1 traversal: the origin, and the system configuration as of it. Spec: `derivation.md`, "L1
//! Traversal".

use alloc::sync::Arc;
use alloc::vec::Vec;

use opal_protocol::{L1BlockRef, SystemConfig, TxEnvelope};

/// The first stage.
#[derive(Debug)]
pub(crate) struct L1Traversal {
    /// The L1 block being read.
    pub(crate) origin: L1BlockRef,
    /// System configuration with the updates of the origin applied.
    pub(crate) system_config: SystemConfig,
    /// Transactions of the origin, until the next stage has taken them.
    transactions: Option<Arc<Vec<TxEnvelope>>>,
}

impl L1Traversal {
    pub(crate) const fn new(origin: L1BlockRef, system_config: SystemConfig) -> Self {
        Self { origin, system_config, transactions: None }
    }

    /// Moves on to an L1 block, or opens the first one.
    pub(crate) fn open(&mut self, block: L1BlockRef, transactions: Arc<Vec<TxEnvelope>>) {
        self.origin = block;
        self.transactions = Some(transactions);
    }

    /// The origin's transactions, once.
    pub(crate) fn take_transactions(&mut self) -> Option<Arc<Vec<TxEnvelope>>> {
        self.transactions.take()
    }
}
