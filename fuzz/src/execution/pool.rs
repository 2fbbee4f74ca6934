//! The file in which the pool outlasts a restart.

use std::sync::OnceLock;

use alloy_consensus::Typed2718;
use opal_execution::{Chain, Journal};

use super::chain;
use super::files::Folder;

/// A chain whose pool is empty before each input.
fn fresh() -> std::sync::Arc<Chain> {
    chain::engine().chain().clone()
}

/// What is read of a file is written to one that is read the same.
pub(super) fn run(data: &[u8]) {
    static FOLDER: OnceLock<Folder> = OnceLock::new();
    let folder = FOLDER.get_or_init(Folder::new);
    let path = folder.path().join(Journal::FILE);
    std::fs::write(&path, data).unwrap();
    let (chain, journal) = (fresh(), Journal::new(&path));
    let restored = journal.load(chain.pool()).unwrap();
    assert!(restored.kept <= restored.read);
    assert!(restored.damaged_at.is_none_or(|offset| offset < data.len()));
    assert_eq!(restored.damaged_at.is_some(), !path.exists(), "a damaged file is moved aside");
    let (pending, queued) = chain.pool().status();
    assert!(pending + queued <= restored.kept);

    let saved = journal.save(chain.pool()).unwrap();
    assert_eq!(saved, pending + queued);
    let again = fresh();
    let restored = journal.load(again.pool()).unwrap();
    assert_eq!((restored.read, restored.kept, restored.damaged_at), (saved, saved, None));
    assert_eq!(again.pool().status(), (pending, queued));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    let mut all = Vec::new();
    for ((tx, _), raw) in chain::transactions().iter().zip(chain::raw_transactions()) {
        let mut item = Vec::new();
        match tx.is_legacy() {
            true => item.extend_from_slice(&raw),
            false => alloy_rlp::Encodable::encode(&raw, &mut item),
        }
        all.extend_from_slice(&item);
        seeds.push(item);
    }
    seeds.push(all.clone());
    all.truncate(all.len() - 3);
    seeds.push(all);
    seeds
}
