//! A whole rollup in one process, on an L1 of its own or on a given one.
//!
//! [`up::start`] reads from top to bottom: claim the ports, make the genesis, start the L1, the
//! sequencer, the verifier and the batcher, wait for the first L2 block. [`l1`] is the embedded
//! L1; [`status`] makes the live status line; [`files`] writes what other processes need to join,
//! [`deployed`] reads what `opal deploy` has put on a given L1; [`kept`] is a rollup that goes on
//! after a restart.

pub mod deployed;
pub mod files;
pub mod kept;
pub mod l1;
pub mod status;
pub mod up;

pub use up::{Devnet, L1Choice, UpConfig, UpError};
