//! Transactions of a span batch: taken apart into columns, and put together again.
//!
//! Both directions copy the encoded fields as they are. Most fields of a transaction stand in its
//! data list in the order value, fees, calldata, access list, authorizations; nonce, gas limit,
//! recipient and signature have columns of their own.

use alloc::vec::Vec;

use alloy_primitives::Bytes;
use alloy_rlp::{EMPTY_STRING_CODE, Error as RlpError, Header};

/// What a type byte of zero decodes to. It counts among the legacy transactions, but a transaction
/// cannot be made of it.
pub(super) const EXPLICIT_LEGACY: u8 = 0x80;

/// Why a transaction has no place in a span batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanTxError {
    /// The encoding is malformed, or lacks fields of its type.
    #[error(transparent)]
    Rlp(#[from] RlpError),
    /// A type that has no span batch form.
    #[error("type {0} has no span batch form")]
    Type(u8),
    /// A transaction of another chain.
    #[error("chain id {0} is not the batch's")]
    ChainId(u64),
    /// A signature's parity, or a legacy `v`, that no bit can stand for.
    #[error("signature has v {0}")]
    V(u128),
    /// A set-code transaction that creates a contract.
    #[error("set-code transaction without recipient")]
    NoRecipient,
    /// More data than one transaction of a span batch may have.
    #[error("{0} bytes of data, the limit is 10000000")]
    TooLong(usize),
}

/// Takes an item off the front of a buffer; gives its payload.
fn item<'a>(buf: &mut &'a [u8], list: bool) -> Result<&'a [u8], RlpError> {
    let header = Header::decode(buf)?;
    if header.list != list {
        return Err(if list { RlpError::UnexpectedString } else { RlpError::UnexpectedList });
    }
    let (payload, rest) =
        buf.split_at_checked(header.payload_length).ok_or(RlpError::InputTooShort)?;
    *buf = rest;
    Ok(payload)
}

/// The payload of a byte string.
fn string<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8], RlpError> {
    item(buf, false)
}

/// The payload of a list.
fn list<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8], RlpError> {
    item(buf, true)
}

/// The big-endian bytes of a number in canonical form.
fn number<'a>(buf: &mut &'a [u8], max_bytes: usize) -> Result<&'a [u8], RlpError> {
    let bytes = string(buf)?;
    match bytes.first() {
        Some(0) => Err(RlpError::LeadingZero),
        _ if bytes.len() > max_bytes => Err(RlpError::Overflow),
        _ => Ok(bytes),
    }
}

/// A number of at most 128 bits.
fn number_128(buf: &mut &[u8], max_bytes: usize) -> Result<u128, RlpError> {
    let bytes = number(buf, max_bytes.min(16))?;
    Ok(bytes.iter().fold(0, |n, byte| n << 8 | u128::from(*byte)))
}

fn number_64(buf: &mut &[u8]) -> Result<u64, RlpError> {
    // Eight bytes fit.
    number_128(buf, 8).map(|n| n as u64)
}

/// A byte string of this length.
fn fixed(buf: &mut &[u8], length: usize) -> Result<(), RlpError> {
    if string(buf)?.len() == length { Ok(()) } else { Err(RlpError::UnexpectedLength) }
}

fn end(buf: &[u8]) -> Result<(), RlpError> {
    if buf.is_empty() { Ok(()) } else { Err(RlpError::UnexpectedLength) }
}

/// Checks an access list: pairs of an address and a list of 32-byte keys.
fn access_list(buf: &mut &[u8]) -> Result<(), RlpError> {
    let mut entries = list(buf)?;
    while !entries.is_empty() {
        let mut entry = list(&mut entries)?;
        fixed(&mut entry, 20)?;
        let mut keys = list(&mut entry)?;
        while !keys.is_empty() {
            fixed(&mut keys, 32)?;
        }
        end(entry)?;
    }
    Ok(())
}

/// Checks the authorizations of EIP-7702: chain id, address, nonce, parity, r and s.
fn authorizations(buf: &mut &[u8]) -> Result<(), RlpError> {
    let mut entries = list(buf)?;
    while !entries.is_empty() {
        let mut entry = list(&mut entries)?;
        number(&mut entry, 32)?;
        fixed(&mut entry, 20)?;
        number(&mut entry, 8)?;
        number(&mut entry, 1)?;
        number(&mut entry, 32)?;
        number(&mut entry, 32)?;
        end(entry)?;
    }
    Ok(())
}

/// Largest value and fees: the reference implementation keeps those of set-code transactions in 256
/// bits, those of older types in numbers of any size. Such a transaction passes here and fails in
/// execution.
const fn max_amount(kind: u8) -> usize {
    if kind == 4 { 32 } else { usize::MAX }
}

/// The encoding of gas price, or of priority fee and fee cap.
fn fees<'a>(buf: &mut &'a [u8], kind: u8) -> Result<&'a [u8], RlpError> {
    let start = *buf;
    number(buf, max_amount(kind))?;
    if matches!(kind, 2 | 4) {
        number(buf, max_amount(kind))?;
    }
    Ok(&start[..start.len() - buf.len()])
}

/// The encoding of a number.
fn amount<'a>(buf: &mut &'a [u8], kind: u8) -> Result<&'a [u8], RlpError> {
    let start = *buf;
    number(buf, max_amount(kind))?;
    Ok(&start[..start.len() - buf.len()])
}

/// The encoding of calldata, and from type 1 on of the access list, and in type 4 of the
/// authorizations.
fn rest<'a>(buf: &mut &'a [u8], kind: u8) -> Result<&'a [u8], RlpError> {
    let start = *buf;
    string(buf)?;
    if kind >= 1 {
        access_list(buf)?;
    }
    if kind == 4 {
        authorizations(buf)?;
    }
    Ok(&start[..start.len() - buf.len()])
}

/// Length of a number or short string in RLP, given its bytes without leading zeros.
const fn string_len(bytes: &[u8]) -> usize {
    match bytes {
        [byte] if *byte < 0x80 => 1,
        _ => 1 + bytes.len(),
    }
}

/// Appends a string of at most 55 bytes.
fn put_string(bytes: &[u8], out: &mut Vec<u8>) {
    if !matches!(bytes, [byte] if *byte < 0x80) {
        out.push(EMPTY_STRING_CODE + bytes.len() as u8);
    }
    out.extend_from_slice(bytes);
}

fn put_header(header: Header, out: &mut Vec<u8>) {
    if header.payload_length < 56 {
        out.push(if header.list { 0xc0 } else { 0x80 } + header.payload_length as u8);
    } else {
        let length = header.payload_length.to_be_bytes();
        let length = trim(&length);
        out.push(if header.list { 0xf7 } else { 0xb7 } + length.len() as u8);
        out.extend_from_slice(length);
    }
}

/// Without leading zeros.
fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// A transaction in pieces. Amounts and lists are RLP items as they stand; `r` and `s` may have
/// leading zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct TxParts<'a> {
    /// 0, 1, 2 or 4.
    pub kind: u8,
    pub nonce: u64,
    pub gas: u64,
    /// 20 bytes, or none to create a contract.
    pub to: Option<&'a [u8]>,
    pub y_parity: bool,
    /// Whether a legacy signature names the chain (EIP-155).
    pub protected: bool,
    pub r: &'a [u8],
    pub s: &'a [u8],
    value: &'a [u8],
    fees: &'a [u8],
    rest: &'a [u8],
}

impl<'a> TxParts<'a> {
    /// Takes an EIP-2718 transaction apart.
    ///
    /// # Errors
    /// When it has no span batch form, or is malformed.
    pub(super) fn split(raw: &'a [u8], chain_id: u64) -> Result<Self, SpanTxError> {
        let (kind, mut body) = match raw.split_first() {
            None => return Err(RlpError::InputTooShort.into()),
            Some((0xc0.., _)) => (0, raw),
            Some((&kind @ (1 | 2 | 4), body)) => (kind, body),
            Some((&kind, _)) => return Err(SpanTxError::Type(kind)),
        };
        let mut at = list(&mut body)?;
        end(body)?;
        if kind != 0 {
            let id = number_64(&mut at)?;
            if id != chain_id {
                return Err(SpanTxError::ChainId(id));
            }
        }
        let nonce = number_64(&mut at)?;
        let fees = fees(&mut at, kind)?;
        let gas = number_64(&mut at)?;
        let to = match string(&mut at)? {
            [] if kind == 4 => return Err(SpanTxError::NoRecipient),
            [] => None,
            to if to.len() == 20 => Some(to),
            _ => return Err(RlpError::UnexpectedLength.into()),
        };
        let value = amount(&mut at, kind)?;
        let rest = rest(&mut at, kind)?;
        let v = number_128(&mut at, 16)?;
        let (protected, y_parity) = match (kind, v) {
            (0, 27 | 28) => (false, v == 28),
            (0, _) => {
                let first = 2 * u128::from(chain_id) + 35;
                match v.checked_sub(first) {
                    Some(parity @ (0 | 1)) => (true, parity == 1),
                    // The chain that another `v` stands for.
                    _ if v >= 35 => {
                        let id = u64::try_from((v - 35) / 2).map_err(|_| SpanTxError::V(v))?;
                        return Err(SpanTxError::ChainId(id));
                    }
                    _ => return Err(SpanTxError::V(v)),
                }
            }
            (_, 0 | 1) => (true, v == 1),
            _ => return Err(SpanTxError::V(v)),
        };
        let (r, s) = (number(&mut at, 32)?, number(&mut at, 32)?);
        end(at)?;
        Ok(Self { kind, nonce, gas, to, y_parity, protected, r, s, value, fees, rest })
    }

    /// Appends the data list, behind its type byte.
    ///
    /// # Errors
    /// When it is longer than a decoder accepts.
    pub(super) fn put_data(&self, limit: usize, out: &mut Vec<u8>) -> Result<(), SpanTxError> {
        let payload_length = self.value.len() + self.fees.len() + self.rest.len();
        let header = Header { list: true, payload_length };
        let length = header.length() + payload_length;
        if length > limit {
            return Err(SpanTxError::TooLong(length));
        }
        if self.kind != 0 {
            out.push(self.kind);
        }
        put_header(header, out);
        out.extend_from_slice(self.value);
        out.extend_from_slice(self.fees);
        out.extend_from_slice(self.rest);
        Ok(())
    }

    /// Reads the pieces that stand in the data list, which [`check_data`] has passed; the others are
    /// the columns'.
    pub(super) fn with_data(self, data: &'a [u8]) -> Option<Self> {
        let mut at = list(&mut { data }).ok()?;
        let value = amount(&mut at, self.kind).ok()?;
        let fees = fees(&mut at, self.kind).ok()?;
        Some(Self { value, fees, rest: at, ..self })
    }

    /// The columns' share of a transaction; [`TxParts::with_data`] completes it.
    #[expect(clippy::too_many_arguments, reason = "one for each column")]
    pub(super) const fn of_columns(
        kind: u8,
        nonce: u64,
        gas: u64,
        to: Option<&'a [u8]>,
        y_parity: bool,
        protected: bool,
        r: &'a [u8],
        s: &'a [u8],
    ) -> Self {
        Self { kind, nonce, gas, to, y_parity, protected, r, s, value: &[], fees: &[], rest: &[] }
    }

    /// Appends the EIP-2718 transaction.
    pub(super) fn put_raw(&self, chain_id: u64, out: &mut Vec<u8>) {
        let chain_bytes = chain_id.to_be_bytes();
        let chain = trim(&chain_bytes);
        let (nonce, gas) = (self.nonce.to_be_bytes(), self.gas.to_be_bytes());
        let (nonce, gas) = (trim(&nonce), trim(&gas));
        // EIP-155: the chain id may have all 64 bits, so twice it does not fit them.
        let v = u128::from(self.y_parity)
            + match (self.kind, self.protected) {
                (0, true) => 2 * u128::from(chain_id) + 35,
                (0, false) => 27,
                _ => 0,
            };
        let v = v.to_be_bytes();
        let (v, r, s) = (trim(&v), trim(self.r), trim(self.s));
        let to = self.to.unwrap_or_default();
        let mut payload_length = 1 + to.len();
        if self.kind != 0 {
            payload_length += string_len(chain);
        }
        payload_length += [nonce, gas, v, r, s].map(string_len).iter().sum::<usize>();
        payload_length += self.fees.len() + self.value.len() + self.rest.len();
        if self.kind != 0 {
            out.push(self.kind);
        }
        put_header(Header { list: true, payload_length }, out);
        if self.kind != 0 {
            put_string(chain, out);
        }
        put_string(nonce, out);
        out.extend_from_slice(self.fees);
        put_string(gas, out);
        put_string(to, out);
        out.extend_from_slice(self.value);
        out.extend_from_slice(self.rest);
        put_string(v, out);
        put_string(r, out);
        put_string(s, out);
    }
}

/// Checks a transaction's data list: value, fees, calldata and the lists of its type.
///
/// # Errors
/// When the type has no span batch form, or the list has not the fields of the type.
pub(super) fn check_data(kind: u8, creates: bool, data: &[u8]) -> Result<(), SpanTxError> {
    if !matches!(kind, 0 | 1 | 2 | 4) {
        return Err(SpanTxError::Type(kind));
    }
    let mut list_and_end = data;
    let mut at = list(&mut list_and_end)?;
    end(list_and_end)?;
    amount(&mut at, kind)?;
    fees(&mut at, kind)?;
    rest(&mut at, kind)?;
    end(at)?;
    if kind == 4 && creates {
        return Err(SpanTxError::NoRecipient);
    }
    Ok(())
}

/// Upper bound of what [`TxParts::put_raw`] adds to the data list: type, longer list header, chain
/// id, nonce, gas limit, recipient and signature.
pub(super) const RAW_OVERHEAD: usize = 1 + 8 + 9 + 9 + 9 + 21 + 17 + 33 + 33;

/// Cuts a buffer of transactions that stand one after another.
pub(super) fn cut(buffer: Vec<u8>, ends: &[usize]) -> Vec<Bytes> {
    let buffer = Bytes::from(buffer);
    let mut start = 0;
    ends.iter()
        .map(|end| {
            let transaction = buffer.slice(start..*end);
            start = *end;
            transaction
        })
        .collect()
}
