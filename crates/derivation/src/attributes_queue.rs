//! Attributes queue: batches in, attributes out. Keeps what L2 takes from the L1 blocks since the
//! safe head's epoch. Spec: `derivation.md`, "Payload Attributes Derivation".

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use opal_protocol::{
    AttributesWithParent, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch, SystemConfig,
};

use crate::attributes::{EpochData, build};
use crate::host::{CriticalError, Pull, ResetReason, Stall};

/// An L2 block and the system configuration that its successor starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) block: L2BlockRef,
    pub(crate) system_config: SystemConfig,
}

/// The last stage.
#[derive(Debug, Default)]
pub(crate) struct AttributesQueue {
    epochs: BTreeMap<u64, EpochData>,
}

impl AttributesQueue {
    /// Keeps the data of an L1 block, and forgets those before the epoch of the safe head.
    pub(crate) fn push_epoch(&mut self, data: EpochData, safe_head: &L2BlockRef) {
        self.epochs.insert(data.id().number, data);
        self.epochs = self.epochs.split_off(&safe_head.l1_origin.number);
    }

    /// Attributes of a valid batch, and the system configuration that they were built with.
    pub(crate) fn attributes(
        &self,
        config: &RollupConfig,
        head: &Head,
        batch: &SingularBatch,
        concluding: bool,
        derived_from: L1BlockRef,
    ) -> Pull<(Box<AttributesWithParent>, SystemConfig)> {
        let parent = head.block;
        if batch.parent_hash != parent.hash
            || batch.timestamp != parent.timestamp.saturating_add(config.block_time)
        {
            return Err(Stall::Reset(ResetReason::BatchMismatch {
                timestamp: batch.timestamp,
                safe_head: parent.id(),
            }));
        }
        let epoch = self
            .epochs
            .get(&batch.epoch_num)
            .filter(|epoch| epoch.id() == batch.epoch())
            .ok_or(Stall::Reset(ResetReason::EpochMissing(batch.epoch())))?;
        let (attributes, system_config) =
            build(config, &parent, &head.system_config, epoch, &batch.transactions).map_err(
                |error| {
                    if error.needs_reset() {
                        Stall::Reset(ResetReason::Attributes(error))
                    } else {
                        Stall::Critical(CriticalError::Attributes(error))
                    }
                },
            )?;
        let l1_origin = batch.epoch();
        let attributes =
            AttributesWithParent { attributes, parent, derived_from, l1_origin, concluding };
        Ok((Box::new(attributes), system_config))
    }
}
