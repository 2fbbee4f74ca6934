//! What decoder and encoder refuse, and that each gives back what the other made.
#![allow(clippy::unwrap_used)]
use alloc::vec::Vec;

use alloy_primitives::U256;
use alloy_rlp::Encodable;

use super::*;

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A prefix, and the number of blocks.
fn head(blocks: u64) -> Vec<u8> {
    let mut out = alloc::vec![5, 9];
    out.extend_from_slice(&[7; 40]);
    varint(blocks, &mut out);
    out
}

fn decode(body: Vec<u8>) -> Result<RawSpanBatch, SpanBatchError> {
    RawSpanBatch::decode(&body.into())
}

/// One block with one transaction, which creates nothing and has this data.
fn one_tx(data: &[u8], protected: &[u8]) -> Vec<u8> {
    let mut out = head(1);
    out.extend_from_slice(&[1, 1, 0, 0]);
    out.extend_from_slice(&[1; 64]);
    out.extend_from_slice(&[2; 20]);
    out.extend_from_slice(data);
    out.extend_from_slice(&[3, 4]);
    out.extend_from_slice(protected);
    out
}

#[test]
fn claims_cost_nothing() {
    assert_eq!(decode(head(0)), Err(SpanBatchError::Empty));
    for count in [10_000_001, 1 << 63, u64::MAX] {
        assert_eq!(decode(head(count)), Err(SpanBatchError::TooMany { what: "blocks", count }));
    }
    assert_eq!(decode(head(10_000_000)), Err(SpanBatchError::Truncated("origin_bits")));
    let mut body = head(1);
    body.push(0);
    varint(10_000_000, &mut body);
    assert_eq!(decode(body), Err(SpanBatchError::Truncated("contract_creation_bits")));
    let mut body = head(2);
    body.push(0);
    varint(10_000_000, &mut body);
    varint(1, &mut body);
    let count = 10_000_001;
    assert_eq!(decode(body), Err(SpanBatchError::TooMany { what: "transactions", count }));
    let mut body = head(1);
    *body.last_mut().unwrap() = 0xff;
    body.extend_from_slice(&[0xff; 9]);
    assert_eq!(decode(body), Err(SpanBatchError::Varint("block_count")));
}

#[test]
fn bits_beyond_the_length_are_refused() {
    for (bits, ok) in [(0b111, true), (0b1000, false)] {
        let mut body = head(3);
        body.extend_from_slice(&[bits, 0, 0, 0]);
        assert_eq!(decode(body).is_ok(), ok);
    }
}

#[test]
fn a_protected_legacy_signature_fits_any_chain_id() {
    // value 1, gas price 2, no data.
    let raw = decode(one_tx(&[0xc3, 1, 2, 0x80], &[1])).unwrap();
    let span = raw.into_span(2, 100, u64::MAX).unwrap();
    assert_eq!((span.first().timestamp, span.first().epoch_num), (105, 9));
    let tx = &span.first().transactions[0];
    let v: U256 = U256::from(u64::MAX) * U256::from(2) + U256::from(35);
    let mut encoded = Vec::new();
    v.encode(&mut encoded);
    assert!(tx.windows(encoded.len()).any(|window| window == encoded));
}

#[test]
fn transactions_that_cannot_be_put_together_drop_the_span_alone() {
    for data in [&[3, 0xc0][..], &[0, 0xc3, 1, 2, 0x80], &[0xc2, 1, 2], &[4, 0xc0]] {
        let raw = decode(one_tx(data, &[0])).unwrap();
        assert!(raw.into_span(2, 0, 1).is_err(), "{data:?}");
    }
    assert!(decode(one_tx(&[0x82, 1, 2], &[0])).is_err(), "not a list");
    assert!(decode(one_tx(&[2, 0xfb, 0xff, 0xff, 0xff, 0xff], &[0])).is_err(), "too long");
}
