#![allow(clippy::unwrap_used)]
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Address;
use tempfile::TempDir;

use super::*;
use crate::testing::{extend, l2_attributes, l2_engine_in, transfer};

type Piece = (u8, Vec<u8>);

/// A chain's snapshot in pieces, and its last block's output root's part.
fn snapshot_pieces(dir: &TempDir) -> (Vec<Piece>, B256) {
    let data = dir.path().join("data");
    let engine = l2_engine_in(&data).unwrap();
    for nonce in 0..9 {
        let head = engine.head();
        extend(&engine, l2_attributes(&head, &[transfer(0, nonce, 1)]));
        engine.chain().wait_for_flush();
    }
    drop(engine);
    let file = dir.path().join("snapshot");
    let database = Database::open(&data).unwrap();
    let exported = database.export(&file, None, 3, &mut |_| {}).unwrap();
    let block = database.disk().block(exported.block.number).unwrap().unwrap();
    let mut reader = Reader::open(&file).unwrap();
    let mut pieces = Vec::new();
    while pieces.last().is_none_or(|(kind, _)| *kind != END) {
        pieces.push(reader.next().unwrap());
    }
    (pieces, block.withdrawals_storage_root.unwrap())
}

/// Imports a snapshot of these pieces.
fn import(dir: &TempDir, pieces: &[Piece]) -> Result<std::path::PathBuf, DiskError> {
    let (file, data) = (dir.path().join("changed"), dir.path().join("imported"));
    let mut out = File::create(&file).unwrap();
    out.write_all(MAGIC).unwrap();
    let out = zstd::stream::Encoder::new(out, 1).unwrap();
    let mut writer = Pieces { out, path: file.clone() };
    for (kind, payload) in pieces {
        writer.put(*kind, payload).unwrap();
    }
    writer.out.finish().unwrap();
    import_snapshot(&file, &data, None, &mut |_| {}).map(|_| data)
}

/// The last block's piece, changed.
fn with_block(pieces: &[Piece], change: impl FnOnce(&mut StoredBlock)) -> Vec<Piece> {
    let mut pieces = pieces.to_vec();
    let (_, payload) = pieces.iter_mut().rfind(|(kind, _)| *kind == BLOCK).unwrap();
    let mut rest = &payload[..];
    let hash = B256::decode(&mut rest).unwrap();
    let (body, results) = (Bytes::decode(&mut rest).unwrap(), Bytes::decode(&mut rest).unwrap());
    let mut block = codec::block(&body, &results, &hash).unwrap();
    change(&mut block);
    let Parts { body, results, .. } = Parts::of(&block);
    payload.clear();
    hash.encode(payload);
    body[..].encode(payload);
    results[..].encode(payload);
    pieces
}

#[test]
fn nothing_is_believed_that_the_headers_do_not_say() {
    let dir = tempfile::tempdir().unwrap();
    let (pieces, root) = snapshot_pieces(&dir);
    let lied = with_block(&pieces, |block| {
        block.withdrawals_storage_root = Some(B256::repeat_byte(9));
    });
    let data = import(&dir, &lied).unwrap();
    let database = Database::open(&data).unwrap();
    let number = database.stats().unwrap().head.unwrap().number;
    let block = database.disk().block(number).unwrap().unwrap();
    assert_eq!(block.withdrawals_storage_root, Some(root));
    drop(database);
    fs::remove_dir_all(&data).unwrap();

    type Change = fn(&mut StoredBlock);
    let changes: [Change; 5] = [
        |block| {
            let body = &mut Arc::make_mut(&mut block.block.block).body;
            body.withdrawals = Some(vec![Withdrawal::default()].into());
        },
        |block| Arc::make_mut(&mut block.block.block).body.withdrawals = None,
        |block| Arc::make_mut(&mut block.block.block).body.ommers.push(Default::default()),
        |block| block.senders[1] = Address::ZERO,
        |block| block.receipts[0].cumulative_gas_used += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = import(&dir, &with_block(&pieces, change)).unwrap_err();
        assert!(error.to_string().contains("contradicts itself"), "{index}: {error}");
    }
}

#[test]
fn numbers_that_no_chain_has_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (pieces, _) = snapshot_pieces(&dir);
    let head: Head = alloy_rlp::decode_exact(&pieces[0].1).unwrap();
    for (number, blocks) in [(u64::MAX, 3), (u64::MAX, u64::MAX), (1 << 40, 3), (0, 0), (3, 4)] {
        let mut pieces = pieces.clone();
        pieces[0].1 = alloy_rlp::encode(Head { number, blocks, ..head.clone() });
        let error = import(&dir, &pieces).unwrap_err();
        assert!(matches!(error, DiskError::Snapshot { .. }), "{error}");
    }
    // A part that says that it is a gigabyte, and is not.
    let mut pieces = pieces.clone();
    let part = &mut pieces[1].1;
    let mut rest = &part[..];
    let hash = B256::decode(&mut rest).unwrap();
    let (body, results) = (Bytes::decode(&mut rest).unwrap(), Bytes::decode(&mut rest).unwrap());
    let mut body = body.to_vec();
    body[4..8].copy_from_slice(&(1u32 << 30).to_le_bytes());
    let sum = crc32fast::hash(&body[4..]);
    body[..4].copy_from_slice(&sum.to_le_bytes());
    part.clear();
    hash.encode(part);
    body[..].encode(part);
    results[..].encode(part);
    let error = import(&dir, &pieces).unwrap_err();
    assert!(error.to_string().contains("length that it says"), "{error}");
}

#[test]
fn what_is_left_of_an_import_goes_and_one_at_work_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (pieces, _) = snapshot_pieces(&dir);
    let partial = dir.path().join(".imported.import");
    let identity = Identity { chain_id: 1, genesis: B256::ZERO };
    let other = Directory::open(&partial, identity).unwrap();
    let error = import(&dir, &pieces).unwrap_err();
    assert!(matches!(error, DiskError::InUse { .. }), "{error}");
    assert!(partial.join("IDENTITY").exists());
    // It ended without a word.
    drop(other);
    let data = import(&dir, &pieces).unwrap();
    assert!(!partial.exists());
    Database::open(&data).unwrap().check(&mut |_| {}).unwrap();
}

#[test]
fn a_snapshot_ends_where_its_file_does() {
    let dir = tempfile::tempdir().unwrap();
    let (pieces, _) = snapshot_pieces(&dir);
    fs::remove_dir_all(import(&dir, &pieces).unwrap()).unwrap();
    let (file, data) = (dir.path().join("changed"), dir.path().join("imported"));
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let imported = import_snapshot(&file, &data, None, &mut |_| {});
        assert!(matches!(imported, Err(DiskError::Snapshot { .. })), "{imported:?}");
        assert!(!data.exists());
    };
    // Noise, a frame that holds nothing, one that is to be skipped, and all of it once more.
    let empty = zstd::bulk::compress(&[], 1).unwrap();
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    for more in [&[0][..], &[7; 40], &empty, &skipped, &whole[MAGIC.len()..]] {
        refused(&[&whole[..], more].concat());
    }
    for cut in 1..16 {
        refused(&whole[..whole.len() - cut]);
    }
}
