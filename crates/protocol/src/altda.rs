//! Alt-DA commitments: what a batcher transaction of version 1 carries in place of frames. Spec:
//! `experimental/alt-da.md`, "Input Commitment Submission".
//!
//! ```text
//! batcher data = 1 ++ commitment        commitment = type (1) ++ data
//! ```
//! Only the codec is here: the chains that keep their data elsewhere are not derived.

use alloc::vec::Vec;

use alloy_primitives::{B256, Bytes, keccak256};

use crate::batcher_tx::ALT_DA_VERSION;

/// Most bytes of input that a Keccak commitment may stand for, so that it can be challenged on L1.
pub const MAX_INPUT_SIZE: usize = 130_672;

const KECCAK256: u8 = 0;
const GENERIC: u8 = 1;

/// A commitment to batcher data that is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// Keccak-256 of the data.
    Keccak256(B256),
    /// Bytes that only the DA server understands; never empty when decoded.
    Generic(Bytes),
}

/// Why bytes are no commitment. The batcher transaction is then ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentError {
    /// No data after the version byte, or none after the type byte.
    #[error("commitment is empty")]
    Empty,
    /// A type byte that does not exist.
    #[error("commitment has type {0}, expected 0 or 1")]
    Type(u8),
    /// A Keccak commitment that is no hash.
    #[error("Keccak commitment has {0} bytes, expected 32")]
    Length(usize),
}

impl Commitment {
    /// Decodes what follows the version byte of a batcher transaction.
    ///
    /// # Errors
    /// When the type is unknown, or the data is not of its length.
    pub fn decode(data: &Bytes) -> Result<Self, CommitmentError> {
        let (kind, rest) = data.split_first().ok_or(CommitmentError::Empty)?;
        match *kind {
            KECCAK256 => B256::try_from(rest)
                .map(Self::Keccak256)
                .map_err(|_| CommitmentError::Length(rest.len())),
            GENERIC if rest.is_empty() => Err(CommitmentError::Empty),
            GENERIC => Ok(Self::Generic(data.slice(1..))),
            kind => Err(CommitmentError::Type(kind)),
        }
    }

    /// The commitment with its type byte.
    pub fn encode(&self) -> Bytes {
        let (kind, data) = match self {
            Self::Keccak256(hash) => (KECCAK256, hash.as_slice()),
            Self::Generic(data) => (GENERIC, data.as_ref()),
        };
        let mut out = Vec::with_capacity(1 + data.len());
        out.push(kind);
        out.extend_from_slice(data);
        out.into()
    }

    /// The data of a batcher transaction: version byte and commitment.
    pub fn batcher_data(&self) -> Bytes {
        let commitment = self.encode();
        let mut out = Vec::with_capacity(1 + commitment.len());
        out.push(ALT_DA_VERSION);
        out.extend_from_slice(&commitment);
        out.into()
    }

    /// Whether this may be the commitment to `input`: `None` where only the DA server can tell.
    pub fn matches(&self, input: &[u8]) -> Option<bool> {
        match self {
            Self::Keccak256(hash) => Some(keccak256(input) == *hash),
            Self::Generic(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// experimental/alt-da.md, "Input Commitment Submission".
    #[test]
    fn commitments_have_a_known_type_and_its_length() {
        let decode = |data: &[u8]| Commitment::decode(&Bytes::copy_from_slice(data));
        let hash = decode(&[&[0][..], &[7; 32]].concat()).unwrap();
        assert_eq!(hash, Commitment::Keccak256(B256::repeat_byte(7)));
        assert_eq!(decode(&[1, 9]), Ok(Commitment::Generic(Bytes::from_static(&[9]))));
        assert_eq!(decode(&[]), Err(CommitmentError::Empty));
        assert_eq!(decode(&[1]), Err(CommitmentError::Empty));
        assert_eq!(decode(&[2, 9]), Err(CommitmentError::Type(2)));
        for length in [0, 31, 33] {
            let data = [&[0][..], &[7; 33][..length]].concat();
            assert_eq!(decode(&data), Err(CommitmentError::Length(length)));
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let input = b"batcher data";
        let hash = Commitment::Keccak256(keccak256(input));
        let generic = Commitment::Generic(Bytes::from_static(b"anything"));
        for (commitment, matches) in [(hash, Some(true)), (generic, None)] {
            let data = commitment.batcher_data();
            assert_eq!(data[0], ALT_DA_VERSION);
            assert_eq!(Commitment::decode(&data.slice(1..)).unwrap(), commitment);
            assert_eq!(commitment.matches(input), matches);
            assert_ne!(commitment.matches(b"other"), Some(true));
        }
    }
}
