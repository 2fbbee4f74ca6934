//! The L1 as a whole, under a manual clock. Only the last test runs on real time, and waits for
//! nothing but answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob, BlobTransactionSidecar, Bytes48};
use alloy_eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use opal_governance::intent::L1Fork;
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};
use opal_protocol::TxEnvelope;
use opal_service::http::http_client;
use serde_json::{Value, json};

use super::*;

const GENESIS_TIME: u64 = 1_800_000_000;
const BLOCK_TIME: u64 = 2;
const SOMEBODY: Address = Address::repeat_byte(0x11);

fn accounts() -> DevAccounts {
    DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap()
}

fn config(fork: L1Fork, timestamp: u64) -> L1Config {
    let mut intent = Intent::devnet(&accounts());
    intent.embedded_l1.fork = fork;
    L1Config {
        genesis: devnet_genesis(&intent, timestamp).unwrap().l1_genesis,
        block_time: BLOCK_TIME,
        safe_lag: 2,
        finality_lag: 8,
        rpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        beacon_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: None,
    }
}

/// An L1 with a clock that the test moves.
struct Manual {
    l1: L1,
    slot: u64,
}

impl Manual {
    fn new(fork: L1Fork) -> Self {
        Self { l1: L1::new(&config(fork, GENESIS_TIME)).unwrap(), slot: 0 }
    }

    /// An L1 in a directory, where it goes on in the slot of its head.
    fn open(fork: L1Fork, dir: &std::path::Path) -> Result<Self, L1Error> {
        let data_dir = Some(dir.to_owned());
        let l1 = L1::new(&L1Config { data_dir, ..config(fork, GENESIS_TIME) })?;
        let slot = l1.api.store.read().unwrap().head_slot();
        Ok(Self { l1, slot })
    }

    fn close(self) {
        let chain = self.l1.chain.clone();
        drop(self);
        chain.wait_for_flush();
    }

    /// Goes to the next slot and lets the block of it be built.
    fn next(&mut self) -> SealedBlock {
        self.slot += 1;
        let now = Duration::from_secs(GENESIS_TIME + self.slot * BLOCK_TIME);
        match self.l1.producer.tick(now).unwrap() {
            Tick::Built(block) => block,
            Tick::Wait(time) => panic!("no block was due in slot {}; {time:?} left", self.slot),
        }
    }

    fn labels(&self) -> (u64, u64, u64) {
        let chain = &self.l1.chain;
        let number = |block: SealedBlock| block.header().number;
        (number(chain.head()), number(chain.safe()), number(chain.finalized()))
    }

    fn send(&self, raw: &[u8]) -> B256 {
        self.l1.chain.pool().add_raw(raw).unwrap()
    }

    fn block_of(&self, hash: &B256) -> Option<u64> {
        self.l1.chain.transaction(hash).map(|(block, _)| block.number())
    }

    /// Every block's beacon root is its parent's, and the store holds the canonical chain.
    fn check_beacon_chain(&self) {
        let store = self.l1.api.store.read().unwrap();
        let head = self.l1.chain.head().header().number;
        for number in 1..=head {
            let block = self.l1.chain.block_by_number(number).unwrap();
            let beacon = store.by_execution_hash(block.hash).unwrap();
            assert_eq!(block.header().parent_beacon_block_root, Some(beacon.header.parent_root));
            let slot = (block.header().timestamp - GENESIS_TIME) / BLOCK_TIME;
            assert_eq!(store.by_slot(slot).unwrap().root, beacon.root);
            assert_eq!(
                store.by_root(beacon.header.parent_root).unwrap().execution.hash,
                block.header().parent_hash
            );
        }
        let head_hash = self.l1.chain.head().hash;
        assert_eq!(store.by_root(store.head_root()).unwrap().execution.hash, head_hash);
    }

    /// Serves the beacon API on a free port.
    async fn serve(&self) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = self.l1.api.clone().router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        url("http", addr)
    }
}

fn transfer(signer: &PrivateKeySigner, nonce: u64) -> Vec<u8> {
    let tx = TxEip1559 {
        chain_id: 900,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(SOMEBODY),
        value: U256::from(1),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718()
}

/// A blob with a tag in its first field element; the rest is zero.
fn blob(tag: u8) -> Blob {
    let mut blob = Blob::ZERO;
    blob[1..32].fill(tag);
    blob
}

fn kzg() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

fn commitment(blob: &[u8]) -> Bytes48 {
    let blob = c_kzg::Blob::from_bytes(blob).unwrap();
    Bytes48::new(kzg().blob_to_kzg_commitment(&blob).unwrap().to_bytes().into_inner())
}

/// Hash of a blob as transactions name it, computed from the blob's bytes.
fn versioned_hash(blob: &[u8]) -> B256 {
    alloy_eips::eip4844::kzg_to_versioned_hash(commitment(blob).as_slice())
}

fn sidecar(fork: L1Fork, blobs: &[Blob]) -> BlobTransactionSidecarVariant {
    let commitments: Vec<_> = blobs.iter().map(|blob| commitment(blob.as_slice())).collect();
    let ckzg = |blob: &Blob| c_kzg::Blob::from_bytes(blob.as_slice()).unwrap();
    match fork {
        L1Fork::Prague => {
            let proof = |(blob, commitment): (&Blob, &Bytes48)| {
                let commitment = c_kzg::Bytes48::new(commitment.0);
                let proof = kzg().compute_blob_kzg_proof(&ckzg(blob), &commitment).unwrap();
                Bytes48::new(proof.to_bytes().into_inner())
            };
            let proofs = blobs.iter().zip(&commitments).map(proof).collect();
            BlobTransactionSidecar::new(blobs.to_vec(), commitments, proofs).into()
        }
        L1Fork::Osaka => {
            let cell_proofs = |blob: &Blob| {
                let (_, proofs) = kzg().compute_cells_and_kzg_proofs(&ckzg(blob)).unwrap();
                proofs.map(|proof| Bytes48::new(proof.to_bytes().into_inner()))
            };
            let cell_proofs = blobs.iter().flat_map(cell_proofs).collect();
            BlobTransactionSidecarEip7594::new(blobs.to_vec(), commitments, cell_proofs).into()
        }
    }
}

fn blob_transaction(fork: L1Fork, signer: &PrivateKeySigner, nonce: u64, tags: &[u8]) -> Vec<u8> {
    let blobs: Vec<_> = tags.iter().map(|tag| blob(*tag)).collect();
    let sidecar = sidecar(fork, &blobs);
    let tx = TxEip4844 {
        chain_id: 900,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: SOMEBODY,
        value: U256::from(1),
        access_list: Default::default(),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        max_fee_per_blob_gas: 1_000_000_000,
        input: Bytes::new(),
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = TxEip4844WithSidecar::from_tx_and_sidecar(tx, sidecar).into_signed(signature);
    EthereumTxEnvelope::<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>::Eip4844(tx)
        .encoded_2718()
}

async fn get(base: &Url, path: &str) -> (u16, Value) {
    let response = http_client(base).unwrap().get(base.join(path).unwrap()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get_ok(base: &Url, path: &str) -> Value {
    let (status, body) = get(base, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().parse::<Bytes>().unwrap().to_vec()
}

#[test]
fn blocks_follow_the_clock() {
    let mut manual = Manual::new(L1Fork::Prague);
    let genesis = manual.l1.chain.genesis().clone();
    let now = |seconds: u64, ms: u64| {
        Duration::from_secs(GENESIS_TIME + seconds) + Duration::from_millis(ms)
    };
    let mut tick = |now| manual.l1.producer.tick(now).unwrap();
    assert_eq!(tick(now(1, 250)), Tick::Wait(Duration::from_millis(750)));
    let Tick::Built(first) = tick(now(2, 0)) else { panic!("slot 1 has begun") };
    assert_eq!((first.header().number, first.header().timestamp), (1, GENESIS_TIME + 2));
    assert_eq!(first.header().parent_hash, genesis.hash);
    assert_eq!(tick(now(2, 1)), Tick::Wait(Duration::from_millis(1999)));
    // Late by most of a slot: the block still carries its slot's time.
    let Tick::Built(second) = tick(now(5, 900)) else { panic!("slot 2 has begun") };
    assert_eq!((second.header().number, second.header().timestamp), (2, GENESIS_TIME + 4));
    assert_eq!(tick(now(5, 900)), Tick::Wait(Duration::from_millis(100)));
    // A pause of many slots: one block, in the current slot.
    let Tick::Built(third) = tick(now(61, 0)) else { panic!("slot 30 has begun") };
    assert_eq!((third.header().number, third.header().timestamp), (3, GENESIS_TIME + 60));
    assert_eq!(tick(now(61, 0)), Tick::Wait(Duration::from_secs(1)));
    assert_ne!(first.header().mix_hash, second.header().mix_hash);
    manual.check_beacon_chain();
}

#[test]
fn two_chains_from_one_genesis_are_equal() {
    let chain = || {
        let mut manual = Manual::new(L1Fork::Prague);
        manual.send(&transfer(&accounts().users()[0], 0));
        (0..3).map(|_| manual.next().hash).collect::<Vec<_>>()
    };
    assert_eq!(chain(), chain());
}

#[test]
fn a_block_on_demand_takes_the_next_slot_and_the_clock_waits_for_it() {
    let mut manual = Manual::new(L1Fork::Prague);
    let now = Duration::from_secs(GENESIS_TIME);
    for number in 1..=3 {
        let block = manual.l1.producer.mine(now).unwrap();
        assert_eq!(block.header().timestamp, GENESIS_TIME + number * BLOCK_TIME);
    }
    let waits = manual.l1.producer.tick(now + Duration::from_secs(2)).unwrap();
    assert_eq!(waits, Tick::Wait(Duration::from_secs(6)));
    let block = manual.l1.producer.mine(now + Duration::from_secs(40)).unwrap();
    assert_eq!(block.header().timestamp, GENESIS_TIME + 40);
}

#[test]
fn labels_follow_the_head_by_their_lag() {
    let mut manual = Manual::new(L1Fork::Prague);
    let mut seen = Vec::new();
    for _ in 0..11 {
        manual.next();
        seen.push(manual.labels());
    }
    assert_eq!(seen[..3], [(1, 0, 0), (2, 0, 0), (3, 1, 0)]);
    assert_eq!(seen[8..], [(9, 7, 1), (10, 8, 2), (11, 9, 3)]);
    let store = manual.l1.api.store.read().unwrap();
    assert_eq!((store.head_slot(), store.safe_slot(), store.finalized_slot()), (11, 9, 3));
}

#[test]
fn reorgs_of_depth_1_to_8_keep_every_transaction() {
    let accounts = accounts();
    let [user, batcher, ..] = accounts.users() else { panic!("ten users") };
    let mut manual = Manual::new(L1Fork::Prague);
    let mut hashes = Vec::new();
    let mut nonce = 0;
    for _ in 0..9 {
        manual.next();
    }
    for depth in 1..=8u64 {
        // Transactions in the blocks that will be dropped and before them, one of them with a blob.
        let blob_hash =
            manual.send(&blob_transaction(L1Fork::Prague, batcher, depth - 1, &[depth as u8]));
        hashes.push(blob_hash);
        for _ in 0..8 {
            hashes.push(manual.send(&transfer(user, nonce)));
            nonce += 1;
            manual.next();
        }
        let (head, safe, finalized) = manual.labels();
        let old: Vec<_> = (0..=head).map(|n| manual.l1.chain.block_by_number(n).unwrap()).collect();
        let dropped = old[(head - depth + 1) as usize].clone();
        assert!(!dropped.block.body.transactions.is_empty());

        let reorg = manual.l1.producer.reorg(depth).unwrap();
        assert_eq!(reorg.old_head, old[head as usize].id());
        assert_eq!(reorg.common_ancestor, old[(head - depth) as usize].id());
        assert_eq!(reorg.new_head, manual.l1.chain.head().id());
        assert_eq!(manual.labels(), (head, safe, finalized), "same heights, depth {depth}");
        for number in 0..=head {
            let new = manual.l1.chain.block_by_number(number).unwrap();
            let old = &old[number as usize];
            assert_eq!(new.hash == old.hash, number <= head - depth, "block {number}");
            assert_eq!(new.header().timestamp, old.header().timestamp, "slots stay");
        }
        manual.check_beacon_chain();

        manual.next();
        for hash in &hashes {
            assert!(manual.block_of(hash).is_some(), "{hash} was lost at depth {depth}");
        }
        // The transactions of the first dropped block have moved on.
        let moved = dropped.block.body.transactions[0].tx_hash();
        assert!(manual.block_of(&moved).unwrap() > dropped.header().number);
        // The blob went with its transaction.
        let block = manual.block_of(&blob_hash).unwrap();
        let block = manual.l1.chain.block_by_number(block).unwrap();
        let store = manual.l1.api.store.read().unwrap();
        let blobs = store.by_execution_hash(block.hash).unwrap().blobs.clone().unwrap();
        assert_eq!(blobs.len(), 1);
        assert_eq!(blobs[0].blob(), blob(depth as u8).as_slice());
    }
    let state = manual.l1.chain.state_at(&manual.l1.chain.head().hash).unwrap();
    let received = state.account(&SOMEBODY).unwrap().unwrap().balance;
    assert_eq!(received, U256::from(hashes.len()), "each transaction counts once");
}

#[test]
fn an_l1_with_a_directory_goes_on_with_its_blobs() {
    for fork in [L1Fork::Prague, L1Fork::Osaka] {
        let dir = tempfile::tempdir().unwrap();
        let signer = accounts().users()[0].clone();
        let blob_files = || std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
        let mut manual = Manual::open(fork, dir.path()).unwrap();
        manual.next();
        let first = manual.send(&blob_transaction(fork, &signer, 0, &[1, 2]));
        manual.next();
        let second = manual.send(&blob_transaction(fork, &signer, 1, &[3]));
        manual.next();
        assert_eq!(blob_files(), 2);
        // The second one's block is replaced by an empty one and another after it.
        manual.l1.producer.reorg(1).unwrap();
        assert_eq!((manual.block_of(&second), blob_files()), (None, 1));
        // Slots that nobody was there for stay empty.
        manual.slot += 40;
        manual.next();
        for _ in 0..70 {
            manual.next();
        }
        let reorg = manual.l1.producer.reorg(2).unwrap();
        let (labels, head) = (manual.labels(), manual.l1.chain.head().id());
        let beacon = |manual: &Manual| {
            let store = manual.l1.api.store.read().unwrap();
            let blocks = (0..=store.head_slot()).filter_map(|slot| store.by_slot(slot));
            let blocks: Vec<_> = blocks.map(|block| format!("{block:?}")).collect();
            (blocks, store.head_root(), store.safe_slot(), store.finalized_slot())
        };
        let before = beacon(&manual);
        manual.close();
        // What an interrupted process leaves.
        std::fs::write(dir.path().join("blobs/77-00"), "x").unwrap();

        let mut manual = Manual::open(fork, dir.path()).unwrap();
        assert_eq!((manual.labels(), manual.l1.chain.head().id()), (labels, head));
        assert_eq!(beacon(&manual), before);
        assert_eq!(blob_files(), 2);
        manual.check_beacon_chain();
        let again = manual.l1.producer.reorg(2).unwrap();
        assert_eq!(again.common_ancestor, reorg.common_ancestor);
        assert_ne!(again.new_head, reorg.new_head, "a reorg after a restart is another one");
        manual.next();
        manual.check_beacon_chain();
        assert!(manual.block_of(&second).is_some());
        let block = manual.l1.chain.block_by_number(manual.block_of(&first).unwrap()).unwrap();
        let lost = format!("blobs/{}-{:x}", block.header().number, block.hash);
        let lost = dir.path().join(lost);
        manual.close();

        // A file that is gone or damaged is named.
        let whole = std::fs::read(&lost).unwrap();
        std::fs::write(&lost, &whole[..100]).unwrap();
        let error = Manual::open(fork, dir.path()).err().unwrap().to_string();
        assert!(error.contains("damaged") && error.contains("blobs"), "{error}");
        std::fs::remove_file(&lost).unwrap();
        let error = Manual::open(fork, dir.path()).err().unwrap().to_string();
        assert!(error.contains("cannot open") && error.contains("blobs"), "{error}");
        std::fs::write(&lost, &whole).unwrap();
        Manual::open(fork, dir.path()).unwrap();
    }
}

#[test]
fn a_safe_block_may_be_replaced_but_a_finalized_one_never() {
    let mut manual = Manual::new(L1Fork::Prague);
    assert!(matches!(
        manual.l1.producer.reorg(1),
        Err(ProducerError::BeyondFinalized { depth: 1, head: 0, finalized: 0 })
    ));
    for _ in 0..12 {
        manual.next();
    }
    assert_eq!(manual.labels(), (12, 10, 4));
    let before = manual.l1.chain.head().hash;
    let finalized = manual.l1.chain.finalized().hash;
    let error = manual.l1.producer.reorg(9).unwrap_err();
    assert!(matches!(error, ProducerError::BeyondFinalized { depth: 9, head: 12, finalized: 4 }));
    assert!(error.to_string().contains("block 4 is final, so at most 8"), "{error}");
    assert!(matches!(manual.l1.producer.reorg(0), Err(ProducerError::Depth(0))));
    assert!(matches!(manual.l1.producer.reorg(65), Err(ProducerError::Depth(65))));
    assert_eq!(manual.l1.chain.head().hash, before, "a refused reorg changes nothing");

    let old_safe = manual.l1.chain.safe().hash;
    manual.l1.producer.reorg(8).unwrap();
    assert_eq!(manual.labels(), (12, 10, 4));
    assert_ne!(manual.l1.chain.safe().hash, old_safe);
    assert_eq!(manual.l1.chain.finalized().hash, finalized);
}

#[tokio::test]
async fn a_blob_is_served_in_both_forms() {
    let mut manual = Manual::new(L1Fork::Prague);
    let signer = accounts().users()[0].clone();
    manual.next();
    manual.send(&blob_transaction(L1Fork::Prague, &signer, 0, &[1, 2]));
    manual.send(&blob_transaction(L1Fork::Prague, &signer, 1, &[3]));
    let block = manual.next();
    let hashes: Vec<B256> = block
        .block
        .body
        .transactions
        .iter()
        .flat_map(|tx| alloy_consensus::Transaction::blob_versioned_hashes(tx).unwrap().to_vec())
        .collect();
    assert_eq!(hashes.len(), 3);
    let base = manual.serve().await;

    // The current form: all, then chosen ones in the order of the block.
    let body = get_ok(&base, "/eth/v1/beacon/blobs/2").await;
    assert_eq!(body["finalized"], false);
    let blobs: Vec<_> = body["data"].as_array().unwrap().iter().map(bytes).collect();
    assert!(blobs.iter().all(|blob| blob.len() == BYTES_PER_BLOB));
    assert_eq!(blobs.iter().map(|blob| versioned_hash(blob)).collect::<Vec<_>>(), hashes);
    let repeated = format!(
        "/eth/v1/beacon/blobs/2?versioned_hashes={}&versioned_hashes={}",
        hashes[2], hashes[0]
    );
    let listed =
        format!("/eth/v1/beacon/blobs/head?versioned_hashes={}%2C{}", hashes[2], hashes[0]);
    for path in [repeated, listed] {
        let body = get_ok(&base, &path).await;
        let chosen: Vec<_> = body["data"].as_array().unwrap().iter().map(bytes).collect();
        assert_eq!(chosen, [blobs[0].clone(), blobs[2].clone()]);
    }
    let none = format!("/eth/v1/beacon/blobs/2?versioned_hashes={}", B256::repeat_byte(1));
    assert_eq!(get_ok(&base, &none).await["data"], json!([]));
    assert_eq!(get_ok(&base, "/eth/v1/beacon/blobs/1").await["data"], json!([]));

    // The older form, with proofs that hold.
    let body = get_ok(&base, "/eth/v1/beacon/blob_sidecars/2").await;
    assert_eq!(body["version"], "electra");
    let sidecars = body["data"].as_array().unwrap();
    let headers = get_ok(&base, "/eth/v1/beacon/headers/2").await;
    for (i, sidecar) in sidecars.iter().enumerate() {
        assert_eq!(sidecar["index"], i.to_string());
        assert_eq!(bytes(&sidecar["blob"]), blobs[i]);
        check_proof(sidecar);
        assert_eq!(sidecar["signed_block_header"], headers["data"]["header"]);
        let branch = sidecar["kzg_commitment_inclusion_proof"].as_array().unwrap();
        assert_eq!(branch.len(), 17);
    }
    let body = get_ok(&base, "/eth/v1/beacon/blob_sidecars/2?indices=0,2&indices=77").await;
    assert_eq!(body["data"], json!([sidecars[0], sidecars[2]]));
    let root = headers["data"]["root"].as_str().unwrap();
    let by_root = get_ok(&base, &format!("/eth/v1/beacon/blob_sidecars/{root}?indices=1")).await;
    assert_eq!(by_root["data"], json!([sidecars[1]]));

    // After a reorg the slot holds the other block.
    manual.l1.producer.reorg(1).unwrap();
    assert_eq!(get_ok(&base, "/eth/v1/beacon/blobs/2").await["data"], json!([]));
    assert_eq!(get(&base, &format!("/eth/v1/beacon/blobs/{root}")).await.0, 404);
    manual.next();
    let body = get_ok(&base, "/eth/v1/beacon/blobs/3").await;
    assert_eq!(body["data"].as_array().unwrap().len(), 3);
}

fn check_proof(sidecar: &Value) {
    let blob = c_kzg::Blob::from_bytes(&bytes(&sidecar["blob"])).unwrap();
    let commitment = c_kzg::Bytes48::from_bytes(&bytes(&sidecar["kzg_commitment"])).unwrap();
    let proof = c_kzg::Bytes48::from_bytes(&bytes(&sidecar["kzg_proof"])).unwrap();
    assert!(kzg().verify_blob_kzg_proof(&blob, &commitment, &proof).unwrap());
}

/// From Osaka on transactions carry cell proofs only; the proof of the whole blob is computed.
#[tokio::test]
async fn blobs_with_cell_proofs_are_served_with_blob_proofs() {
    let mut manual = Manual::new(L1Fork::Osaka);
    manual.send(&blob_transaction(L1Fork::Osaka, &accounts().users()[0], 0, &[9]));
    manual.next();
    let base = manual.serve().await;
    let body = get_ok(&base, "/eth/v1/beacon/blob_sidecars/1").await;
    assert_eq!(body["version"], "fulu");
    check_proof(&body["data"][0]);
    let body = get_ok(&base, "/eth/v1/beacon/blobs/1").await;
    assert_eq!(bytes(&body["data"][0]), blob(9).as_slice());
}

#[tokio::test]
async fn the_beacon_api_describes_the_chain_and_refuses_in_its_form() {
    let mut manual = Manual::new(L1Fork::Prague);
    for _ in 0..10 {
        manual.next();
    }
    let base = manual.serve().await;
    let genesis = get_ok(&base, "/eth/v1/beacon/genesis").await;
    assert_eq!(genesis["data"]["genesis_time"], GENESIS_TIME.to_string());
    assert_eq!(genesis["data"]["genesis_fork_version"], "0x00000384");
    let spec = get_ok(&base, "/eth/v1/config/spec").await;
    assert_eq!(spec["data"]["SECONDS_PER_SLOT"], "2");
    assert_eq!(spec["data"]["SLOT_DURATION_MS"], "2000");
    assert_eq!(spec["data"]["DEPOSIT_CHAIN_ID"], "900");
    assert!(spec["data"].as_object().unwrap().values().all(Value::is_string));
    let version = get_ok(&base, "/eth/v1/node/version").await;
    assert!(version["data"]["version"].as_str().unwrap().starts_with("Opal/v"));
    assert_eq!(get_ok(&base, "/eth/v1/node/syncing").await["data"]["head_slot"], "10");

    for (id, slot) in [("head", "10"), ("justified", "8"), ("finalized", "2"), ("genesis", "0")] {
        let body = get_ok(&base, &format!("/eth/v1/beacon/headers/{id}")).await;
        assert_eq!(body["data"]["header"]["message"]["slot"], slot);
        assert_eq!(body["finalized"], matches!(id, "finalized" | "genesis"));
    }
    for (path, status) in [
        ("/eth/v1/beacon/headers/11", 404),
        ("/eth/v1/beacon/blobs/11", 404),
        ("/eth/v1/beacon/blob_sidecars/18446744073709551615", 404),
        ("/eth/v1/beacon/blobs/later", 400),
        ("/eth/v1/beacon/blobs/0x1234", 400),
        ("/eth/v1/beacon/blobs/-1", 400),
        ("/eth/v1/beacon/blobs/1?versioned_hashes=0x12", 400),
        ("/eth/v1/beacon/blob_sidecars/1?indices=x", 400),
        ("/eth/v1/beacon/states/head/root", 404),
    ] {
        let (got, body) = get(&base, path).await;
        assert_eq!((got, &body["code"]), (status, &json!(status)), "{path}");
        assert!(!body["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let good = config(L1Fork::Prague, GENESIS_TIME);
    let error = |change: fn(&mut L1Config)| {
        let mut config = good.clone();
        change(&mut config);
        L1::new(&config).err().expect("refused")
    };
    assert!(matches!(error(|c| c.block_time = 0), L1Error::BlockTime));
    let labels = error(|c| c.safe_lag = 9);
    assert!(matches!(labels, L1Error::Labels { safe_lag: 9, finality_lag: 8 }), "{labels}");
    let early = error(|c| c.genesis.config.prague_time = None);
    assert!(matches!(early, L1Error::Fork), "{early}");
}

async fn rpc(l1: &EmbeddedL1, method: &str, params: Value) -> Value {
    let url = l1.rpc_url();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let response = http_client(&url).unwrap().post(url).json(&request).send().await.unwrap();
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_l1_answers_and_stops() {
    // The first block is due now, the next one too far away to come between.
    let mut config = config(L1Fork::Prague, unix_time().as_secs() - 3600);
    config.block_time = 3600;
    let shutdown = Shutdown::new();
    let l1 = EmbeddedL1::start(config.clone(), &shutdown).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while l1.chain().head().header().number == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no first block");
        tokio::task::yield_now().await;
    }
    assert_eq!(rpc(&l1, "eth_chainId", json!([])).await["result"], "0x384");
    assert_eq!(rpc(&l1, "evm_mine", json!([])).await["result"], "0x0");
    assert_eq!(rpc(&l1, "eth_blockNumber", json!([])).await["result"], "0x2");
    let reorg = rpc(&l1, "dev_reorg", json!(["0x2"])).await;
    assert_eq!(reorg["result"]["commonAncestor"]["number"], 0, "{reorg}");
    assert_eq!(reorg["result"]["newHead"]["number"], 2);
    assert_ne!(reorg["result"]["newHead"]["hash"], reorg["result"]["oldHead"]["hash"]);
    let refused = rpc(&l1, "dev_reorg", json!([3])).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("depth 3"), "{refused}");
    assert_eq!(rpc(&l1, "dev_reorg", json!(["many"])).await["error"]["code"], -32602);
    let genesis = get_ok(&l1.beacon_url(), "/eth/v1/beacon/genesis").await;
    assert_eq!(genesis["data"]["genesis_time"], config.genesis.timestamp.to_string());

    // Its ports are taken now.
    config.rpc_addr = l1.rpc.local_addr();
    let taken = EmbeddedL1::start(config.clone(), &shutdown).await.unwrap_err().to_string();
    assert!(taken.contains("--l1-port") && taken.contains(&config.rpc_addr.to_string()), "{taken}");
    config.rpc_addr.set_port(0);
    config.beacon_addr = l1.beacon_addr;
    let taken = EmbeddedL1::start(config, &shutdown).await.unwrap_err().to_string();
    assert!(taken.contains("--l1-beacon-port"), "{taken}");

    shutdown.trigger("the test ends");
    shutdown.stopped(Duration::from_secs(5)).await;
    assert_eq!(shutdown.running(), Vec::<String>::new());
}
