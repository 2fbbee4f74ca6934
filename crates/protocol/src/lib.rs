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

pub mod attributes;
pub mod block;
pub mod config;
pub mod hardfork;
pub mod predeploys;
pub mod receipt;
pub mod system_config;
pub mod transaction;

pub use attributes::{AttributesWithParent, PayloadAttributes};
pub use block::{Block, BlockId, L1BlockRef, L2BlockRef, SealedBlock};
pub use config::{ConfigError, Genesis, RollupConfig};
pub use hardfork::{Hardfork, HardforkSchedule};
pub use receipt::Receipt;
pub use system_config::SystemConfig;
pub use transaction::{DEPOSIT_TX_TYPE, DepositTransaction, TxEnvelope, TxType};
