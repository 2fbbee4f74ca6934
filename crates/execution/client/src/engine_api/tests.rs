#![allow(clippy::unwrap_used, clippy::expect_used)]

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B64, Bytes, U256};
use serde_json::Value;

use super::*;
use crate::testing::*;
use crate::{Chain, SealedBlock};

/// An engine and its module.
struct Api {
    engine: LocalEngine,
    module: RpcModule<()>,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn new(engine: LocalEngine) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { module: module(engine.clone()), engine, runtime }
    }

    fn call(&self, method: &str, params: Value) -> Result<Value, (i64, String)> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = request.to_string();
        let answer = self.module.raw_json_request(&request, 1);
        let (answer, _) = self.runtime.block_on(answer).unwrap();
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => {
                let cause =
                    error["data"]["err"].as_str().unwrap_or(error["message"].as_str().unwrap());
                Err((error["code"].as_i64().unwrap(), cause.to_owned()))
            }
        }
    }

    /// Sets the head; with attributes, gives the id of the job.
    fn update(
        &self,
        version: u8,
        head: &SealedBlock,
        attributes: Value,
    ) -> Result<Value, (i64, String)> {
        let zero = B256::ZERO;
        let state =
            json!({"headBlockHash": head.hash, "safeBlockHash": zero, "finalizedBlockHash": zero});
        self.call(&format!("engine_forkchoiceUpdatedV{version}"), json!([state, attributes]))
    }
}

/// A chain by Ethereum's rules up to a fork (0 Paris, 1 Shanghai, 2 Cancun, 3 Prague, 4 Osaka).
fn l1(fork: usize) -> Api {
    let mut genesis = l1_genesis(true);
    let config = &mut genesis.config;
    let times = [
        &mut config.shanghai_time,
        &mut config.cancun_time,
        &mut config.prague_time,
        &mut config.osaka_time,
    ];
    times.into_iter().skip(fork).for_each(|time| *time = None);
    if fork < 2 {
        (genesis.excess_blob_gas, genesis.blob_gas_used) = (None, None);
    }
    Api::new(LocalEngine::new(Chain::from_genesis(&genesis).unwrap()))
}

fn attributes(head: &SealedBlock, fork: usize) -> Value {
    let mut attributes = l1_attributes(head);
    if fork < 1 {
        attributes.withdrawals = None;
    }
    if fork < 2 {
        attributes.parent_beacon_block_root = None;
    }
    serde_json::to_value(attributes).unwrap()
}

#[test]
fn the_methods_are_those_of_the_capabilities() {
    let api = l1(4);
    let mut names: Vec<&str> = api.module.method_names().collect();
    let mut capabilities = [&CAPABILITIES[..], &["engine_exchangeCapabilities"]].concat();
    names.sort_unstable();
    capabilities.sort_unstable();
    assert_eq!(names, capabilities);
    let answer = api.call("engine_exchangeCapabilities", json!([["engine_newPayloadV1"]])).unwrap();
    assert_eq!(answer, json!(CAPABILITIES));
    let version = api.call("engine_getClientVersionV1", json!([null])).unwrap();
    assert_eq!(version[0]["name"], "opal");
    let signal = json!([{"recommended": B256::ZERO, "required": B256::repeat_byte(1)}]);
    let ours = api.call("engine_signalSuperchainV1", signal).unwrap();
    assert_eq!(ours.as_str().unwrap().len(), 66);
}

#[test]
fn a_head_of_zeros_is_invalid_and_no_error() {
    let api = l1(4);
    let zero = B256::ZERO;
    let state = json!({"headBlockHash": zero, "safeBlockHash": zero, "finalizedBlockHash": zero});
    let answer = api.call("engine_forkchoiceUpdatedV3", json!([state, null])).unwrap();
    assert_eq!(answer["payloadStatus"]["status"], "INVALID");
    assert_eq!(answer["payloadStatus"]["latestValidHash"], Value::Null);
    assert_eq!(answer["payloadId"], Value::Null);
}

/// The versions that are for each fork build, import and set the head; all others are refused.
#[test]
fn each_fork_has_its_versions() {
    // Version of forkchoiceUpdated, of getPayload and of newPayload, by fork.
    let table: [(&[u8], &[u8], &[u8]); 5] = [
        (&[1, 2], &[1, 2], &[1, 2]),
        (&[2], &[2], &[2]),
        (&[3], &[3], &[3]),
        (&[3], &[4], &[4]),
        (&[3], &[5], &[4]),
    ];
    for (fork, (update, get, new)) in table.into_iter().enumerate() {
        let (api, other) = (l1(fork), l1(fork));
        let head = api.engine.head();
        let mut id = Value::Null;
        for version in 1..=3 {
            let answer = api.update(version, &head, attributes(&head, fork));
            match update.contains(&version) {
                true => id = answer.unwrap()["payloadId"].clone(),
                false => {
                    let code = answer.unwrap_err().0;
                    assert!([-38003, -38005, -32602].contains(&code), "{fork} {version} {code}");
                }
            }
        }
        assert!(id.is_string(), "{fork}");
        let mut envelope = Value::Null;
        for version in 1..=5 {
            let answer = api.call(&format!("engine_getPayloadV{version}"), json!([id]));
            // An id of version 1 says that the attributes have no withdrawals.
            match get.contains(&version) {
                true if version == 1 => assert!(answer.unwrap().get("blockHash").is_some()),
                true => envelope = answer.unwrap(),
                false => assert_eq!(answer.unwrap_err().0, -38005, "{fork} {version}"),
            }
        }
        let payload = &envelope["executionPayload"];
        assert_eq!(envelope.get("executionRequests").is_some(), fork >= 3, "{fork}");
        for version in 1..=4 {
            let mut params = vec![payload.clone()];
            if version >= 3 {
                params.extend([json!([]), json!(B256::ZERO)]);
            }
            if version >= 4 {
                params.push(json!([]));
            }
            let answer = other.call(&format!("engine_newPayloadV{version}"), params.into());
            match new.contains(&version) {
                true => assert_eq!(answer.unwrap()["status"], "VALID", "{fork} {version}"),
                false => {
                    let code = answer.unwrap_err().0;
                    assert!([-38005, -32602].contains(&code), "{fork} {version} {code}");
                }
            }
        }
    }
}

#[test]
fn a_block_of_an_op_chain_goes_from_one_engine_to_another() {
    let (builder, verifier) = (Api::new(l2_engine()), Api::new(l2_engine()));
    let genesis = builder.engine.head();
    builder.engine.chain().pool().add_raw(&raw(&transfer(0, 0, GWEI))).unwrap();
    let attributes = l2_attributes(&genesis, &[]);
    let id = builder.update(3, &genesis, serde_json::to_value(&attributes).unwrap()).unwrap();
    let id = &id["payloadId"];
    // Clients of chains with Karst call either.
    let envelope = builder.call("engine_getPayloadV4", json!([id])).unwrap();
    assert_eq!(envelope, builder.call("engine_getPayloadV5", json!([id])).unwrap());
    assert_eq!(envelope["parentBeaconBlockRoot"], json!(B256::ZERO));
    assert_eq!(envelope["executionRequests"], json!([]));
    assert!(envelope["executionPayload"]["withdrawalsRoot"].is_string());
    assert_eq!(envelope["executionPayload"]["transactions"].as_array().unwrap().len(), 2);

    let new = |payload: &Value| {
        verifier.call("engine_newPayloadV4", json!([payload, [], B256::ZERO, []]))
    };
    let payload = envelope["executionPayload"].clone();
    for field in ["withdrawalsRoot", "blobGasUsed"] {
        let mut wrong = payload.clone();
        wrong[field] = match field {
            "blobGasUsed" => json!("0x1"),
            _ => json!(B256::ZERO),
        };
        let status = new(&wrong).unwrap();
        assert_eq!(status["status"], "INVALID");
        assert_eq!(status["latestValidHash"], Value::Null);
        assert!(status["validationError"].as_str().unwrap().contains("blockhash mismatch"));
    }
    let mut bare = payload.clone();
    bare.as_object_mut().unwrap().remove("withdrawalsRoot");
    assert_eq!(new(&bare).unwrap()["status"], "INVALID");
    let requests = json!([payload, [], B256::ZERO, ["0x0001"]]);
    assert_eq!(verifier.call("engine_newPayloadV4", requests).unwrap()["status"], "INVALID");

    let status = new(&payload).unwrap();
    assert_eq!(
        (&status["status"], &status["latestValidHash"]),
        (&json!("VALID"), &payload["blockHash"])
    );
    let block = verifier.engine.block_by_hash(&parse(&payload["blockHash"])).unwrap();
    let updated = verifier.update(3, &block, Value::Null).unwrap();
    assert_eq!(updated["payloadStatus"]["status"], "VALID");
    assert_eq!(updated["payloadId"], Value::Null);
    assert_eq!(verifier.engine.head(), block);
    assert_eq!(
        ExecutionPayload::from_block(&block, true),
        serde_json::from_value(payload).unwrap()
    );
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn errors_have_their_codes_and_causes() {
    let api = Api::new(l2_engine());
    let head = api.engine.head();
    let good = l2_attributes(&head, &[]);
    let change = |change: fn(&mut PayloadAttributes)| {
        let mut attributes = good.clone();
        change(&mut attributes);
        api.update(3, &head, serde_json::to_value(attributes).unwrap()).unwrap_err()
    };
    assert_eq!(change(|a| a.withdrawals = None), (-38003, "missing withdrawals".into()));
    assert_eq!(
        change(|a| a.parent_beacon_block_root = None),
        (-38003, "missing beacon root".into())
    );
    for (code, cause) in [
        change(|a| a.gas_limit = None),
        change(|a| a.eip1559_params = None),
        change(|a| a.min_base_fee = None),
        change(|a| a.eip1559_params = Some(B64::left_padding_from(&[1, 0, 0, 0, 0]))),
        change(|a| a.timestamp = GENESIS_TIME),
        change(|a| a.transactions = Some(vec![Bytes::from_static(&[9])])),
        change(|a| a.transactions = Some(vec![transfer(0, 4, GWEI).encoded_2718().into()])),
    ] {
        assert_eq!(code, -38003, "{cause}");
    }
    assert_eq!(
        api.call("engine_getPayloadV4", json!(["0x0300000000000000"])).unwrap_err().0,
        -38001
    );
    assert_eq!(
        api.call("engine_getPayloadV2", json!(["0x0300000000000000"])).unwrap_err().0,
        -38005
    );
    assert_eq!(api.call("engine_getPayloadV4", json!(["0x03"])).unwrap_err().0, -32602);
    let missing = "missing value for required argument 0".to_owned();
    assert_eq!(api.call("engine_newPayloadV4", json!([])), Err((-32602, missing)));

    // The head is set although the attributes are refused.
    let one = extend(&api.engine, l2_attributes(&head, &[]));
    let mut bad = l2_attributes(&head, &[]);
    bad.gas_limit = None;
    api.update(3, &head, serde_json::to_value(bad).unwrap()).unwrap_err();
    assert_eq!(api.engine.head(), head);
    let labels = |head, safe, finalized| json!([{"headBlockHash": head, "safeBlockHash": safe, "finalizedBlockHash": finalized}]);
    let update = |params| api.call("engine_forkchoiceUpdatedV3", params);
    for params in [
        labels(head.hash, B256::repeat_byte(4), B256::ZERO),
        labels(head.hash, one.hash, B256::ZERO),
        labels(one.hash, head.hash, one.hash),
    ] {
        assert_eq!(update(params).unwrap_err().0, -38002);
    }
    let unknown = update(labels(B256::repeat_byte(4), B256::ZERO, B256::ZERO)).unwrap();
    let syncing = json!({"status": "SYNCING", "latestValidHash": null, "validationError": null});
    assert_eq!(unknown, json!({"payloadStatus": syncing, "payloadId": null}));
    let updated = update(labels(one.hash, head.hash, head.hash)).unwrap();
    assert_eq!(updated["payloadStatus"]["latestValidHash"], json!(one.hash));
}

#[test]
fn invalid_blocks_are_told_with_their_last_valid_ancestor() {
    let api = l1(0);
    let genesis = api.engine.head();
    let id = api.update(1, &genesis, attributes(&genesis, 0)).unwrap()["payloadId"].clone();
    let payload = api.call("engine_getPayloadV1", json!([id])).unwrap();
    let new = |payload: &Value| api.call("engine_newPayloadV1", json!([payload])).unwrap();
    let mut lying = payload.clone();
    lying["stateRoot"] = json!(B256::ZERO);
    // In the first version this had a status of its own.
    assert_eq!(new(&lying)["status"], "INVALID_BLOCK_HASH");
    let status = api.call("engine_newPayloadV2", json!([lying])).unwrap();
    assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("INVALID"), &Value::Null));

    // The same with a hash that fits: its execution shows it.
    let text = status["validationError"].as_str().unwrap();
    lying["blockHash"] = json!(text.rsplit(' ').next().unwrap());
    let status = new(&lying);
    assert_eq!(status["latestValidHash"], json!(genesis.hash));
    assert!(status["validationError"].as_str().unwrap().contains("state"), "{status}");

    let mut orphan = payload.clone();
    orphan["parentHash"] = json!(B256::repeat_byte(7));
    let status = api.call("engine_newPayloadV2", json!([orphan])).unwrap();
    let text = status["validationError"].as_str().unwrap();
    orphan["blockHash"] = json!(text.rsplit(' ').next().unwrap());
    assert_eq!(new(&orphan)["status"], "SYNCING");

    for (field, value) in [
        ("transactions", json!(["0x7e00"])),
        ("transactions", json!([""])),
        ("extraData", json!(Bytes::from([1; 33]))),
        ("baseFeePerGas", json!(U256::MAX)),
    ] {
        let mut wrong = payload.clone();
        wrong[field] = value;
        assert_eq!(new(&wrong)["status"], "INVALID", "{field}");
    }
}

#[test]
fn blob_hashes_and_requests_are_checked() {
    let api = l1(3);
    let genesis = api.engine.head();
    let id = api.update(3, &genesis, attributes(&genesis, 3)).unwrap()["payloadId"].clone();
    let payload = api.call("engine_getPayloadV4", json!([id])).unwrap()["executionPayload"].clone();
    let new = |hashes: Value, requests: Value| {
        api.call("engine_newPayloadV4", json!([payload, hashes, B256::ZERO, requests]))
    };
    assert_eq!(new(json!([B256::ZERO]), json!([])).unwrap()["status"], "INVALID");
    // A request that the block does not have makes another hash.
    assert_eq!(new(json!([]), json!(["0x00ff"])).unwrap()["status"], "INVALID");
    assert_eq!(new(json!([]), json!(["0x00"])).unwrap_err().0, -32602);
    assert_eq!(new(json!([]), json!(["0x01ff", "0x00ff"])).unwrap_err().0, -32602);
    assert_eq!(new(Value::Null, json!([])).unwrap_err().1, "nil versionedHashes post-cancun");
    assert_eq!(new(json!([]), Value::Null).unwrap_err().1, "nil executionRequests post-prague");
    assert_eq!(new(json!([]), json!([])).unwrap()["status"], "VALID");
}

#[test]
fn blobs_of_the_pool_are_given_by_hash() {
    for osaka in [false, true] {
        let api = Api::new(l1_engine(osaka));
        let genesis = api.engine.head();
        let sidecar = sidecar(osaka, 2);
        let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
        let pool = api.engine.chain().pool();
        pool.add_raw(&blob_tx(0, 0, sidecar.clone(), 100 * GWEI)).unwrap();
        let get = |version: u8, hashes: &[B256]| {
            api.call(&format!("engine_getBlobsV{version}"), json!([hashes]))
        };
        let unknown = B256::repeat_byte(9);
        let asked = [hashes[1], unknown, hashes[0]];
        for version in 1..=3 {
            assert_eq!(get(version, &[unknown; 129]).unwrap_err().0, -38004);
            assert_eq!(
                api.call(&format!("engine_getBlobsV{version}"), json!([])).unwrap_err().0,
                -32602
            );
        }
        let blob = |answer: &Value| answer["blob"].as_str().unwrap().parse::<Bytes>().unwrap();
        let check = |answer: &Value| {
            assert_eq!(answer[1], Value::Null);
            for (place, index) in [(0, 1), (2, 0)] {
                assert_eq!(blob(&answer[place])[..], sidecar.blobs()[index][..]);
            }
        };
        if osaka {
            assert_eq!(get(1, &asked).unwrap_err().0, -38005);
            assert_eq!(get(2, &asked).unwrap(), Value::Null);
            let all = get(2, &hashes).unwrap();
            assert_eq!(all[1]["proofs"].as_array().unwrap().len(), 128);
            let some = get(3, &asked).unwrap();
            check(&some);
            assert_eq!(some[0], all[1]);
            let alloy_eips::eip7594::BlobTransactionSidecarVariant::Eip7594(cells) = &sidecar
            else {
                unreachable!()
            };
            assert_eq!(some[0]["proofs"][127], json!(cells.cell_proofs[255]));
        } else {
            let some = get(1, &asked).unwrap();
            check(&some);
            assert_eq!(some[0]["proof"].as_str().unwrap().len(), 98);
            for version in [2, 3] {
                assert_eq!(get(version, &hashes).unwrap(), Value::Null);
            }
        }
        // A consensus client asks when it has seen the block, which may be known here already.
        extend(&api.engine, l1_attributes(&genesis));
        assert_eq!(pool.status(), (0, 0));
        check(&get(if osaka { 3 } else { 1 }, &asked).unwrap());
    }
}

#[test]
fn bodies_are_given_by_hash_and_by_range() {
    let api = Api::new(l2_engine());
    let genesis = api.engine.head();
    let one = extend(&api.engine, l2_attributes(&genesis, &[minting_deposit(1)]));
    let two = extend(&api.engine, l2_attributes(&one, &[]));
    let by_hash = |hashes: Vec<B256>| api.call("engine_getPayloadBodiesByHashV1", json!([hashes]));
    let bodies = by_hash(vec![two.hash, B256::ZERO, one.hash]).unwrap();
    assert_eq!(bodies[1], Value::Null);
    assert_eq!(bodies[2]["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(bodies[2]["withdrawals"], json!([]));
    assert_eq!(by_hash(vec![B256::ZERO; 1_025]).unwrap_err().0, -38004);
    let range = |start: &str, count: &str| {
        api.call("engine_getPayloadBodiesByRangeV1", json!([start, count]))
    };
    assert_eq!(range("0x1", "0x400").unwrap(), json!([bodies[2], bodies[0]]));
    assert_eq!(range("0x3", "0x1").unwrap(), json!([]));
    assert_eq!(range("0x0", "0x1").unwrap_err().0, -32602);
    assert_eq!(range("0x1", "0x0").unwrap_err().0, -32602);
    assert_eq!(range("0x1", "0x401").unwrap_err().0, -38004);
    assert_eq!(range("0xffffffffffffffff", "0x2").unwrap(), json!([]));
}
