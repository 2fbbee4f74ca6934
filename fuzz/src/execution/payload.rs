//! What consensus clients send: payloads, attributes, labels.

use std::sync::OnceLock;

use alloy_primitives::B256;
use jsonrpsee::RpcModule;
use opal_evm::BlockInput;
use opal_execution::engine_api::{self, CAPABILITIES, ExecutionPayload, Expected, PayloadError};
use opal_execution::{LocalEngine, PayloadAttributes, payload_id};
use serde_json::{Value, json};

use super::chain;
use super::input::Input;
use super::json::{ask, lengthen};

struct World {
    engine: LocalEngine,
    module: RpcModule<()>,
    head: B256,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let engine = chain::engine();
        chain::extend(&engine, 3);
        let head = engine.head().hash;
        World { module: engine_api::module(engine.clone()), engine, head }
    })
}

/// A payload that is read is written the same; with the right hash it is a block, which makes the
/// same payload. The engine answers whatever it is given. The input: a method, whether and which
/// list is made long, and JSON.
pub(super) fn run(data: &[u8]) {
    let mut input = Input(data);
    let (method, long) = (input.byte(), input.bytes(6));
    let Ok(mut value) = serde_json::from_slice::<Value>(input.0) else { return };
    let mut long = Input(long);
    if long.byte() % 4 == 1 {
        lengthen(&mut value, &mut long);
    }
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    for value in list.iter().take(4) {
        if let Ok(payload) = serde_json::from_value::<ExecutionPayload>(value.clone()) {
            as_block(payload);
        }
        if let Ok(attributes) = serde_json::from_value::<PayloadAttributes>(value.clone()) {
            as_input(&attributes);
        }
    }
    let world = world();
    let method = CAPABILITIES[usize::from(method) % CAPABILITIES.len()];
    let answer = ask(&world.module, method, &value.to_string()).unwrap_or_default();
    // A job that was begun would go on until it is asked for.
    if let Some(id) = answer.get("payloadId").filter(|id| id.is_string()) {
        for version in 2..=5 {
            let method = format!("engine_getPayloadV{version}");
            let answer = ask(&world.module, &method, &json!([id]).to_string());
            if let Some(payload) = answer.as_ref().and_then(|built| built.get("executionPayload")) {
                as_block(serde_json::from_value(payload.clone()).unwrap());
            }
        }
    }
    if world.engine.head().hash != world.head {
        chain::set_head(&world.engine, world.head);
    }
}

fn as_block(mut payload: ExecutionPayload) {
    let json = serde_json::to_value(&payload).unwrap();
    assert_eq!(serde_json::from_value::<ExecutionPayload>(json).unwrap(), payload);
    for withdrawals_root_given in [false, true] {
        let expected = Expected {
            withdrawals_root_given,
            parent_beacon_block_root: payload.excess_blob_gas.map(|_| B256::repeat_byte(1)),
            requests_hash: withdrawals_root_given.then_some(B256::repeat_byte(2)),
        };
        if let Err(PayloadError::BlockHash { want, got }) = payload.clone().into_block(&expected) {
            assert_eq!(want, payload.block_hash);
            assert_ne!(want, got);
            payload.block_hash = got;
        }
        let Ok(block) = payload.clone().into_block(&expected) else { continue };
        assert_eq!(block.hash, payload.block_hash);
        assert_eq!(block.header().hash_slow(), payload.block_hash);
        assert_eq!(ExecutionPayload::from_block(&block, withdrawals_root_given), payload);
    }
}

fn as_input(attributes: &PayloadAttributes) {
    let json = serde_json::to_value(attributes).unwrap();
    assert_eq!(&serde_json::from_value::<PayloadAttributes>(json).unwrap(), attributes);
    let engine = &world().engine;
    let parent = engine.chain().block_by_hash(&world().head).unwrap();
    payload_id(parent.hash, attributes);
    let _ = BlockInput::from_attributes(engine.chain().spec(), parent.header(), attributes);
}

/// Whether and which list is made long.
pub(super) fn with_mode(mode: [u8; 7], value: &Value) -> Vec<u8> {
    [&mode[..], value.to_string().as_bytes()].concat()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let world = world();
    let head = world.engine.chain().block_by_hash(&world.head).unwrap();
    let payload = |isthmus| json!(ExecutionPayload::from_block(&head, isthmus));
    let attributes = chain::attributes(&head);
    let labels = json!({
        "headBlockHash": world.head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO,
    });
    // A block that is not known yet.
    let built = {
        let state = opal_execution::ForkchoiceState { head: world.head, ..Default::default() };
        let updated = world.engine.fork_choice_updated(state, Some(attributes.clone())).unwrap();
        world.engine.get_payload(updated.payload_id.unwrap()).unwrap().block
    };
    let mut seeds = Vec::new();
    let place =
        |method: &str| CAPABILITIES.iter().position(|name| *name == method).unwrap_or(0) as u8;
    for (name, params) in [
        ("engine_newPayloadV1", json!([payload(false)])),
        ("engine_newPayloadV2", json!([payload(false)])),
        ("engine_newPayloadV3", json!([payload(false), [], B256::ZERO])),
        ("engine_newPayloadV4", json!([payload(true), [], B256::ZERO, []])),
        (
            "engine_newPayloadV4",
            json!([ExecutionPayload::from_block(&built, true), [], B256::ZERO, []]),
        ),
        (
            "engine_newPayloadV4",
            json!([payload(true), [B256::ZERO], B256::ZERO, ["0x0001", "0x01ff"]]),
        ),
        ("engine_forkchoiceUpdatedV1", json!([labels])),
        ("engine_forkchoiceUpdatedV2", json!([labels, attributes])),
        ("engine_forkchoiceUpdatedV3", json!([labels, attributes])),
        ("engine_getPayloadV4", json!(["0x0300000000000000"])),
        ("engine_getPayloadBodiesByHashV1", json!([[world.head, B256::ZERO]])),
        ("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x400"])),
        ("engine_getBlobsV1", json!([[B256::ZERO]])),
        ("engine_getBlobsV3", json!([[B256::ZERO]])),
        (
            "engine_signalSuperchainV1",
            json!([{ "recommended": B256::ZERO, "required": B256::repeat_byte(9) }]),
        ),
    ] {
        seeds.push(with_mode([place(name), 0, 0, 0, 0, 0, 0], &params));
        for list in 0..3 {
            seeds.push(with_mode([place(name), 1, list, 12, 0, 0, 0], &params));
        }
    }
    seeds
}
