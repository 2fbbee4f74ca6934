//! A whole rollup in this process, on real time: reorgs of the L1, finality, the admin methods.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use opal_da::DataAvailabilityType;
use opal_devnet::up::{self, Devnet, L1Choice, Ports, UpConfig};
use opal_execution::Chain;
use opal_governance::{DevAccounts, TEST_MNEMONIC};
use opal_protocol::Hardfork;
use opal_service::Shutdown;
use serde_json::json;
use support::{block_of, free_port, rpc, transfer, until};

fn config(da: DataAvailabilityType) -> UpConfig {
    UpConfig {
        host: free_port().ip(),
        ports: Ports {
            l1: 0,
            l1_beacon: 0,
            l2: 0,
            rollup: 0,
            verifier: 0,
            verifier_rollup: 0,
            metrics: None,
        },
        l1: L1Choice::Embedded { block_time: 1, safe_lag: 2, finality_lag: 8 },
        l2_block_time: 1,
        fork: Hardfork::LATEST_LIVE,
        fork_offsets: Default::default(),
        upgrades: Default::default(),
        da,
        accounts: DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap(),
        verifier: true,
        proposer: true,
        data_dir: None,
        out: None,
    }
}

/// Both nodes have the same blocks up to the verifier's safe head, whose number is returned.
fn same_chain(net: &Devnet) -> u64 {
    let (ours, theirs) = (&net.sequencer.chain, &net.verifier.as_ref().unwrap().chain);
    let safe = theirs.safe().header().number.min(ours.safe().header().number);
    for number in 0..=safe {
        assert_eq!(ours.canonical_hash(number), theirs.canonical_hash(number), "block {number}");
    }
    safe
}

async fn stop(shutdown: &Shutdown) {
    shutdown.trigger("the test ends");
    shutdown.stopped(Duration::from_secs(5)).await;
    assert_eq!(shutdown.running(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_reorgs_lead_both_nodes_to_the_new_chain() {
    let shutdown = Shutdown::new();
    let net = up::start(config(DataAvailabilityType::Blobs), &shutdown).await.unwrap();
    let verifier = &net.verifier.as_ref().unwrap().chain;
    let (l1, l2) = (net.l1.as_ref().unwrap(), &net.sequencer.chain);
    let user = &net.accounts.users()[0];
    let mut sent = Vec::new();
    for (nonce, depth) in [1, 2, 5, 8].into_iter().enumerate() {
        let tx = l2.pool().add_raw(&transfer(901, user, nonce as u64)).unwrap();
        sent.push(tx);
        until("the transfer is safe and the reorg is possible", || {
            let room = l1.chain().head().header().number - l1.chain().finalized().header().number;
            let number = block_of(l2, &tx)?;
            (number <= l2.safe().header().number && room >= depth).then_some(())
        })
        .await;
        let reorg = l1.reorg(depth).unwrap();
        let fork = reorg.common_ancestor.number;
        assert_ne!(l1.chain().canonical_hash(fork + 1), None);
        until("all transfers are safe on both nodes, beyond the reorg", || {
            let origin = net.sequencer.node.status().borrow().safe_l2.l1_origin;
            if origin.number <= reorg.old_head.number {
                return None;
            }
            assert_eq!(l1.chain().canonical_hash(origin.number), Some(origin.hash));
            sent.iter()
                .all(|tx| {
                    let (ours, theirs) = (block_of(l2, tx), block_of(verifier, tx));
                    ours.is_some_and(|number| number <= verifier.safe().header().number)
                        && ours == theirs
                })
                .then_some(())
        })
        .await;
        assert!(same_chain(&net) > 0);
    }
    until("finality advances", || {
        let finalized = verifier.finalized().header().number;
        (finalized > 0 && l2.finalized().header().number > 0).then_some(())
    })
    .await;
    let last = *sent.last().unwrap();
    until("the last transfer is final on the verifier", || {
        (block_of(verifier, &last)? <= verifier.finalized().header().number).then_some(())
    })
    .await;
    same_chain(&net);
    stop(&shutdown).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequencer_that_was_paused_catches_up() {
    let shutdown = Shutdown::new();
    let net = up::start(config(DataAvailabilityType::Calldata), &shutdown).await.unwrap();
    let url = &net.endpoints.rollup_rpc;
    assert_eq!(rpc(url, "admin_sequencerActive", json!([])).await, Ok(json!(true)));
    let running = rpc(url, "admin_startSequencer", json!([net.rollup.genesis.l2.hash])).await;
    assert_eq!(running, Err("sequencer already running".to_owned()));

    let head = rpc(url, "admin_stopSequencer", json!([])).await.unwrap();
    assert_eq!(json!(net.sequencer.chain.head().hash), head);
    assert_eq!(rpc(url, "admin_sequencerActive", json!([])).await, Ok(json!(false)));
    let again = rpc(url, "admin_stopSequencer", json!([])).await;
    assert_eq!(again, Err("sequencer not running".to_owned()));
    let l1 = net.l1.as_ref().unwrap().chain();
    let stopped_at = l1.head().header().number;
    until("the L1 goes on", || (l1.head().header().number > stopped_at + 4).then_some(())).await;
    assert_eq!(json!(net.sequencer.chain.head().hash), head, "no block while it is stopped");

    let other = rpc(url, "admin_startSequencer", json!([net.rollup.genesis.l1.hash])).await;
    assert!(other.unwrap_err().contains("does not match"));
    rpc(url, "admin_startSequencer", json!([head])).await.unwrap();
    let verifier = &net.verifier.as_ref().unwrap().chain;
    until("the slots that were missed are filled, and safe on the verifier", || {
        let now = l1.head().header().timestamp;
        (verifier.safe().header().timestamp + 4 >= now).then_some(())
    })
    .await;
    let blocks = same_chain(&net);
    for number in 1..=blocks {
        let time = |number| verifier.block_by_number(number).unwrap().header().timestamp;
        assert_eq!(time(number), time(number - 1) + 1, "no slot is left out");
    }
    rpc(url, "admin_resetDerivationPipeline", json!([])).await.unwrap();
    until("derivation goes on after a reset", || (same_chain(&net) > blocks).then_some(())).await;
    stop(&shutdown).await;
}

/// Starts, does something with the rollup, stops, and waits until its data can be opened again.
async fn with_rollup<T>(config: UpConfig, act: impl AsyncFnOnce(&Devnet) -> T) -> T {
    let shutdown = Shutdown::new();
    let net = up::start(config, &shutdown).await.unwrap();
    let done = act(&net).await;
    stop(&shutdown).await;
    let mut chains = vec![net.l1.as_ref().unwrap().chain().clone(), net.sequencer.chain.clone()];
    chains.extend(net.verifier.as_ref().map(|verifier| verifier.chain.clone()));
    drop(net);
    until("nobody holds the chains", || {
        chains.iter().all(|chain| Arc::strong_count(chain) == 1).then_some(())
    })
    .await;
    chains.iter().for_each(|chain| chain.wait_for_flush());
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollup_with_a_data_directory_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = |verifier| UpConfig {
        data_dir: Some(dir.path().to_owned()),
        verifier,
        ..config(DataAvailabilityType::Blobs)
    };
    let number = |chain: &Chain| chain.head().header().number;
    let (sent, l1, l2, rollup) = with_rollup(config(false), async |net| {
        let (l1, l2) = (net.l1.as_ref().unwrap(), &net.sequencer.chain);
        let user = &net.accounts.users()[0];
        let sent = l2.pool().add_raw(&transfer(901, user, 0)).unwrap();
        // A gap keeps this one waiting.
        l2.pool().add_raw(&transfer(901, user, 2)).unwrap();
        until("the transfer is safe, after an L1 reorg", || {
            let reorg = l1.chain().head().header().number == 3;
            if reorg && l1.chain().finalized().header().number == 0 {
                l1.reorg(2).unwrap();
            }
            let number = block_of(l2, &sent)?;
            (number <= l2.safe().header().number && l1.chain().head().header().number > 5)
                .then_some(())
        })
        .await;
        (sent, l1.chain().head().id(), l2.head().id(), net.rollup.clone())
    })
    .await;

    // The verifier is new: it derives what the first run has put into blobs.
    with_rollup(config(true), async |net| {
        let (l1_chain, l2_chain) = (net.l1.as_ref().unwrap().chain(), &net.sequencer.chain);
        assert_eq!(net.rollup, rollup);
        assert!(net.started_from.number >= l2.number);
        assert_eq!(l1_chain.canonical_hash(l1.number), Some(l1.hash));
        assert_eq!(l2_chain.canonical_hash(l2.number), Some(l2.hash));
        let user = &net.accounts.users()[0];
        let next = l2_chain.pool().add_raw(&transfer(901, user, 1)).unwrap();
        let verifier = &net.verifier.as_ref().unwrap().chain;
        until("old and new transfers are safe on the new verifier", || {
            let number = block_of(verifier, &next).zip(block_of(verifier, &sent))?.0;
            (number <= verifier.safe().header().number && number > l2.number).then_some(())
        })
        .await;
        until("the transaction that waited is in a block", || {
            (l2_chain.pool().status() == (0, 0)).then_some(())
        })
        .await;
        assert!(same_chain(net) > l2.number);
        let head = net.l1.as_ref().unwrap().reorg(1).unwrap();
        assert_ne!(head.old_head.hash, head.new_head.hash);
        for (name, url) in [
            ("sequencer", &net.endpoints.rollup_rpc),
            ("verifier", net.endpoints.verifier_rollup_rpc.as_ref().unwrap()),
        ] {
            let found = rpc(url, "optimism_safeHeadAtL1Block", json!(["0x3"])).await.unwrap();
            assert!(found["safeHead"]["number"].is_u64(), "{name}: {found}");
        }
        assert!(number(l1_chain) > l1.number);
    })
    .await;

    let other = UpConfig { l2_block_time: 2, ..config(false) };
    let shutdown = Shutdown::new();
    let error = up::start(other, &shutdown).await.unwrap_err().to_string();
    assert!(error.contains("--data-dir") && error.contains("--l2-block-time 1"), "{error}");
    stop(&shutdown).await;
}
