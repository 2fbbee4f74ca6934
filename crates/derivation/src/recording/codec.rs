//! Events to JSON and back.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::hex;
use alloy_rlp::Decodable;
use opal_protocol::blob::{BLOB_SIZE, Blob};
use opal_protocol::{Block, L1BlockRef, Receipt, SealedBlock, TxEnvelope};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Event, MAX_STEPS, Problem};
use crate::{DerivationStart, Executed, Input, L1Block};

pub(super) fn field_error(field: impl Into<String>, reason: &dyn core::fmt::Display) -> Problem {
    Problem::Field { field: field.into(), reason: reason.to_string() }
}

/// The fields of a JSON object, taken out one by one.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) const fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    fn take(&mut self, field: &'static str) -> Result<Value, Problem> {
        self.0.remove(field).ok_or(Problem::Missing(field))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<T, Problem> {
        serde_json::from_value(self.take(field)?).map_err(|error| field_error(field, &error))
    }

    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<T>, Problem> {
        if self.0.contains_key(field) { self.json(field).map(Some) } else { Ok(None) }
    }

    fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, Problem> {
        bytes(field, &self.take(field)?)
    }

    /// A list of byte strings, each read by `read`.
    fn list<T, E: core::fmt::Display>(
        &mut self,
        field: &'static str,
        read: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<Vec<T>, Problem> {
        let Value::Array(values) = self.take(field)? else {
            return Err(field_error(field, &"not a list"));
        };
        let mut out = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let raw = bytes(field, value).map_err(|problem| at(problem, i))?;
            out.push(read(&raw).map_err(|error| field_error(format!("{field}[{i}]"), &error))?);
        }
        Ok(out)
    }

    /// Refuses what is left.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((field, _)) => Err(Problem::Unknown(field)),
            None => Ok(()),
        }
    }
}

fn at(problem: Problem, index: usize) -> Problem {
    match problem {
        Problem::Field { field, reason } => {
            Problem::Field { field: format!("{field}[{index}]"), reason }
        }
        other => other,
    }
}

fn bytes(field: &'static str, value: &Value) -> Result<Vec<u8>, Problem> {
    let Some(text) = value.as_str().and_then(|text| text.strip_prefix("0x")) else {
        return Err(field_error(field, &"not a string of hex digits that begins with 0x"));
    };
    hex::decode(text).map_err(|error| field_error(field, &error))
}

/// A block as its parts are written down: of L1 in recordings and segments, of L2 in recordings.
#[derive(Clone, Debug, Default)]
pub struct RawBlock {
    /// RLP of the header.
    pub header: Vec<u8>,
    /// EIP-2718 encodings.
    pub transactions: Vec<TxEnvelope>,
    /// With their blooms, as in the receipts root. None on L2.
    pub receipts: Vec<Receipt>,
}

fn header(raw: &[u8]) -> Result<Header, Problem> {
    let mut rest = raw;
    let header = Header::decode(&mut rest).map_err(|error| field_error("header", &error))?;
    if rest.is_empty() { Ok(header) } else { Err(field_error("header", &"bytes after its end")) }
}

/// An L1 block out of its parts. Roots are not checked.
///
/// # Errors
/// When the header is malformed.
pub fn l1_block(raw: RawBlock) -> Result<L1Block, Problem> {
    let header = header(&raw.header)?;
    Ok(L1Block {
        reference: L1BlockRef::from_header(header.hash_slow(), &header),
        header,
        receipts: Arc::new(raw.receipts),
        transactions: Arc::new(raw.transactions),
    })
}

/// An L2 block out of its parts. Roots are not checked.
///
/// # Errors
/// When the header is malformed.
pub fn l2_block(raw: RawBlock) -> Result<SealedBlock, Problem> {
    let header = header(&raw.header)?;
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let transactions = raw.transactions;
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    Ok(SealedBlock::new(Block { header, body }))
}

fn blob(raw: &[u8]) -> Result<Box<Blob>, String> {
    if raw.len() == BLOB_SIZE {
        Ok(Box::new(Blob::from_slice(raw)))
    } else {
        Err(format!("{} bytes, a blob has {BLOB_SIZE}", raw.len()))
    }
}

pub(super) fn event_of(mut fields: Fields) -> Result<Event, Problem> {
    let name: String = fields.json("event")?;
    let event = match name.as_str() {
        "start" => Event::Start(DerivationStart {
            safe_head: fields.json("safe_head")?,
            safe_system_config: fields.json("safe_system_config")?,
            l1: fields.json("l1")?,
            l1_system_config: fields.json("l1_system_config")?,
        }),
        "steps" => {
            let count = fields.json("count")?;
            if count > MAX_STEPS {
                return Err(field_error("count", &format!("{count} is more than {MAX_STEPS}")));
            }
            Event::Steps(count)
        }
        "l1_block" => Event::Input(Input::L1Block(l1_block(RawBlock {
            header: fields.bytes("header")?,
            transactions: fields.list("transactions", TxEnvelope::decode_2718_exact)?,
            receipts: fields.list("receipts", Receipt::decode_2718)?,
        })?)),
        "l1_not_yet" => Event::Input(Input::L1NotYet { number: fields.json("number")? }),
        "blobs" => Event::Input(Input::Blobs {
            block: fields.json("block")?,
            blobs: fields.list("blobs", blob)?,
        }),
        "blobs_missing" => Event::Input(Input::BlobsMissing { block: fields.json("block")? }),
        "l2_block" => Event::Input(Input::L2Block(l2_block(RawBlock {
            header: fields.bytes("header")?,
            transactions: fields.list("transactions", TxEnvelope::decode_2718_exact)?,
            receipts: Vec::new(),
        })?)),
        "executed" => Event::Executed(Executed::Valid(fields.json("block")?)),
        "invalid" => Event::Executed(Executed::Invalid),
        "end" => Event::End,
        _ => return Err(Problem::Event(Value::String(name).to_string())),
    };
    fields.end()?;
    Ok(event)
}

fn raw_header(header: &Header) -> String {
    hex::encode_prefixed(alloy_rlp::encode(header))
}

fn raw_transactions(transactions: &[TxEnvelope]) -> Vec<String> {
    transactions.iter().map(|tx| hex::encode_prefixed(tx.encoded_2718())).collect()
}

fn raw_receipt(receipt: &Receipt) -> String {
    let mut out = Vec::new();
    receipt.encode_2718(&mut out);
    hex::encode_prefixed(out)
}

pub(super) fn input_line(input: &Input) -> Value {
    match input {
        Input::L1Block(block) => json!({
            "event": "l1_block",
            "header": raw_header(&block.header),
            "transactions": raw_transactions(&block.transactions),
            "receipts": block.receipts.iter().map(raw_receipt).collect::<Vec<_>>(),
        }),
        Input::L1NotYet { number } => json!({ "event": "l1_not_yet", "number": number }),
        Input::Blobs { block, blobs } => json!({
            "event": "blobs",
            "block": block,
            "blobs": blobs.iter().map(|blob| hex::encode_prefixed(blob.as_slice()))
                .collect::<Vec<_>>(),
        }),
        Input::BlobsMissing { block } => json!({ "event": "blobs_missing", "block": block }),
        Input::L2Block(block) => json!({
            "event": "l2_block",
            "header": raw_header(block.header()),
            "transactions": raw_transactions(&block.block.body.transactions),
        }),
    }
}

pub(super) fn refs_line(executed: &Executed) -> Value {
    match executed {
        Executed::Valid(block) => json!({ "event": "executed", "block": block }),
        Executed::Invalid => json!({ "event": "invalid" }),
    }
}
