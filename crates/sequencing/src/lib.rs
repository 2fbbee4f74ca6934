//! When the sequencer builds a block, and on which L1 origin.
//!
//! Both are pure decisions over what the node already knows; the node's driver carries them out.
//! See [`origin`] for the choice of the L1 origin and [`cadence`] for the block times.

pub mod cadence;
pub mod origin;

pub use cadence::{Slot, next_slot};
pub use origin::{OriginChoice, OriginError, choose_origin, must_be_empty};
