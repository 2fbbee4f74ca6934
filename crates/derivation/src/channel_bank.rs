//! Channel bank (before Holocene): frames of many channels, in any order, until one is complete.
//! Spec: `derivation.md`, "Channel Bank".

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use opal_protocol::{ChannelId, Frame, Hardfork, L1BlockRef, RollupConfig};

use crate::host::{ChannelDrop, Dropped, FrameDrop};

/// A channel that is being put together.
#[derive(Debug)]
struct Channel {
    id: ChannelId,
    /// Number of the L1 block with the first frame that was seen.
    open_block: u64,
    /// What the channel counts in the bank.
    size: u64,
    highest: u16,
    /// Number of the last frame, once seen.
    end: Option<u16>,
    frames: BTreeMap<u16, Frame>,
}

impl Channel {
    fn is_timed_out(&self, config: &RollupConfig, origin: &L1BlockRef) -> bool {
        self.open_block.saturating_add(config.channel_timeout(origin.timestamp)) < origin.number
    }

    fn is_ready(&self) -> bool {
        // As many frames as numbers up to the end, none beyond: so none is missing.
        self.end.is_some_and(|end| self.frames.len() == usize::from(end) + 1)
    }

    fn add(&mut self, frame: Frame) -> Result<(), FrameDrop> {
        if frame.is_last && self.end.is_some() {
            return Err(FrameDrop::SecondLast);
        }
        if self.frames.contains_key(&frame.number) {
            return Err(FrameDrop::Duplicate);
        }
        if self.end.is_some_and(|end| frame.number >= end) {
            return Err(FrameDrop::BeyondEnd);
        }
        if frame.is_last {
            self.end = Some(frame.number);
            if frame.number < self.highest {
                // The reference implementation takes every frame off the size here, the remaining
                // ones too. It matters to when the bank is full, so it is a rule.
                self.size = 0;
                self.frames.retain(|number, _| *number < frame.number);
                self.highest = frame.number;
            }
        }
        self.highest = self.highest.max(frame.number);
        self.size += frame.memory_size();
        self.frames.insert(frame.number, frame);
        Ok(())
    }
}

/// The fourth stage, before Holocene. Its channels stand in the order of their first frames.
#[derive(Debug, Default)]
pub(crate) struct ChannelBank {
    channels: VecDeque<Channel>,
}

/// What [`ChannelBank::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A complete channel.
    Channel(Vec<u8>),
    /// The oldest channel was dropped; there may be more to drop or to read.
    TimedOut,
    /// Nothing is complete.
    Nothing,
}

impl ChannelBank {
    /// Takes the first complete channel. Before Canyon only the oldest may be read.
    pub(crate) fn read(
        &mut self,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) -> Read {
        let Some(first) = self.channels.front() else { return Read::Nothing };
        if first.is_timed_out(config, origin) {
            let (channel, reason) = (first.id, ChannelDrop::TimedOut);
            dropped.push_back(Dropped::Channel { channel, reason });
            self.channels.pop_front();
            return Read::TimedOut;
        }
        let canyon = config.is_active(Hardfork::Canyon, origin.timestamp);
        let readable = if canyon { self.channels.len() } else { 1 };
        let found = self
            .channels
            .iter()
            .take(readable)
            .position(|channel| channel.is_ready() && !channel.is_timed_out(config, origin));
        match found.and_then(|at| self.channels.remove(at)) {
            Some(channel) => Read::Channel(concat(channel.frames.values())),
            None => Read::Nothing,
        }
    }

    /// Adds a frame, and drops the oldest channels while the bank is too large.
    pub(crate) fn ingest(
        &mut self,
        frame: Frame,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) {
        let (id, number) = (frame.id, frame.number);
        let at = self.channels.iter().position(|channel| channel.id == id);
        let at = at.unwrap_or_else(|| {
            self.channels.push_back(Channel {
                id,
                open_block: origin.number,
                size: 0,
                highest: 0,
                end: None,
                frames: BTreeMap::new(),
            });
            self.channels.len() - 1
        });
        let channel = &mut self.channels[at];
        let added = if channel.is_timed_out(config, origin) {
            Err(FrameDrop::TimedOut)
        } else {
            channel.add(frame)
        };
        if let Err(reason) = added {
            dropped.push_back(Dropped::Frame { channel: id, number, reason });
            return;
        }
        let limit = config.max_channel_bank_size(origin.timestamp);
        let mut total: u64 = self.channels.iter().map(|channel| channel.size).sum();
        while total > limit {
            let Some(oldest) = self.channels.pop_front() else { break };
            total -= oldest.size;
            let reason = ChannelDrop::BankFull;
            dropped.push_back(Dropped::Channel { channel: oldest.id, reason });
        }
    }
}

/// The data of frames in a row.
pub(crate) fn concat<'a>(frames: impl Iterator<Item = &'a Frame> + Clone) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.clone().map(|frame| frame.data.len()).sum());
    for frame in frames {
        out.extend_from_slice(&frame.data);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::test_utils::{config_at, l1_ref};
    use alloc::vec;
    use alloy_primitives::Bytes;

    fn frame(id: u8, number: u16, data: &[u8], is_last: bool) -> Frame {
        Frame { id: ChannelId([id; 16]), number, data: Bytes::copy_from_slice(data), is_last }
    }

    struct Bench {
        bank: ChannelBank,
        config: RollupConfig,
        dropped: VecDeque<Dropped>,
    }

    impl Bench {
        fn new(fork: Hardfork) -> Self {
            Self { bank: ChannelBank::default(), config: config_at(fork), dropped: VecDeque::new() }
        }

        fn add(&mut self, l1: u64, frame: Frame) {
            self.bank.ingest(frame, &self.config, &l1_ref(l1), &mut self.dropped);
        }

        fn read(&mut self, l1: u64) -> Read {
            self.bank.read(&self.config, &l1_ref(l1), &mut self.dropped)
        }
    }

    #[test]
    fn frames_may_come_in_any_order() {
        let mut b = Bench::new(Hardfork::Canyon);
        b.add(1, frame(1, 2, b"c", true));
        b.add(2, frame(1, 0, b"a", false));
        assert_eq!(b.read(2), Read::Nothing);
        b.add(3, frame(1, 1, b"b", false));
        assert_eq!(b.read(3), Read::Channel(b"abc".to_vec()));
        assert_eq!(b.read(3), Read::Nothing);
        assert!(b.dropped.is_empty());
    }

    #[test]
    fn repeated_late_and_surplus_frames_are_dropped() {
        let mut b = Bench::new(Hardfork::Canyon);
        b.add(1, frame(1, 0, b"a", false));
        b.add(1, frame(1, 0, b"x", false));
        b.add(1, frame(1, 5, b"z", false));
        // The end prunes what lies beyond it.
        b.add(1, frame(1, 1, b"b", true));
        b.add(1, frame(1, 2, b"y", false));
        b.add(1, frame(1, 3, b"y", true));
        let reasons: Vec<_> = b
            .dropped
            .iter()
            .map(|d| match d {
                Dropped::Frame { reason, .. } => *reason,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            reasons,
            vec![FrameDrop::Duplicate, FrameDrop::BeyondEnd, FrameDrop::SecondLast]
        );
        assert_eq!(b.read(1), Read::Channel(b"ab".to_vec()));
    }

    #[test]
    fn before_canyon_only_the_oldest_channel_is_read() {
        for (fork, expected) in
            [(Hardfork::Regolith, Read::Nothing), (Hardfork::Canyon, Read::Channel(b"2".to_vec()))]
        {
            let mut b = Bench::new(fork);
            b.add(1, frame(1, 0, b"1", false));
            b.add(1, frame(2, 0, b"2", true));
            assert_eq!(b.read(1), expected);
        }
    }

    #[test]
    fn a_channel_times_out_after_the_timeout_and_not_before() {
        for (fork, timeout) in [(Hardfork::Canyon, 300), (Hardfork::Granite, 50)] {
            let mut b = Bench::new(fork);
            b.add(10, frame(1, 0, b"1", false));
            b.add(10 + timeout, frame(1, 1, b"2", false));
            assert!(b.dropped.is_empty());
            b.add(11 + timeout, frame(1, 2, b"3", true));
            assert!(matches!(
                b.dropped.pop_front(),
                Some(Dropped::Frame { reason: FrameDrop::TimedOut, .. })
            ));
            assert_eq!(b.read(11 + timeout), Read::TimedOut);
            assert_eq!(b.read(11 + timeout), Read::Nothing);
        }
    }

    #[test]
    fn a_full_bank_drops_its_oldest_channel() {
        let mut b = Bench::new(Hardfork::Canyon);
        let chunk = vec![0; 1_000_000];
        for number in 0..99 {
            b.add(1, frame(1, number, &chunk, false));
        }
        assert!(b.dropped.is_empty());
        b.add(1, frame(2, 0, &chunk, false));
        assert!(matches!(
            b.dropped.pop_front(),
            Some(Dropped::Channel { reason: ChannelDrop::BankFull, .. })
        ));
        b.add(1, frame(2, 1, b"", true));
        assert!(matches!(b.read(1), Read::Channel(_)));
    }
}
