//! Frames as L1 transactions.

use alloy_primitives::Address;
use opal_protocol::Frame;
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::blob::{BlobError, encode_blob};
use opal_service::TxCandidate;

use super::DataAvailabilityType;

/// The transaction that carries these frames, and how many bytes of batcher data are in it. With
/// blobs, each frame has one of its own.
///
/// # Errors
/// When a frame is larger than a blob.
pub(crate) fn transaction(
    frames: &[Frame],
    da: DataAvailabilityType,
    inbox: Address,
) -> Result<(TxCandidate, u64), BlobError> {
    let mut candidate = TxCandidate { to: Some(inbox), ..TxCandidate::default() };
    let mut bytes = 0;
    match da {
        DataAvailabilityType::Calldata => {
            candidate.data = encode_batcher_data(frames);
            bytes += candidate.data.len() as u64;
        }
        DataAvailabilityType::Blobs => {
            for frame in frames {
                let data = encode_batcher_data(std::slice::from_ref(frame));
                bytes += data.len() as u64;
                candidate.blobs.push(*encode_blob(&data)?);
            }
        }
    }
    Ok((candidate, bytes))
}
