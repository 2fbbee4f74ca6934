//! Action tests: stories told step by step over an L1 in memory, with batches by our own encoders,
//! and what derivation makes of them.
//!
//! Every verifier records what it is told. When a story ends, its recording is replayed, and then
//! run again under many other schedules of the same answers (`common/schedules.rs`;
//! `OPAL_SCHEDULES` sets their number).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod basics;
mod batches;
mod blobs;
mod channels;
mod forks;
mod l1_config;
mod properties;
mod refusals;
mod reorgs;
mod windows;

use common::Run;
use opal_derivation::{ChannelDrop, DropReason, Dropped, FrameDrop};
use opal_protocol::Hardfork;

/// The forks that have rules of their own for channels and batches, newest of each kind.
const KINDS: [Hardfork; 4] =
    [Hardfork::Regolith, Hardfork::Ecotone, Hardfork::Granite, Hardfork::Karst];

fn batch_drops(run: &Run) -> Vec<DropReason> {
    let reason = |dropped: &Dropped| match dropped {
        Dropped::Batch { reason, .. } => Some(*reason),
        _ => None,
    };
    run.dropped.iter().filter_map(reason).collect()
}

fn frame_drops(run: &Run) -> Vec<FrameDrop> {
    let reason = |dropped: &Dropped| match dropped {
        Dropped::Frame { reason, .. } => Some(*reason),
        _ => None,
    };
    run.dropped.iter().filter_map(reason).collect()
}

fn channel_drops(run: &Run) -> Vec<ChannelDrop> {
    let reason = |dropped: &Dropped| match dropped {
        Dropped::Channel { reason, .. } => Some(*reason),
        _ => None,
    };
    run.dropped.iter().filter_map(reason).collect()
}
