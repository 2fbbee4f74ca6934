//! Where derivation starts: after a restart and after an L1 reorg.
//!
//! Three walks, each as short as the evidence allows:
//! 1. the unsafe head goes back until its L1 origin is canonical (or not yet visible);
//! 2. the safe head goes back to the newest one whose data came from a canonical L1 block, because
//!    a batch can be reorged out although the origins of its blocks stay; the record of
//!    [`ForkchoiceState`](crate::forkchoice::ForkchoiceState) makes this a few look-ups instead of
//!    a whole sequencing window;
//! 3. the L1 start goes back from the safe head's origin by a channel timeout, since a channel
//!    that holds the next batch may have been opened that long ago; the system configuration is
//!    that of the L2 block found there.
//!
//! Spec: `derivation.md`, "Resetting the Pipeline".
//!
//! # Compared with op-node's `FindL2Heads`
//!
//! | | op-node | here |
//! |---|---|---|
//! | questions to the L1 | one for each L1 origin on the way | of each order of magnitude one, then bisection: below a canonical block all are |
//! | safe head | a sequencing window of canonical origins below the newest one | the newest block whose data is known to stand on a canonical L1 block |
//! | depth | an error beyond five sequencing windows | down to the finalized head, never below it |
//! | L1 shorter than our origins | unsafe head stays, candidates are discarded | the same; below the finalized origin nothing is decided, and the node waits |
//!
//! An L1 endpoint that lags behind, or that was switched to another chain, therefore costs a few
//! questions and leaves the finalized head where it is.
//!
//! The search itself asks nobody: [`Search::next`] says what it must know of the L1, the driver
//! answers by [`Search::l1_hash`] and [`Search::l1_block`].

use std::collections::HashMap;
use std::sync::Arc;

use alloy_primitives::B256;
use opal_derivation::{DerivationStart, must_walk_back};
use opal_protocol::l1_info::l1_info_of_block;
use opal_protocol::{
    BlockId, L1BlockRef, L2BlockRef, RollupConfig, SealedBlock, SystemConfig, system_config_of,
};
use tracing::info;

use crate::engine::block_ref;
use crate::error::NodeError;
use crate::forkchoice::{Heads, SafeEntry};

/// L2 blocks walked over between two lines in the log.
const REPORT_EVERY: u64 = 10_000;

/// A consistent place to derive from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncStart {
    pub unsafe_head: L2BlockRef,
    pub derivation: DerivationStart,
}

/// What a search needs next, or its result.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// The hash of the L1's block of this number.
    L1Hash(u64),
    /// The L1 block with this hash.
    L1Block(BlockId),
    Found(Box<SyncStart>),
}

/// How an L1 block that we know relates to the L1's chain now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Canonical,
    Orphaned,
    /// The L1 is not that long (yet).
    Ahead,
}

impl Standing {
    /// By what the L1 has at the block's height.
    pub(crate) fn of(id: BlockId, canonical: Option<B256>) -> Self {
        match canonical {
            Some(hash) if hash == id.hash => Self::Canonical,
            Some(_) => Self::Orphaned,
            None => Self::Ahead,
        }
    }
}

/// Why a search cannot go on at once.
enum Stop {
    Ask(Next),
    Fail(NodeError),
}

impl From<NodeError> for Stop {
    fn from(error: NodeError) -> Self {
        Self::Fail(error)
    }
}

/// Index of the newest block that is canonical in a list of L1 blocks of one chain, newest first;
/// `None` when none is. Looks at a number of blocks that is logarithmic in the result.
///
/// `at` gives a block, or the oldest one with its index when the list is shorter.
pub(crate) fn newest_canonical<E>(
    mut at: impl FnMut(usize) -> Result<(usize, BlockId), E>,
    mut canonical: impl FnMut(BlockId) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    let mut low = 0;
    let mut probe = 0;
    let mut found = loop {
        let (index, block) = at(probe)?;
        if canonical(block)? {
            break index;
        }
        if index < probe {
            return Ok(None);
        }
        low = index + 1;
        probe = 2 * probe + 1;
    };
    while low < found {
        let middle = low + (found - low) / 2;
        if canonical(at(middle)?.1)? {
            found = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(found))
}

/// A search for the place to derive from.
#[derive(Debug)]
pub(crate) struct Search {
    config: Arc<RollupConfig>,
    heads: Heads,
    /// Safe heads and where they came from, newest first.
    safe_log: Vec<SafeEntry>,
    /// The newest L2 block of each L1 origin, from the unsafe head back; as far as it was needed.
    origins: Vec<L2BlockRef>,
    /// The L2 block that the walk for `origins` has reached, and its L1 origins' end.
    reached: L2BlockRef,
    walked: u64,
    hashes: HashMap<u64, Option<B256>>,
    l1_start: Option<L1BlockRef>,
}

impl Search {
    /// Looks back from `heads`; `safe_log` is newest first.
    pub(crate) fn new(
        config: Arc<RollupConfig>,
        heads: Heads,
        safe_log: impl Iterator<Item = SafeEntry>,
    ) -> Self {
        Self {
            config,
            heads,
            safe_log: safe_log.collect(),
            origins: vec![heads.unsafe_head],
            reached: heads.unsafe_head,
            walked: 0,
            hashes: HashMap::new(),
            l1_start: None,
        }
    }

    /// The answer to [`Next::L1Hash`]; `None` when the L1 is not that long.
    pub(crate) fn l1_hash(&mut self, number: u64, hash: Option<B256>) {
        self.hashes.insert(number, hash);
    }

    /// The answer to [`Next::L1Block`].
    pub(crate) fn l1_block(&mut self, block: L1BlockRef) {
        self.l1_start = Some(block);
    }

    /// Goes on until the L1 must be asked. `l2` gives L2 blocks by hash.
    ///
    /// # Errors
    /// When the L1 contradicts what is final, or a block of the L2 chain is missing or malformed.
    pub(crate) fn next(
        &mut self,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<Next, NodeError> {
        match self.find(l2) {
            Ok(start) => Ok(Next::Found(Box::new(start))),
            Err(Stop::Ask(next)) => Ok(next),
            Err(Stop::Fail(error)) => Err(error),
        }
    }

    fn find(
        &mut self,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<SyncStart, Stop> {
        let unsafe_head = self.unsafe_head(l2)?;
        let safe = self.safe_head(&unsafe_head)?;

        let mut start = safe;
        while must_walk_back(&self.config, safe.l1_origin, &start, self.origin_time(&start, l2)?) {
            start = self.parent(&start, l2)?;
        }
        let l1 = self.l1_start.filter(|l1| l1.id() == start.l1_origin);
        let derivation = DerivationStart {
            safe_head: safe,
            safe_system_config: self.system_config(safe.hash, l2)?,
            l1: l1.ok_or(Stop::Ask(Next::L1Block(start.l1_origin)))?,
            l1_system_config: self.system_config(start.hash, l2)?,
        };
        Ok(SyncStart { unsafe_head, derivation })
    }

    /// The newest block that is plausible: its origin is canonical, or the L1 does not reach it yet
    /// and the newest origin that it does reach is canonical.
    fn unsafe_head(
        &mut self,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<L2BlockRef, Stop> {
        let hashes = self.hashes.clone();
        let mut oldest = self.heads.unsafe_head;
        let found = newest_canonical(
            |index| {
                let (index, block) = self.origin(index, l2)?;
                oldest = block;
                Ok((index, block.l1_origin))
            },
            |id| Ok::<_, Stop>(standing(&hashes, id)? == Standing::Canonical),
        )?;
        let Some(index) = found else {
            return Err(Stop::Fail(self.not_our_l1(oldest, &hashes)?));
        };
        let Some(above) = index.checked_sub(1) else { return Ok(self.heads.unsafe_head) };
        let above = self.origin(above, l2)?.1;
        if standing(&hashes, above.l1_origin)? == Standing::Ahead {
            return Ok(self.heads.unsafe_head);
        }
        Ok(self.origin(index, l2)?.1)
    }

    /// Why no origin down to `oldest`, which is final, is canonical.
    fn not_our_l1(
        &self,
        oldest: L2BlockRef,
        hashes: &HashMap<u64, Option<B256>>,
    ) -> Result<NodeError, Stop> {
        let id = oldest.l1_origin;
        if standing(hashes, id)? == Standing::Ahead {
            return Ok(NodeError::L1Behind(id));
        }
        let found = hashes.get(&id.number).copied().flatten().unwrap_or_default();
        Ok(if id.number == self.config.genesis.l1.number {
            NodeError::WrongL1Genesis { expected: id, found }
        } else {
            NodeError::FinalizedReorged(id)
        })
    }

    /// The newest block with the L1 origin at this place before the unsafe head's; the finalized
    /// head when that is newer.
    fn origin(
        &mut self,
        index: usize,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<(usize, L2BlockRef), NodeError> {
        let end = self.heads.finalized.number.max(self.config.genesis.l2.number);
        while self.origins.len() <= index && self.reached.number > end {
            let block = self.parent(&self.reached, l2)?;
            if block.l1_origin != self.reached.l1_origin {
                self.origins.push(block);
            }
            self.reached = block;
            self.walked += 1;
            if self.walked.is_multiple_of(REPORT_EVERY) {
                info!(target: "opal::node", block = block.number, l1 = block.l1_origin.number,
                    until = end, "looking back for the last block that the L1 confirms");
            }
        }
        let last = self.origins.len() - 1;
        let index = index.min(last);
        // `origins` begins with the unsafe head and never shrinks.
        Ok((index, self.origins.get(index).copied().unwrap_or(self.reached)))
    }

    fn safe_head(&self, unsafe_head: &L2BlockRef) -> Result<L2BlockRef, Stop> {
        let within = |entry: &SafeEntry| entry.safe.number > unsafe_head.number;
        let log = self.safe_log.get(self.safe_log.partition_point(within)..).unwrap_or_default();
        let Some(last) = log.len().checked_sub(1) else { return Ok(self.heads.finalized) };
        let entry = |index: usize| log.get(index.min(last)).copied();
        let found = newest_canonical(
            |index| {
                let id = entry(index).map(|entry| entry.derived_from).unwrap_or_default();
                Ok((index.min(last), id))
            },
            |id| Ok::<_, Stop>(standing(&self.hashes, id)? == Standing::Canonical),
        )?;
        let safe = found.and_then(entry).map(|entry| entry.safe);
        Ok(safe.filter(|s| s.number > self.heads.finalized.number).unwrap_or(self.heads.finalized))
    }

    fn system_config(
        &self,
        hash: B256,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<SystemConfig, NodeError> {
        let block = l2(hash)?.ok_or_else(|| NodeError::MissingBlock(hash.to_string()))?;
        system_config_of(&self.config, hash, &block.block)
            .map_err(|error| NodeError::L1Info { block: block.id(), error: error.into() })
    }

    /// Timestamp of a block's L1 origin as the block itself tells it: thousands of blocks may be
    /// walked over, and the L1 is far.
    fn origin_time(
        &self,
        reference: &L2BlockRef,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<u64, NodeError> {
        // Genesis tells nothing, and the walk ends there in any case.
        if reference.number <= self.config.genesis.l2.number {
            return Ok(0);
        }
        let hash = reference.hash;
        let block = l2(hash)?.ok_or_else(|| NodeError::MissingBlock(hash.to_string()))?;
        l1_info_of_block(&self.config, block.hash, &block.block)
            .map(|info| info.timestamp)
            .map_err(|error| NodeError::L1Info { block: block.id(), error: error.into() })
    }

    fn parent(
        &self,
        block: &L2BlockRef,
        l2: &impl Fn(B256) -> Result<Option<SealedBlock>, NodeError>,
    ) -> Result<L2BlockRef, NodeError> {
        let hash = block.parent_hash;
        let parent = l2(hash)?.ok_or_else(|| NodeError::MissingBlock(hash.to_string()))?;
        block_ref(&self.config, &parent)
    }
}

fn standing(hashes: &HashMap<u64, Option<B256>>, id: BlockId) -> Result<Standing, Stop> {
    match hashes.get(&id.number) {
        Some(hash) => Ok(Standing::of(id, *hash)),
        None => Err(Stop::Ask(Next::L1Hash(id.number))),
    }
}

#[cfg(test)]
#[path = "sync_start_tests.rs"]
mod tests;
