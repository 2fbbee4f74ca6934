#![allow(clippy::unwrap_used)]

use std::fs;

use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::builder::{SidecarBuilder, SimpleCoder};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::TxKind;
use alloy_signer::SignerSync;

use super::{Journal, Restored};
use crate::testing::*;

fn legacy(from: u8) -> alloy_primitives::Bytes {
    let tx = TxLegacy {
        chain_id: Some(L2_CHAIN_ID),
        gas_price: 50 * GWEI,
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        ..Default::default()
    };
    let signature = signer(from).sign_hash_sync(&tx.signature_hash()).unwrap();
    opal_protocol::TxEnvelope::Legacy(tx.into_signed(signature)).encoded_2718().into()
}

#[test]
fn the_pool_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path().join(Journal::FILE));
    let engine = l2_engine();
    let pool = engine.chain().pool();
    assert_eq!(journal.load(pool).unwrap(), Restored::default(), "no file is no error");
    pool.add_raw(&legacy(3)).unwrap();
    for (from, nonce) in [(0, 2), (0, 1), (0, 0), (1, 4), (2, 0), (2, 1)] {
        pool.add_raw(&raw(&transfer(from, nonce, GWEI))).unwrap();
    }
    let state = engine.chain().state_at(&engine.head().hash).unwrap();
    pool.add_conditional(&raw(&transfer(5, 0, GWEI)), Default::default(), &state).unwrap();
    assert_eq!(journal.save(pool).unwrap(), 7);

    let again = l2_engine();
    // One was mined before the restart.
    let mut attributes = l2_attributes(&again.head(), &[transfer(2, 0, GWEI)]);
    attributes.no_tx_pool = true;
    extend(&again, attributes);
    let pool = again.chain().pool();
    let restored = journal.load(pool).unwrap();
    assert_eq!(restored, Restored { read: 7, kept: 6, damaged_at: None });
    assert_eq!(pool.status(), (5, 1));
}

#[test]
fn what_is_readable_of_a_damaged_journal_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Journal::FILE);
    let journal = Journal::new(&path);
    let chain = l2_chain_with(|_| {});
    for nonce in 0..5 {
        chain.pool().add_raw(&raw(&transfer(0, nonce, GWEI))).unwrap();
    }
    journal.save(chain.pool()).unwrap();
    let whole = fs::read(&path).unwrap();
    let length = raw(&transfer(0, 0, GWEI)).len() + 2;
    for cut in [whole.len() - 1, whole.len() - length + 1, whole.len() / 2, 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        let chain = l2_chain_with(|_| {});
        let restored = journal.load(chain.pool()).unwrap();
        let expected = cut / length;
        assert_eq!(restored.kept, expected, "cut at {cut}");
        assert_eq!(restored.damaged_at, Some(expected * length));
        assert_eq!(chain.pool().status(), (expected, 0));
        assert!(!path.exists());
        assert_eq!(fs::read(folder.path().join("transactions.rlp.damaged")).unwrap(), whole[..cut]);
    }
    // Any byte may be wrong; nothing but the sender's own transactions gets in.
    for position in (0..whole.len()).step_by(7) {
        let mut bad = whole.clone();
        bad[position] ^= 0x41;
        fs::write(&path, &bad).unwrap();
        let chain = l2_chain_with(|_| {});
        let restored = journal.load(chain.pool()).unwrap();
        assert!(restored.kept <= 4, "{position}: {restored:?}");
        assert!(restored.kept >= position / length, "{position}: {restored:?}");
    }
}

#[test]
fn blobs_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path().join(Journal::FILE));
    let sidecar = SidecarBuilder::<SimpleCoder>::from_slice(&[7; 1_000])
        .build_7594_with_settings(c_kzg::ethereum_kzg_settings(0))
        .unwrap();
    let sidecar = BlobTransactionSidecarVariant::Eip7594(sidecar);
    let pool_of = || l1_engine(true);
    let first = pool_of();
    let hash = first.chain().pool().add_raw(&blob_tx(0, 0, sidecar.clone(), 100 * GWEI)).unwrap();
    assert_eq!(journal.save(first.chain().pool()).unwrap(), 1);
    let second = pool_of();
    let restored = journal.load(second.chain().pool()).unwrap();
    assert_eq!(restored, Restored { read: 1, kept: 1, damaged_at: None });
    assert_eq!(*second.chain().pool().sidecar(&hash).unwrap(), sidecar);
}
