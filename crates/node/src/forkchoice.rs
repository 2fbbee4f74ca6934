//! The node's heads and how they move: pure decisions, no I/O.
//!
//! ```text
//!   L1 finality ──► finalized ≤ safe ≤ unsafe ◄── sequencer / payloads
//!                                 ▲
//!                            derivation
//! ```
//! Every event returns the forkchoice update that the engine must hear, if any. The state also
//! remembers from which L1 block each safe head was derived: finality needs it to know what an L1
//! finality signal covers, and an L1 reorg needs it to know how far the safe head must go back,
//! because a safe block can lose its batch although its own L1 origin stays canonical.

use opal_protocol::{BlockId, L2BlockRef};

/// Most safe heads that are remembered while the L1 finalizes nothing: nine days of L1 blocks on
/// Ethereum. Beyond it the oldest are forgotten, which delays finality and resets go further back.
const MAX_SAFE_LOG: usize = 65_536;

/// The three heads of the L2 chain. Always `finalized ≤ safe ≤ unsafe` by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Tip of the chain, possibly not on L1 yet.
    pub unsafe_head: L2BlockRef,
    /// Newest block derived from L1.
    pub safe: L2BlockRef,
    /// Newest block derived from finalized L1 blocks.
    pub finalized: L2BlockRef,
}

/// Something that moves a head.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A block was built or received on top of the unsafe head.
    UnsafeExtended(L2BlockRef),
    /// Derivation yielded this block from data that was complete in `derived_from`.
    SafeDerived {
        /// The derived block, already known to the engine.
        block: L2BlockRef,
        /// L1 block that completed the data.
        derived_from: BlockId,
    },
    /// The L1 block of this entry is final: a result of [`ForkchoiceState::finality`] that was
    /// compared with the L1.
    Finalized(SafeEntry),
    /// An L1 reorg or an operator took the heads back.
    Reset {
        /// New tip.
        unsafe_head: L2BlockRef,
        /// New safe head.
        safe: L2BlockRef,
    },
}

/// A safe head and the L1 block it was derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeEntry {
    /// L1 block that completed the data.
    pub derived_from: BlockId,
    /// Newest L2 block that is safe once `derived_from` was read.
    pub safe: L2BlockRef,
}

/// What an L1 finality signal means for the L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Nothing that is not final already.
    Nothing,
    /// The L2 up to this entry came from L1 blocks up to the signal's. Final if both the signal's
    /// block and the entry's are on the L1's chain.
    Covers(SafeEntry),
    /// We derived from another block at the signal's height: the L1 is not the one we followed.
    OtherChain(BlockId),
}

/// Heads plus the record of where the safe head came from.
#[derive(Clone, Debug)]
pub struct ForkchoiceState {
    heads: Heads,
    /// Ascending in both fields; one entry for each L1 block that completed data, from the newest
    /// finalized one on.
    safe_log: Vec<SafeEntry>,
}

impl ForkchoiceState {
    /// A node that knows nothing newer than `start`, usually the genesis block.
    pub fn new(start: L2BlockRef) -> Self {
        Self {
            heads: Heads { unsafe_head: start, safe: start, finalized: start },
            safe_log: Vec::new(),
        }
    }

    /// The heads now.
    pub const fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Takes up what an earlier run recorded, oldest first: safe heads of this chain, each with an
    /// L1 block later than the one before.
    pub fn restore(&mut self, entries: impl Iterator<Item = SafeEntry>) {
        self.safe_log = entries.collect();
        self.bound_log();
    }

    fn bound_log(&mut self) {
        let surplus = self.safe_log.len().saturating_sub(MAX_SAFE_LOG);
        self.safe_log.drain(..surplus);
    }

    /// What it means that the L1 finalized this block. Finality never goes back, whatever the L1
    /// says.
    pub fn finality(&self, l1: BlockId) -> Finality {
        let covered = self.safe_log.partition_point(|e| e.derived_from.number <= l1.number);
        let Some(entry) = covered.checked_sub(1).and_then(|i| self.safe_log.get(i)) else {
            return Finality::Nothing;
        };
        if entry.derived_from.number == l1.number && entry.derived_from.hash != l1.hash {
            return Finality::OtherChain(entry.derived_from);
        }
        if entry.safe.number > self.heads.finalized.number {
            Finality::Covers(*entry)
        } else {
            Finality::Nothing
        }
    }

    /// Safe heads not yet known to be final, newest first.
    pub fn safe_heads_newest_first(&self) -> impl Iterator<Item = &SafeEntry> {
        self.safe_log.iter().rev()
    }

    /// Applies an event. Returns the heads to tell the engine when they changed.
    pub fn on(&mut self, event: Event) -> Option<Heads> {
        let before = self.heads;
        match event {
            Event::UnsafeExtended(block) => self.heads.unsafe_head = block,
            Event::SafeDerived { block, derived_from } => {
                // A derived block that is not the unsafe chain's replaces it from here on; the
                // driver says so by a preceding `UnsafeExtended`. Otherwise the tip stays.
                self.heads.safe = block;
                if self.heads.unsafe_head.number < block.number {
                    self.heads.unsafe_head = block;
                }
                match self.safe_log.last_mut() {
                    Some(last) if last.derived_from == derived_from => last.safe = block,
                    _ => self.safe_log.push(SafeEntry { derived_from, safe: block }),
                }
                self.bound_log();
            }
            Event::Finalized(entry) => {
                // A reset may have come between the question and its answer.
                if let Some(index) = self.safe_log.iter().position(|e| *e == entry)
                    && entry.safe.number > self.heads.finalized.number
                {
                    self.heads.finalized = entry.safe;
                    // The entry itself stays: an L1 reorg goes back to it at most.
                    self.safe_log.drain(..index);
                }
            }
            Event::Reset { unsafe_head, safe } => {
                self.heads.unsafe_head = unsafe_head;
                self.heads.safe = safe;
                self.safe_log.retain(|e| e.safe.number <= safe.number);
            }
        }
        (self.heads != before).then_some(self.heads)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::B256;

    fn l1(number: u64) -> BlockId {
        BlockId { number, hash: B256::with_last_byte(number as u8) }
    }

    /// The L1 finalizes a block that is on its chain, as is all that we derived from.
    fn finalize(state: &mut ForkchoiceState, l1: BlockId) -> Option<Heads> {
        match state.finality(l1) {
            Finality::Covers(entry) => state.on(Event::Finalized(entry)),
            Finality::Nothing => None,
            Finality::OtherChain(block) => panic!("{block}"),
        }
    }

    fn l2(number: u64) -> L2BlockRef {
        L2BlockRef { number, hash: B256::repeat_byte(number as u8), ..Default::default() }
    }

    #[test]
    fn derived_blocks_do_not_shorten_the_unsafe_chain() {
        let mut state = ForkchoiceState::new(l2(0));
        for n in 1..=3 {
            state.on(Event::UnsafeExtended(l2(n)));
        }
        let heads = state.on(Event::SafeDerived { block: l2(1), derived_from: l1(5) }).unwrap();
        assert_eq!((heads.unsafe_head, heads.safe, heads.finalized), (l2(3), l2(1), l2(0)));
        // A verifier's tip is its safe head.
        let mut verifier = ForkchoiceState::new(l2(0));
        let heads = verifier.on(Event::SafeDerived { block: l2(1), derived_from: l1(5) }).unwrap();
        assert_eq!(heads.unsafe_head, l2(1));
    }

    #[test]
    fn finality_covers_what_finalized_l1_blocks_completed() {
        let mut state = ForkchoiceState::new(l2(0));
        state.on(Event::SafeDerived { block: l2(1), derived_from: l1(5) });
        state.on(Event::SafeDerived { block: l2(2), derived_from: l1(5) });
        state.on(Event::SafeDerived { block: l2(3), derived_from: l1(7) });
        assert_eq!(finalize(&mut state, l1(4)), None);
        assert_eq!(finalize(&mut state, l1(6)).unwrap().finalized, l2(2));
        assert_eq!(finalize(&mut state, l1(6)), None);
        assert_eq!(finalize(&mut state, l1(7)).unwrap().finalized, l2(3));
        // The entry of the finalized head stays: an L1 reorg walks back to it at most.
        assert_eq!(state.safe_heads_newest_first().count(), 1);
    }

    #[test]
    fn reset_forgets_safe_heads_above_the_new_one() {
        let mut state = ForkchoiceState::new(l2(0));
        state.on(Event::SafeDerived { block: l2(1), derived_from: l1(5) });
        state.on(Event::SafeDerived { block: l2(2), derived_from: l1(6) });
        let heads = state.on(Event::Reset { unsafe_head: l2(2), safe: l2(1) }).unwrap();
        assert_eq!((heads.unsafe_head, heads.safe), (l2(2), l2(1)));
        let left: Vec<_> = state.safe_heads_newest_first().map(|e| e.safe.number).collect();
        assert_eq!(left, [1]);
    }

    fn derived(count: u64) -> ForkchoiceState {
        let mut state = ForkchoiceState::new(l2(0));
        for n in 1..=count {
            state.on(Event::SafeDerived { block: l2(n), derived_from: l1(10 * n) });
        }
        state
    }

    #[test]
    fn finality_is_late_when_the_l1_is_and_then_catches_up() {
        let mut state = derived(20);
        assert_eq!(finalize(&mut state, l1(9)), None);
        assert_eq!(finalize(&mut state, l1(155)).unwrap().finalized, l2(15));
        assert_eq!(state.safe_heads_newest_first().count(), 6);
    }

    #[test]
    fn finality_never_goes_back() {
        let mut state = derived(9);
        finalize(&mut state, l1(50));
        for older in [0, 10, 49, 50] {
            assert_eq!(finalize(&mut state, l1(older)), None);
        }
        assert_eq!(state.heads().finalized, l2(5));
        // An answer that comes late.
        let old = SafeEntry { derived_from: l1(30), safe: l2(3) };
        assert_eq!(state.on(Event::Finalized(old)), None);
    }

    #[test]
    fn another_l1_block_at_the_height_of_one_we_derived_from_finalizes_nothing() {
        let state = derived(5);
        let other = BlockId { hash: B256::repeat_byte(0xee), number: 30 };
        assert_eq!(state.finality(other), Finality::OtherChain(l1(30)));
        // Between two of ours the L1 itself must be asked.
        let other = BlockId { hash: B256::repeat_byte(0xee), number: 31 };
        let entry = SafeEntry { derived_from: l1(30), safe: l2(3) };
        assert_eq!(state.finality(other), Finality::Covers(entry));
    }

    #[test]
    fn an_answer_from_before_a_reset_finalizes_nothing() {
        let mut state = derived(5);
        let Finality::Covers(entry) = state.finality(l1(50)) else { panic!() };
        state.on(Event::Reset { unsafe_head: l2(5), safe: l2(3) });
        assert_eq!(state.on(Event::Finalized(entry)), None);
        // The same L1 block yields another safe head now.
        state.on(Event::SafeDerived { block: l2(4), derived_from: l1(50) });
        assert_eq!(state.on(Event::Finalized(entry)), None);
        assert_eq!(finalize(&mut state, l1(50)).unwrap().finalized, l2(4));
    }

    #[test]
    fn after_a_restart_the_record_serves_finality() {
        let before = derived(5);
        let mut log: Vec<_> = before.safe_heads_newest_first().copied().collect();
        log.reverse();
        let mut state = ForkchoiceState::new(l2(0));
        state.on(Event::Reset { unsafe_head: l2(5), safe: l2(5) });
        assert_eq!(state.finality(l1(40)), Finality::Nothing);
        state.restore(log.into_iter());
        assert_eq!(finalize(&mut state, l1(40)).unwrap().finalized, l2(4));
    }

    #[test]
    fn the_record_is_bounded() {
        let mut state = ForkchoiceState::new(l2(0));
        for n in 1..=MAX_SAFE_LOG as u64 + 10 {
            state.on(Event::SafeDerived { block: l2(n), derived_from: l1(n) });
        }
        assert_eq!(state.safe_log.len(), MAX_SAFE_LOG);
        assert_eq!(state.safe_log[0].derived_from.number, 11);
    }
}
