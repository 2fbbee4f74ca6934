//! The payload of a batcher transaction: calldata, or one blob's content.
//!
//! A version byte, then what the version says. Spec: `derivation.md`, "Batcher Transaction Format".

use alloc::vec::Vec;

use alloy_primitives::Bytes;

use crate::frame::{Frame, FrameError, parse_frames};

/// Version byte of data that holds frames.
pub const FRAMES_VERSION: u8 = 0;
/// Version byte of an alt-DA commitment.
pub const ALT_DA_VERSION: u8 = 1;

/// Decodes the frames of a batcher transaction's calldata or of one blob.
///
/// # Errors
/// When the data is empty, has another version, or any of its frames is malformed: then nothing
/// of it counts.
pub fn decode_batcher_data(data: &Bytes) -> Result<Vec<Frame>, FrameError> {
    match data.first() {
        None => Err(FrameError::Empty),
        Some(&FRAMES_VERSION) => parse_frames(&data.slice(1..)),
        Some(&version) => Err(FrameError::Version(version)),
    }
}

/// Encodes frames as the calldata of a batcher transaction, or as the content of one blob.
pub fn encode_batcher_data(frames: &[Frame]) -> Bytes {
    let length = 1 + frames.iter().map(Frame::encoded_len).sum::<usize>();
    let mut out = Vec::with_capacity(length);
    out.push(FRAMES_VERSION);
    for frame in frames {
        frame.encode(&mut out);
    }
    out.into()
}
