//! Channel assembler (from Holocene): one channel at a time, its frames in order. Spec:
//! `holocene/derivation.md`, "Channel Bank".

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use opal_protocol::{ChannelId, Frame, L1BlockRef, RollupConfig};

use crate::channel_bank::concat;
use crate::host::{ChannelDrop, Dropped, FrameDrop};

/// The channel that is being put together.
#[derive(Debug)]
struct StagingChannel {
    id: ChannelId,
    /// Number of the L1 block with its first frame.
    open_block: u64,
    size: u64,
    frames: Vec<Frame>,
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
        frame: Frame,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) -> Option<Vec<u8>> {
        let (id, number) = (frame.id, frame.number);
        if number == 0 {
            let channel =
                StagingChannel { id, open_block: origin.number, size: 0, frames: Vec::new() };
            if let Some(old) = self.channel.replace(channel) {
                let reason = ChannelDrop::Replaced;
                dropped.push_back(Dropped::Channel { channel: old.id, reason });
            }
        }
        let wrong = match &self.channel {
            None => Some(FrameDrop::NoChannel),
            Some(channel) if channel.id != id || usize::from(number) != channel.frames.len() => {
                Some(FrameDrop::OutOfOrder)
            }
            Some(_) => None,
        };
        if let Some(reason) = wrong {
            dropped.push_back(Dropped::Frame { channel: id, number, reason });
            return None;
        }
        // Present: its absence is the first of the wrongs above.
        let channel = self.channel.as_mut()?;
        let is_last = frame.is_last;
        channel.size += frame.memory_size();
        channel.frames.push(frame);
        if channel.size > config.max_rlp_bytes_per_channel(origin.timestamp) {
            self.channel = None;
            dropped.push_back(Dropped::Channel { channel: id, reason: ChannelDrop::TooLarge });
            return None;
        }
        if is_last {
            return self.channel.take().map(|channel| concat(channel.frames.iter()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::test_utils::{config_at, l1_ref};
    use alloc::vec;
    use alloy_primitives::Bytes;
    use opal_protocol::Hardfork;

    fn frame(id: u8, number: u16, data: &[u8], is_last: bool) -> Frame {
        Frame { id: ChannelId([id; 16]), number, data: Bytes::copy_from_slice(data), is_last }
    }

    struct Bench(ChannelAssembler, RollupConfig, VecDeque<Dropped>);

    impl Bench {
        fn new() -> Self {
            Self(ChannelAssembler::default(), config_at(Hardfork::Holocene), VecDeque::new())
        }

        fn add(&mut self, l1: u64, frame: Frame) -> Option<Vec<u8>> {
            self.0.drop_timed_out(&self.1, &l1_ref(l1), &mut self.2);
            self.0.add(frame, &self.1, &l1_ref(l1), &mut self.2)
        }
    }

    #[test]
    fn frames_in_order_make_a_channel() {
        let mut b = Bench::new();
        assert_eq!(b.add(1, frame(1, 0, b"a", false)), None);
        assert_eq!(b.add(2, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
        assert!(b.2.is_empty());
    }

    #[test]
    fn gaps_repetitions_and_strangers_are_dropped() {
        let mut b = Bench::new();
        assert_eq!(b.add(1, frame(1, 1, b"b", true)), None);
        assert_eq!(b.add(1, frame(1, 0, b"a", false)), None);
        assert_eq!(b.add(1, frame(1, 2, b"c", true)), None);
        assert_eq!(b.add(1, frame(2, 1, b"x", true)), None);
        assert_eq!(b.2.len(), 3);
        assert_eq!(b.add(1, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
    }

    #[test]
    fn a_first_frame_replaces_the_channel() {
        let mut b = Bench::new();
        b.add(1, frame(1, 0, b"a", false));
        assert_eq!(b.add(1, frame(2, 0, b"x", true)), Some(b"x".to_vec()));
        assert_eq!(b.add(1, frame(1, 1, b"b", true)), None);
    }

    #[test]
    fn the_channel_times_out_after_the_timeout_and_not_before() {
        let mut b = Bench::new();
        b.add(10, frame(1, 0, b"a", false));
        assert_eq!(b.add(60, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
        b.add(10, frame(1, 0, b"a", false));
        assert_eq!(b.add(61, frame(1, 1, b"b", true)), None);
        assert!(matches!(b.2[0], Dropped::Channel { reason: ChannelDrop::TimedOut, .. }));
    }

    #[test]
    fn a_channel_larger_than_its_limit_is_dropped() {
        let mut b = Bench::new();
        let chunk = vec![0; 1_000_000];
        for number in 0..99 {
            assert_eq!(b.add(1, frame(1, number, &chunk, false)), None);
        }
        assert!(b.2.is_empty());
        b.add(1, frame(1, 99, &chunk, false));
        assert!(matches!(b.2[0], Dropped::Channel { reason: ChannelDrop::TooLarge, .. }));
    }
}
