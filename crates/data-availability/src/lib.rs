//! Data availability: reading L1, and posting the L2 chain to it.
//!
//! - [`L1Client`] reads blocks, receipts and blobs and checks every byte against the hashes that
//!   commit to it, so that an endpoint can withhold but not deceive. The one exception are blocks
//!   with blob transactions of anvil, whose transactions root follows no rule.
//! - [`Batcher`] follows a sequencer and posts its blocks as channels of batches, in blobs or in
//!   calldata.

pub mod batcher;
mod beacon;
mod error;
#[cfg(test)]
mod fake_server;
mod l1_block;
mod l1_client;
mod rpc_block;

pub use batcher::{
    Batcher, BatcherArgs, BatcherConfig, BatcherError, BatcherStats, DataAvailabilityType,
};
pub use beacon::{BeaconClient, SlotRule, blob_versioned_hash};
pub use error::DaError;
pub use l1_block::L1BlockData;
pub use l1_client::{BlockTag, L1Client};
pub use rpc_block::{verify_l1_block, verify_l1_header, verify_l2_block};
