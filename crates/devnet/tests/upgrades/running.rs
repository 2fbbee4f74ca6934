//! A running stack whose forks activate while it runs.

use std::path::Path;
use std::time::Duration;

use opal_da::DataAvailabilityType;
use opal_devnet::up::{self, L1Choice, Ports, UpConfig, UpError};
use opal_governance::{DevAccounts, TEST_MNEMONIC};
use opal_protocol::Hardfork;
use opal_service::Shutdown;

use crate::support::{block_of, free_port, transfer, until};

/// Activation in seconds after genesis.
const OFFSETS: [(Hardfork, u64); 7] = [
    (Hardfork::Ecotone, 4),
    (Hardfork::Fjord, 6),
    (Hardfork::Granite, 7),
    (Hardfork::Holocene, 9),
    (Hardfork::Isthmus, 12),
    (Hardfork::Jovian, 15),
    (Hardfork::Karst, 18),
];

fn config(upgrades: &Path) -> UpConfig {
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
        fork: Hardfork::Delta,
        fork_offsets: OFFSETS.into(),
        upgrades: upgrades.to_owned(),
        da: DataAvailabilityType::Calldata,
        accounts: DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap(),
        verifier: true,
        proposer: false,
        data_dir: None,
        out: None,
    }
}

pub fn both_nodes_agree_across_activations(upgrades: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        let missing = up::start(config(Path::new("no such directory")), &shutdown).await;
        let Err(UpError::Upgrades(error)) = missing else { panic!("{missing:?}") };
        let text = error.to_string();
        assert!(text.contains("karst") && text.contains("opal upgrades import"), "{text}");

        let net = up::start(config(upgrades), &shutdown).await.unwrap();
        let verifier = &net.verifier.as_ref().unwrap().chain;
        let sequencer = &net.sequencer.chain;
        let user = &net.accounts.users()[0];
        let last = net.rollup.schedule.time(Hardfork::Karst).unwrap();
        // Users send all the time, across every activation.
        let mut sent = Vec::new();
        until("the verifier derives blocks beyond the last activation", || {
            let tx = transfer(901, user, sent.len() as u64);
            if sent.last().is_none_or(|last| block_of(sequencer, last).is_some()) {
                sent.push(sequencer.pool().add_raw(&tx).unwrap());
            }
            (verifier.safe().header().timestamp > last + 3).then_some(())
        })
        .await;
        let safe = verifier.safe().header().number;
        let mut activated = Vec::new();
        for number in 1..=safe {
            assert_eq!(
                sequencer.canonical_hash(number),
                verifier.canonical_hash(number),
                "{number}"
            );
            let block = verifier.block_by_number(number).unwrap();
            let time = block.header().timestamp;
            let Some(fork) = net.rollup.schedule.upgrade_at(time - 1, time) else { continue };
            let transactions = &block.block.body.transactions;
            assert!(transactions.iter().all(|tx| tx.is_deposit_tx()), "{fork}");
            let bundle = net.rollup.upgrade_bundle(fork).unwrap();
            assert!(transactions.len() > bundle.deposits().len(), "{fork}");
            activated.push(fork);
        }
        let forks = [Hardfork::Ecotone, Hardfork::Fjord, Hardfork::Isthmus, Hardfork::Jovian];
        assert_eq!(activated, [&forks[..], &[Hardfork::Karst]].concat());
        let included = sent.iter().filter_map(|tx| block_of(verifier, tx)).count();
        assert!(included > 10, "users go on: {included} transfers");
        shutdown.trigger("the test ends");
        shutdown.stopped(Duration::from_secs(5)).await;
    });
}
