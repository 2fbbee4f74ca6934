//! Derivation: L1 data in, payload attributes out.
//!
//! ```text
//!  host ── provide(L1Block, Blobs, …) ──► inbox
//!                                           │
//!   L1 traversal ─► L1 retrieval ─► frame queue ─► channel bank ──────► channel reader ─► batch queue ─► attributes
//!   (origin,        (calldata,      (by tx)        or, from Holocene,   (batches)         or, from       queue
//!    system config)  blobs)                        channel assembler                     Holocene,       │
//!                                                                                        batch stage     ▼
//!  host ◄───────────────────── step(): Need · Execute · AdvancedOrigin · Dropped · Idle · Reset · Critical
//!  host ── executed(Valid | Invalid) ──► batch queue, attributes queue
//! ```
//!
//! [`Derivation`] is a synchronous state machine. [`Derivation::step`] is called again and again
//! and says what the host shall do; the host answers with [`Derivation::provide`] and
//! [`Derivation::executed`] and never has to answer at once: a step that lacks something leaves no
//! trace and is repeated. What is provided early is kept, what is provided twice is ignored. The
//! recorded answers are a full replay.
//!
//! Each stage is a plain struct in a file of the specification's name; `pipeline.rs` is where one
//! pulls from the other, deepest first, so that L1 is read only as far as needed.
//!
//! # Where to start
//!
//! A channel that gives the block after the safe head may have begun a channel timeout before the
//! safe head's L1 origin. A host therefore walks back along the L2 chain from the safe head as long
//! as [`must_walk_back`] says so; where it ends, the block's L1 origin is
//! [`DerivationStart::l1`], and the system configuration read out of that block
//! ([`opal_protocol::system_config_of`]) is [`DerivationStart::l1_system_config`]: batches of those
//! L1 blocks are to be judged by the batcher key of their time. After [`Step::Reset`] the host finds
//! its safe head anew (on the canonical L1), walks back and builds a new machine.
//!
//! # Which rule lives where
//!
//! | Rule | File | Spec |
//! |---|---|---|
//! | batcher transactions and their sender | `l1_retrieval.rs` | `derivation.md`, "L1 Retrieval"; `ecotone/derivation.md` |
//! | frame order within a transaction | `frame_queue.rs` | `holocene/derivation.md`, "Frame Queue" |
//! | channel order, size, timeout | `channel_bank.rs` | `derivation.md`, "Channel Bank" |
//! | one channel at a time | `channel_assembler.rs` | `holocene/derivation.md`, "Channel Bank" |
//! | batch validity | `batch_validity.rs` | `derivation.md`, "Batch Queue"; `delta/span-batches.md` |
//! | batch order, empty batches | `batch_queue.rs`, `batch_stage.rs`, `epochs.rs` | the same; `holocene/derivation.md` |
//! | payload attributes | `attributes.rs` | `derivation.md`, "Deriving Payload Attributes" |
//! | consolidation | `consolidate.rs` | `derivation.md`, "L1-consolidation" |
//!
#![doc = include_str!("../RULES.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod attributes;
mod attributes_queue;
mod batch_queue;
mod batch_stage;
mod batch_validity;
mod channel_assembler;
mod channel_bank;
mod channel_reader;
mod consolidate;
mod epochs;
mod frame_queue;
mod host;
mod l1_retrieval;
mod l1_traversal;
mod machine;
mod pipeline;
#[cfg(feature = "recording")]
pub mod recording;
mod sync_start;

pub use attributes::{AttributesError, EpochData, build_attributes, deposits_only};
pub use batch_validity::{
    BatchContext, DropReason, SafeBlock, Verdict, check_singular_batch, check_span_batch,
    check_span_prefix,
};
pub use consolidate::{Mismatch, attributes_match_block};
pub use host::{
    ChannelDrop, CriticalError, Dropped, Executed, ExecutedError, FrameDrop, Input, InputError,
    L1Block, Request, ResetReason, Step,
};
pub use machine::{Derivation, DerivationStart};
pub use sync_start::must_walk_back;

#[cfg(test)]
mod batch_validity_tests;
#[cfg(test)]
mod codec_rules_tests;
#[cfg(test)]
mod consolidate_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod span_validity_tests;
#[cfg(test)]
mod test_utils;
