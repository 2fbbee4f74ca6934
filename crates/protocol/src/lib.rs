//! The OP Stack's vocabulary and wire formats.
//!
//! Everything that two layers of Opal must agree on lives here, once: the rollup configuration and
//! its hardfork schedule, block references, transactions and receipts, payload attributes, and the
//! encoders and decoders of every format that crosses L1 (frames, channels, batches, blobs,
//! deposits, L1 attributes, output roots). The crate is `no_std`, does no I/O and keeps no state.
//!
//! ```
//! use opal_protocol::{Hardfork, HardforkSchedule};
//!
//! let schedule = HardforkSchedule::at_genesis(Hardfork::Karst);
//! assert!(schedule.is_active(Hardfork::Holocene, 0));
//! assert!(!schedule.is_active(Hardfork::Interop, u64::MAX));
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod altda;
pub mod attributes;
pub mod batch;
pub mod batcher_tx;
pub mod blob;
pub mod block;
pub mod channel;
mod channel_out;
pub mod compress;
pub mod config;
mod config_json;
pub mod contracts;
pub mod deposit;
pub mod extra_data;
pub mod frame;
pub mod hardfork;
mod inflate;
pub mod l1_fees;
pub mod l1_info;
pub mod output;
pub mod predeploys;
pub mod receipt;
pub mod registry;
mod sealed_deposit;
pub mod span_batch;
mod suggest;
pub mod system_config;
pub mod transaction;
pub mod upgrades;

pub use attributes::{AttributesWithParent, PayloadAttributes};
pub use batch::{Batch, SingularBatch};
pub use block::{Block, BlockId, L1BlockRef, L2BlockRef, SealedBlock};
pub use channel::{ChannelOut, ChannelReader};
pub use compress::Compression;
pub use config::{ConfigError, Genesis, RollupConfig};
pub use frame::{ChannelId, Frame};
pub use hardfork::{Hardfork, HardforkSchedule};
pub use l1_info::{L1BlockInfo, l2_block_ref, system_config_of};
pub use output::OutputV0;
pub use receipt::Receipt;
pub use sealed_deposit::SealedDeposit;
pub use system_config::SystemConfig;
pub use transaction::{DEPOSIT_TX_TYPE, DepositTransaction, TxEnvelope, TxType};
pub use upgrades::{UpgradeBundle, UpgradeBundles};
