//! Where derivation starts: after a restart and after an L1 reorg.
//!
//! Three walks, each as short as the evidence allows:
//! 1. the unsafe head goes back until its L1 origin is canonical (or not yet visible);
//! 2. the safe head goes back to the newest one whose data came from a canonical L1 block, because
//!    a batch can be reorged out although the origins of its blocks stay; the record of
//!    [`ForkchoiceState`] makes this a few look-ups instead of a whole sequencing window;
//! 3. the L1 start goes back from the safe head's origin by a channel timeout, since a channel
//!    that holds the next batch may have been opened that long ago; the system configuration is
//!    that of the L2 block found there.
//!
//! Spec: `derivation.md`, "Resetting the Pipeline".

use std::collections::HashMap;

use alloy_primitives::B256;
use opal_da::L1Client;
use opal_derivation::{DerivationStart, must_walk_back};
use opal_execution::LocalEngine;
use opal_protocol::l1_info::l1_info_of_block;
use opal_protocol::{
    BlockId, L2BlockRef, RollupConfig, SealedBlock, SystemConfig, system_config_of,
};

use crate::engine::block_ref;
use crate::error::NodeError;
use crate::forkchoice::ForkchoiceState;

/// A consistent place to derive from.
#[derive(Clone, Debug)]
pub(crate) struct SyncStart {
    pub unsafe_head: L2BlockRef,
    pub derivation: DerivationStart,
}

/// How an L1 block that we know relates to the L1's chain now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Canonical,
    Orphaned,
    /// The L1 is not that long (yet).
    Ahead,
}

struct L1View<'a> {
    l1: &'a L1Client,
    seen: HashMap<u64, Option<B256>>,
}

impl L1View<'_> {
    async fn standing(&mut self, id: BlockId) -> Result<Standing, NodeError> {
        let hash = match self.seen.get(&id.number) {
            Some(hash) => *hash,
            None => {
                let hash = self.l1.canonical_hash(id.number).await?;
                self.seen.insert(id.number, hash);
                hash
            }
        };
        Ok(match hash {
            Some(hash) if hash == id.hash => Standing::Canonical,
            Some(_) => Standing::Orphaned,
            None => Standing::Ahead,
        })
    }
}

pub(crate) async fn find(
    config: &RollupConfig,
    engine: &LocalEngine,
    l1: &L1Client,
    forkchoice: &ForkchoiceState,
) -> Result<SyncStart, NodeError> {
    let heads = *forkchoice.heads();
    let mut view = L1View { l1, seen: HashMap::new() };

    let mut unsafe_head = None;
    let mut block = heads.unsafe_head;
    loop {
        match view.standing(block.l1_origin).await? {
            Standing::Canonical => {
                unsafe_head.get_or_insert(block);
                break;
            }
            Standing::Ahead => {
                unsafe_head.get_or_insert(block);
            }
            Standing::Orphaned => unsafe_head = None,
        }
        if block.number == config.genesis.l2.number {
            if let Some(Some(found)) = view.seen.get(&config.genesis.l1.number)
                && *found != config.genesis.l1.hash
            {
                return Err(NodeError::WrongL1Genesis {
                    expected: config.genesis.l1,
                    found: *found,
                });
            }
            break;
        }
        if block.number <= heads.finalized.number {
            if unsafe_head.is_none() {
                return Err(NodeError::FinalizedReorged(block.l1_origin));
            }
            break;
        }
        block = parent_of(config, engine, &block)?;
    }
    let unsafe_head = unsafe_head.unwrap_or(block);

    let mut safe = heads.finalized;
    for entry in forkchoice.safe_heads_newest_first() {
        if entry.safe.number <= unsafe_head.number
            && view.standing(entry.derived_from.id()).await? == Standing::Canonical
        {
            safe = entry.safe;
            break;
        }
    }

    let mut start = safe;
    while must_walk_back(config, safe.l1_origin, &start, origin_time(config, engine, &start)?) {
        start = parent_of(config, engine, &start)?;
    }
    let l1_start = l1.block_ref_by_hash(start.l1_origin.hash).await?;
    let derivation = DerivationStart {
        safe_head: safe,
        safe_system_config: config_at(config, engine, safe.hash)?,
        l1: l1_start,
        l1_system_config: config_at(config, engine, start.hash)?,
    };
    Ok(SyncStart { unsafe_head, derivation })
}

fn config_at(
    config: &RollupConfig,
    engine: &LocalEngine,
    hash: B256,
) -> Result<SystemConfig, NodeError> {
    let block = block_at(engine, hash)?;
    system_config_of(config, hash, &block.block)
        .map_err(|error| NodeError::L1Info { block: block.id(), error: error.into() })
}

/// Timestamp of a block's L1 origin as the block itself tells it: thousands of blocks may be walked
/// over, and the L1 is far.
fn origin_time(
    config: &RollupConfig,
    engine: &LocalEngine,
    reference: &L2BlockRef,
) -> Result<u64, NodeError> {
    // Genesis tells nothing, and the walk ends there in any case.
    if reference.number <= config.genesis.l2.number {
        return Ok(0);
    }
    let block = block_at(engine, reference.hash)?;
    l1_info_of_block(config, block.hash, &block.block)
        .map(|info| info.timestamp)
        .map_err(|error| NodeError::L1Info { block: block.id(), error: error.into() })
}

fn block_at(engine: &LocalEngine, hash: B256) -> Result<SealedBlock, NodeError> {
    engine.block_by_hash(&hash).ok_or_else(|| NodeError::MissingBlock(hash.to_string()))
}

fn parent_of(
    config: &RollupConfig,
    engine: &LocalEngine,
    block: &L2BlockRef,
) -> Result<L2BlockRef, NodeError> {
    block_ref(config, &block_at(engine, block.parent_hash)?)
}
