//! Real data: blocks of OP chains executed without a network, fee tables, receipts, and a slice of
//! Ethereum's own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::Decodable2718;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::root::ordered_trie_root_with_encoder;
use opal_evm::l1_fee::{DataSize, fastlz_size};
use opal_evm::trie::{Leaf, Trie};
use opal_evm::{
    BlockExecutor, BlockInput, ChainSpec, L1FeeParams, NoSource, Parent, Preimages, State,
    execute_block, genesis, next_base_fee,
};
use opal_protocol::extra_data::decode_extra_data_of_fork;
use opal_protocol::{Hardfork, PayloadAttributes, Receipt, TxEnvelope, TxType};
use serde_json::{Value, json};

/// The files of a folder of the vectors with this ending, unpacked; empty, and said aloud, when
/// the vectors are not there.
fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let root = std::env::var_os("OPAL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/vectors"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        eprintln!("ignored: no vectors at {}", root.join(folder).display());
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(ending) {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if name.ends_with(".gz") {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
            bytes = unpacked;
        }
        files.push((name, bytes));
    }
    files.sort();
    assert!(!files.is_empty(), "no {ending} in {folder}");
    files
}

fn json_files(folder: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for ending in [".json", ".json.gz"] {
        if folder == "exec" && ending == ".json" {
            continue;
        }
        if folder != "exec" && ending == ".json.gz" {
            continue;
        }
        for (name, bytes) in files(folder, ending) {
            all.push((name, serde_json::from_slice(&bytes).unwrap()));
        }
    }
    all
}

/// The regular files of a tar archive.
fn untar(mut tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).trim_end_matches(['\0', ' ']).trim_start().to_owned()
    };
    let mut files = Vec::new();
    while tar.len() >= 512 && tar[0] != 0 {
        let (header, rest) = tar.split_at(512);
        let size = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        if matches!(header[156], b'0' | 0) {
            files.push((text(&header[..100]), rest[..size].to_vec()));
        }
        tar = &rest[size.div_ceil(512) * 512..];
    }
    files
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn header(mut rlp: &[u8]) -> Header {
    Header::decode(&mut rlp).unwrap()
}

fn b256(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

/// A number, be it decimal, hex or a JSON number; zero when absent.
fn number(value: &Value) -> U256 {
    match value {
        Value::Null => U256::ZERO,
        Value::Number(n) => n.to_string().parse().unwrap(),
        value => value.as_str().unwrap().parse().unwrap(),
    }
}

fn small(value: &Value) -> u64 {
    number(value).to()
}

fn fork(value: &Value) -> Hardfork {
    value.as_str().unwrap().parse().unwrap()
}

fn op_spec(chain_id: u64, rollup: &Value) -> ChainSpec {
    let mut config = json!({
        "chainId": chain_id,
        "optimism": {
            "eip1559Elasticity": rollup["eip1559_elasticity"],
            "eip1559Denominator": rollup["eip1559_denominator"],
            "eip1559DenominatorCanyon": rollup["eip1559_denominator_canyon"],
        },
    });
    for row in &opal_protocol::hardfork::TABLE {
        if let (Some(rollup_key), Some(genesis_key)) = (row.rollup_key, row.genesis_key) {
            config[genesis_key] = rollup["hardforks"][rollup_key].clone();
        }
    }
    let genesis = json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": {}});
    ChainSpec::from_genesis(&serde_json::from_value::<Genesis>(genesis).unwrap()).unwrap()
}

/// Builds each block from its attributes and then executes what was built, with a witness for
/// state: the hash must be the chain's.
#[test]
fn exec_vectors_give_the_chains_block_hashes() {
    for (name, case) in json_files("exec") {
        let spec = op_spec(small(&case["chain_id"]), &case["rollup"]);
        let attributes: PayloadAttributes =
            serde_json::from_value(case["attributes"].clone()).unwrap();
        let parent = header(&bytes(&case["parent_header_rlp"]));
        let parent_hash = parent.hash_slow();
        assert_eq!(parent_hash, b256(&case["parent_hash"]), "{name}");
        let witness: Preimages =
            case["preimages"].as_object().unwrap().values().map(bytes).collect();

        let mut hashes = BTreeMap::from([(parent.number, parent_hash)]);
        let mut next = (parent.number, parent.parent_hash);
        while let Some(rlp) = witness.get(&next.1) {
            let ancestor = header(rlp);
            hashes.insert(ancestor.number, next.1);
            next = (ancestor.number, ancestor.parent_hash);
        }
        hashes.entry(next.0.saturating_sub(1)).or_insert(next.1);
        let hashes = |number: u64| hashes.get(&number).copied();

        let state = State::from_root(parent.state_root, Arc::new(witness));
        let parent = Parent { hash: parent_hash, header: &parent };
        let input = BlockInput::from_attributes(&spec, parent.header, &attributes).unwrap();
        let mut executor = BlockExecutor::new(&spec, parent, input, &state, &hashes).unwrap();
        let mut senders = Vec::new();
        for raw in attributes.transactions.unwrap() {
            let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
            senders.push(tx.recover().unwrap());
            executor
                .transact(&tx, *senders.last().unwrap())
                .unwrap_or_else(|error| panic!("{name}: {}: {error}", tx.tx_hash()));
        }
        let built = executor.finish().unwrap_or_else(|error| panic!("{name}: {error}"));

        let expected = header(&bytes(&case["expected"]["header_rlp"]));
        assert_eq!(built.block.header(), &expected, "{name}");
        assert_eq!(built.block.hash, b256(&case["expected"]["block_hash"]), "{name}");
        if let Some(receipts) = case["expected"]["receipts"].as_array() {
            assert_eq!(receipts.len(), built.receipts.len(), "{name}");
        }

        let again =
            execute_block(&spec, parent, &built.block.block, &senders, &state, &hashes).unwrap();
        assert_eq!(again.block, built.block, "{name}");
    }
}

fn params(fork: Hardfork, value: &Value) -> L1FeeParams {
    L1FeeParams {
        fork,
        base_fee: number(&value["base_fee"]),
        overhead: number(&value["overhead"]),
        scalar: number(&value["scalar"]),
        blob_base_fee: number(&value["blob_base_fee"]),
        base_fee_scalar: number(&value["base_fee_scalar"]).to(),
        blob_base_fee_scalar: number(&value["blob_base_fee_scalar"]).to(),
        operator_fee_scalar: number(&value["scalar"]).try_into().unwrap_or_default(),
        operator_fee_constant: number(&value["constant"]).to(),
        da_footprint_gas_scalar: 0,
        first_ecotone_block: false,
    }
}

#[test]
fn fee_vectors_are_met() {
    let mut checked = BTreeMap::<&str, usize>::new();
    for (name, table) in json_files("fees") {
        for case in table["cases"].as_array().into_iter().flatten() {
            if !case["l1_fee"].is_null() {
                let fork = fork(&case["fork"]);
                let tx = bytes(&case["tx"]);
                if tx.first() == Some(&0x7e) {
                    continue;
                }
                let params = params(fork, &case["params"]);
                let size = DataSize::of(&tx, fork);
                assert_eq!(params.l1_cost(&size), number(&case["l1_fee"]), "{name} {case}");
                if !case["l1_gas_used"].is_null() {
                    assert_eq!(params.l1_gas(&size), number(&case["l1_gas_used"]), "{name} {case}");
                }
                *checked.entry("l1 cost").or_default() += 1;
            } else if !case["len"].is_null() {
                let size = fastlz_size(&bytes(&case["input"]));
                assert_eq!(u64::from(size), small(&case["len"]), "{name} {case}");
                *checked.entry("fastlz").or_default() += 1;
            } else if !case["fee"].is_null() {
                let params = params(fork(&case["fork"]), case);
                assert_eq!(params.operator_fee(small(&case["gas"])), number(&case["fee"]));
                *checked.entry("operator fee").or_default() += 1;
            } else if !case["base_fee"].is_null() {
                check_base_fee(case);
                *checked.entry("base fee").or_default() += 1;
            } else if !case["blob_base_fee"].is_null() {
                let config =
                    json!({"chainId": 1, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 1});
                let time = u64::from(case["fork"] == "prague");
                let fee = l1_spec(config).blob_params(time).unwrap();
                let fee = fee.calc_blob_fee(small(&case["excess_blob_gas"]));
                assert_eq!(U256::from(fee), number(&case["blob_base_fee"]));
                *checked.entry("blob base fee").or_default() += 1;
            }
        }
        for case in table["header_extra_data_holocene"].as_array().into_iter().flatten() {
            let valid = decode_extra_data_of_fork(Hardfork::Holocene, &bytes(&case["v"])).is_ok();
            assert_eq!(valid, case["valid"] == true, "{case}");
            *checked.entry("extra data").or_default() += 1;
        }
    }
    assert!(checked.is_empty() || checked.len() == 6, "not read: {checked:?}");
}

fn check_base_fee(case: &Value) {
    let fork = fork(&case["fork"]);
    let mut hardforks = json!({});
    for row in opal_protocol::hardfork::TABLE.iter().filter(|row| row.fork <= fork) {
        if let Some(key) = row.rollup_key {
            hardforks[key] = 0.into();
        }
    }
    let or = |key: &str, default: u64| case.get(key).cloned().unwrap_or(default.into());
    let spec = op_spec(
        1,
        &json!({
            "hardforks": hardforks,
            "eip1559_elasticity": or("elasticity", 6),
            "eip1559_denominator": or("denominator", 50),
            "eip1559_denominator_canyon": or("denominator", 250),
        }),
    );
    let parent = Header {
        base_fee_per_gas: Some(small(&case["parent_base_fee"])),
        gas_limit: small(&case["parent_gas_limit"]),
        gas_used: small(&case["parent_gas_used"]),
        blob_gas_used: Some(small(&case["parent_blob_gas_used"])),
        extra_data: case.get("parent_extra_data").map(bytes).unwrap_or_default(),
        ..Default::default()
    };
    assert_eq!(next_base_fee(&spec, &parent, 2), small(&case["base_fee"]), "{case}");
}

fn receipt(fields: &Value) -> Receipt {
    Receipt {
        tx_type: TxType::try_from(fields["type"].as_u64().unwrap() as u8).unwrap(),
        success: fields["status"].as_bool().unwrap(),
        cumulative_gas_used: small(&fields["cumulative_gas_used"]),
        logs: serde_json::from_value(fields["logs"].clone()).unwrap(),
        deposit_nonce: fields["deposit_nonce"].as_u64(),
        deposit_receipt_version: fields["deposit_receipt_version"].as_u64(),
    }
}

#[test]
fn receipts_root_vectors_differ_by_fork() {
    for (name, table) in json_files("receipts") {
        let Some(receipts) = table["receipts"].as_array() else { continue };
        let receipts: Vec<Receipt> = receipts.iter().map(receipt).collect();
        let root = |regolith: bool| {
            ordered_trie_root_with_encoder(&receipts, |receipt, out| {
                if regolith { receipt.for_receipts_root() } else { receipt.clone() }
                    .encode_2718(out)
            })
        };
        assert_eq!(root(true), b256(&table["expected"]["regolith_root"]), "{name}");
        assert_eq!(root(false), b256(&table["expected"]["canyon_root_nonce_only"]), "{name}");
    }
}

/// Deposits decode to the fields of the table and encode back to the same bytes.
#[test]
fn deposit_vectors_round_trip() {
    for (name, table) in json_files("txs") {
        for case in table["cases"].as_array().unwrap() {
            let raw = bytes(&case["raw"]);
            let tx = TxEnvelope::decode_2718_exact(&raw).unwrap();
            assert_eq!(alloy_eips::Encodable2718::encoded_2718(&tx), raw, "{name}");
            if !case["hash"].is_null() {
                assert_eq!(tx.tx_hash(), b256(&case["hash"]), "{name}");
            }
        }
    }
}

/// A leaf of plain bytes, as Ethereum's trie tests have them.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl Leaf for Raw {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(rlp: &[u8]) -> Result<Self, alloy_rlp::Error> {
        Ok(Self(rlp.to_vec()))
    }
}

fn text_or_hex(value: &str) -> Vec<u8> {
    match value.strip_prefix("0x") {
        Some(hex) => alloy_primitives::hex::decode(hex).unwrap(),
        None => value.as_bytes().to_vec(),
    }
}

/// The tests whose keys are hashed first, as those of state tries are.
#[test]
fn secure_trie_vectors_give_the_roots() {
    let mut checked = 0;
    for (_, tar) in files("evm", ".tar.gz") {
        for (path, content) in untar(&tar) {
            if !path.contains("TrieTests") || !path.to_lowercase().contains("secure") {
                continue;
            }
            let tests: Value = serde_json::from_slice(&content).unwrap();
            for (name, test) in tests.as_object().unwrap() {
                let steps: Vec<(String, Value)> = match &test["in"] {
                    Value::Object(map) => map.clone().into_iter().collect(),
                    list => serde_json::from_value(list.clone()).unwrap(),
                };
                let mut trie = Trie::default();
                for (key, value) in steps {
                    let key = keccak256(text_or_hex(&key));
                    match value.as_str() {
                        None => trie.remove(&key, &NoSource).unwrap(),
                        Some(value) => {
                            trie.insert(&key, Raw(text_or_hex(value)), &NoSource).unwrap();
                        }
                    }
                }
                assert_eq!(trie.commit(), b256(&test["root"]), "{path} {name}");
                checked += 1;
            }
        }
        if checked > 0 {
            return;
        }
    }
    assert!(files("evm", ".tar.gz").is_empty(), "no trie test was found");
}

fn l1_spec(config: Value) -> ChainSpec {
    let genesis = json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": {}});
    ChainSpec::from_genesis(&serde_json::from_value::<Genesis>(genesis).unwrap()).unwrap()
}

/// Ethereum's state tests, each as the only transaction of a block whose parent is made so that
/// the block has the base fee and excess blob gas that the test names.
#[test]
fn state_test_vectors_give_the_roots() {
    let mut checked = 0;
    let archives = files("evm", ".tar.gz");
    for (path, content) in archives.iter().flat_map(|(_, tar)| untar(tar)) {
        if !path.ends_with(".json") || path.contains("TrieTests") || path.contains("RLPTests") {
            continue;
        }
        // Minutes of pure interpretation, whose speed is not the question here; and two tests that
        // create a contract where storage without code lies, which no chain can reach (EIP-7610).
        let skipped =
            ["vmPerformance", "RevertInCreateInInitCreate2Paris", "create2collisionStorageParis"];
        if skipped.iter().any(|part| path.contains(part)) {
            continue;
        }
        let Ok(tests) = serde_json::from_slice::<Value>(&content) else { continue };
        for (name, test) in tests.as_object().unwrap() {
            for (fork, cases) in test["post"].as_object().into_iter().flatten() {
                assert_eq!(fork, "Cancun", "{path}");
                for case in cases.as_array().unwrap() {
                    run_state_test(&format!("{path} {name} {}", case["indexes"]), test, case);
                    checked += 1;
                }
            }
        }
    }
    assert!(archives.is_empty() || checked > 1000, "only {checked} state tests were found");
}

fn run_state_test(name: &str, test: &Value, case: &Value) {
    let config = json!({"chainId": 1, "shanghaiTime": 0, "cancunTime": 0});
    let spec = l1_spec(config.clone());
    let alloc =
        json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": test["pre"]});
    let (_, state) = genesis(&spec, &serde_json::from_value(alloc).unwrap()).unwrap();

    let env = &test["env"];
    let gas_limit = small(&env["currentGasLimit"]);
    let time = small(&env["currentTimestamp"]);
    let parent = Header {
        number: small(&env["currentNumber"]) - 1,
        timestamp: time - 1,
        gas_limit,
        gas_used: gas_limit / 2,
        base_fee_per_gas: Some(small(&env["currentBaseFee"])),
        excess_blob_gas: Some(small(&env["currentExcessBlobGas"]) + 3 * 131_072),
        blob_gas_used: Some(0),
        ..Default::default()
    };
    let input = BlockInput {
        timestamp: time,
        beneficiary: env["currentCoinbase"].as_str().unwrap().parse().unwrap(),
        prev_randao: b256(&env["currentRandom"]),
        gas_limit,
        extra_data: Bytes::new(),
        parent_beacon_block_root: None,
        withdrawals: None,
    };
    let hashes = |number: u64| Some(keccak256(number.to_string()));
    let parent = Parent { hash: B256::ZERO, header: &parent };
    let mut executor = BlockExecutor::new(&spec, parent, input, &state, &hashes).unwrap();
    assert_eq!(executor.base_fee(), small(&env["currentBaseFee"]), "{name}");

    let tx = TxEnvelope::decode_2718_exact(&bytes(&case["txbytes"])).unwrap();
    let sender = tx.recover().unwrap();
    assert_eq!(sender, test["transaction"]["sender"].as_str().unwrap().parse::<Address>().unwrap());
    let outcome = executor.transact(&tx, sender);
    let refused = case["expectException"].is_string();
    assert_eq!(outcome.is_err(), refused, "{name}: {outcome:?}");
    let executed = executor.finish().unwrap();
    assert_eq!(executed.state.root(), b256(&case["hash"]), "{name}: {outcome:?}");
    let logs = executed.receipts.first().map(|receipt| receipt.logs.clone()).unwrap_or_default();
    let mut rlp = Vec::new();
    logs.encode(&mut rlp);
    assert_eq!(keccak256(rlp), b256(&case["logs"]), "{name}");
}
