//! Channel assembler (from Holocene): one channel at a time, its frames in order. Spec:
//! `holocene/derivation.md`, "Channel Bank".

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use opal_protocol::{ChannelId, Frame, L1BlockRef, RollupConfig};

use crate::host::{ChannelDrop, Dropped, FrameDrop};

/// The channel that is being put together.
#[derive(Debug)]
struct StagingChannel {
    id: ChannelId,
    /// Number of the L1 block with its first frame.
    open_block: u64,
    /// What the channel counts: its data, and an overhead for each frame.
    size: u64,
    /// Number of frames, which is the next frame's number.
    frames: usize,
    /// The frames' data.
    data: Vec<u8>,
}

/// The fourth stage, from Holocene on.
#[derive(Debug, Default)]
pub(crate) struct ChannelAssembler {
    channel: Option<StagingChannel>,
}

impl ChannelAssembler {
    /// Drops the channel.
    pub(crate) fn flush(&mut self) {
        self.channel = None;
    }

    /// Drops the channel if it is open for longer than the channel timeout.
    pub(crate) fn drop_timed_out(
        &mut self,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) {
        let timeout = config.channel_timeout(origin.timestamp);
        if let Some(channel) =
            self.channel.take_if(|c| c.open_block.saturating_add(timeout) < origin.number)
        {
            let reason = ChannelDrop::TimedOut;
            dropped.push_back(Dropped::Channel { channel: channel.id, reason });
        }
    }

    /// Adds a frame; gives the channel when that completes it.
    pub(crate) fn add(
        &mut self,
        frame: &Frame,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) -> Option<Vec<u8>> {
        let (id, number) = (frame.id, frame.number);
        if number == 0 {
            let open_block = origin.number;
            let channel = StagingChannel { id, open_block, size: 0, frames: 0, data: Vec::new() };
            if let Some(old) = self.channel.replace(channel) {
                let reason = ChannelDrop::Replaced;
                dropped.push_back(Dropped::Channel { channel: old.id, reason });
            }
        }
        let fitting = match &mut self.channel {
            None => Err(FrameDrop::NoChannel),
            Some(channel) if channel.id != id || usize::from(number) != channel.frames => {
                Err(FrameDrop::OutOfOrder)
            }
            Some(channel) => Ok(channel),
        };
        let channel = match fitting {
            Ok(channel) => channel,
            Err(reason) => {
                dropped.push_back(Dropped::Frame { channel: id, number, reason });
                return None;
            }
        };
        channel.size += frame.memory_size();
        channel.frames += 1;
        channel.data.extend_from_slice(&frame.data);
        if channel.size > config.max_rlp_bytes_per_channel(origin.timestamp) {
            self.channel = None;
            dropped.push_back(Dropped::Channel { channel: id, reason: ChannelDrop::TooLarge });
            return None;
        }
        if frame.is_last { self.channel.take().map(|channel| channel.data) } else { None }
    }
}

#[cfg(test)]
#[path = "channel_assembler_tests.rs"]
mod tests;
