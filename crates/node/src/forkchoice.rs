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

use opal_protocol::{L1BlockRef, L2BlockRef};

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
        derived_from: L1BlockRef,
    },
    /// The L1 finalized a block.
    L1Finalized(L1BlockRef),
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
    pub derived_from: L1BlockRef,
    /// Newest L2 block that is safe once `derived_from` was read.
    pub safe: L2BlockRef,
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
                    Some(last) if last.derived_from.hash == derived_from.hash => last.safe = block,
                    _ => self.safe_log.push(SafeEntry { derived_from, safe: block }),
                }
            }
            Event::L1Finalized(l1) => {
                let covered = self.safe_log.partition_point(|e| e.derived_from.number <= l1.number);
                if let Some(entry) = covered.checked_sub(1).and_then(|i| self.safe_log.get(i)) {
                    if entry.safe.number > self.heads.finalized.number {
                        self.heads.finalized = entry.safe;
                    }
                    self.safe_log.drain(..covered.saturating_sub(1));
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

    fn l1(number: u64) -> L1BlockRef {
        L1BlockRef { number, hash: B256::with_last_byte(number as u8), ..Default::default() }
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
        assert_eq!(state.on(Event::L1Finalized(l1(4))), None);
        assert_eq!(state.on(Event::L1Finalized(l1(6))).unwrap().finalized, l2(2));
        assert_eq!(state.on(Event::L1Finalized(l1(6))), None);
        assert_eq!(state.on(Event::L1Finalized(l1(7))).unwrap().finalized, l2(3));
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
}
