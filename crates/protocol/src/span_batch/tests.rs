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

/// A span batch that claims 2^63 elements is refused before anything is allocated.
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

/// TRAPS 15: `v` of a chain id of 64 bits has 66 bits.
#[test]
fn a_protected_legacy_signature_fits_any_chain_id() {
    // value 1, gas price 2, no data.
    let raw = decode(one_tx(&[0xc3, 1, 2, 0x80], &[1])).unwrap();
    let span = raw.into_span(2, 100, u64::MAX).unwrap();
    assert_eq!((span.first_timestamp(), span.first_epoch()), (105, 9));
    let tx = &span.blocks().next().unwrap().transactions[0];
    let v: U256 = U256::from(u64::MAX) * U256::from(2) + U256::from(35);
    let mut encoded = Vec::new();
    v.encode(&mut encoded);
    assert!(tx.windows(encoded.len()).any(|window| window == encoded));
    let chain = SpanChain { block_time: 2, genesis_time: 100, chain_id: u64::MAX };
    assert_eq!(span.encode(chain, true).unwrap(), one_tx(&[0xc3, 1, 2, 0x80], &[1]));
    // On another chain the same transaction is another chain's.
    let other = SpanChain { chain_id: 10, ..chain };
    let error = SpanTxError::ChainId(u64::MAX);
    let error = SpanEncodeError::Transaction { block: 0, index: 0, error };
    assert_eq!(span.encode(other, false), Err(error));
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

/// A list of a long string, with so many bytes in all.
fn data_list(length: usize) -> Vec<u8> {
    // Value 1, gas price 2, and calldata; headers of four bytes.
    let mut out = alloc::vec![0xfa];
    out.extend_from_slice(&(length as u32 - 4).to_be_bytes()[1..]);
    out.extend_from_slice(&[1, 2, 0xba]);
    out.extend_from_slice(&(length as u32 - 10).to_be_bytes()[1..]);
    out.resize(length, 7);
    out
}

/// TRAPS 5: more than 10,000,000 bytes of data are refused, header and list together; a list that
/// is cut off is an error.
#[test]
fn transaction_data_has_a_limit() {
    let limit = MAX_SPAN_BATCH_ELEMENTS as usize;
    let largest = one_tx(&data_list(limit), &[1]);
    let span = decode(largest.clone()).unwrap().into_span(2, 100, 10).unwrap();
    let chain = SpanChain { block_time: 2, genesis_time: 100, chain_id: 10 };
    assert!(span.encode(chain, true).unwrap() == largest);
    let error = SpanBatchError::TooMany { what: "transaction data", count: limit as u64 + 1 };
    assert_eq!(decode(one_tx(&data_list(limit + 1), &[1])), Err(error));
    // The claim alone suffices.
    let claim = one_tx(&[2, 0xfb, 0x7f, 0xff, 0xff, 0xff], &[0]);
    assert!(decode(claim).is_err());
    let whole = one_tx(&data_list(100), &[1]);
    for cut in 0..whole.len() {
        assert!(decode(whole[..cut].to_vec()).is_err(), "{cut}");
    }

    // The encoder, too: value and calldata of the largest transaction, and one byte more.
    let first = span.blocks().next().unwrap();
    let mut longer = first.transactions[0].to_vec();
    // List header, calldata header (behind nonce, gas price, gas limit, recipient, value).
    for at in [3, 4 + 1 + 1 + 1 + 21 + 1 + 3] {
        longer[at] += 1;
    }
    longer.insert(100, 7);
    let block = SpanBlock { transactions: alloc::vec![longer.into()], ..first };
    let error = SpanTxError::TooLong(limit + 1);
    let error = SpanEncodeError::Transaction { block: 0, index: 0, error };
    assert_eq!(encode_blocks(([0; 20], [0; 20]), [block], chain, false), Err(error));
}

#[test]
fn the_encoder_refuses_what_makes_no_span() {
    let chain = SpanChain { block_time: 2, genesis_time: 100, chain_id: 10 };
    let block =
        |timestamp, epoch_num| crate::SingularBatch { timestamp, epoch_num, ..Default::default() };
    let encode = |blocks: &[crate::SingularBatch]| encode_span_batch(blocks, 5, chain);
    assert_eq!(encode(&[]), Err(SpanEncodeError::Empty));
    assert!(encode(&[block(102, 5), block(104, 6), block(106, 6)]).is_ok());
    let timestamp =
        |index, expected, found| Err(SpanEncodeError::Timestamp { index, expected, found });
    assert_eq!(encode(&[block(98, 5)]), timestamp(0, 100, 98));
    assert_eq!(encode(&[block(102, 5), block(105, 5)]), timestamp(1, 104, 105));
    let origin = |index, previous, found| Err(SpanEncodeError::Origin { index, previous, found });
    assert_eq!(encode(&[block(102, 7)]), origin(0, 5, 7));
    assert_eq!(encode(&[block(102, 4)]), origin(0, 5, 4));
    assert_eq!(encode(&[block(102, 6), block(104, 5)]), origin(1, 6, 5));

    // The first block's bit, and the last block's number.
    for (epoch_num, changes) in [(5, false), (6, true)] {
        let raw = decode(encode(&[block(102, epoch_num)]).unwrap()).unwrap();
        assert_eq!((raw.first_origin_changes(), raw.l1_origin_num), (changes, epoch_num));
    }

    let tx = |raw: &[u8]| {
        let transactions = alloc::vec![Bytes::copy_from_slice(raw)];
        match encode(&[crate::SingularBatch { transactions, ..block(102, 5) }]) {
            Err(SpanEncodeError::Transaction { block: 0, index: 0, error }) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tx(&[]), SpanTxError::Rlp(alloy_rlp::Error::InputTooShort));
    for kind in [0, 3, 5, 0x7d, 0x7e, 0x7f, 0x80, 0xbf] {
        assert_eq!(tx(&[kind, 0xc0]), SpanTxError::Type(kind));
    }
    // Nonce, gas price, gas limit, no recipient, value, no data; v, r, s.
    for (v, error) in [(29, SpanTxError::V(29)), (37, SpanTxError::ChainId(1))] {
        assert_eq!(tx(&[0xc9, 1, 1, 1, 0x80, 1, 0x80, v, 1, 1]), error);
    }
    // Chain id, nonce, two fees, gas limit, no recipient, value, no data, two lists; parity, r, s.
    let set_code = [4, 0xcd, 10, 1, 1, 1, 1, 0x80, 1, 0x80, 0xc0, 0xc0, 1, 1, 1];
    assert_eq!(tx(&set_code), SpanTxError::NoRecipient);
    let parity = [1, 0xcb, 10, 1, 1, 1, 0x80, 1, 0x80, 0xc0, 2, 1, 1];
    assert_eq!(tx(&parity), SpanTxError::V(2));
    for length in 2..parity.len() {
        assert!(matches!(tx(&parity[..length]), SpanTxError::Rlp(_)));
    }
}

#[test]
fn a_refused_first_block_leaves_no_trace() {
    let chain = SpanChain { block_time: 2, genesis_time: 100, chain_id: 1 };
    let empty = SpanBuilder::new(chain, 5);
    let mut span = empty.clone();
    let batch = crate::SingularBatch { timestamp: 1 << 40, epoch_num: 6, ..Default::default() };
    assert!(span.push_within(&batch, 10).unwrap().is_err());
    assert_eq!(span.channel_len(), empty.channel_len());
    assert_eq!(span.push_within(&batch, 100), Ok(Ok(())));
}

/// The most blocks that a span may have: it takes a bit and a byte for each, none of it copied, and
/// blocks are found at their places.
#[test]
fn a_span_costs_its_columns_and_a_block_is_made_when_asked_for() {
    let blocks = MAX_SPAN_BATCH_ELEMENTS as usize;
    let mut body = head(blocks as u64);
    let columns = body.len();
    // Every eighth block changes the epoch, from the first on.
    body.resize(columns + blocks / 8, 1);
    body.resize(columns + blocks / 8 + blocks, 0);
    let body = Bytes::from([&body[..], &[9; 1000]].concat());
    let span = RawSpanBatch::decode(&body).unwrap().into_span(2, 100, 10).unwrap();
    assert!(span.size() < blocks / 8 + blocks + 400, "{}", span.size());
    assert!(size_of::<SpanPosition>() <= 80);
    // What waits is a copy without what follows the columns.
    let waiting = span.clone().into_own_memory();
    assert_eq!((&waiting, waiting.size()), (&span, span.size()));

    // Origins begin so far back that they wrap.
    let first = 9u64.wrapping_sub(blocks as u64 / 8 - 1);
    let (mut heads, mut all) = (span.heads(), 0);
    assert_eq!(heads.next().map(|head| (head.epoch_num, head.timestamp)), Some((first, 105)));
    let last = heads.inspect(|_| all += 1).last().unwrap();
    assert_eq!((all, last.epoch_num, last.timestamp), (blocks - 1, 9, span.last_timestamp()));
    assert_eq!(span.last_timestamp(), 105 + 2 * (blocks as u64 - 1));
    let mut at = span.start();
    for i in 0..20 {
        assert_eq!(span.timestamp_at(&at), Some(105 + 2 * i));
        let block = span.take_block(&mut at).unwrap();
        assert_eq!((block.epoch_num, block.timestamp), (first.wrapping_add(i / 8), 105 + 2 * i));
    }
}
