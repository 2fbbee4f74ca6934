//! Bounding memory and disk, a little with each block.
//!
//! **Memory.** The state's nodes are swept in 256 parts, by the first byte of the hashed address.
//! A stored node that nobody used since its part was last swept goes out of memory once the budget
//! is nearly reached:
//!
//! ```text
//!   0 ─────────── nothing ─────────── 3/4 ── age, one round ── 7/8 ── evict until below ── budget
//! ```
//! A round over all parts must have aged the nodes before any can go, and costs a look at each: so
//! it is made once, while memory grows from the first mark to the second, and then again as part
//! of evicting. How much is swept grows with what was read and written, and is spread: a flush
//! appends the changes of many blocks at once, and the head must not wait for all of them. Between
//! two sweeps, what is read beyond the budget is not kept.
//!
//! **Disk.** Whenever blocks appended some bytes, as many bytes of what the newest state still has
//! in old segments are moved to the end, with the next append. Old are three quarters of the
//! segments that the state reaches back over when a round begins; once it needs none of them, the
//! next round begins. A round goes through the keys in order, so that what lies close together in
//! the trie moves together: single old leaves would each take their whole path with them. In the
//! long run the files take three to four times what the state does, beside what the kept history
//! takes.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use opal_evm::State;
use opal_evm::trie::persist::Sweep;

use super::{MEMORY_PER_BYTE, StateRoot, StateStore, StoreError};

/// Segments that the newest state may reach back over before it is moved.
const YOUNG_SEGMENTS: u32 = 4;
/// For each byte that was added, how many are swept at most.
const SWEPT_PER_BYTE: u64 = 8;
/// Parts that one step sweeps, unless memory is far beyond its budget.
const PARTS_AT_ONCE: u16 = 16;
/// Parts of the state.
const PARTS: u16 = 256;

#[derive(Debug)]
pub(super) struct Tending {
    /// Bytes in memory of each part when it was last swept.
    parts: [u64; 256],
    next_part: u8,
    /// Parts in which every node has aged since memory was last below the first mark.
    aged: u16,
    /// Bytes that are still to be swept for what was added.
    to_sweep: u64,
    /// Bytes in memory that came since their part was swept, at most.
    since: u64,
    /// Bytes that blocks appended and that nothing was moved for yet.
    to_move: u64,
    /// Bytes about to be appended that are not the block's own.
    moved: u64,
    /// Bytes appended since the last sweep.
    appended: u64,
    /// Oldest segment that the last appended state needs, and the segment of its root.
    reach: (u32, u32),
    /// What lies in segments before this one is moved in this round.
    before: u32,
}

impl Default for Tending {
    fn default() -> Self {
        Self {
            parts: [0; 256],
            next_part: 0,
            aged: 0,
            to_sweep: 0,
            since: 0,
            to_move: 0,
            moved: 0,
            appended: 0,
            reach: (0, 0),
            before: 0,
        }
    }
}

impl Tending {
    fn memory(&self) -> u64 {
        self.parts.iter().sum::<u64>() + self.since
    }
}

impl StateStore {
    fn tending(&self) -> MutexGuard<'_, Tending> {
        // Only numbers, each of which is an estimate.
        self.tending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Bytes of nodes in memory, about.
    pub(super) fn memory(&self) -> u64 {
        self.tending().memory() + self.files.kept.load(Ordering::Relaxed)
    }

    /// Takes note of an append.
    pub(super) fn appended(&self, root: &StateRoot, bytes: u64) {
        let mut tending = self.tending();
        tending.appended += bytes;
        let moved = tending.moved.min(bytes);
        tending.moved -= moved;
        tending.to_move += bytes - moved;
        tending.reach = (root.oldest, (root.position >> 40) as u32);
    }

    /// A step of keeping memory and disk in bounds, to be called with each new head. The state that
    /// it gives has the same root and takes the place of the one that was given: the next block is
    /// to be executed on it. A state that is of no store comes back as it is.
    ///
    /// # Errors
    /// When a node that is to be moved cannot be read.
    pub fn tend(&self, state: State) -> Result<State, StoreError> {
        if state.file_set() != self.files.id {
            return Ok(state);
        }
        let mut tending = self.tending();
        let state = self.sweep(&mut tending, state);
        self.evacuate(&mut tending, state)
    }

    fn sweep(&self, tending: &mut Tending, mut state: State) -> State {
        let added = self.files.kept.swap(0, Ordering::Relaxed)
            + std::mem::take(&mut tending.appended) * MEMORY_PER_BYTE;
        tending.since += added;
        let budget = self.options.memory;
        let below = self.files.written.load(Ordering::Acquire);
        if tending.memory() <= budget / 4 * 3 {
            (tending.aged, tending.to_sweep) = (0, 0);
        } else {
            // More than one round at a time shows nothing new.
            tending.to_sweep =
                tending.to_sweep.saturating_add(added * SWEPT_PER_BYTE).min(tending.memory());
        }
        let mut parts = 0;
        while tending.to_sweep > 0 && parts < PARTS {
            let memory = tending.memory();
            let evict = memory > budget / 8 * 7;
            if !evict && tending.aged >= PARTS {
                // Everything has aged, and there is room.
                tending.to_sweep = 0;
                break;
            }
            let all = memory > budget / 4 * 5;
            if parts >= PARTS_AT_ONCE && !all {
                break;
            }
            let mut sweep = Sweep { below, evict, all, ..Default::default() };
            let part = tending.next_part;
            state = state.swept(part, &mut sweep);
            let before = tending.parts[usize::from(part)];
            tending.parts[usize::from(part)] = sweep.bytes;
            // What the part has more than before, came since. Changes of what was there before do
            // not take more memory than it did: this part's share of what is not found is nothing.
            let share = tending.since / u64::from(PARTS - u16::from(part));
            let found = sweep.bytes.saturating_sub(before).max(share);
            tending.since = tending.since.saturating_sub(found);
            // An empty part is work, too.
            tending.to_sweep = tending.to_sweep.saturating_sub(before.max(sweep.bytes).max(1));
            tending.aged = (tending.aged + 1).min(PARTS);
            tending.next_part = part.wrapping_add(1);
            parts += 1;
        }
        let left = budget.saturating_sub(tending.memory());
        // A little may always be kept, or the upper levels would be read again and again.
        self.files.may_keep.store(left.max(budget / 16), Ordering::Relaxed);
        state
    }

    fn evacuate(&self, tending: &mut Tending, state: State) -> Result<State, StoreError> {
        let (oldest, newest) = tending.reach;
        let to_move = std::mem::take(&mut tending.to_move);
        if oldest >= tending.before {
            tending.before = oldest + newest.saturating_sub(oldest) / 4 * 3;
        }
        if self.options.archive || newest.saturating_sub(oldest) < YOUNG_SEGMENTS || to_move == 0 {
            return Ok(state);
        }
        let (state, left) = state.evacuated(tending.before, to_move)?;
        tending.moved += to_move - left;
        Ok(state)
    }
}
