//! What the journal holds, and how it is written.
//!
//! ```text
//!   marker · kind · length · checksum · synced      payload
//!     4       4       4         4          8         length bytes      (numbers little-endian)
//! ```
//! The checksum covers all that follows it, and kind, length, and the journal's number. `synced` is
//! the length up to which the file was known to be on the disk when the record was written: a bad
//! record below it was promised to somebody and is damage; one above it is a write that a crash
//! interrupted.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use opal_protocol::{Block, SealedBlock};

use crate::state_store::Committed;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 24;
const MARKER: [u8; 4] = *b"oJr1";

/// One record.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// What the other files hold for certain; the first record of each journal.
    Base(Box<Base>),
    /// A block that was executed and is valid.
    Block(BlockRecord),
    /// The labels from here on.
    Forkchoice(Forkchoice),
}

/// A block with the senders of its transactions.
#[derive(Clone, Debug)]
pub(crate) struct BlockRecord {
    pub block: SealedBlock,
    pub senders: Vec<Address>,
}

/// The three labels of the Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct Forkchoice {
    pub head: B256,
    pub safe: B256,
    pub finalized: B256,
}

/// A sorted run of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct RunId {
    pub id: u64,
    pub entries: u64,
}

/// [`Committed`] in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct StateLengths {
    segment: u32,
    length: u64,
    codes: u64,
    code_index: u64,
}

impl From<Committed> for StateLengths {
    fn from(committed: Committed) -> Self {
        let Committed { segment, length, codes, code_index } = committed;
        Self { segment, length, codes, code_index }
    }
}

impl From<StateLengths> for Committed {
    fn from(lengths: StateLengths) -> Self {
        let StateLengths { segment, length, codes, code_index } = lengths;
        Self { segment, length, codes, code_index }
    }
}

/// What the other files hold for certain. All beyond it is the rest of an interrupted flush.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct Base {
    /// Number of the first block in the segments.
    pub first: u64,
    /// Blocks in the segments.
    pub blocks: u64,
    /// Which file the list of state roots is.
    pub roots_file: u64,
    /// State roots in it.
    pub roots: u64,
    /// Lengths of the state store's files.
    pub state: StateLengths,
    /// Runs of the index, oldest first.
    pub runs: Vec<RunId>,
}

impl Record {
    const fn kind(&self) -> u32 {
        match self {
            Self::Base(_) => 1,
            Self::Block(_) => 2,
            Self::Forkchoice(_) => 3,
        }
    }

    /// Appends the record as it stands in journal number `journal`.
    pub fn encode(&self, journal: u64, synced: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        match self {
            Self::Base(base) => base.encode(out),
            Self::Block(BlockRecord { block, senders }) => {
                senders.encode(out);
                block.block.encode(out);
            }
            Self::Forkchoice(forkchoice) => forkchoice.encode(out),
        }
        let (header, payload) = out[start..].split_at_mut(HEADER);
        // A block is far smaller than this limit; a longer record would be refused when read.
        let len = (payload.len() as u32).to_le_bytes();
        let (kind, synced) = (self.kind().to_le_bytes(), synced.to_le_bytes());
        let sum = checksum(journal, kind, len, synced, payload);
        header[..4].copy_from_slice(&MARKER);
        header[4..8].copy_from_slice(&kind);
        header[8..12].copy_from_slice(&len);
        header[12..16].copy_from_slice(&sum.to_le_bytes());
        header[16..].copy_from_slice(&synced);
    }
}

fn checksum(journal: u64, kind: [u8; 4], len: [u8; 4], synced: [u8; 8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [&journal.to_le_bytes()[..], &kind, &len, &synced, payload] {
        sum.update(part);
    }
    sum.finalize()
}

/// A record as it lies in a file, its checksum verified.
#[derive(Debug)]
pub(crate) struct Framed<'a> {
    kind: u32,
    payload: &'a [u8],
    /// Bytes that it takes.
    pub size: usize,
}

impl<'a> Framed<'a> {
    /// The record at the start of `bytes`; `None` when there is no whole one.
    pub fn read(bytes: &'a [u8], journal: u64) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
        let (kind, len): ([u8; 4], [u8; 4]) = (word(4)?, word(8)?);
        let sum: [u8; 4] = word(12)?;
        let synced: [u8; 8] = bytes.get(16..HEADER)?.try_into().ok()?;
        if word(0)? != MARKER {
            return None;
        }
        let size = HEADER.checked_add(u32::from_le_bytes(len) as usize)?;
        let payload = bytes.get(HEADER..size)?;
        if checksum(journal, kind, len, synced, payload) != u32::from_le_bytes(sum) {
            return None;
        }
        Some(Self { kind: u32::from_le_bytes(kind), payload, size })
    }

    /// Whether what begins `bytes` looks like a record of which no byte is missing, right or wrong.
    pub fn is_whole(bytes: &[u8]) -> bool {
        let len = bytes.get(8..12).and_then(|len| len.try_into().ok()).map(u32::from_le_bytes);
        let size = len.and_then(|len| HEADER.checked_add(len as usize));
        bytes.starts_with(&MARKER) && size.is_some_and(|size| size <= bytes.len())
    }

    /// What the record at the start of `bytes` says was synced, if there is one.
    pub fn synced(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(bytes.get(16..HEADER)?.try_into().ok()?))
    }

    /// The next place in `bytes` where a record may begin.
    pub fn seek(bytes: &[u8]) -> Option<usize> {
        bytes.windows(MARKER.len()).position(|window| window == MARKER)
    }

    /// What it says.
    pub fn decode(&self) -> Result<Record, String> {
        let mut rest = self.payload;
        let rlp = |error: alloy_rlp::Error| error.to_string();
        let record = match self.kind {
            1 => Record::Base(Box::new(Base::decode(&mut rest).map_err(rlp)?)),
            2 => {
                let senders = Vec::<Address>::decode(&mut rest).map_err(rlp)?;
                let block = Block::decode(&mut rest).map_err(rlp)?;
                if senders.len() != block.body.transactions.len() {
                    return Err("the senders do not fit the block".into());
                }
                let hash = block.header.hash_slow();
                let block = SealedBlock { hash, block: Arc::new(block) };
                Record::Block(BlockRecord { block, senders })
            }
            3 => Record::Forkchoice(Forkchoice::decode(&mut rest).map_err(rlp)?),
            kind => return Err(format!("a record of unknown kind {kind}")),
        };
        if rest.is_empty() { Ok(record) } else { Err("bytes after the end of a record".into()) }
    }
}
