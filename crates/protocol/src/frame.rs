//! Frames: the pieces in which a channel travels through L1 transactions.
//!
//! ```text
//! frame = channel_id (16) ++ frame_number (2) ++ frame_data_length (4) ++ frame_data ++ is_last (1)
//! ```
//! Spec: `derivation.md`, "Frame Format".

use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::Bytes;

/// Bytes of a frame beside its data.
pub const FRAME_OVERHEAD: usize = 16 + 2 + 4 + 1;
/// Largest `frame_data` that a decoder accepts, in bytes.
pub const MAX_FRAME_DATA: usize = 1_000_000;
/// What a buffered frame counts in the channel bank beside its data, in bytes.
pub const FRAME_MEMORY_OVERHEAD: u64 = 200;

/// The identifier that a batcher gives to a channel; opaque, but unique within the channel timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub [u8; 16]);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One piece of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The channel that the frame belongs to.
    pub id: ChannelId,
    /// Position in the channel, from zero.
    pub number: u16,
    /// A piece of the compressed channel.
    pub data: Bytes,
    /// Whether this is the channel's last frame.
    pub is_last: bool,
}

/// Why batcher data holds no frames. One malformed frame invalidates all of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The data is empty.
    #[error("batcher data is empty")]
    Empty,
    /// A version byte that holds no frames.
    #[error("batcher data has version {0}, frames have version 0")]
    Version(u8),
    /// Nothing follows the version byte.
    #[error("batcher data holds no frame")]
    NoFrames,
    /// The data ends within a frame.
    #[error("frame {index} ends early: {missing} bytes are missing")]
    Truncated {
        /// Position of the frame in the data.
        index: usize,
        /// How many bytes more the frame needs at least.
        missing: usize,
    },
    /// A frame claims more data than the format allows.
    #[error("frame {index} claims {length} bytes of data, the limit is 1000000")]
    TooLong {
        /// Position of the frame in the data.
        index: usize,
        /// Claimed length.
        length: u32,
    },
    /// `is_last` is neither 0 nor 1.
    #[error("frame {index} has is_last byte {byte}, expected 0 or 1")]
    IsLast {
        /// Position of the frame in the data.
        index: usize,
        /// The byte found.
        byte: u8,
    },
}

impl Frame {
    /// Encoded length in bytes.
    pub fn encoded_len(&self) -> usize {
        FRAME_OVERHEAD + self.data.len()
    }

    /// What the frame counts in the channel bank, in bytes.
    pub fn memory_size(&self) -> u64 {
        self.data.len() as u64 + FRAME_MEMORY_OVERHEAD
    }

    /// Appends the encoding to `out`. `data` longer than [`MAX_FRAME_DATA`] makes a frame that no
    /// decoder accepts.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&(self.data.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(u8::from(self.is_last));
    }
}

/// Decodes frames that stand one after another, without a version byte. The frames share the
/// memory of `data`.
///
/// # Errors
/// When any frame is malformed, or there is none.
pub fn parse_frames(data: &Bytes) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let index = frames.len();
        let rest = &data[at..];
        let truncated = |need: usize| FrameError::Truncated { index, missing: need - rest.len() };
        let Some((id, after_id)) = rest.split_first_chunk::<16>() else {
            return Err(truncated(FRAME_OVERHEAD));
        };
        let Some((number, after_number)) = after_id.split_first_chunk::<2>() else {
            return Err(truncated(FRAME_OVERHEAD));
        };
        let Some((length, body)) = after_number.split_first_chunk::<4>() else {
            return Err(truncated(FRAME_OVERHEAD));
        };
        let length = u32::from_be_bytes(*length);
        if length as usize > MAX_FRAME_DATA {
            return Err(FrameError::TooLong { index, length });
        }
        let length = length as usize;
        let Some(&last) = body.get(length) else {
            return Err(truncated(FRAME_OVERHEAD + length));
        };
        let is_last = match last {
            0 => false,
            1 => true,
            byte => return Err(FrameError::IsLast { index, byte }),
        };
        let start = at + FRAME_OVERHEAD - 1;
        frames.push(Frame {
            id: ChannelId(*id),
            number: u16::from_be_bytes(*number),
            data: data.slice(start..start + length),
            is_last,
        });
        at += FRAME_OVERHEAD + length;
    }
    if frames.is_empty() { Err(FrameError::NoFrames) } else { Ok(frames) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn encoded(frames: &[Frame]) -> Vec<u8> {
        let mut out = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        out
    }

    fn frame(length: usize) -> Frame {
        Frame {
            id: ChannelId([7; 16]),
            number: 0x0102,
            data: alloc::vec![9; length].into(),
            is_last: true,
        }
    }

    /// TRAPS 1: the byte is 0 or 1, and one malformed frame invalidates all.
    #[test]
    fn is_last_is_zero_or_one() {
        let mut data = encoded(&[frame(3), frame(5)]);
        assert_eq!(parse_frames(&data.clone().into()), Ok(alloc::vec![frame(3), frame(5)]));
        for byte in 2..=255 {
            *data.last_mut().unwrap() = byte;
            let error = FrameError::IsLast { index: 1, byte };
            assert_eq!(parse_frames(&data.clone().into()), Err(error));
        }
        *data.last_mut().unwrap() = 0;
        assert!(!parse_frames(&data.into()).unwrap()[1].is_last);
    }

    #[test]
    fn lengths() {
        assert_eq!(parse_frames(&Bytes::new()), Err(FrameError::NoFrames));
        let data = Bytes::from(encoded(&[frame(3)]));
        assert_eq!(data.len(), FRAME_OVERHEAD + 3);
        for cut in 1..data.len() {
            let error = parse_frames(&data.slice(..cut)).unwrap_err();
            assert!(matches!(error, FrameError::Truncated { index: 0, .. }), "{cut}: {error}");
        }
        assert_eq!(parse_frames(&encoded(&[frame(MAX_FRAME_DATA)]).into()).unwrap().len(), 1);
        let length = MAX_FRAME_DATA as u32 + 1;
        let error = FrameError::TooLong { index: 0, length };
        assert_eq!(parse_frames(&encoded(&[frame(MAX_FRAME_DATA + 1)]).into()), Err(error));
        // What a frame claims is not allocated.
        let mut claim = encoded(&[frame(0)]);
        claim[18..22].fill(0xff);
        let error = FrameError::TooLong { index: 0, length: u32::MAX };
        assert_eq!(parse_frames(&claim.into()), Err(error));
    }
}
