//! The blob codec: up to 130,044 bytes in a blob of 4096 field elements.
//!
//! A field element must stay below the BLS modulus, so only the low 254 bits of each carry data.
//! Four elements hold 4 × 31 bytes plus three bytes that are cut into four pieces of 6 bits, one in
//! the top byte of each element. The first element begins with a version byte and a three-byte
//! length. Spec: `ecotone/derivation.md`, "Blob Encoding".

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

pub use alloy_eips::eip4844::Blob;
use alloy_primitives::Bytes;

/// Size of a blob in bytes.
pub const BLOB_SIZE: usize = 4096 * 32;
/// Most bytes that one blob carries.
pub const MAX_BLOB_DATA: usize = (4 * 31 + 3) * ROUNDS - 4;
/// The only version of the encoding.
pub const BLOB_ENCODING_VERSION: u8 = 0;

const ROUNDS: usize = 1024;
/// Bytes of the first element that stand for version and length.
const HEADER: usize = 4;
const ROUND_BYTES: usize = 127;

/// Why a blob cannot be decoded, or data not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// More data than one blob carries.
    #[error("{0} bytes do not fit one blob, which holds up to 130044")]
    TooLarge(usize),
    /// An unknown version byte.
    #[error("blob has encoding version {0}, expected 0")]
    Version(u8),
    /// The length field is larger than a blob.
    #[error("blob claims {0} bytes, the most is 130044")]
    Length(usize),
    /// One of the two top bits of a field element is set.
    #[error("field element {0} has a top bit set")]
    FieldElement(usize),
    /// A byte after the end of the data is not zero.
    #[error("blob has data after its end")]
    Extraneous,
}

/// Encodes `data` into one blob.
///
/// # Errors
/// When `data` is longer than [`MAX_BLOB_DATA`].
pub fn encode_blob(data: &[u8]) -> Result<Box<Blob>, BlobError> {
    if data.len() > MAX_BLOB_DATA {
        return Err(BlobError::TooLarge(data.len()));
    }
    let mut blob = Box::new(Blob::ZERO);
    if data.is_empty() {
        return Ok(blob);
    }
    // The header and the data form one stream, which rounds of 127 bytes consume.
    let mut stream = Vec::with_capacity(HEADER + data.len() + ROUND_BYTES);
    stream.push(BLOB_ENCODING_VERSION);
    stream.extend_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
    stream.extend_from_slice(data);
    stream.resize(stream.len().next_multiple_of(ROUND_BYTES), 0);
    for (round, out) in
        stream.chunks_exact(ROUND_BYTES).zip(blob.as_mut_slice().chunks_exact_mut(128))
    {
        // 31 bytes, x, 31 bytes, y, 31 bytes, z, 31 bytes.
        let (x, y, z) = (round[31], round[63], round[95]);
        out[0] = x & 0x3f;
        out[1..32].copy_from_slice(&round[..31]);
        out[32] = (y & 0x0f) | ((x & 0xc0) >> 2);
        out[33..64].copy_from_slice(&round[32..63]);
        out[64] = z & 0x3f;
        out[65..96].copy_from_slice(&round[64..95]);
        out[96] = ((z & 0xc0) >> 2) | ((y & 0xf0) >> 4);
        out[97..128].copy_from_slice(&round[96..127]);
    }
    Ok(blob)
}

/// Decodes the data of one blob.
///
/// # Errors
/// When the blob is not in this encoding; derivation then ignores the blob.
pub fn decode_blob(blob: &Blob) -> Result<Bytes, BlobError> {
    let blob = blob.as_slice();
    if blob[1] != BLOB_ENCODING_VERSION {
        return Err(BlobError::Version(blob[1]));
    }
    let length = u32::from_be_bytes([0, blob[2], blob[3], blob[4]]) as usize;
    if length > MAX_BLOB_DATA {
        return Err(BlobError::Length(length));
    }
    // Round zero is always read; later ones only as far as the length reaches. What was not read
    // must be zero.
    let rounds = (HEADER + length).div_ceil(ROUND_BYTES).max(1);
    let mut stream = vec![0; rounds * ROUND_BYTES];
    let (used, unused) = blob.split_at(rounds * 128);
    let pairs = used.chunks_exact(128).zip(stream.chunks_exact_mut(ROUND_BYTES));
    for (index, (round, out)) in pairs.enumerate() {
        let top = [round[0], round[32], round[64], round[96]];
        for (j, byte) in top.iter().enumerate() {
            // The reference decoder does not look at the two top bits of the very first element.
            if byte & 0xc0 != 0 && (index, j) != (0, 0) {
                return Err(BlobError::FieldElement(4 * index + j));
            }
        }
        out[..31].copy_from_slice(&round[1..32]);
        out[31] = (top[0] & 0x3f) | ((top[1] & 0x30) << 2);
        out[32..63].copy_from_slice(&round[33..64]);
        out[63] = (top[1] & 0x0f) | ((top[3] & 0x0f) << 4);
        out[64..95].copy_from_slice(&round[65..96]);
        out[95] = (top[2] & 0x3f) | ((top[3] & 0x30) << 2);
        out[96..].copy_from_slice(&round[97..128]);
    }
    let end = HEADER + length;
    // Without a way out at the first one, so that many bytes are looked at in one step.
    let rest = stream[end..].iter().chain(unused).fold(0, |all, byte| all | byte);
    if rest != 0 {
        return Err(BlobError::Extraneous);
    }
    Ok(Bytes::from(stream).slice(HEADER..end))
}
