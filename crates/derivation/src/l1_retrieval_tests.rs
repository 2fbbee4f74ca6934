//! Rules of L1 retrieval, each once kept and once broken.
#![allow(clippy::unwrap_used)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_primitives::{Bytes, Signature, TxKind};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_protocol::blob::{Blob, encode_blob};
use opal_protocol::{BlockId, DepositTransaction, SystemConfig};

use super::*;
use crate::test_utils::{config_at, l1_ref};

pub(crate) fn key(byte: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
}

fn sign<T: SignableTransaction<Signature>>(tx: T) -> alloy_consensus::Signed<T> {
    let signature = key(1).sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature)
}

const INPUT: Bytes = Bytes::from_static(b"frames");

/// The batcher's transaction of each type, with calldata.
fn of_type(kind: u8, to: Address) -> TxEnvelope {
    let (call, input, chain_id) = (TxKind::Call(to), INPUT, 900);
    match kind {
        0 => TxEnvelope::Legacy(sign(TxLegacy { to: call, input, ..Default::default() })),
        1 => {
            TxEnvelope::Eip2930(sign(TxEip2930 { to: call, input, chain_id, ..Default::default() }))
        }
        2 => {
            TxEnvelope::Eip1559(sign(TxEip1559 { to: call, input, chain_id, ..Default::default() }))
        }
        3 => blob_tx(to, &[]),
        4 => TxEnvelope::Eip7702(sign(TxEip7702 { to, input, chain_id, ..Default::default() })),
        _ => {
            let from = key(1).address();
            DepositTransaction { from, to: call, input, ..Default::default() }.into()
        }
    }
}

fn blob_tx(to: Address, hashes: &[B256]) -> TxEnvelope {
    let blob_versioned_hashes = hashes.to_vec();
    let tx =
        TxEip4844 { to, input: INPUT, chain_id: 900, blob_versioned_hashes, ..Default::default() };
    TxEnvelope::Eip4844(sign(tx))
}

/// What counts in an L1 block of these transactions before and from Ecotone on.
fn found(config: &RollupConfig, transactions: &[TxEnvelope]) -> Vec<Source> {
    sources(transactions, config, &l1_ref(100), key(1).address())
}

/// derivation.md, "L1 Retrieval": types 0 to 3 and deposits; a set-code transaction carries none.
#[test]
fn batcher_transactions_have_one_of_the_listed_types() {
    let config = config_at(Hardfork::Delta);
    let to = config.batch_inbox_address;
    for kind in [0, 1, 2, 3, 0x7e] {
        assert_eq!(found(&config, &[of_type(kind, to)]), [Source::Calldata(INPUT)], "{kind}");
    }
    assert_eq!(found(&config, &[of_type(4, to)]), []);
}

/// derivation.md, "L1 Retrieval".
#[test]
fn batcher_transactions_go_to_the_inbox() {
    let config = config_at(Hardfork::Karst);
    for kind in [0, 1, 2, 0x7e] {
        assert_eq!(found(&config, &[of_type(kind, config.batch_inbox_address)]).len(), 1);
        assert_eq!(found(&config, &[of_type(kind, Address::ZERO)]), []);
    }
    let create = TxLegacy { to: TxKind::Create, input: INPUT, ..Default::default() };
    assert_eq!(found(&config, &[TxEnvelope::Legacy(sign(create))]), []);
}

/// derivation.md, "L1 Retrieval": by the batcher of the system configuration, whoever else writes
/// to the inbox; on an L3 it is who deposited.
#[test]
fn batcher_transactions_come_from_the_batcher() {
    let config = config_at(Hardfork::Karst);
    for kind in [0, 1, 2, 0x7e] {
        let tx = [of_type(kind, config.batch_inbox_address)];
        assert_eq!(sources(&tx, &config, &l1_ref(1), key(1).address()).len(), 1);
        assert_eq!(sources(&tx, &config, &l1_ref(1), key(2).address()), []);
    }
    // A signature that recovers to nobody.
    let tx = TxLegacy { to: TxKind::Call(config.batch_inbox_address), ..Default::default() };
    let unsigned = TxEnvelope::Legacy(tx.into_signed(Signature::new(
        Default::default(),
        Default::default(),
        false,
    )));
    assert_eq!(sources(&[unsigned], &config, &l1_ref(1), Address::ZERO), []);
}

/// ecotone/derivation.md, "Ecotone: Blob Retrieval": by the time of the L1 block. TRAPS 12: before,
/// a blob transaction counts by its calldata.
#[test]
fn blobs_count_from_ecotone_on_and_their_calldata_before() {
    let mut config = config_at(Hardfork::Delta);
    let hashes = [B256::repeat_byte(1), B256::repeat_byte(2)];
    let tx = [blob_tx(config.batch_inbox_address, &hashes)];
    let time = l1_ref(100).timestamp;
    config.schedule.set(Hardfork::Ecotone, Some(time));
    assert_eq!(found(&config, &tx), hashes.map(Source::Blob));
    config.schedule.set(Hardfork::Ecotone, Some(time + 1));
    assert_eq!(found(&config, &tx), [Source::Calldata(INPUT)]);
}

/// A traversal that stands at L1 block 100 with these transactions.
fn at_100(transactions: Vec<TxEnvelope>) -> L1Traversal {
    let system_config = SystemConfig { batcher_address: key(1).address(), ..Default::default() };
    let mut traversal = L1Traversal::new(l1_ref(99), system_config);
    traversal.open(l1_ref(100), Arc::new(transactions));
    traversal
}

struct Bench {
    config: RollupConfig,
    traversal: L1Traversal,
    retrieval: L1Retrieval,
    inbox: Inbox,
    dropped: VecDeque<Dropped>,
}

impl Bench {
    fn new(transactions: Vec<TxEnvelope>) -> Self {
        Self {
            config: config_at(Hardfork::Karst),
            traversal: at_100(transactions),
            retrieval: L1Retrieval::default(),
            inbox: Inbox::default(),
            dropped: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Pull<BatcherData> {
        let Self { config, traversal, retrieval, inbox, dropped } = self;
        retrieval.next_data(traversal, config, inbox, dropped)
    }
}

fn id(number: u64) -> BlockId {
    l1_ref(number).id()
}

fn blob(data: &[u8]) -> Box<Blob> {
    encode_blob(data).unwrap()
}

/// derivation.md, "L1 Retrieval", and ecotone/derivation.md: in the order of the transactions and of
/// the blobs in them, blobs and calldata mixed.
#[test]
fn data_comes_in_the_order_of_the_l1_block() {
    let to = config_at(Hardfork::Karst).batch_inbox_address;
    let hashes = [1, 2, 3].map(B256::repeat_byte);
    let mut b = Bench::new(vec![
        blob_tx(to, &hashes[..2]),
        of_type(2, to),
        of_type(4, to),
        blob_tx(to, &hashes[2..]),
    ]);
    for _ in 0..2 {
        let Err(Stall::Need(Request::Blobs { block, hashes: wanted })) = b.next() else {
            panic!("no blobs asked for")
        };
        assert_eq!((block, &wanted[..]), (l1_ref(100), &hashes[..]));
        assert_eq!(b.retrieval.blobs_wanted(), Some(3));
    }
    b.inbox.blobs = Some((id(100), vec![blob(b"one"), blob(b"two"), blob(b"three")]));
    for data in ["one", "two", "frames", "three"] {
        assert_eq!(b.next().unwrap()[..], *data.as_bytes());
    }
    // All is read, once.
    for _ in 0..2 {
        assert!(matches!(b.next(), Err(Stall::Eof)));
    }
    assert_eq!(b.retrieval.blobs_wanted(), None);
}

/// ecotone/derivation.md, "Ecotone: Blob Retrieval": a blob in another encoding is ignored, the
/// others count.
#[test]
fn a_blob_with_an_invalid_encoding_is_ignored() {
    let to = config_at(Hardfork::Karst).batch_inbox_address;
    let hashes = [1, 2].map(B256::repeat_byte);
    for broken in [false, true] {
        let mut b = Bench::new(vec![blob_tx(to, &hashes)]);
        let mut first = blob(b"one");
        first[1] = u8::from(broken);
        b.inbox.blobs = Some((id(100), vec![first, blob(b"two")]));
        if !broken {
            assert_eq!(b.next().unwrap()[..], b"one"[..]);
        }
        assert_eq!(b.next().unwrap()[..], b"two"[..]);
        assert_eq!(b.dropped.len(), usize::from(broken));
        assert!(
            b.dropped.iter().all(|d| matches!(d, Dropped::Blob { hash, .. } if *hash == hashes[0]))
        );
    }
}

/// Blobs of a block that exists are there, too, or that block is gone: a reset looks for another.
#[test]
fn blobs_that_cannot_be_had_are_a_reset() {
    let to = config_at(Hardfork::Karst).batch_inbox_address;
    for (missing, reset) in [(id(100), true), (id(99), false)] {
        let mut b = Bench::new(vec![blob_tx(to, &[B256::repeat_byte(1)])]);
        b.inbox.blobs_missing = Some(missing);
        let next = b.next().unwrap_err();
        assert_eq!(matches!(next, Stall::Reset(ResetReason::BlobsMissing(_))), reset, "{next:?}");
    }
}

/// TRAPS 8: blobs of another block, or of another request, are not taken for those of this one.
#[test]
fn stale_blobs_are_not_used() {
    let to = config_at(Hardfork::Karst).batch_inbox_address;
    let mut b = Bench::new(vec![blob_tx(to, &[B256::repeat_byte(1)])]);
    b.inbox.blobs = Some((id(99), vec![blob(b"stale")]));
    assert!(matches!(b.next(), Err(Stall::Need(_))));
    b.inbox.blobs = Some((id(100), vec![blob(b"one"), blob(b"two")]));
    assert!(matches!(b.next(), Err(Stall::Need(_))));
    b.inbox.blobs = Some((id(100), vec![blob(b"fresh")]));
    assert_eq!(b.next().unwrap()[..], b"fresh"[..]);
    assert!(b.inbox.blobs.is_none());
}

/// A block without batcher transactions asks for nothing.
#[test]
fn a_block_without_batcher_transactions_has_no_data() {
    let mut b = Bench::new(vec![of_type(2, Address::ZERO), of_type(3, Address::ZERO)]);
    assert!(matches!(b.next(), Err(Stall::Eof)));
    let to = config_at(Hardfork::Karst).batch_inbox_address;
    let mut b = Bench::new(vec![of_type(2, to)]);
    assert_eq!(b.next().unwrap(), INPUT);
}
