//! Batches of both versions.

use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::Bytes;
use arbitrary::{Result, Unstructured};
use opal_protocol::span_batch::{
    MAX_SPAN_BATCH_ELEMENTS, RawSpanBatch, SpanBuilder, SpanChain, SpanEncodeError,
};
use opal_protocol::{Batch, SingularBatch, TxEnvelope};

use crate::memory::within;

/// A singular batch that is read is written to an equal one.
pub fn singular(data: &[u8]) {
    let data = Bytes::from([&[0], data].concat());
    // An RLP string of one byte, empty, is the most costly transaction.
    let decoded = within(160 * data.len() + 4096, "a batch", || Batch::decode(&data));
    let Ok(Batch::Singular(batch)) = decoded else { return };
    let encoded = Bytes::from(batch.encode_for_channel());
    let mut rest = &encoded[..];
    let body = alloy_rlp::Header::decode_bytes(&mut rest, false).unwrap();
    assert!(rest.is_empty());
    // What follows the batch is ignored.
    assert!(data.starts_with(body), "another encoding of the same batch");
    assert_eq!(Batch::decode(&encoded.slice_ref(body)), Ok(Batch::Singular(batch)));
}

/// A span batch: the input as it is, or one made of columns.
pub fn span(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let body = if mode & 1 == 0 {
        data.to_vec()
    } else {
        match columns(&mut Unstructured::new(data)) {
            Ok(body) => body,
            Err(_) => return,
        }
    };
    let chain_id = match mode >> 6 {
        0 => 10,
        1 => 0,
        2 => u64::MAX,
        _ => 1 << 63,
    };
    check_span(body.into(), chain_id);
}

/// Memory that a decoded span may take: none, as it shares the columns of the body; little more,
/// for the text of an error.
const SPAN: usize = 256;

fn check_span(body: Bytes, chain_id: u64) {
    let Ok(raw) = within(SPAN, "columns", || RawSpanBatch::decode(&body)) else { return };
    assert!((1..=MAX_SPAN_BATCH_ELEMENTS).contains(&(raw.block_count() as u64)));
    assert!(raw.tx_count() as u64 <= MAX_SPAN_BATCH_ELEMENTS);
    let (blocks, transactions) = (raw.block_count(), raw.tx_count());
    let origin = raw.l1_origin_num;
    let prefix = |raw: &RawSpanBatch| {
        (raw.rel_timestamp, raw.l1_origin_num, raw.parent_check, raw.l1_origin_check)
    };
    let first_prefix = prefix(&raw);
    let first_origin_changes = raw.first_origin_changes();
    let span = within(SPAN, "a span", || raw.into_span(2, 1_700_000_000, chain_id));
    let Ok(span) = span else { return };
    let heads = || span.heads().map(|head| (head.epoch_num, head.timestamp, head.tx_count));
    within(SPAN, "blocks without transactions", || {
        assert_eq!(heads().count(), blocks);
        assert_eq!(heads().map(|head| head.2).sum::<usize>(), transactions);
    });
    let waiting = within(body.len() + SPAN, "a span that waits", || span.clone().into_own_memory());
    assert_eq!(waiting, span);
    // The blocks hold their transactions beside the columns.
    let limit = 512 * body.len() + 4096;
    let all: Vec<_> = within(limit, "blocks", || waiting.blocks().collect());
    assert_eq!(all.len(), blocks);
    for (head, block) in span.heads().zip(&all) {
        assert_eq!((head.epoch_num, head.timestamp), (block.epoch_num, block.timestamp));
        let set_code = block.transactions.iter().position(|tx| tx[0] == 4);
        assert_eq!(head.set_code_at(), set_code);
    }
    let (first, last) = (&all[0], &all[blocks - 1]);
    assert_eq!((span.first_epoch(), span.first_timestamp()), (first.epoch_num, first.timestamp));
    assert_eq!((span.last_epoch(), span.last_timestamp()), (origin, last.timestamp));
    for pair in all.windows(2) {
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(2));
        assert!(matches!(pair[1].epoch_num.wrapping_sub(pair[0].epoch_num), 0 | 1));
    }
    for raw in all.iter().flat_map(|block| &block.transactions) {
        // Numbers of any size and signatures of any kind pass: not each is a transaction.
        if let Ok(tx) = TxEnvelope::decode_2718(&mut raw.as_ref()) {
            assert_eq!(tx.encoded_2718(), *raw);
        }
    }
    // What can be encoded again is the same span; numbers may have had a longer form before.
    let chain = SpanChain { chain_id, ..CHAIN };
    match within(limit + (1 << 16), "an encoder", || span.encode(chain, first_origin_changes)) {
        Ok(again) => {
            let raw = RawSpanBatch::decode(&again.clone().into()).unwrap();
            assert_eq!(raw.first_origin_changes(), first_origin_changes);
            assert_eq!(prefix(&raw), first_prefix);
            let span = raw.into_span(2, 1_700_000_000, chain_id).unwrap();
            assert_eq!(span.blocks().collect::<Vec<_>>(), all);
            // What an encoder wrote has one form.
            assert_eq!(span.encode(chain, first_origin_changes).unwrap(), again);
        }
        Err(SpanEncodeError::Transaction { block, index, .. }) => {
            // Only what is no transaction, or another chain's, has no span batch form.
            let raw = &all[block].transactions[index];
            let tx = TxEnvelope::decode_2718(&mut raw.as_ref());
            assert!(tx.is_err(), "transaction {index} of block {block}: {tx:?}");
        }
        Err(SpanEncodeError::Origin { .. }) => {
            assert!(first.epoch_num > last.epoch_num, "origins wrap around zero");
        }
        Err(SpanEncodeError::Timestamp { .. }) => {
            let (first, last) = (first.timestamp, last.timestamp);
            assert!(first < chain.genesis_time || last < first, "times wrap around zero");
        }
        Err(error) => panic!("{error}"),
    }
}

const CHAIN: SpanChain = SpanChain { block_time: 2, genesis_time: 1_700_000_000, chain_id: 901 };

/// What the batcher puts into a span comes out of it.
pub fn span_builder(data: &[u8]) {
    let _ = build_span(&mut Unstructured::new(data));
}

fn build_span(input: &mut Unstructured<'_>) -> Result<()> {
    let parent_origin = number(input)? >> 1;
    let mut builder = SpanBuilder::new(CHAIN, parent_origin);
    let mut kept: Vec<SingularBatch> = Vec::new();
    let mut epoch = parent_origin;
    let mut timestamp = CHAIN.genesis_time + u64::from(input.arbitrary::<u32>()?);
    let pool = crate::pipeline::user_transactions();
    while !input.is_empty() && kept.len() < 100 {
        epoch += u64::from(input.ratio(1, 5)?);
        let mut transactions = Vec::new();
        while transactions.len() < 5 && input.ratio(1, 2)? {
            let last = if input.ratio(1, 16)? { pool.len() - 1 } else { 3 };
            transactions.push(pool[input.int_in_range(0..=last)?].clone());
        }
        let mut batch = SingularBatch {
            parent_hash: alloy_primitives::B256::repeat_byte(input.arbitrary()?),
            epoch_num: epoch,
            epoch_hash: alloy_primitives::B256::repeat_byte(input.arbitrary()?),
            timestamp,
            transactions,
        };
        if input.ratio(1, 24)? {
            batch.epoch_num = number(input)?;
        }
        if input.ratio(1, 24)? {
            // A builder is the batcher's own: it need not look after times without end.
            batch.timestamp = number(input)? >> 1;
        }
        let before = builder.clone();
        let limit =
            if input.ratio(1, 8)? { usize::from(input.arbitrary::<u16>()?) } else { 1 << 30 };
        match builder.push_within(&batch, limit) {
            Ok(Ok(())) => {
                (epoch, timestamp) = (batch.epoch_num, batch.timestamp.saturating_add(2));
                kept.push(batch);
                continue;
            }
            Ok(Err(length)) => assert!(length > limit),
            Err(_) => {}
        }
        // No trace of what was refused.
        assert_eq!(before.channel_len(), builder.channel_len());
        assert_eq!(before.encode(), builder.encode());
        epoch = kept.last().map_or(parent_origin, |batch| batch.epoch_num);
    }
    assert_eq!(builder.block_count(), kept.len());
    let Ok(body) = builder.encode() else {
        assert!(kept.is_empty());
        return Ok(());
    };
    assert_eq!(body.len(), builder.encoded_len());
    assert_eq!(builder.encode_for_channel().unwrap().len(), builder.channel_len());
    let raw = RawSpanBatch::decode(&body.into()).unwrap();
    assert_eq!(raw.first_origin_changes(), kept[0].epoch_num != parent_origin);
    let span = raw.into_span(2, CHAIN.genesis_time, CHAIN.chain_id).unwrap();
    assert!(span.matches_parent(&kept[0].parent_hash));
    assert!(span.matches_origin(&kept[kept.len() - 1].epoch_hash));
    assert_eq!(span.block_count(), kept.len());
    for (block, batch) in span.blocks().zip(&kept) {
        assert_eq!(block.epoch_num, batch.epoch_num);
        assert_eq!(block.timestamp, batch.timestamp);
        assert_eq!(block.transactions, batch.transactions);
    }
    Ok(())
}

pub(crate) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A bit list, its spare bits mostly zero.
fn bits(input: &mut Unstructured<'_>, count: usize, out: &mut Vec<u8>) -> Result<Vec<bool>> {
    let mut bytes = vec![0u8; count.div_ceil(8)];
    input.fill_buffer(&mut bytes)?;
    if count % 8 != 0
        && let Some(first) = bytes.first_mut()
        && !input.ratio(1, 32)?
    {
        *first &= (1 << (count % 8)) - 1;
    }
    out.extend_from_slice(&bytes);
    Ok((0..count).map(|i| bytes[bytes.len() - 1 - i / 8] >> (i % 8) & 1 == 1).collect())
}

fn number(input: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match input.int_in_range(0..=7)? {
        0 => input.arbitrary()?,
        1 => 0,
        2 => u64::MAX,
        _ => input.arbitrary::<u8>()?.into(),
    })
}

/// An RLP string that stands for a number.
fn rlp_number(input: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    if input.ratio(1, 24)? {
        let bytes: [u8; 40] = input.arbitrary()?;
        let length = input.int_in_range(0..=bytes.len())?;
        alloy_rlp::Encodable::encode(&bytes[..length], out);
    } else {
        alloy_rlp::Encodable::encode(&number(input)?, out);
    }
    Ok(())
}

/// The data of a transaction of this type: a list of mostly the right items.
fn tx_data(input: &mut Unstructured<'_>, kind: u8, out: &mut Vec<u8>) -> Result<()> {
    let mut payload = Vec::new();
    // Value and fees.
    for _ in 0..if kind == 2 || kind == 4 { 3 } else { 2 } {
        rlp_number(input, &mut payload)?;
    }
    let length = usize::from(input.arbitrary::<u8>()?) % 64;
    alloy_rlp::Encodable::encode(input.bytes(length)?, &mut payload);
    if kind != 0 {
        let entries: Vec<_> = (0..input.int_in_range(0..=2)?)
            .map(|_| {
                Ok(alloy_eips::eip2930::AccessListItem {
                    address: input.arbitrary::<[u8; 20]>()?.into(),
                    storage_keys: vec![input.arbitrary::<[u8; 32]>()?.into()],
                })
            })
            .collect::<Result<_>>()?;
        alloy_rlp::Encodable::encode(&alloy_eips::eip2930::AccessList(entries), &mut payload);
    }
    if kind == 4 {
        let list: Vec<_> = (0..input.int_in_range(0..=2)?)
            .map(|_| {
                let inner = alloy_eips::eip7702::Authorization {
                    chain_id: alloy_primitives::U256::from(number(input)?),
                    address: input.arbitrary::<[u8; 20]>()?.into(),
                    nonce: number(input)?,
                };
                let number = |n: u64| alloy_primitives::U256::from(n);
                let (r, s) = (number(input.arbitrary()?), number(input.arbitrary()?));
                Ok(alloy_eips::eip7702::SignedAuthorization::new_unchecked(
                    inner,
                    input.arbitrary()?,
                    r,
                    s,
                ))
            })
            .collect::<Result<_>>()?;
        alloy_rlp::Encodable::encode(&list, &mut payload);
    }
    if input.ratio(1, 32)? {
        payload.push(input.arbitrary()?);
    }
    alloy_rlp::Header { list: !input.ratio(1, 32)?, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(&payload);
    Ok(())
}

/// What a generated span batch claims to be, beside what its columns hold.
pub(crate) struct Head {
    pub(crate) rel_timestamp: u64,
    pub(crate) l1_origin_num: u64,
    pub(crate) parent_check: [u8; 20],
    pub(crate) l1_origin_check: [u8; 20],
}

fn columns(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let head = Head {
        rel_timestamp: number(input)?,
        l1_origin_num: number(input)?,
        parent_check: input.arbitrary()?,
        l1_origin_check: input.arbitrary()?,
    };
    let mut origin_bits = vec![false; input.int_in_range(1..=24)?];
    for bit in &mut origin_bits {
        *bit = input.ratio(1, 6)?;
    }
    span_body(input, &head, &origin_bits)
}

/// The body of a span batch with arbitrary columns that mostly fit each other.
pub(crate) fn span_body(
    input: &mut Unstructured<'_>,
    head: &Head,
    origin_bits: &[bool],
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    varint(head.rel_timestamp, &mut out);
    varint(head.l1_origin_num, &mut out);
    out.extend_from_slice(&head.parent_check);
    out.extend_from_slice(&head.l1_origin_check);
    let blocks = origin_bits.len();
    let claimed = if input.ratio(1, 32)? { number(input)? } else { blocks as u64 };
    varint(claimed, &mut out);
    let mut packed = vec![0u8; blocks.div_ceil(8)];
    let length = packed.len();
    for i in (0..blocks).filter(|i| origin_bits[*i]) {
        packed[length - 1 - i / 8] |= 1 << (i % 8);
    }
    if input.ratio(1, 64)? {
        packed[0] |= 0x80;
    }
    out.extend_from_slice(&packed);
    let mut total = 0;
    for _ in 0..blocks {
        let count = usize::from(input.arbitrary::<u8>()?);
        let count = if count < 160 { 0 } else { count % 4 };
        let claimed = if input.ratio(1, 64)? { number(input)? } else { count as u64 };
        varint(claimed, &mut out);
        total += count;
    }
    let creations = bits(input, total, &mut out)?;
    bits(input, total, &mut out)?;
    for _ in 0..total {
        // r and s: small numbers, whole words, anything.
        let mut signature = [0; 64];
        let kind: u8 = input.arbitrary()?;
        signature[31] = kind;
        signature[63] = kind >> 1;
        if kind >= 192 {
            input.fill_buffer(&mut signature)?;
        }
        out.extend_from_slice(&signature);
    }
    for _ in creations.iter().filter(|creates| !**creates) {
        let byte: u8 = input.arbitrary()?;
        out.extend_from_slice(&[byte; 20]);
    }
    let mut legacy = 0;
    for _ in 0..total {
        let kind = match input.int_in_range(0..=31u8)? {
            0 => input.int_in_range(0..=0x7f)?,
            n => [0, 1, 2, 4][usize::from(n % 4)],
        };
        if kind != 0 {
            out.push(kind);
        } else {
            legacy += 1;
        }
        tx_data(input, kind, &mut out)?;
    }
    for _ in 0..2 * total {
        varint(number(input)?, &mut out);
    }
    bits(input, legacy, &mut out)?;
    if input.ratio(1, 16)? {
        out.truncate(out.len() - 1);
    }
    Ok(out)
}
