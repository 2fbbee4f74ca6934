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

    #[cfg(test)]
    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
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
#[path = "frame_queue_tests.rs"]
mod tests;
