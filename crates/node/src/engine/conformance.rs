//! What the node expects of any engine, told once and run over both: the chain in this process, and
//! the same chain behind its Engine API. Then what only an engine behind HTTP can do.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B64, B256, Bytes, TxKind, U256};
use jsonrpsee::RpcModule;
use jsonrpsee::types::ErrorObjectOwned;
use opal_execution::{Chain, ForkchoiceState, LocalEngine, PayloadId, PayloadStatus};
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, devnet_genesis};
use opal_protocol::{
    DepositTransaction, Hardfork, L2BlockRef, PayloadAttributes, RollupConfig, SealedBlock,
    predeploys,
};
use opal_service::jwt::JwtSecret;
use opal_service::rpc_server::RpcEndpoint;
use opal_service::{RpcHandle, RpcServerConfig};
use serde_json::{Value, json};

use super::{BlockAt, BuildError, Engine, EngineError, HttpEngine, HttpEngineError, build};
use crate::forkchoice::Heads;

const TIME: u64 = 1_700_000_000;

fn config(fork: Hardfork) -> (Arc<RollupConfig>, LocalEngine) {
    let mut intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
    intent.fork = fork;
    let devnet = devnet_genesis(&intent, TIME).unwrap();
    let engine = LocalEngine::new(Chain::from_genesis(&devnet.l2_genesis).unwrap());
    (Arc::new(devnet.rollup_config), engine)
}

fn serve(module: RpcModule<()>, secret: &JwtSecret) -> RpcHandle {
    let mut config = RpcServerConfig::new(([127, 0, 0, 1], 0).into(), "--authrpc.port");
    config.jwt = Some(secret.clone());
    RpcEndpoint::bind(config).unwrap().serve(module).unwrap()
}

async fn connect(
    server: &RpcHandle,
    secret: &JwtSecret,
    config: &Arc<RollupConfig>,
) -> Result<HttpEngine, HttpEngineError> {
    let url = server.http_url().parse().unwrap();
    HttpEngine::connect(url, secret.clone(), config.clone()).await
}

fn attributes(config: &RollupConfig, parent: &SealedBlock) -> PayloadAttributes {
    let timestamp = parent.header().timestamp + config.block_time;
    let active = |fork| config.schedule.is_active(fork, timestamp);
    let deposit = DepositTransaction {
        source_hash: B256::from(U256::from(timestamp)),
        from: predeploys::L1_INFO_DEPOSITOR,
        to: TxKind::Call(predeploys::L2_TO_L1_MESSAGE_PASSER),
        mint: 7,
        value: U256::from(7),
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: Default::default(),
    };
    let deposit: opal_protocol::TxEnvelope = deposit.into();
    PayloadAttributes {
        timestamp,
        suggested_fee_recipient: predeploys::SEQUENCER_FEE_VAULT,
        withdrawals: active(Hardfork::Canyon).then(Vec::new),
        parent_beacon_block_root: active(Hardfork::Ecotone).then_some(B256::repeat_byte(5)),
        transactions: Some(vec![deposit.encoded_2718().into()]),
        no_tx_pool: true,
        gas_limit: Some(30_000_000),
        eip1559_params: active(Hardfork::Holocene).then_some(B64::ZERO),
        min_base_fee: active(Hardfork::Jovian).then_some(0),
        ..Default::default()
    }
}

fn labels(head: B256, safe: B256, finalized: B256) -> ForkchoiceState {
    ForkchoiceState { head, safe, finalized }
}

/// Builds a block, imports it and makes it the head.
fn extend(engine: &dyn Engine, config: &RollupConfig, parent: &SealedBlock) -> SealedBlock {
    let (zero, wish) = (B256::ZERO, attributes(config, parent));
    let time = wish.timestamp;
    let updated = engine.fork_choice_updated(labels(parent.hash, zero, zero), Some(wish)).unwrap();
    assert_eq!(updated.status, PayloadStatus::Valid { latest_valid_hash: parent.hash });
    let block = engine.get_payload(updated.payload_id.unwrap(), time).unwrap();
    assert_eq!(block.header().parent_hash, parent.hash);
    let status = engine.new_payload(&block).unwrap();
    assert_eq!(status, PayloadStatus::Valid { latest_valid_hash: block.hash });
    let updated = engine.fork_choice_updated(labels(block.hash, zero, zero), None).unwrap();
    assert_eq!(updated.payload_id, None);
    assert!(updated.status.is_valid());
    block
}

/// The expectations.
fn conform(engine: &dyn Engine, twin: &LocalEngine, config: &RollupConfig) {
    let genesis = engine.block(BlockAt::Latest).unwrap().unwrap();
    assert_eq!(genesis.id(), config.genesis.l2);
    for at in [BlockAt::Safe, BlockAt::Finalized, BlockAt::Number(0), BlockAt::Hash(genesis.hash)] {
        assert_eq!(engine.block(at).unwrap().as_ref(), Some(&genesis), "{at:?}");
    }
    for at in [BlockAt::Number(1), BlockAt::Hash(B256::repeat_byte(1))] {
        assert_eq!(engine.block(at).unwrap(), None, "{at:?}");
    }

    // Blocks are built, and are the same to another engine.
    let one = extend(engine, config, &genesis);
    let two = extend(engine, config, &one);
    let outputs = [&genesis, &one, &two].map(|block| engine.output_at(block).unwrap());
    for (block, output) in [&one, &two].into_iter().zip(&outputs[1..]) {
        assert!(twin.new_payload(block).unwrap().is_valid());
        assert_eq!(twin.output_at(&block.hash).unwrap(), *output);
    }
    assert_eq!(engine.block(BlockAt::Latest).unwrap().as_ref(), Some(&two));
    assert_eq!(engine.block(BlockAt::Number(1)).unwrap().as_ref(), Some(&one));

    // Labels move, also back; contradictions are refused.
    let zero = B256::ZERO;
    let update = |state| engine.fork_choice_updated(state, None);
    assert!(update(labels(two.hash, one.hash, genesis.hash)).unwrap().status.is_valid());
    assert_eq!(engine.block(BlockAt::Safe).unwrap().as_ref(), Some(&one));
    assert_eq!(engine.block(BlockAt::Finalized).unwrap().as_ref(), Some(&genesis));
    for state in [
        labels(one.hash, two.hash, zero),
        labels(two.hash, B256::repeat_byte(3), zero),
        labels(two.hash, genesis.hash, one.hash),
    ] {
        let error = update(state).unwrap_err();
        assert!(matches!(error, EngineError::Lost(_) | EngineError::Broken(_)), "{error}");
    }
    assert!(update(labels(one.hash, zero, zero)).unwrap().status.is_valid());
    assert_eq!(engine.block(BlockAt::Latest).unwrap().as_ref(), Some(&one));
    assert_eq!(engine.block(BlockAt::Hash(two.hash)).unwrap().as_ref(), Some(&two));

    // What is not known, and what is wrong.
    let unknown = update(labels(B256::repeat_byte(9), zero, zero)).unwrap();
    assert_eq!((unknown.status, unknown.payload_id), (PayloadStatus::Syncing, None));
    let change = |block: &SealedBlock, change: &dyn Fn(&mut opal_protocol::Block)| {
        let mut block = (*block.block).clone();
        change(&mut block);
        SealedBlock::new(block)
    };
    let orphan = change(&two, &|block| block.header.parent_hash = B256::repeat_byte(9));
    assert_eq!(engine.new_payload(&orphan).unwrap(), PayloadStatus::Syncing);
    let broken = change(&two, &|block| block.header.gas_used += 1);
    let child = change(&two, &|block| {
        block.header.parent_hash = broken.hash;
        block.header.number += 1;
    });
    for block in [&broken, &child] {
        let status = engine.new_payload(block).unwrap();
        let PayloadStatus::Invalid { latest_valid_hash, error } = status else {
            panic!("{status:?}")
        };
        assert_eq!(latest_valid_hash, Some(one.hash));
        assert!(error.contains("gas"), "{error}");
    }
    let status = update(labels(broken.hash, zero, zero)).unwrap().status;
    assert!(matches!(status, PayloadStatus::Invalid { .. }), "{status:?}");
    let lying = SealedBlock { hash: B256::repeat_byte(1), ..two.clone() };
    let status = engine.new_payload(&lying).unwrap();
    assert!(matches!(status, PayloadStatus::Invalid { latest_valid_hash: None, .. }), "{status:?}");

    // Attributes that can't be built.
    let good = attributes(config, &one);
    let refused = |change: &dyn Fn(&mut PayloadAttributes)| {
        let mut attributes = good.clone();
        change(&mut attributes);
        let state = labels(one.hash, zero, zero);
        let error = engine.fork_choice_updated(state, Some(attributes)).unwrap_err();
        assert!(matches!(error, EngineError::InvalidAttributes(_)), "{error}");
    };
    refused(&|attributes| attributes.gas_limit = None);
    refused(&|attributes| attributes.timestamp = one.header().timestamp);
    refused(&|attributes| attributes.transactions = Some(vec![[0x7e, 0].into()]));
    if config.schedule.is_active(Hardfork::Canyon, good.timestamp) {
        refused(&|attributes| attributes.withdrawals = None);
    }
    // The first byte of an id is the version of its attributes.
    let mut id = PayloadId::ZERO;
    id[0] = match config.schedule.at(good.timestamp) {
        fork if fork >= Hardfork::Ecotone => 3,
        fork if fork >= Hardfork::Canyon => 2,
        _ => 1,
    };
    let error = engine.get_payload(id, good.timestamp).unwrap_err();
    assert!(matches!(error, EngineError::Lost(_)), "{error}");
}

const FORKS: [Hardfork; 7] = [
    Hardfork::Regolith,
    Hardfork::Canyon,
    Hardfork::Ecotone,
    Hardfork::Holocene,
    Hardfork::Isthmus,
    Hardfork::Jovian,
    Hardfork::Karst,
];

#[test]
fn the_engine_in_this_process_conforms() {
    for fork in FORKS {
        let (config, engine) = config(fork);
        conform(&engine, &self::config(fork).1, &config);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_http_conforms() {
    let secret = JwtSecret::from([3; 32]);
    for fork in FORKS {
        let (config, local) = config(fork);
        let mut module = opal_execution::engine_api::module(local.clone());
        module.merge(opal_execution::rpc::module(local.chain().clone())).unwrap();
        let server = serve(module, &secret);
        let engine = connect(&server, &secret, &config).await.unwrap();
        conform(&engine, &self::config(fork).1, &config);
        server.stop().await;
        let error = engine.block(BlockAt::Latest).unwrap_err();
        assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
    }
}

/// A client that answers each method with what a table says: a result, or an error's code.
fn scripted(answers: &'static [(&'static str, Result<&'static str, i32>)]) -> RpcModule<()> {
    let mut module = RpcModule::new(());
    for (method, answer) in answers {
        module
            .register_method(method, move |_, _, _| match answer {
                Ok(json) => Ok(serde_json::from_str::<Value>(json).unwrap()),
                Err(code) => Err(ErrorObjectOwned::owned(*code, "Unknown block", None::<()>)),
            })
            .unwrap();
    }
    module
}

async fn scripted_engine(
    answers: &'static [(&'static str, Result<&'static str, i32>)],
) -> (RpcHandle, HttpEngine) {
    let secret = JwtSecret::from([3; 32]);
    let mut module = scripted(answers);
    let (config, local) = config(Hardfork::Karst);
    let id = format!("{:#x}", config.l2_chain_id);
    module.register_method("eth_chainId", move |_, _, _| id.clone()).unwrap();
    // One that is real, for those who want version 5.
    let real = local.clone();
    let genesis = real.head();
    let wish = attributes(&config, &genesis);
    let job = real.fork_choice_updated(labels(genesis.hash, B256::ZERO, B256::ZERO), Some(wish));
    let job = job.unwrap().payload_id.unwrap();
    let payload = real.get_payload(job).unwrap().block;
    let root = payload.header().parent_beacon_block_root;
    let payload = opal_execution::engine_api::ExecutionPayload::from_block(&payload, true);
    let envelope = json!({
        "executionPayload": payload, "blockValue": "0x0", "executionRequests": [],
        "parentBeaconBlockRoot": root, "fieldOfTheFuture": {},
    });
    module.register_method("engine_getPayloadV5", move |_, _, _| envelope.clone()).unwrap();
    let server = serve(module, &secret);
    let engine = connect(&server, &secret, &config).await.unwrap();
    (server, engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_differ_and_are_understood() {
    let (_server, engine) = scripted_engine(&[
        (
            "engine_forkchoiceUpdatedV3",
            Ok(r#"{"payloadStatus":{"status":"SYNCING","latestValidHash":null,"more":1},"more":2}"#),
        ),
        ("engine_newPayloadV4", Ok(r#"{"status":"ACCEPTED","latestValidHash":null}"#)),
        ("engine_getPayloadV4", Err(-38005)),
        ("eth_getBlockByNumber", Err(-39001)),
        ("eth_getBlockByHash", Ok("null")),
    ])
    .await;
    let hash = B256::repeat_byte(1);
    let updated = engine.fork_choice_updated(labels(hash, hash, hash), None).unwrap();
    assert_eq!(updated.status, PayloadStatus::Syncing);
    // Both times, with the version that it wants.
    for _ in 0..2 {
        let block = engine.get_payload(PayloadId::ZERO, TIME + 2).unwrap();
        assert_eq!(engine.new_payload(&block).unwrap(), PayloadStatus::Syncing);
    }
    assert_eq!(engine.block(BlockAt::Safe).unwrap(), None);
    assert_eq!(engine.block(BlockAt::Hash(hash)).unwrap(), None);
    let error = engine.block(BlockAt::Latest).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_a_forced_transaction_tells_of_bad_attributes() {
    let (_server, engine) = scripted_engine(&[
        (
            "engine_forkchoiceUpdatedV3",
            Ok(r#"{"payloadStatus":{"status":"VALID"},"payloadId":"0x0300000000000000"}"#),
        ),
        ("engine_getPayloadV4", Err(-38005)),
        ("engine_newPayloadV4", Ok(r#"{"status":"VALID"}"#)),
    ])
    .await;
    let (config, local) = config(Hardfork::Karst);
    let genesis = local.head();
    let head = L2BlockRef { hash: genesis.hash, ..Default::default() };
    let heads = Heads { unsafe_head: head, safe: head, finalized: head };
    let wish = attributes(&config, &genesis);
    let build = |transactions: Vec<Bytes>, no_tx_pool| {
        let transactions = Some(transactions);
        let wish = PayloadAttributes { transactions, no_tx_pool, ..wish.clone() };
        build(&engine, &heads, genesis.hash, wish)
    };
    let deposits = wish.transactions.clone().unwrap();
    assert!(build(deposits.clone(), true).is_ok());
    let more = [deposits.clone(), vec![[2, 0xc0].into()]].concat();
    for wrong in [more, vec![[2, 0xc0].into()]] {
        let error = build(wrong, true).unwrap_err();
        let invalid = matches!(error, BuildError::Engine(EngineError::InvalidAttributes(_)));
        assert!(invalid, "{error}");
    }
    let error = build(Vec::new(), true).unwrap_err();
    assert!(matches!(error, BuildError::NotImported(_)), "{error}");
    assert!(build(Vec::new(), false).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let (_server, engine) = scripted_engine(&[
        ("engine_forkchoiceUpdatedV3", Err(-38003)),
        ("engine_newPayloadV4", Err(-32000)),
        ("eth_getBlockByHash", Ok(r#"{"hash":"0x12"}"#)),
        ("eth_getBlockByNumber", Err(-32602)),
    ])
    .await;
    let hash = B256::repeat_byte(1);
    let error = engine.fork_choice_updated(labels(hash, hash, hash), None).unwrap_err();
    assert!(matches!(error, EngineError::InvalidAttributes(_)), "{error}");
    let block = engine.get_payload(PayloadId::ZERO, TIME + 2).unwrap();
    let error = engine.new_payload(&block).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
    for at in [BlockAt::Hash(hash), BlockAt::Number(1)] {
        let error = engine.block(at).unwrap_err();
        assert!(matches!(error, EngineError::Broken(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_secrets_and_chains_are_refused_at_once() {
    let secret = JwtSecret::from([3; 32]);
    let (config, local) = config(Hardfork::Karst);
    let server = serve(opal_execution::rpc::module(local.chain().clone()), &secret);
    let error = connect(&server, &JwtSecret::from([4; 32]), &config).await.unwrap_err();
    assert!(matches!(error, HttpEngineError::Unauthorized { .. }), "{error}");
    assert!(error.to_string().contains("signature is invalid"), "{error}");
    let other = Arc::new(RollupConfig { l2_chain_id: 5, ..(*config).clone() });
    let error = connect(&server, &secret, &other).await.unwrap_err();
    assert!(matches!(error, HttpEngineError::WrongChain { .. }), "{error}");
    let nothing = serve(RpcModule::new(()), &secret);
    let error = connect(&nothing, &secret, &config).await.unwrap_err();
    assert!(matches!(error, HttpEngineError::NoEngine { .. }), "{error}");
}
