//! L1 retrieval: what the batcher posted in the origin. Spec: `derivation.md`, "L1 Retrieval";
//! `ecotone/derivation.md`, "Ecotone: Blob Retrieval".

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256};
use opal_protocol::blob::decode_blob;
use opal_protocol::{Hardfork, L1BlockRef, RollupConfig, TxEnvelope};

use crate::host::{BatcherData, Dropped, Inbox, Pull, Request, ResetReason, Stall};
use crate::l1_traversal::L1Traversal;

/// Where a piece of batcher data is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Calldata(BatcherData),
    Blob(B256),
}

/// The second stage.
#[derive(Debug, Default)]
pub(crate) enum L1Retrieval {
    /// The next L1 block has not been opened.
    #[default]
    Closed,
    /// Some of the data is in blobs that are not here yet.
    Waiting(Vec<Source>),
    /// Data in order.
    Open(VecDeque<BatcherData>),
}

impl L1Retrieval {
    /// Number of blobs that are waited for, if any.
    pub(crate) fn blobs_wanted(&self) -> Option<usize> {
        let Self::Waiting(sources) = self else { return None };
        let count = sources.iter().filter(|source| matches!(source, Source::Blob(_))).count();
        (count > 0).then_some(count)
    }

    /// The next piece of data of the origin.
    pub(crate) fn next_data(
        &mut self,
        traversal: &mut L1Traversal,
        config: &RollupConfig,
        inbox: &mut Inbox,
        dropped: &mut VecDeque<Dropped>,
    ) -> Pull<BatcherData> {
        let origin = traversal.origin;
        if matches!(self, Self::Closed) {
            let transactions = traversal.take_transactions().ok_or(Stall::Eof)?;
            let batcher = traversal.system_config.batcher_address;
            *self = Self::Waiting(sources(&transactions, config, &origin, batcher));
        }
        if let Self::Waiting(sources) = self {
            let data = gather(sources, &origin, inbox, dropped)?;
            *self = Self::Open(data);
        }
        if let Self::Open(data) = self
            && let Some(next) = data.pop_front()
        {
            return Ok(next);
        }
        *self = Self::Closed;
        Err(Stall::Eof)
    }
}

/// Whether a transaction is the batcher's: of a type that may carry data, to the inbox, and signed
/// by (on an L3: deposited from) the batcher. Set-code transactions carry none.
fn is_batcher_tx(tx: &TxEnvelope, config: &RollupConfig, batcher: Address) -> bool {
    !matches!(tx, TxEnvelope::Eip7702(_))
        && tx.to() == Some(config.batch_inbox_address)
        && tx.recover().is_ok_and(|sender| sender == batcher)
}

/// The batcher's data in an L1 block, in order.
fn sources(
    transactions: &[TxEnvelope],
    config: &RollupConfig,
    origin: &L1BlockRef,
    batcher: Address,
) -> Vec<Source> {
    let blobs = config.is_active(Hardfork::Ecotone, origin.timestamp);
    let mut out = Vec::new();
    for tx in transactions.iter().filter(|tx| is_batcher_tx(tx, config, batcher)) {
        match tx {
            // The calldata of a blob transaction does not count, once blobs do.
            TxEnvelope::Eip4844(tx) if blobs => {
                out.extend(tx.tx().blob_versioned_hashes.iter().copied().map(Source::Blob));
            }
            _ => out.push(Source::Calldata(tx.input().clone())),
        }
    }
    out
}

/// Puts the blobs in their places. Blobs in another encoding are left out.
fn gather(
    sources: &[Source],
    origin: &L1BlockRef,
    inbox: &mut Inbox,
    dropped: &mut VecDeque<Dropped>,
) -> Pull<VecDeque<BatcherData>> {
    let hashes: Vec<B256> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Blob(hash) => Some(*hash),
            Source::Calldata(_) => None,
        })
        .collect();
    let blobs = if hashes.is_empty() {
        Vec::new()
    } else if inbox.blobs_missing == Some(origin.id()) {
        return Err(Stall::Reset(ResetReason::BlobsMissing(origin.id())));
    } else {
        match inbox
            .blobs
            .take_if(|(block, blobs)| *block == origin.id() && blobs.len() == hashes.len())
        {
            Some((_, blobs)) => blobs,
            None => return Err(Stall::Need(Request::Blobs { block: *origin, hashes })),
        }
    };
    let mut blobs = blobs.into_iter();
    let mut data = VecDeque::with_capacity(sources.len());
    for source in sources {
        match source {
            Source::Calldata(calldata) => data.push_back(calldata.clone()),
            Source::Blob(hash) => match blobs.next().map(|blob| decode_blob(&blob)) {
                Some(Ok(content)) => data.push_back(content),
                Some(Err(error)) => dropped.push_back(Dropped::Blob { hash: *hash, error }),
                // As many blobs as hashes, which was checked.
                None => {}
            },
        }
    }
    Ok(data)
}

#[cfg(test)]
#[path = "l1_retrieval_tests.rs"]
mod tests;
