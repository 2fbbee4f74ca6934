//! The stages up to the channel reader, in the order in which they pull from each other.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use opal_protocol::{Frame, Hardfork, L1BlockRef, RollupConfig, SystemConfig};

use crate::channel_assembler::ChannelAssembler;
use crate::channel_bank::{ChannelBank, Read};
use crate::channel_reader::{ChannelInReader, DecodedBatch};
use crate::frame_queue::FrameQueue;
use crate::host::{Dropped, Inbox, Pull, Stall};
use crate::l1_retrieval::L1Retrieval;
use crate::l1_traversal::L1Traversal;

/// What every stage may use.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a RollupConfig,
    pub(crate) inbox: &'a mut Inbox,
    pub(crate) dropped: &'a mut VecDeque<Dropped>,
}

/// The channel stage of the fork.
#[derive(Debug)]
enum ChannelStage {
    Bank(ChannelBank),
    Assembler(ChannelAssembler),
}

/// From L1 blocks to batches.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) traversal: L1Traversal,
    retrieval: L1Retrieval,
    frames: FrameQueue,
    channels: ChannelStage,
    reader: ChannelInReader,
}

impl Pipeline {
    pub(crate) fn new(
        config: &RollupConfig,
        origin: L1BlockRef,
        system_config: SystemConfig,
    ) -> Self {
        let channels = if config.is_active(Hardfork::Holocene, origin.timestamp) {
            ChannelStage::Assembler(ChannelAssembler::default())
        } else {
            ChannelStage::Bank(ChannelBank::default())
        };
        Self {
            traversal: L1Traversal::new(origin, system_config),
            retrieval: L1Retrieval::default(),
            frames: FrameQueue::default(),
            channels,
            reader: ChannelInReader::default(),
        }
    }

    pub(crate) const fn origin(&self) -> L1BlockRef {
        self.traversal.origin
    }

    /// Number of blobs that the origin's data lacks, if any.
    pub(crate) fn blobs_wanted(&self) -> Option<usize> {
        self.retrieval.blobs_wanted()
    }

    /// The origin moved to the first L1 block of Holocene: what was buffered by older rules goes.
    pub(crate) fn begin_holocene(&mut self) {
        self.frames.clear();
        self.reader.flush();
        self.channels = ChannelStage::Assembler(ChannelAssembler::default());
    }

    /// Drops the channel that is being read or put together (Holocene: a batch was invalid).
    pub(crate) fn flush_channel(&mut self) {
        self.reader.flush();
        if let ChannelStage::Assembler(assembler) = &mut self.channels {
            assembler.flush();
        }
    }

    /// A frame as if it came out of the origin.
    #[cfg(test)]
    pub(crate) fn queue_frame(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    /// The next batch in the order of L1.
    pub(crate) fn next_batch(&mut self, ctx: &mut Context<'_>) -> Pull<DecodedBatch> {
        if !self.reader.is_open() {
            let channel = self.next_channel(ctx)?;
            self.reader.open(&channel, ctx.config, &self.origin(), ctx.dropped);
        }
        let origin = self.origin();
        self.reader.next_batch(ctx.config, &origin, ctx.dropped).ok_or(Stall::Again)
    }

    fn next_channel(&mut self, ctx: &mut Context<'_>) -> Pull<Vec<u8>> {
        let origin = self.origin();
        match &mut self.channels {
            ChannelStage::Bank(bank) => {
                // Reading comes before loading: it decides which channels the bank prunes.
                match bank.read(ctx.config, &origin, ctx.dropped) {
                    Read::Channel(data) => return Ok(data),
                    Read::TimedOut => return Err(Stall::Again),
                    Read::Nothing => {}
                }
                let frame = self.next_frame(ctx)?;
                if let ChannelStage::Bank(bank) = &mut self.channels {
                    bank.ingest(&frame, ctx.config, &origin, ctx.dropped);
                }
                Err(Stall::Again)
            }
            ChannelStage::Assembler(assembler) => {
                assembler.drop_timed_out(ctx.config, &origin, ctx.dropped);
                let frame = self.next_frame(ctx)?;
                match &mut self.channels {
                    ChannelStage::Assembler(assembler) => {
                        assembler.add(&frame, ctx.config, &origin, ctx.dropped).ok_or(Stall::Again)
                    }
                    ChannelStage::Bank(_) => Err(Stall::Again),
                }
            }
        }
    }

    fn next_frame(&mut self, ctx: &mut Context<'_>) -> Pull<Frame> {
        if self.frames.is_empty() {
            let data = self.retrieval.next_data(
                &mut self.traversal,
                ctx.config,
                ctx.inbox,
                ctx.dropped,
            )?;
            let time = self.traversal.origin.timestamp;
            let holocene = ctx.config.is_active(Hardfork::Holocene, time);
            self.frames.load(&data, holocene, ctx.dropped);
        }
        self.frames.pop().ok_or(Stall::Again)
    }
}
