//! Rules of the frame queue, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::Bytes;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::frame::{FrameError, MAX_FRAME_DATA};
use opal_protocol::{ChannelId, Frame};

use super::*;

fn frame(id: u8, number: u16, is_last: bool) -> Frame {
    Frame { id: ChannelId([id; 16]), number, data: Bytes::new(), is_last }
}

fn kept(frames: Vec<Frame>) -> Vec<(u8, u16)> {
    in_order(frames, &mut VecDeque::new()).iter().map(|f| (f.id.0[0], f.number)).collect()
}

/// What comes out of the data of one transaction before Holocene: the number of frames, or why
/// there are none.
fn load(data: Vec<u8>) -> Result<usize, FrameError> {
    let mut queue = FrameQueue::default();
    let mut dropped = VecDeque::new();
    queue.load(&data.into(), false, &mut dropped);
    match dropped.pop_front() {
        Some(Dropped::BatcherData(error)) => {
            assert!(queue.is_empty());
            Err(error)
        }
        _ => Ok(queue.frames.len()),
    }
}

/// derivation.md, "Batcher Transaction Format".
#[test]
fn a_batcher_transaction_has_version_zero_or_is_ignored() {
    let mut data = encode_batcher_data(&[frame(1, 0, true)]).to_vec();
    assert_eq!(load(data.clone()), Ok(1));
    // Version 1 is a commitment to data elsewhere, which only an alt-DA chain looks up.
    for version in [1, 2, 0xff] {
        data[0] = version;
        assert_eq!(load(data.clone()), Err(FrameError::Version(version)));
    }
    assert_eq!(load(vec![]), Err(FrameError::Empty));
    assert_eq!(load(vec![0]), Err(FrameError::NoFrames));
}

/// derivation.md, "Batcher Transaction Format".
#[test]
fn one_frame_that_cannot_be_parsed_rejects_all_of_its_transaction() {
    let frames = [frame(1, 0, false), frame(2, 5, false), frame(1, 0, false)];
    let mut data = encode_batcher_data(&frames).to_vec();
    assert_eq!(load(data.clone()), Ok(3));
    data.pop();
    assert!(matches!(load(data.clone()), Err(FrameError::Truncated { index: 2, .. })));
    data.extend_from_slice(&[0, 0]);
    assert!(matches!(load(data), Err(FrameError::Truncated { index: 3, .. })));
}

/// derivation.md, "Frame Format". TRAPS 1: a byte other than 0 and 1 is no "false".
#[test]
fn is_last_is_zero_or_one() {
    for (byte, result) in [
        (0, Ok(1)),
        (1, Ok(1)),
        (2, Err(FrameError::IsLast { index: 0, byte: 2 })),
        (0xff, Err(FrameError::IsLast { index: 0, byte: 0xff })),
    ] {
        let mut data = encode_batcher_data(&[frame(1, 0, false)]).to_vec();
        *data.last_mut().unwrap() = byte;
        assert_eq!(load(data), result);
    }
}

/// derivation.md, "Frame Format".
#[test]
fn frame_data_is_capped_at_a_million_bytes() {
    for (length, ok) in [(MAX_FRAME_DATA, true), (MAX_FRAME_DATA + 1, false)] {
        let frame = Frame { data: vec![7; length].into(), ..frame(1, 0, true) };
        assert_eq!(load(encode_batcher_data(&[frame]).to_vec()).is_ok(), ok, "{length}");
    }
}

/// derivation.md, "Frame Queue", and holocene/derivation.md, "Frame Queue": the order matters from
/// Holocene on only.
#[test]
fn before_holocene_the_order_of_frames_is_not_looked_at() {
    let data = encode_batcher_data(&[frame(1, 3, false), frame(2, 5, false), frame(1, 0, false)]);
    for (holocene, kept) in [(false, 3), (true, 1)] {
        let mut queue = FrameQueue::default();
        queue.load(&data, holocene, &mut VecDeque::new());
        assert_eq!(queue.frames.len(), kept);
    }
}

/// holocene/derivation.md, "Frame Queue": frames that stand in order. A transaction may go on with
/// a channel of an earlier one, and the next channel may begin where one ends.
#[test]
fn holocene_keeps_what_stands_in_order() {
    let frames = vec![frame(1, 0, false), frame(1, 1, true), frame(2, 0, false)];
    assert_eq!(kept(frames), [(1, 0), (1, 1), (2, 0)]);
    assert_eq!(kept(vec![frame(1, 4, false), frame(1, 5, true)]), [(1, 4), (1, 5)]);
}

/// holocene/derivation.md, "Frame Queue": the number must be the previous frame's plus one.
#[test]
fn holocene_drops_a_frame_whose_number_does_not_follow() {
    assert_eq!(kept(vec![frame(1, 0, false), frame(1, 1, false)]), [(1, 0), (1, 1)]);
    assert_eq!(kept(vec![frame(1, 0, false), frame(1, 2, false)]), [(1, 0)]);
    assert_eq!(kept(vec![frame(1, 1, false), frame(1, 1, false)]), [(1, 1)]);
    // The dropped frame is not what the next one is compared with.
    let frames = vec![frame(1, 0, false), frame(1, 2, false), frame(1, 1, true)];
    assert_eq!(kept(frames), [(1, 0), (1, 1)]);
}

/// holocene/derivation.md, "Frame Queue": nothing follows a last frame in its channel.
#[test]
fn holocene_drops_a_frame_after_its_channels_last() {
    assert_eq!(kept(vec![frame(1, 0, false), frame(1, 1, false)]), [(1, 0), (1, 1)]);
    assert_eq!(kept(vec![frame(1, 0, true), frame(1, 1, false)]), [(1, 0)]);
}

/// holocene/derivation.md, "Frame Queue": a channel does not begin with a later frame.
#[test]
fn holocene_drops_a_later_frame_of_another_channel() {
    assert_eq!(kept(vec![frame(1, 0, true), frame(2, 0, false)]), [(1, 0), (2, 0)]);
    assert_eq!(kept(vec![frame(1, 0, true), frame(2, 3, false)]), [(1, 0)]);
    assert_eq!(kept(vec![frame(1, 0, false), frame(2, 1, false)]), [(1, 0)]);
}

/// holocene/derivation.md, "Frame Queue": a first frame drops the unfinished channel before it, all
/// of it, and nothing of a finished one.
#[test]
fn holocene_first_frame_removes_the_whole_open_channel_before_it() {
    let frames = |last| {
        vec![
            frame(1, 0, true),
            frame(2, 0, false),
            frame(2, 1, false),
            frame(2, 2, last),
            frame(3, 0, true),
        ]
    };
    assert_eq!(kept(frames(true)), [(1, 0), (2, 0), (2, 1), (2, 2), (3, 0)]);
    assert_eq!(kept(frames(false)), [(1, 0), (3, 0)]);
    assert_eq!(kept(vec![frame(1, 7, false), frame(2, 0, true)]), [(2, 0)]);
}

/// Where the specification would keep the second of two first frames of one channel, the reference
/// node keeps the first (docs/deviations.md).
#[test]
fn holocene_keeps_the_first_of_two_first_frames_of_a_channel() {
    assert_eq!(kept(vec![frame(1, 0, false), frame(1, 0, false)]), [(1, 0)]);
    assert_eq!(kept(vec![frame(1, 0, false), frame(2, 0, false)]), [(2, 0)]);
}
