//! Rules of the channel bank, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::vec;

use alloy_primitives::Bytes;

use super::*;
use crate::test_utils::{config_at, l1_ref};

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
        self.bank.ingest(&frame, &self.config, &l1_ref(l1), &mut self.dropped);
    }

    fn read(&mut self, l1: u64) -> Read {
        self.bank.read(&self.config, &l1_ref(l1), &mut self.dropped)
    }

    /// Why a frame was dropped since the last call, if one was.
    fn frame_drop(&mut self) -> Option<FrameDrop> {
        match self.dropped.pop_front() {
            Some(Dropped::Frame { reason, .. }) => Some(reason),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    /// Which channels were dropped since the last call, and why.
    fn channel_drops(&mut self) -> Vec<(u8, ChannelDrop)> {
        let drop = |dropped| match dropped {
            Dropped::Channel { channel, reason } => (channel.0[0], reason),
            other => panic!("{other:?}"),
        };
        self.dropped.drain(..).map(drop).collect()
    }
}

fn channel(data: &[u8]) -> Read {
    Read::Channel(data.to_vec())
}

/// derivation.md, "Channel Bank", "Reading": a channel is ready when its last frame and all frames
/// before it are there, in whatever order they came.
#[test]
fn a_channel_is_ready_when_it_is_closed_and_without_gaps() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 2, b"c", true));
    b.add(2, frame(1, 0, b"a", false));
    assert_eq!(b.read(2), Read::Nothing, "closed, but with a gap");
    b.add(3, frame(1, 1, b"b", false));
    assert_eq!(b.read(3), channel(b"abc"));
    assert_eq!(b.read(3), Read::Nothing, "read once");
    b.add(4, frame(2, 0, b"a", false));
    b.add(4, frame(2, 1, b"b", false));
    assert_eq!(b.read(4), Read::Nothing, "not closed");
    assert!(b.dropped.is_empty());
}

/// derivation.md, "Channel Bank", "Loading frames".
#[test]
fn a_repeated_frame_is_dropped() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 0, b"a", false));
    b.add(1, frame(1, 1, b"b", false));
    assert_eq!(b.frame_drop(), None);
    b.add(1, frame(1, 0, b"x", false));
    assert_eq!(b.frame_drop(), Some(FrameDrop::Duplicate));
    b.add(1, frame(1, 2, b"c", true));
    assert_eq!(b.read(1), channel(b"abc"));
}

/// derivation.md, "Channel Bank", "Loading frames".
#[test]
fn a_second_closing_frame_is_dropped() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 3, b"d", true));
    assert_eq!(b.frame_drop(), None);
    b.add(1, frame(1, 1, b"b", true));
    assert_eq!(b.frame_drop(), Some(FrameDrop::SecondLast));
    b.add(1, frame(1, 1, b"b", false));
    assert_eq!(b.frame_drop(), None);
}

/// derivation.md, "Channel Bank", "Loading frames": a closing frame removes those with higher
/// numbers, and none is taken later.
#[test]
fn a_closing_frame_removes_what_lies_beyond_it() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 0, b"a", false));
    b.add(1, frame(1, 5, b"z", false));
    b.add(1, frame(1, 1, b"b", true));
    assert_eq!(b.frame_drop(), None);
    b.add(1, frame(1, 2, b"y", false));
    assert_eq!(b.frame_drop(), Some(FrameDrop::BeyondEnd));
    assert_eq!(b.read(1), channel(b"ab"));
}

/// derivation.md, "Channel Bank": a channel that was removed does not hold back a later one with
/// its identifier.
#[test]
fn an_identifier_may_be_used_again_once_its_channel_is_gone() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 0, b"a", true));
    b.add(1, frame(1, 0, b"b", true));
    assert_eq!(b.frame_drop(), Some(FrameDrop::SecondLast));
    assert_eq!(b.read(1), channel(b"a"));
    b.add(1, frame(1, 0, b"b", true));
    assert_eq!(b.frame_drop(), None);
    assert_eq!(b.read(1), channel(b"b"));
}

/// derivation.md, "Channel Bank", "Reading": Canyon counts by the time of the L1 block read.
#[test]
fn before_canyon_only_the_oldest_channel_is_read() {
    let time = l1_ref(20).timestamp;
    for (canyon, read) in [(time + 1, Read::Nothing), (time, channel(b"2"))] {
        let mut b = Bench::new(Hardfork::Regolith);
        b.config.schedule.set(Hardfork::Canyon, Some(canyon));
        b.add(1, frame(1, 0, b"1", false));
        b.add(1, frame(2, 0, b"2", true));
        assert_eq!(b.read(20), read);
        b.add(20, frame(1, 1, b"!", true));
        assert_eq!(b.read(20), channel(b"1!"));
    }
}

/// derivation.md, "Channel Bank", "Reading": in the order in which channels were opened.
#[test]
fn of_several_complete_channels_the_oldest_is_read_first() {
    for fork in [Hardfork::Regolith, Hardfork::Canyon] {
        let mut b = Bench::new(fork);
        b.add(1, frame(7, 0, b"old", false));
        b.add(2, frame(3, 0, b"new", true));
        b.add(3, frame(7, 1, b"er", true));
        assert_eq!(b.read(3), channel(b"older"));
        assert_eq!(b.read(3), channel(b"new"));
    }
}

/// derivation.md, "Channel Bank", "Timeouts".
#[test]
fn a_frame_of_a_timed_out_channel_is_dropped() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(10, frame(1, 0, b"1", false));
    b.add(310, frame(1, 1, b"2", false));
    assert_eq!(b.frame_drop(), None);
    b.add(311, frame(1, 2, b"3", true));
    assert_eq!(b.frame_drop(), Some(FrameDrop::TimedOut));
    assert_eq!(b.read(311), Read::TimedOut);
    assert_eq!(b.channel_drops(), [(1, ChannelDrop::TimedOut)]);
    assert_eq!(b.read(311), Read::Nothing);
}

/// derivation.md, "Channel Bank", "Reading": timed-out channels go first, even complete ones.
#[test]
fn reading_removes_timed_out_channels_one_after_another() {
    let mut b = Bench::new(Hardfork::Regolith);
    b.add(10, frame(1, 0, b"1", false));
    b.add(11, frame(2, 0, b"2", true));
    b.add(12, frame(3, 0, b"3", true));
    assert_eq!(b.read(310), Read::Nothing, "the oldest is neither complete nor timed out");
    assert_eq!(b.read(312), Read::TimedOut);
    assert_eq!(b.read(312), Read::TimedOut);
    assert_eq!(b.channel_drops(), [(1, ChannelDrop::TimedOut), (2, ChannelDrop::TimedOut)]);
    assert_eq!(b.read(312), channel(b"3"));
}

/// granite/derivation.md, "Reduce Channel Timeout": by the time of the L1 block that includes the
/// frame.
#[test]
fn granite_shortens_the_timeout_from_its_first_l1_block_on() {
    let time = l1_ref(61).timestamp;
    for (granite, dropped) in [(time + 1, None), (time, Some(FrameDrop::TimedOut))] {
        let mut b = Bench::new(Hardfork::Fjord);
        b.config.schedule.set(Hardfork::Granite, Some(granite));
        b.add(10, frame(1, 0, b"1", false));
        b.add(60, frame(1, 1, b"2", false));
        assert_eq!(b.frame_drop(), None);
        b.add(61, frame(1, 2, b"3", false));
        assert_eq!(b.frame_drop(), dropped);
    }
}

/// A bank with this many bytes of frame data, 200 more for each of its 100 frames, in channel 1.
fn filled(fork: Hardfork, total: usize) -> Bench {
    let mut b = Bench::new(fork);
    let chunk = vec![0; 1_000_000];
    let overhead = 100 * 200;
    for number in 0..99 {
        b.add(1, frame(1, number, &chunk, false));
    }
    b.add(1, frame(1, 99, &chunk[..total - overhead - 99_000_000], false));
    b
}

/// derivation.md, "Channel Bank", "Pruning": up to the limit, each frame with 200 bytes more than
/// its data.
#[test]
fn a_full_bank_drops_its_oldest_channels_until_it_is_within_the_limit() {
    let mut b = filled(Hardfork::Canyon, 99_999_700);
    b.add(2, frame(2, 0, &[0; 100], false));
    assert_eq!(b.bank.size, 100_000_000);
    assert_eq!(b.channel_drops(), []);
    b.add(3, frame(3, 0, b"", true));
    assert_eq!(b.channel_drops(), [(1, ChannelDrop::BankFull)]);
    assert_eq!(b.bank.size, 500);
    assert_eq!(b.read(3), channel(b""));
}

/// derivation.md, "Channel Bank", "Pruning": after a frame was inserted, not after one was dropped.
#[test]
fn only_a_frame_that_is_taken_prunes() {
    let mut b = filled(Hardfork::Canyon, 100_000_000);
    b.add(2, frame(1, 0, b"again", false));
    assert_eq!(b.frame_drop(), Some(FrameDrop::Duplicate));
    assert_eq!(b.bank.channels.len(), 1);
    b.add(2, frame(2, 0, b"", false));
    assert_eq!(b.channel_drops(), [(1, ChannelDrop::BankFull)]);
}

/// fjord/derivation.md, "Increasing MAX_RLP_BYTES_PER_CHANNEL and MAX_CHANNEL_BANK_SIZE": by the
/// time of the L1 block read.
#[test]
fn fjord_makes_the_bank_ten_times_as_large() {
    let time = l1_ref(2).timestamp;
    for (fjord, dropped) in [(time + 1, 1), (time, 0)] {
        let mut b = filled(Hardfork::Ecotone, 100_000_000);
        b.config.schedule.set(Hardfork::Fjord, Some(fjord));
        b.add(2, frame(2, 0, b"", false));
        assert_eq!(b.channel_drops().len(), dropped);
    }
    assert_eq!(config_at(Hardfork::Fjord).max_channel_bank_size(0), 1_000_000_000);
}

/// What the reference node counts after a closing frame removed others (docs/deviations.md).
#[test]
fn a_channel_that_lost_frames_to_its_closing_one_counts_that_one_alone() {
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, frame(1, 0, &[0; 1000], false));
    b.add(1, frame(1, 1, &[0; 1000], false));
    assert_eq!(b.bank.size, 2400);
    b.add(1, frame(1, 9, &[0; 1000], false));
    b.add(1, frame(1, 2, &[0; 10], true));
    assert_eq!(b.bank.size, 210);
    assert!(matches!(b.read(1), Read::Channel(data) if data.len() == 2010));
    assert_eq!(b.bank.size, 0);
}

/// The frames of a bank hold no more than they count: neither the rest of their transactions, nor
/// anything of channels that are gone.
#[test]
fn the_bank_holds_what_it_counts() {
    let transaction = Bytes::from(vec![7; 128_000]);
    let mut b = Bench::new(Hardfork::Canyon);
    b.add(1, Frame { data: transaction.slice(..1), ..frame(1, 0, b"", false) });
    assert!(transaction.0.is_unique());
    assert_eq!(b.bank.size, 201);
    b.add(1, frame(1, 1, b"", true));
    assert!(matches!(b.read(1), Read::Channel(_)));
    let ChannelBank { channels, tickets, ready, size, .. } = &b.bank;
    assert_eq!((channels.len(), tickets.len(), ready.len(), *size), (0, 0, 0, 0));
}

/// Channels by the hundred thousand, as many as a bank holds of the smallest, cost a little each: a
/// scan of all for each frame would make 10^11 steps here.
#[test]
fn spam_of_channels_is_not_quadratic() {
    let mut b = Bench::new(Hardfork::Canyon);
    let spam = 600_000u32;
    for i in 0..spam {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&i.to_be_bytes());
        let frame = Frame { id: ChannelId(id), number: 1, data: Bytes::new(), is_last: true };
        b.add(1, frame);
        assert_eq!(b.read(1), Read::Nothing);
        b.dropped.clear();
    }
    assert_eq!(b.bank.size, 100_000_000);
    assert_eq!((b.bank.channels.len(), b.bank.tickets.len()), (500_000, 500_000));
    let last =
        ChannelId([(spam - 1).to_be_bytes(), [0; 4], [0; 4], [0; 4]].concat().try_into().unwrap());
    b.add(1, Frame { id: last, number: 0, data: Bytes::new(), is_last: false });
    assert_eq!(b.read(1), channel(b""));
}
