//! Rules of the channel assembler, each once kept and once broken. Spec: holocene/derivation.md,
//! "Channel Bank".
#![allow(clippy::unwrap_used)]

use alloc::vec;

use alloy_primitives::Bytes;
use opal_protocol::Hardfork;

use super::*;
use crate::test_utils::{config_at, l1_ref};

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
        self.0.add(&frame, &self.1, &l1_ref(l1), &mut self.2)
    }

    fn frame_drop(&mut self) -> Option<FrameDrop> {
        match self.2.pop_front() {
            Some(Dropped::Frame { reason, .. }) => Some(reason),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    fn channel_drop(&mut self) -> Option<(u8, ChannelDrop)> {
        match self.2.pop_front() {
            Some(Dropped::Channel { channel, reason }) => Some((channel.0[0], reason)),
            None => None,
            other => panic!("{other:?}"),
        }
    }
}

/// "Reading & Frame Loading": the frames of a channel in order, over any number of L1 blocks.
#[test]
fn frames_in_order_make_a_channel() {
    let mut b = Bench::new();
    assert_eq!(b.add(1, frame(1, 0, b"a", false)), None);
    assert_eq!(b.add(2, frame(1, 1, b"b", false)), None);
    assert_eq!(b.add(3, frame(1, 2, b"c", true)), Some(b"abc".to_vec()));
    assert!(b.2.is_empty());
}

/// "Reading & Frame Loading". TRAPS 2: the number must equal the count so far; a later frame is not
/// put aside until the one before it comes.
#[test]
fn a_frame_out_of_order_is_dropped() {
    let mut b = Bench::new();
    b.add(1, frame(1, 0, b"a", false));
    assert_eq!(b.add(1, frame(1, 2, b"c", true)), None);
    assert_eq!(b.frame_drop(), Some(FrameDrop::OutOfOrder));
    assert_eq!(b.add(1, frame(1, 1, b"b", false)), None);
    assert_eq!(b.frame_drop(), None);
    assert_eq!(b.add(1, frame(1, 1, b"B", false)), None);
    assert_eq!(b.frame_drop(), Some(FrameDrop::OutOfOrder));
    assert_eq!(b.add(1, frame(1, 2, b"c", true)), Some(b"abc".to_vec()));
}

/// "Reading & Frame Loading": only a first frame starts a channel.
#[test]
fn a_later_frame_without_its_channel_is_dropped() {
    let mut b = Bench::new();
    assert_eq!(b.add(1, frame(1, 1, b"b", true)), None);
    assert_eq!(b.frame_drop(), Some(FrameDrop::NoChannel));
    b.add(1, frame(1, 0, b"a", false));
    assert_eq!(b.add(1, frame(2, 1, b"x", true)), None);
    assert_eq!(b.frame_drop(), Some(FrameDrop::OutOfOrder));
    assert_eq!(b.add(1, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
}

/// "Reading & Frame Loading": a first frame replaces a channel that is not complete, be it of
/// another channel or of the same.
#[test]
fn a_first_frame_replaces_the_staging_channel() {
    for id in [1, 2] {
        let mut b = Bench::new();
        b.add(1, frame(1, 0, b"old", false));
        assert_eq!(b.channel_drop(), None);
        b.add(2, frame(id, 0, b"new", false));
        assert_eq!(b.channel_drop(), Some((1, ChannelDrop::Replaced)));
        assert_eq!(b.add(2, frame(id, 1, b"!", true)), Some(b"new!".to_vec()));
    }
}

/// "Timeout": after the timeout and not before, counted from the first frame that stands.
#[test]
fn the_staging_channel_times_out() {
    let mut b = Bench::new();
    b.add(10, frame(1, 0, b"a", false));
    assert_eq!(b.add(60, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
    b.add(10, frame(1, 0, b"a", false));
    assert_eq!(b.add(61, frame(1, 1, b"b", true)), None);
    assert_eq!(b.channel_drop(), Some((1, ChannelDrop::TimedOut)));
    assert_eq!(b.frame_drop(), Some(FrameDrop::NoChannel));
    // All its later frames are lost too; begun again, it counts.
    b.add(61, frame(1, 0, b"a", false));
    assert_eq!(b.add(111, frame(1, 1, b"b", true)), Some(b"ab".to_vec()));
}

/// "Pruning": the channel is dropped once it is larger than MAX_RLP_BYTES_PER_CHANNEL, counted as
/// the channel bank counts.
#[test]
fn a_channel_larger_than_its_limit_is_dropped() {
    let chunk = vec![0; 1_000_000];
    for (last, fits) in [(980_000, true), (980_001, false)] {
        let mut b = Bench::new();
        for number in 0..99 {
            assert_eq!(b.add(1, frame(1, number, &chunk, false)), None);
        }
        let rest = b.add(1, frame(1, 99, &chunk[..last], true));
        assert_eq!(rest.is_some(), fits);
        assert_eq!(b.channel_drop(), (!fits).then_some((1, ChannelDrop::TooLarge)));
    }
}

/// No hostile order of frames makes the assembler hold more than one channel within its limit.
#[test]
fn the_assembler_holds_one_channel_and_only_its_data() {
    let transaction = Bytes::from(vec![7; 128_000]);
    let mut b = Bench::new();
    for id in 0..200 {
        for number in 0..3 {
            let data = transaction.slice(..1 + usize::from(number));
            b.add(1, Frame { data, ..frame(id, number, b"", false) });
        }
    }
    assert!(transaction.0.is_unique());
    let channel = b.0.channel.as_ref().unwrap();
    assert_eq!((channel.id.0[0], channel.data.len(), channel.size), (199, 6, 606));
}

/// "Fast Channel Invalidation": flushed, it is gone with its later frames.
#[test]
fn a_flushed_channel_is_gone() {
    let mut b = Bench::new();
    b.add(1, frame(1, 0, b"a", false));
    b.0.flush();
    assert_eq!(b.add(1, frame(1, 1, b"b", true)), None);
    assert_eq!(b.frame_drop(), Some(FrameDrop::NoChannel));
    assert_eq!(b.add(1, frame(1, 0, b"a", true)), Some(b"a".to_vec()));
}
