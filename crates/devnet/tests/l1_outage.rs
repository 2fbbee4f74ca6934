//! A sequencer whose L1 goes away and comes back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opal_da::L1Client;
use opal_devnet::l1::{EmbeddedL1, L1Config};
use opal_execution::Chain;
use opal_execution::rpc::RpcConfig;
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};
use opal_node::{FullNode, FullNodeConfig, NodeConfig, SequencerConfig, full};
use opal_service::metrics::Metrics;
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcServerConfig, Shutdown};
use support::{Line, Proxy, free_port, until};

/// An L1, and a sequencer that reaches it through a proxy.
struct Net {
    l1: EmbeddedL1,
    proxy: Proxy,
    sequencer: FullNode,
    shutdown: Shutdown,
}

async fn start() -> Net {
    let shutdown = Shutdown::new();
    let mut intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
    intent.l2_block_time = 1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let genesis = devnet_genesis(&intent, now - 1).unwrap();
    let l1 = L1Config {
        genesis: genesis.l1_genesis,
        block_time: 2,
        safe_lag: 2,
        finality_lag: 8,
        rpc_addr: free_port(),
        beacon_addr: free_port(),
        data_dir: None,
    };
    let l1 = EmbeddedL1::start(l1, &shutdown).await.unwrap();
    let proxy = Proxy::start(&l1.rpc_url()).await;
    let client = L1Client::connect(&proxy.url, Some(&l1.beacon_url())).await.unwrap();
    let endpoint = || RpcEndpoint::bind(RpcServerConfig::new(free_port(), "test")).unwrap();
    let config = FullNodeConfig {
        node: NodeConfig {
            name: "sequencer",
            rollup: Arc::new(genesis.rollup_config),
            sequencer: Some(SequencerConfig::default()),
            l1_conf_depth: 0,
            l1_poll_interval: Duration::from_millis(50),
            rpc_admin: false,
            safe_db: None,
            record: None,
            allow_no_beacon: false,
        },
        chain: Chain::from_genesis(&genesis.l2_genesis).unwrap(),
        rpc: endpoint(),
        methods: RpcConfig::default(),
        #[cfg(unix)]
        ipc: None,
        rollup_rpc: endpoint(),
    };
    let sequencer =
        full::start(config, Arc::new(client), &Metrics::new(), &shutdown).await.unwrap();
    Net { l1, proxy, sequencer, shutdown }
}

impl Net {
    fn head(&self) -> u64 {
        self.sequencer.chain.head().header().number
    }

    fn origin(&self) -> u64 {
        self.sequencer.node.status().borrow().unsafe_l2.l1_origin.number
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_go_on_while_the_l1_is_away() {
    let net = start().await;
    for line in [Line::Dead, Line::Hangs] {
        let origin = net.origin();
        until("the sequencer follows the L1", || (net.origin() > origin).then_some(())).await;
        net.proxy.set(line);
        // The head may have been learnt just before; from then on nothing is.
        let (origin, head) = (net.origin(), net.head());
        until("blocks without L1", || (net.head() >= head + 4).then_some(())).await;
        assert!(net.origin() <= origin + 1, "{line:?}: no L1 block came through");
        // What the L1 forgets meanwhile is found out afterwards.
        let old_head = net.l1.reorg(2).unwrap().old_head.number;
        net.proxy.set(Line::Good);
        until("the sequencer is on the new L1 chain", || {
            let origin = net.sequencer.node.status().borrow().unsafe_l2.l1_origin;
            let canonical = net.l1.chain().canonical_hash(origin.number);
            (origin.number > old_head && canonical == Some(origin.hash)).then_some(())
        })
        .await;
        assert!(!net.shutdown.is_stopping(), "{line:?}");
    }

    net.proxy.set(Line::Hangs);
    let head = net.head();
    until("one more block", || (net.head() > head).then_some(())).await;
    let started = Instant::now();
    net.shutdown.trigger("the test ends");
    net.shutdown.stopped(Duration::from_secs(20)).await;
    assert_eq!(net.shutdown.running(), Vec::<String>::new());
    assert!(started.elapsed() < Duration::from_secs(5), "an L1 that hangs holds nothing up");
}
