//! Frame queue: the frames of one batcher transaction. From Holocene on, only those that stand in
//! order. Spec: `derivation.md`, "Frame Queue"; `holocene/derivation.md`, "Frame Queue".

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use opal_protocol::Frame;
use opal_protocol::batcher_tx::decode_batcher_data;

use crate::host::{BatcherData, Dropped, FrameDrop};

/// The third stage.
#[derive(Debug, Default)]
pub(crate) struct FrameQueue {
    frames: VecDeque<Frame>,
}

impl FrameQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
    }

    /// Takes in the data of one transaction or blob. One malformed frame makes all of it void.
    pub(crate) fn load(
        &mut self,
        data: &BatcherData,
        holocene: bool,
        dropped: &mut VecDeque<Dropped>,
    ) {
        match decode_batcher_data(data) {
            Ok(frames) if holocene => self.frames.extend(in_order(frames, dropped)),
            Ok(frames) => self.frames.extend(frames),
            Err(error) => dropped.push_back(Dropped::BatcherData(error)),
        }
    }
}

/// Holocene's order: in what remains, the frames of a channel follow each other without a gap, and
/// a first frame stands at the beginning or after a last one.
///
/// Going through the frames with the remaining ones on a stack is the same as the repeated
/// comparison of neighbours that the specification describes: a frame is compared with the last one
/// that remains, and a first frame removes the open channel under it frame by frame.
fn in_order(frames: Vec<Frame>, dropped: &mut VecDeque<Dropped>) -> Vec<Frame> {
    let mut kept: Vec<Frame> = Vec::with_capacity(frames.len());
    let mut drop = |frame: &Frame, reason| {
        dropped.push_back(Dropped::Frame { channel: frame.id, number: frame.number, reason });
    };
    for frame in frames {
        loop {
            // The very first frame of a transaction may continue a channel begun earlier.
            let Some(last) = kept.last() else {
                kept.push(frame);
                break;
            };
            if last.id == frame.id {
                if last.is_last || frame.number != last.number.wrapping_add(1) {
                    drop(&frame, FrameDrop::OutOfOrder);
                } else {
                    kept.push(frame);
                }
                break;
            }
            if frame.number != 0 {
                drop(&frame, FrameDrop::OutOfOrder);
                break;
            }
            if last.is_last {
                kept.push(frame);
                break;
            }
            if let Some(open) = kept.pop() {
                drop(&open, FrameDrop::Replaced);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec;
    use alloy_primitives::Bytes;
    use opal_protocol::ChannelId;

    fn frame(id: u8, number: u16, is_last: bool) -> Frame {
        Frame { id: ChannelId([id; 16]), number, data: Bytes::new(), is_last }
    }

    fn kept(frames: Vec<Frame>) -> Vec<(u8, u16)> {
        in_order(frames, &mut VecDeque::new()).iter().map(|f| (f.id.0[0], f.number)).collect()
    }

    #[test]
    fn holocene_keeps_what_stands_in_order() {
        let frames = vec![frame(1, 0, false), frame(1, 1, true), frame(2, 0, false)];
        assert_eq!(kept(frames), [(1, 0), (1, 1), (2, 0)]);
        // A transaction may go on with a channel of an earlier one.
        assert_eq!(kept(vec![frame(1, 4, false), frame(1, 5, true)]), [(1, 4), (1, 5)]);
    }

    #[test]
    fn holocene_drops_gaps_repetitions_and_what_follows_a_last_frame() {
        assert_eq!(kept(vec![frame(1, 0, false), frame(1, 2, false)]), [(1, 0)]);
        assert_eq!(kept(vec![frame(1, 0, false), frame(1, 0, false)]), [(1, 0)]);
        assert_eq!(kept(vec![frame(1, 0, true), frame(1, 1, false)]), [(1, 0)]);
        assert_eq!(kept(vec![frame(1, 0, false), frame(2, 1, false)]), [(1, 0)]);
        assert_eq!(kept(vec![frame(1, 0, true), frame(2, 3, false)]), [(1, 0)]);
    }

    #[test]
    fn holocene_first_frame_removes_the_whole_open_channel_before_it() {
        let frames = vec![
            frame(1, 0, true),
            frame(2, 0, false),
            frame(2, 1, false),
            frame(2, 2, false),
            frame(3, 0, true),
        ];
        assert_eq!(kept(frames), [(1, 0), (3, 0)]);
        assert_eq!(kept(vec![frame(1, 7, false), frame(2, 0, true)]), [(2, 0)]);
    }

    #[test]
    fn before_holocene_everything_is_kept_but_a_malformed_transaction_gives_nothing() {
        let mut queue = FrameQueue::default();
        let mut dropped = VecDeque::new();
        let frames = [frame(1, 0, false), frame(2, 5, false), frame(1, 0, false)];
        let data = opal_protocol::batcher_tx::encode_batcher_data(&frames);
        queue.load(&data, false, &mut dropped);
        assert_eq!(queue.frames.len(), 3);
        let mut broken = data.to_vec();
        broken.pop();
        queue.load(&broken.into(), false, &mut dropped);
        assert_eq!((queue.frames.len(), dropped.len()), (3, 1));
    }
}
