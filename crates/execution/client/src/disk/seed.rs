//! A chain that begins with a state of any size, for benches: no genesis file has to hold it, and
//! neither does memory.

use std::path::Path;
use std::sync::Arc;

use alloy_primitives::B256;

use super::directory::Directory;
use super::segments::Segments;
use super::snapshot::found;
use super::{DiskError, Identity, STATE, index_entries};
use crate::chain::StoredBlock;
use crate::state_store::{Importer, StateStore, StateStoreOptions, StoreError};

/// Makes the directory of a chain that consists of its genesis and one block, which everybody is to
/// believe: after it the state is what `fill` gives, in the order of hashed keys. `block` makes the
/// block for the root of that state. A directory that was not finished is no chain's.
///
/// # Errors
/// When the accounts come out of order, or something cannot be written.
pub fn seed_chain(
    dir: &Path,
    identity: Identity,
    fill: impl FnOnce(&mut Importer<'_>) -> Result<(), StoreError>,
    block: impl FnOnce(B256) -> StoredBlock,
) -> Result<(), DiskError> {
    let directory = Directory::open(dir, identity)?;
    let options = StateStoreOptions::default();
    let states = StateStore::open(&dir.join(STATE), identity.genesis, None, options)?;
    let mut importer = states.import();
    fill(&mut importer)?;
    let state = importer.finish()?;
    states.sync()?;
    let block = Arc::new(block(state.root.hash));
    Segments::create(dir, block.number())?.append(std::slice::from_ref(&block))?;
    found(dir, block.number(), &block, index_entries(&block), &state)?;
    drop(directory);
    Ok(())
}
