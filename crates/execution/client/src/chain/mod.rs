//! The chain: one value that holds blocks, states, labels and the pool of one chain, of either
//! layer. It executes what it imports; who asks it to is the [engine](crate::engine).

#[cfg(test)]
mod blooms_tests;
mod durable;
mod history;
#[cfg(test)]
mod kill_tests;
mod store;
mod times;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Instant;

use alloy_consensus::Header;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bloom};
use opal_evm::{BlockError, ChainSpec, ExecutedBlock, Parent, State};
use opal_protocol::{Block, Receipt, SealedBlock};
use tokio::sync::broadcast;

use crate::builder::DaLimits;
use crate::disk::DiskError;
use crate::pool::{PoolConfig, PoolHead, TxPool};
use crate::rules;
use crate::senders::senders;
use crate::threads::run_jobs;
use durable::Durable;
pub use durable::{DEFAULT_HISTORY, History, StorageConfig};
pub use store::StoredBlock;
use store::{Store, Transition};
pub use times::ImportTimes;
use times::Times;

/// Limits of the chain store.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Number of blocks behind the head whose states are always kept (default 1024). States go
    /// back to the finalized block even if that is further away, up to
    /// [`ChainConfig::max_states`]. Older ones are dropped, except those of genesis, safe and
    /// finalized block; a block that must be executed on a dropped state has it computed again.
    pub state_window: u64,
    /// Most blocks behind the head whose states are kept, whatever is final (default 16384).
    pub max_states: u64,
    /// Blocks outside the canonical chain that are kept (default 4096).
    pub max_fork_blocks: usize,
    /// Canonical blocks behind the head that stay in memory although they are on the disk
    /// (default 256). A chain without a data directory keeps all.
    pub memory_blocks: u64,
    /// Limits of the pool.
    pub pool: PoolConfig,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            state_window: 1024,
            max_states: 16_384,
            max_fork_blocks: 4096,
            memory_blocks: 256,
            pool: PoolConfig::default(),
        }
    }
}

/// What happened to the canonical chain.
#[derive(Clone, Debug)]
pub enum ChainEvent {
    /// One block was appended; a jump over several gives one event each, in order.
    NewHead(Arc<StoredBlock>),
    /// Blocks were replaced.
    Reorg {
        /// Blocks that left, newest first.
        removed: Vec<Arc<StoredBlock>>,
        /// Blocks that came, oldest first; empty when the head moved back to an ancestor.
        added: Vec<Arc<StoredBlock>>,
        /// The head after it.
        head: SealedBlock,
    },
}

/// Why the chain could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The genesis file describes no chain.
    #[error("genesis: {0}")]
    Genesis(String),
    /// The block is not known here.
    #[error("unknown block {0}")]
    UnknownBlock(B256),
    /// The state of the block was dropped (see [`ChainConfig::state_window`]).
    #[error("state of block {number} ({hash}) is not available")]
    StateUnavailable {
        /// Block hash.
        hash: B256,
        /// Block number.
        number: u64,
    },
    /// The parent of the block is not known: more blocks are needed.
    #[error("unknown parent {0}")]
    UnknownParent(B256),
    /// The block breaks the rules of the chain.
    #[error("{0}")]
    InvalidBlock(String),
    /// State could not be read; a fault of this node, not of the block.
    #[error("state: {0}")]
    State(String),
    /// The chain's data cannot be read or written. After a failed write nothing is promised any
    /// more until a restart.
    #[error(transparent)]
    Storage(#[from] DiskError),
}

/// The first block of a chain.
///
/// # Errors
/// When the genesis describes no chain.
pub fn genesis_block(spec: &ChainSpec, genesis: &Genesis) -> Result<SealedBlock, ChainError> {
    let (block, _) =
        opal_evm::genesis(spec, genesis).map_err(|error| ChainError::Genesis(error.to_string()))?;
    Ok(block)
}

/// Events that a slow subscriber may lag behind before it loses the oldest.
const EVENT_BACKLOG: usize = 1_024;
/// Blocks that were built here and may be imported without being executed again.
const BUILT_BACKLOG: usize = 8;

/// One chain.
#[derive(Debug)]
pub struct Chain {
    spec: Arc<ChainSpec>,
    genesis: SealedBlock,
    /// Where the chain lasts; `None` for one in memory.
    durable: Option<Durable>,
    /// States that were computed for queries lately.
    computed: Mutex<VecDeque<(B256, State)>>,
    /// For the thread that flushes.
    this: Weak<Chain>,
    store: RwLock<Store>,
    /// Serializes everything that changes the chain; reads go on meanwhile.
    changing: Mutex<Vec<StoredWithState>>,
    pool: TxPool,
    da_limits: DaLimits,
    events: broadcast::Sender<ChainEvent>,
    times: Times,
}

type StoredWithState = (StoredBlock, State);

/// The right to change the chain.
pub(crate) struct ChangeGuard<'a>(MutexGuard<'a, Vec<StoredWithState>>);

impl Chain {
    /// A chain in memory whose rules and first block a genesis file in geth's format gives.
    ///
    /// # Errors
    /// When the genesis describes no chain.
    pub fn from_genesis(genesis: &Genesis) -> Result<Arc<Self>, ChainError> {
        let spec = ChainSpec::from_genesis(genesis)
            .map_err(|error| ChainError::Genesis(error.to_string()))?;
        Self::new(spec, genesis)
    }

    /// A chain in memory that starts at the given genesis.
    ///
    /// # Errors
    /// When the genesis describes no chain.
    pub fn new(spec: ChainSpec, genesis: &Genesis) -> Result<Arc<Self>, ChainError> {
        Self::with_config(spec, genesis, ChainConfig::default())
    }

    /// Like [`Chain::new`] with limits of one's own.
    ///
    /// # Errors
    /// When the genesis describes no chain.
    pub fn with_config(
        spec: ChainSpec,
        genesis: &Genesis,
        config: ChainConfig,
    ) -> Result<Arc<Self>, ChainError> {
        Self::build::<()>(spec, genesis, config, |_, _, _| Ok(None)).map(|(chain, ())| chain)
    }

    /// A chain at its genesis, over the storage that `open` gives for it.
    fn build<R: Default>(
        spec: ChainSpec,
        genesis: &Genesis,
        config: ChainConfig,
        open: impl FnOnce(&ChainSpec, &SealedBlock, &State) -> Result<Option<(Durable, R)>, ChainError>,
    ) -> Result<(Arc<Self>, R), ChainError> {
        let (block, state) = opal_evm::genesis(&spec, genesis)
            .map_err(|error| ChainError::Genesis(error.to_string()))?;
        let state = state.with_jobs(run_jobs);
        let root = rules::withdrawals_storage_root(&spec, block.header(), &state);
        let stored = StoredBlock {
            withdrawals_storage_root: root.map_err(ChainError::State)?,
            l1_fee: None,
            block: block.clone(),
            receipts: Vec::new(),
            senders: Vec::new(),
        };
        let head = rules::pool_head(&spec, &block, state.clone()).map_err(ChainError::State)?;
        let (durable, recovered) = match open(&spec, &block, &state)? {
            Some((durable, recovered)) => (Some(durable), recovered),
            None => (None, R::default()),
        };
        let disk = durable.as_ref().map(|durable| durable.disk().clone());
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let chain = Arc::new_cyclic(|this| Self {
            spec: Arc::new(spec),
            genesis: block,
            durable,
            computed: Mutex::default(),
            this: this.clone(),
            store: RwLock::new(Store::new(stored, state, &config, disk)),
            changing: Mutex::new(Vec::new()),
            pool: TxPool::new(config.pool, head),
            da_limits: DaLimits::default(),
            events,
            times: Times::default(),
        });
        Ok((chain, recovered))
    }

    // The store is changed by few plain assignments that don't panic; going on after a panic
    // elsewhere is better than a chain that answers nothing any more.
    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits for the right to change the chain. Where the disk has fallen behind by too many
    /// blocks, this waits for it, too.
    pub(crate) fn change(&self) -> ChangeGuard<'_> {
        if let Some(durable) = &self.durable {
            durable.wait_for_room();
        }
        self.change_now()
    }

    fn change_now(&self) -> ChangeGuard<'_> {
        ChangeGuard(self.changing.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Rules and identity of the chain.
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// The first block.
    pub const fn genesis(&self) -> &SealedBlock {
        &self.genesis
    }

    /// The pool of transactions that wait for a block.
    pub const fn pool(&self) -> &TxPool {
        &self.pool
    }

    /// Limits on the L1 data of blocks that are built here.
    pub const fn da_limits(&self) -> &DaLimits {
        &self.da_limits
    }

    /// Where the time of imports went so far.
    pub fn import_times(&self) -> ImportTimes {
        self.times.get()
    }

    /// Events from now on. A receiver that falls too far behind gets
    /// [`Lagged`](broadcast::error::RecvError::Lagged) and must look at the chain again.
    pub fn subscribe(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }

    /// End of the canonical chain.
    pub fn head(&self) -> SealedBlock {
        self.labelled(|labels| &labels.head)
    }

    /// The block that consensus calls safe.
    pub fn safe(&self) -> SealedBlock {
        self.labelled(|labels| &labels.safe)
    }

    /// The block that consensus calls final.
    pub fn finalized(&self) -> SealedBlock {
        self.labelled(|labels| &labels.finalized)
    }

    fn labelled(&self, label: impl Fn(&store::Labels) -> &Arc<StoredBlock>) -> SealedBlock {
        label(&self.read().labels).block.clone()
    }

    /// A block, canonical or not, with receipts and senders.
    pub fn stored(&self, hash: &B256) -> Option<Arc<StoredBlock>> {
        self.read().block(hash)
    }

    /// A block, canonical or not.
    pub fn block_by_hash(&self, hash: &B256) -> Option<SealedBlock> {
        self.read().block(hash).map(|stored| stored.block.clone())
    }

    /// A header, canonical or not.
    pub fn header_by_hash(&self, hash: &B256) -> Option<Header> {
        self.read().block(hash).map(|stored| stored.block.header().clone())
    }

    /// The canonical block at a height.
    pub fn block_by_number(&self, number: u64) -> Option<SealedBlock> {
        self.stored_by_number(number).map(|stored| stored.block.clone())
    }

    /// The canonical block at a height, with receipts and senders.
    pub fn stored_by_number(&self, number: u64) -> Option<Arc<StoredBlock>> {
        self.read().block_by_number(number)
    }

    /// Hash of the canonical block at a height.
    pub fn canonical_hash(&self, number: u64) -> Option<B256> {
        self.read().canonical_hash(number)
    }

    /// Blooms of the logs of canonical blocks from `from` on, without their blocks being read: up
    /// to `to`, or fewer; none when there is no block `from` (any more).
    pub fn logs_blooms(&self, from: u64, to: u64) -> Vec<Bloom> {
        self.read().logs_blooms(from, to)
    }

    /// Receipts of a block.
    pub fn receipts(&self, hash: &B256) -> Option<Vec<Receipt>> {
        self.read().block(hash).map(|stored| stored.receipts.clone())
    }

    /// The canonical block that holds a transaction, and its index there.
    pub fn transaction(&self, hash: &B256) -> Option<(Arc<StoredBlock>, usize)> {
        self.read().transaction(hash)
    }

    /// Hash of the ancestor of `from` at a height, for the `BLOCKHASH` instruction.
    pub fn ancestor_hash(&self, from: B256, number: u64) -> Option<B256> {
        self.read().ancestor(from, number)
    }

    /// Whether `ancestor` is `of` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: &B256, of: B256) -> bool {
        self.read().is_ancestor(ancestor, of)
    }

    /// Whether the block is on the canonical chain.
    pub fn is_canonical(&self, hash: &B256) -> bool {
        let store = self.read();
        store.block(hash).is_some_and(|block| store.is_canonical(&block))
    }

    fn execute(
        &self,
        parent: B256,
        block: &Block,
        senders: &[Address],
        state: &State,
    ) -> Result<ExecutedBlock, ChainError> {
        self.execute_watched(parent, block, senders, state, || ())
    }

    /// [`Chain::execute`], which calls `before_roots` when all transactions are executed.
    fn execute_watched(
        &self,
        parent: B256,
        block: &Block,
        senders: &[Address],
        state: &State,
        before_roots: impl FnOnce(),
    ) -> Result<ExecutedBlock, ChainError> {
        let header = self.header_by_hash(&parent).ok_or(ChainError::UnknownParent(parent))?;
        let parent = Parent { hash: parent, header: &header };
        let hashes = |number| self.ancestor_hash(parent.hash, number);
        let spec = &self.spec;
        let executed = opal_evm::execute_block_ahead(
            spec,
            parent,
            block,
            senders,
            state,
            &hashes,
            before_roots,
        );
        executed.map_err(|error| match error {
            BlockError::State(error) => ChainError::State(error.to_string()),
            BlockError::Evm(error) => ChainError::State(error),
            error => ChainError::InvalidBlock(error.to_string()),
        })
    }

    /// Remembers a block that was built here, so that importing it costs nothing.
    pub(crate) fn remember_built(
        &self,
        guard: &mut ChangeGuard<'_>,
        executed: ExecutedBlock,
        senders: Vec<Address>,
    ) -> Result<(), ChainError> {
        let (built, state) = self.stored_block(executed, senders)?;
        let cache = &mut guard.0;
        cache.retain(|(block, _)| block.block.hash != built.block.hash);
        if cache.len() >= BUILT_BACKLOG {
            cache.remove(0);
        }
        cache.push((built, state));
        Ok(())
    }

    fn stored_block(
        &self,
        executed: ExecutedBlock,
        senders: Vec<Address>,
    ) -> Result<StoredWithState, ChainError> {
        let ExecutedBlock { block, receipts, state, l1_fees: l1_fee, .. } = executed;
        let root = rules::withdrawals_storage_root(&self.spec, block.header(), &state);
        let withdrawals_storage_root = root.map_err(ChainError::State)?;
        Ok((StoredBlock { block, receipts, senders, withdrawals_storage_root, l1_fee }, state))
    }

    /// Executes a block on its parent and stores it, without making it canonical. A block that is
    /// known already is left as it is.
    pub(crate) fn import(
        &self,
        guard: &mut ChangeGuard<'_>,
        block: &SealedBlock,
    ) -> Result<(), ChainError> {
        if self.read().contains(&block.hash) {
            return self.make_durable();
        }
        let built = guard.0.iter().position(|(built, _)| built.block.hash == block.hash);
        if let Some(position) = built {
            let (stored, state) = guard.0.remove(position);
            // One sync for both: nobody but this process knows the block until forkchoice makes
            // it canonical.
            self.journal_block(&stored)?;
            self.write().insert(stored, state);
            return Ok(());
        }
        let parent = block.header().parent_hash;
        if !self.read().contains(&parent) {
            return Err(ChainError::UnknownParent(parent));
        }
        let state = self.ensure_state(parent)?;
        let began = Instant::now();
        let senders = self.senders(block)?;
        let recovered = Instant::now();
        let mut executed_at = recovered;
        let watch = || executed_at = Instant::now();
        let executed = self.execute_watched(parent, &block.block, &senders, &state, watch)?;
        let (stored, state) = self.stored_block(executed, senders)?;
        let hashed = Instant::now();
        self.journal_block(&stored)?;
        self.make_durable()?;
        let stored_at = Instant::now();
        self.write().insert(stored, state);
        self.times.add(|times| {
            times.blocks += 1;
            times.senders += recovered - began;
            times.execution += executed_at - recovered;
            times.roots += hashed - executed_at;
            times.storing += stored_at - hashed;
        });
        Ok(())
    }

    /// Senders of a block's transactions; those that the pool knows need no recovery.
    fn senders(&self, block: &SealedBlock) -> Result<Vec<Address>, ChainError> {
        let known = |tx: &opal_protocol::TxEnvelope| Some(self.pool.get(&tx.tx_hash())?.sender());
        senders(&block.block.body.transactions, known)
            .map_err(|error| ChainError::InvalidBlock(error.to_string()))
    }

    /// Moves head and labels, tells the pool and the subscribers. The caller has checked that all
    /// three are known and consistent; `None` leaves a label where it is.
    pub(crate) fn set_canonical(
        &self,
        _guard: &mut ChangeGuard<'_>,
        head: B256,
        safe: Option<B256>,
        finalized: Option<B256>,
    ) -> Result<(), ChainError> {
        let mut state = self.ensure_state(head)?;
        let change = self.read().plan(head).ok_or(ChainError::UnknownBlock(head))?;
        let block = change.head().block.clone();
        let moved = self.head().hash != head;
        if moved {
            let began = Instant::now();
            state = self.tend(state)?;
            self.times.add(|times| times.tending += began.elapsed());
        }
        let pool_head = match moved {
            true => {
                let head = rules::pool_head(&self.spec, &block, state.clone());
                Some(head.map_err(ChainError::State)?)
            }
            false => None,
        };
        let label = |hash: Option<B256>| match hash {
            Some(hash) => self.stored(&hash).ok_or(ChainError::UnknownBlock(hash)).map(Some),
            None => Ok(None),
        };
        let (safe, finalized) = (label(safe)?, label(finalized)?);
        let began = Instant::now();
        self.journal_change(&change, safe.as_ref(), finalized.as_ref())?;
        self.times.add(|times| times.storing += began.elapsed());
        {
            let mut store = self.write();
            store.apply(&change);
            store.put_state(change.head(), state.clone());
            if let Some(safe) = safe {
                store.labels.safe = safe;
            }
            if let Some(finalized) = finalized {
                store.labels.finalized = finalized;
            }
            store.prune();
        }
        self.start_flush(state);
        if let Some(pool_head) = pool_head {
            let began = Instant::now();
            self.update_pool(pool_head, &change);
            self.times.add(|times| times.pool += began.elapsed());
            self.announce(change, block);
        }
        Ok(())
    }

    fn update_pool(&self, head: PoolHead, transition: &Transition) {
        let included: Vec<B256> = transition
            .added
            .iter()
            .flat_map(|stored| &stored.block.block.body.transactions)
            .map(|tx| tx.tx_hash())
            .collect();
        let reinjected = transition
            .removed
            .iter()
            .flat_map(|stored| {
                stored.block.block.body.transactions.iter().zip(stored.senders.iter())
            })
            .filter(|(tx, _)| !tx.is_deposit_tx())
            .map(|(tx, sender)| (tx.clone(), *sender))
            .collect();
        self.pool.set_head(head, &included, reinjected);
    }

    fn announce(&self, transition: Transition, head: SealedBlock) {
        // Nobody listening is not an error.
        if transition.removed.is_empty() {
            for stored in transition.added {
                let _ = self.events.send(ChainEvent::NewHead(stored));
            }
        } else {
            let Transition { removed, added, .. } = transition;
            let _ = self.events.send(ChainEvent::Reorg { removed, added, head });
        }
    }
}
