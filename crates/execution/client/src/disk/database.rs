//! The data directory of a chain that no node runs on: figures, checks, going back.

use std::collections::HashMap;
use std::path::Path;

use alloy_consensus::BlockHeader;
use alloy_primitives::B256;
use opal_protocol::BlockId;

use crate::state_store::{StateStoreOptions, StateStoreStats};

use super::directory::Directory;
use super::{
    BlockRecord, Disk, DiskError, Forkchoice, Identity, Place, Record, Recovered, state_root,
};

/// The directory, which this process alone has open.
#[derive(Debug)]
pub struct Database {
    disk: Disk,
    recovered: Recovered,
}

/// Figures of a data directory.
#[derive(Clone, Debug)]
pub struct DatabaseStats {
    /// The chain that it belongs to.
    pub identity: Identity,
    /// End of the chain; `None` when nothing but genesis is there.
    pub head: Option<BlockId>,
    /// The safe block.
    pub safe: Option<BlockId>,
    /// The finalized block.
    pub finalized: Option<BlockId>,
    /// Numbers of the first and the last block in the segments.
    pub flushed: Option<(u64, u64)>,
    /// Blocks in the journal, canonical or not.
    pub journal_blocks: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes of blocks and receipts.
    pub block_bytes: u64,
    /// Bytes of the index of hashes.
    pub index_bytes: u64,
    /// Sorted runs that the index consists of.
    pub index_runs: u64,
    /// Block numbers of the oldest and the newest state, and how many there are.
    pub states: Option<(u64, u64, u64)>,
    /// Figures of the state store.
    pub state: StateStoreStats,
}

/// What a check has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blocks.
    pub blocks: u64,
    /// Transactions.
    pub transactions: u64,
    /// Entries of the index.
    pub entries: u64,
    /// Nodes and codes of the newest stored state.
    pub state_nodes: u64,
}

/// What a check is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Blocks that were read, and those that there are.
    Blocks(u64, u64),
    /// Nodes of the state that were read.
    StateNodes(u64),
}

impl Database {
    /// Opens a directory that a node has made. What an interrupted write has left is cut off, as a
    /// start of the node would do.
    ///
    /// # Errors
    /// When there is none, it is open elsewhere, or damaged.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let directory = Directory::existing(path)?;
        let (disk, recovered) = Disk::open_in(directory, None, StateStoreOptions::default())?;
        Ok(Self { disk, recovered })
    }

    /// The chain that it belongs to.
    pub const fn identity(&self) -> Identity {
        self.disk.identity()
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Number and hash of a block that is here.
    fn id(&self, hash: &B256) -> Result<Option<BlockId>, DiskError> {
        let journal = self.recovered.blocks.iter().find(|record| record.block.hash == *hash);
        if let Some(record) = journal {
            return Ok(Some(record.block.id()));
        }
        let number = self.disk.number(hash)?;
        Ok(number.map(|number| BlockId { hash: *hash, number }))
    }

    /// Figures.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn stats(&self) -> Result<DatabaseStats, DiskError> {
        let label = |get: fn(&Forkchoice) -> B256| match &self.recovered.forkchoice {
            Some(labels) => self.id(&get(labels)),
            None => Ok(None),
        };
        let Disk { segments, runs, roots, .. } = &self.disk;
        let states = roots.read(|roots| {
            let (first, last) = (roots.first()?, roots.last()?);
            Some((first.number, last.number, roots.len() as u64))
        });
        let count = segments.count();
        Ok(DatabaseStats {
            identity: self.identity(),
            head: label(|labels| labels.head)?,
            safe: label(|labels| labels.safe)?,
            finalized: label(|labels| labels.finalized)?,
            flushed: (count > 0).then(|| (segments.first(), self.disk.next() - 1)),
            journal_blocks: self.recovered.blocks.len() as u64,
            journal_bytes: self.disk.journal_bytes(),
            block_bytes: segments.bytes()?,
            index_bytes: runs.bytes(),
            index_runs: runs.ids().len() as u64,
            states,
            state: self.disk.states.stats()?,
        })
    }

    /// Reads everything and compares what belongs together: checksums, each block with its parent,
    /// every hash with the index, the stored state roots with the headers, and the newest stored
    /// state, of which every node is hashed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, progress: &mut dyn FnMut(Progress)) -> Result<Checked, DiskError> {
        let Disk { segments, runs, .. } = &self.disk;
        let mut checked = Checked::default();
        let total = segments.count();
        segments.check(|number, block| {
            let missing = |what: &str, hash: &B256| {
                DiskError::damaged(
                    &self.disk.path().join("index-*.run"),
                    0,
                    format!("{what} {hash} of block {number} is not in the index"),
                )
            };
            let find = |hash: &B256, index| {
                let places = runs.find(hash)?;
                Ok::<_, DiskError>(places.contains(&Place { number, index }))
            };
            if !find(&block.block.hash, None)? {
                return Err(missing("the hash", &block.block.hash));
            }
            for (index, tx) in block.block.block.body.transactions.iter().enumerate() {
                let hash = tx.tx_hash();
                if !find(&hash, Some(index as u32))? {
                    return Err(missing("transaction", &hash));
                }
                checked.transactions += 1;
            }
            checked.blocks += 1;
            progress(Progress::Blocks(checked.blocks, total));
            Ok(())
        })?;
        runs.check(|_, _| {
            checked.entries += 1;
            Ok(())
        })?;
        self.check_journal()?;
        checked.state_nodes = self.check_states(progress)?;
        Ok(checked)
    }

    fn check_states(&self, progress: &mut dyn FnMut(Progress)) -> Result<u64, DiskError> {
        let roots = self.disk.roots.read(<[_]>::to_vec);
        for root in &roots {
            let header = self.disk.header(root.number)?;
            if header.is_some_and(|(_, header)| header.state_root != root.hash) {
                let what = format!("state root {} of block {}", root.hash, root.number);
                return Err(self.disk.inconsistent(&what));
            }
        }
        let Some(newest) = roots.last() else { return Ok(0) };
        let told = &mut |nodes| progress(Progress::StateNodes(nodes));
        Ok(self.disk.states.check(&state_root(newest), None, told)?)
    }

    /// Verifies the older stored states, too, as [`check`](Self::check) does the newest one: what
    /// each has that the next one has not. Gives how many nodes that were.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_history(&self, progress: &mut dyn FnMut(Progress)) -> Result<u64, DiskError> {
        let roots = self.disk.roots.read(<[_]>::to_vec);
        let mut checked = 0;
        for pair in roots.windows(2).rev() {
            let [root, newer] = [state_root(&pair[0]), state_root(&pair[1])];
            let told = &mut |nodes| progress(Progress::StateNodes(checked + nodes));
            checked += self.disk.states.check(&root, Some(&newer), told)?;
        }
        Ok(checked)
    }

    /// The labels must name blocks that are here and connected.
    fn check_journal(&self) -> Result<(), DiskError> {
        let Some(labels) = self.recovered.forkchoice else { return Ok(()) };
        let chain = self.journal_chain(labels.head)?;
        for (name, hash) in [("safe", labels.safe), ("finalized", labels.finalized)] {
            let here = chain.iter().any(|record| record.block.hash == hash)
                || hash == self.disk.identity().genesis
                || self.disk.number(&hash)?.is_some();
            if !here {
                return Err(self.disk.inconsistent(&format!("the {name} block {hash}")));
            }
        }
        Ok(())
    }

    /// The canonical blocks of the journal, oldest first: those from the last flushed block to the
    /// head.
    fn journal_chain(&self, head: B256) -> Result<Vec<&BlockRecord>, DiskError> {
        let blocks = self.recovered.blocks.iter();
        let blocks: HashMap<B256, &BlockRecord> =
            blocks.map(|record| (record.block.hash, record)).collect();
        let last = match self.disk.next().checked_sub(1) {
            Some(last) if last >= self.disk.first() => self.disk.hash(last)?,
            _ => Some(self.identity().genesis),
        };
        let mut chain = Vec::new();
        let mut cursor = head;
        while Some(cursor) != last {
            let Some(record) = blocks.get(&cursor).filter(|_| chain.len() < blocks.len()) else {
                return Err(self.disk.inconsistent(&format!("block {cursor}, before the head,")));
            };
            chain.push(*record);
            cursor = record.block.header().parent_hash();
        }
        chain.reverse();
        Ok(chain)
    }

    /// Makes the canonical block at a height the head, at once or not at all. All blocks above it
    /// are forgotten. `force` allows to go below the finalized block.
    ///
    /// # Errors
    /// When there is no such block, or it is below the finalized one.
    pub fn rewind(&self, number: u64, force: bool) -> Result<BlockId, DiskError> {
        let Some(labels) = self.recovered.forkchoice else {
            return Err(DiskError::Refused("the chain has no block after genesis".into()));
        };
        let chain = self.journal_chain(labels.head)?;
        let next = number.saturating_add(1);
        let genesis = self.disk.first().saturating_sub(1);
        let hash = match chain.iter().find(|record| record.block.header().number() == number) {
            Some(record) => record.block.hash,
            None if number == genesis => self.identity().genesis,
            None => self.disk.hash(number)?.ok_or_else(|| {
                DiskError::Refused(format!("block {number} is not here, or not canonical"))
            })?,
        };
        if self.disk.state_before(number).is_none() {
            return Err(no_state(number));
        }
        let label = |hash: &B256| match *hash == self.identity().genesis {
            true => Ok(Some(genesis)),
            false => Ok::<_, DiskError>(self.id(hash)?.map(|id| id.number)),
        };
        let finalized = label(&labels.finalized)?.unwrap_or_default();
        if number < finalized && !force {
            return Err(below_finalized(number, finalized));
        }
        let lower = |old: B256| match label(&old)? {
            Some(old_number) if old_number <= number => Ok::<_, DiskError>(old),
            _ => Ok(hash),
        };
        let labels = Forkchoice {
            head: hash,
            safe: lower(labels.safe)?,
            finalized: lower(labels.finalized)?,
        };
        let mut records: Vec<Record> = chain
            .into_iter()
            .filter(|record| record.block.header().number() <= number)
            .map(|record| Record::Block(record.clone()))
            .collect();
        records.push(Record::Forkchoice(labels));
        self.disk.unwind(next, &records)?;
        Ok(BlockId { hash, number })
    }
}

/// Why one does not go back so far unless told to.
pub(crate) fn below_finalized(number: u64, finalized: u64) -> DiskError {
    DiskError::Refused(format!(
        "block {number} is below the finalized block {finalized}, which nobody may take back; \
         --force goes there all the same"
    ))
}

/// Why one does not go back to a block without a state.
fn no_state(number: u64) -> DiskError {
    DiskError::Refused(format!(
        "no state of block {number} or before it is kept; import a snapshot or derive the chain anew"
    ))
}
