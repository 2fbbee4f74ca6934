//! How a block lies in the segments: three parts that are read apart, since most readers want the
//! header alone.
//!
//! ```text
//!   header    RLP
//!   body      senders · block (RLP), compressed
//!   results   receipts · what else execution gave, compressed
//! ```
//! Each part begins with its checksum and its length before compression (0: it is not compressed).

use std::io::Read;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use opal_evm::L1FeeParams;
use opal_protocol::{Block, Hardfork, Receipt, SealedBlock, hardfork};

use crate::chain::StoredBlock;

/// Bytes before the content of a part.
const PREFIX: usize = 8;
/// Speed matters more than the last percent.
const LEVEL: i32 = 1;
/// Largest part that is believed, in bytes before compression.
const MAX_PART: u32 = 1 << 30;

/// A block's parts as they are written.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
    pub results: Vec<u8>,
}

/// What execution gave beside receipts.
#[derive(RlpEncodable, RlpDecodable)]
struct Extras {
    withdrawals_storage_root: Bytes,
    l1_fee: Bytes,
}

/// [`L1FeeParams`] in the order of its fields.
#[derive(RlpEncodable, RlpDecodable)]
struct StoredFee {
    fork: u8,
    base_fee: U256,
    overhead: U256,
    scalar: U256,
    blob_base_fee: U256,
    base_fee_scalar: u32,
    blob_base_fee_scalar: u32,
    operator_fee_scalar: u32,
    operator_fee_constant: u64,
    da_footprint_gas_scalar: u16,
    first_ecotone_block: bool,
}

impl From<&L1FeeParams> for StoredFee {
    fn from(params: &L1FeeParams) -> Self {
        Self {
            fork: params.fork as u8,
            base_fee: params.base_fee,
            overhead: params.overhead,
            scalar: params.scalar,
            blob_base_fee: params.blob_base_fee,
            base_fee_scalar: params.base_fee_scalar,
            blob_base_fee_scalar: params.blob_base_fee_scalar,
            operator_fee_scalar: params.operator_fee_scalar,
            operator_fee_constant: params.operator_fee_constant,
            da_footprint_gas_scalar: params.da_footprint_gas_scalar,
            first_ecotone_block: params.first_ecotone_block,
        }
    }
}

impl StoredFee {
    fn params(&self) -> Result<L1FeeParams, String> {
        let row = hardfork::TABLE.iter().find(|row| row.fork as u8 == self.fork);
        let fork: Hardfork = row.ok_or_else(|| format!("unknown fork {}", self.fork))?.fork;
        Ok(L1FeeParams {
            fork,
            base_fee: self.base_fee,
            overhead: self.overhead,
            scalar: self.scalar,
            blob_base_fee: self.blob_base_fee,
            base_fee_scalar: self.base_fee_scalar,
            blob_base_fee_scalar: self.blob_base_fee_scalar,
            operator_fee_scalar: self.operator_fee_scalar,
            operator_fee_constant: self.operator_fee_constant,
            da_footprint_gas_scalar: self.da_footprint_gas_scalar,
            first_ecotone_block: self.first_ecotone_block,
        })
    }
}

impl Parts {
    /// Writes a block.
    pub fn of(stored: &StoredBlock) -> Self {
        let mut bytes = Vec::new();
        stored.block.header().encode(&mut bytes);
        let header = seal(&bytes, false);

        bytes.clear();
        stored.senders.encode(&mut bytes);
        stored.block.block.encode(&mut bytes);
        let body = seal(&bytes, true);

        bytes.clear();
        let receipts: Vec<Bytes> = stored.receipts.iter().map(encode_receipt).collect();
        receipts.encode(&mut bytes);
        let fee = stored.l1_fee.as_ref().map(|fee| alloy_rlp::encode(StoredFee::from(fee)));
        let root = stored.withdrawals_storage_root.map(|root| root.to_vec());
        Extras {
            withdrawals_storage_root: root.unwrap_or_default().into(),
            l1_fee: fee.unwrap_or_default().into(),
        }
        .encode(&mut bytes);
        let results = seal(&bytes, true);
        Self { header, body, results }
    }
}

fn encode_receipt(receipt: &Receipt) -> Bytes {
    let mut bytes = Vec::new();
    receipt.encode_2718(&mut bytes);
    bytes.into()
}

/// Checksum and length before the content, compressed where that helps.
fn seal(content: &[u8], compress: bool) -> Vec<u8> {
    let compressed = match compress {
        // What cannot be compressed is written as it is.
        true => zstd::bulk::compress(content, LEVEL).ok().filter(|c| c.len() < content.len()),
        false => None,
    };
    let raw_len = compressed.as_ref().map_or(0, |_| content.len() as u32);
    let mut out = vec![0; 4];
    out.extend_from_slice(&raw_len.to_le_bytes());
    out.extend_from_slice(compressed.as_deref().unwrap_or(content));
    let sum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The content of a part.
fn unseal(part: &[u8]) -> Result<Vec<u8>, String> {
    let short = || "a part is too short".to_owned();
    let (sum, rest) = part.split_first_chunk::<4>().ok_or_else(short)?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
        return Err("the checksum is wrong".into());
    }
    let (raw_len, content) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    match u32::from_le_bytes(*raw_len) {
        0 => Ok(content.to_vec()),
        len if len > MAX_PART => Err(format!("a part of {len} bytes")),
        len => {
            // Memory grows with what is there, whatever length it is said to have.
            let mut bytes = Vec::with_capacity((len as usize).min(content.len() * 8));
            zstd::stream::Decoder::with_buffer(content)
                .and_then(|decoder| decoder.take(u64::from(len) + 1).read_to_end(&mut bytes))
                .map_err(|error| format!("decompression: {error}"))?;
            match bytes.len() == len as usize {
                true => Ok(bytes),
                false => Err("a part has not the length that it says".into()),
            }
        }
    }
}

/// Shortest part there is.
pub(crate) const MIN_PART: u32 = PREFIX as u32;

/// The header in its part; its hash must be the one expected.
pub(crate) fn header(part: &[u8], hash: &B256) -> Result<Header, String> {
    let bytes = unseal(part)?;
    let mut rest = &bytes[..];
    let header = Header::decode(&mut rest).map_err(|error| error.to_string())?;
    if header.hash_slow() != *hash || !rest.is_empty() {
        return Err("it is not the header that the index names".into());
    }
    Ok(header)
}

/// The block in its parts; its hash must be the one expected.
pub(crate) fn block(body: &[u8], results: &[u8], hash: &B256) -> Result<StoredBlock, String> {
    let rlp = |error: alloy_rlp::Error| error.to_string();
    let bytes = unseal(body)?;
    let mut rest = &bytes[..];
    let senders = Vec::<Address>::decode(&mut rest).map_err(rlp)?;
    let block = Block::decode(&mut rest).map_err(rlp)?;
    if block.header.hash_slow() != *hash || !rest.is_empty() {
        return Err("it is not the block that the index names".into());
    }
    let bytes = unseal(results)?;
    let mut rest = &bytes[..];
    let receipts = Vec::<Bytes>::decode(&mut rest).map_err(rlp)?;
    let receipts: Result<Vec<Receipt>, _> =
        receipts.iter().map(|raw| Receipt::decode_2718(raw)).collect();
    let receipts = receipts.map_err(rlp)?;
    let extras = Extras::decode(&mut rest).map_err(rlp)?;
    let transactions = block.body.transactions.len();
    if !rest.is_empty() || receipts.len() != transactions || senders.len() != transactions {
        return Err("the block's parts do not belong together".into());
    }
    let root = &extras.withdrawals_storage_root;
    let l1_fee = match extras.l1_fee.is_empty() {
        true => None,
        false => {
            let fee = StoredFee::decode(&mut &extras.l1_fee[..]).map_err(rlp)?;
            Some(fee.params()?)
        }
    };
    Ok(StoredBlock {
        block: SealedBlock { hash: *hash, block: Arc::new(block) },
        receipts,
        senders,
        withdrawals_storage_root: match root.is_empty() {
            true => None,
            false => Some(B256::try_from(&root[..]).map_err(|error| error.to_string())?),
        },
        l1_fee,
    })
}
