//! Ethereum's own tests, in archives or as single files: state tests, blockchains, transactions, tries
//! and RLP, told apart by what is in them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use opal_evm::trie::{Leaf, Trie};
use opal_evm::{NoSource, genesis};
use opal_protocol::TxEnvelope;
use opal_tests::vectors::{Outcome, VectorFile, keys, optional, panic_text, parse, text, uint};
use serde_json::{Value, json};

use crate::{blockchains, spec, state_tests};

/// How many failures of an archive are told.
const TOLD: usize = 20;

/// The folder of Ethereum's tests that compute for a long time: they pass, but what they ask for is
/// speed.
const SLOW: &str = "/vmPerformance/";

/// What became of one test.
pub enum Test {
    Passed,
    /// Not asked of this client, for a reason that the code gives.
    Left,
}

pub fn check(file: &VectorFile) -> Outcome {
    let members = match file.name.ends_with(".tar.gz") || file.name.ends_with(".tar") {
        true => file.archive(),
        false => vec![(file.name.clone(), file.bytes())],
    };
    let hidden = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    let (mut passed, mut left, mut failures) = (0, 0, Vec::new());
    for (path, content) in members {
        if path.contains(SLOW)
            || hidden(&path)
            || !(path.ends_with(".json") || path.ends_with(".json.gz"))
        {
            continue;
        }
        let tests: Value = match serde_json::from_slice(&content) {
            Ok(tests) => tests,
            Err(error) => {
                failures.push(format!("{path}: {error}"));
                continue;
            }
        };
        for (name, test) in tests.as_object().into_iter().flatten() {
            let mut run =
                |name: &str, test: &dyn Fn() -> Test| match catch_unwind(AssertUnwindSafe(test)) {
                    Ok(Test::Passed) => passed += 1,
                    Ok(Test::Left) => left += 1,
                    Err(panic) => {
                        failures.push(format!("{path} {name}: {}", panic_text(&*panic)));
                    }
                };
            if test["post"].is_object() {
                state_tests::run_all(name, test, &mut run);
            } else {
                run(name, &|| run_other(&path, test));
            }
        }
    }
    let count = failures.len();
    failures.truncate(TOLD);
    assert!(count == 0, "{count} of {} failed:\n{}", passed + left + count, failures.join("\n"));
    Outcome::Checked(passed)
}

fn run_other(path: &str, test: &Value) -> Test {
    let has = |key| optional(test, key).is_some();
    if has("network") && has("blocks") {
        blockchains::run(test)
    } else if has("network") && has("engineNewPayloads") {
        // The same chains as those of blocks, in the form of calls of the Engine API.
        Test::Left
    } else if has("txbytes") && has("result") {
        transaction_test(test)
    } else if has("root") && has("in") {
        trie_test(path, test)
    } else if has("out") && has("in") {
        rlp_test(test);
        Test::Passed
    } else if has("tests") && has("in") {
        // The neighbours of a key: a question that nobody asks our trie.
        Test::Left
    } else {
        panic!("not understood: {}", keys(test))
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
        Some(digits) => hex::decode(digits).unwrap(),
        None => value.as_bytes().to_vec(),
    }
}

/// Keys are hashed first, as those of state tries are; a trie with other keys is none of ours.
fn trie_test(path: &str, test: &Value) -> Test {
    if !path.to_lowercase().contains("secure") {
        return Test::Left;
    }
    let steps: Vec<(String, Value)> = match &test["in"] {
        Value::Object(map) => map.clone().into_iter().collect(),
        list => serde_json::from_value(list.clone()).unwrap(),
    };
    let mut trie = Trie::default();
    for (key, value) in steps {
        let key = keccak256(text_or_hex(&key));
        match value.as_str() {
            None => trie.remove(&key, &NoSource).unwrap(),
            Some(value) => trie.insert(&key, Raw(text_or_hex(value)), &NoSource).unwrap(),
        }
    }
    assert_eq!(trie.commit().unwrap(), parse::<B256>(&test["root"]));
    Test::Passed
}

/// The whole of `out` is one item, the one that `in` gives.
fn rlp_test(test: &Value) {
    let digits = text(&test["out"]);
    let rlp = hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).unwrap();
    let mut rest = rlp.as_slice();
    let item = rlp_item(&mut rest).ok().filter(|_| rest.is_empty());
    match test["in"].as_str() {
        Some("INVALID") => assert!(item.is_none(), "decodes to {item:?}"),
        Some("VALID") => assert!(item.is_some(), "is refused"),
        _ => assert_eq!(item, Some(expected_item(&test["in"]))),
    }
}

#[derive(Debug, PartialEq)]
enum Item {
    String(Vec<u8>),
    List(Vec<Item>),
}

fn rlp_item(rest: &mut &[u8]) -> Result<Item, alloy_rlp::Error> {
    let header = alloy_rlp::Header::decode(rest)?;
    let (mut payload, after) =
        rest.split_at_checked(header.payload_length).ok_or(alloy_rlp::Error::InputTooShort)?;
    *rest = after;
    if !header.list {
        return Ok(Item::String(payload.to_vec()));
    }
    let mut items = Vec::new();
    while !payload.is_empty() {
        items.push(rlp_item(&mut payload)?);
    }
    Ok(Item::List(items))
}

/// Strings, numbers (large ones as `#` and decimal digits), and lists of them.
fn expected_item(value: &Value) -> Item {
    let number = |number: U256| Item::String(number.to_be_bytes_trimmed_vec());
    match value {
        Value::Array(items) => Item::List(items.iter().map(expected_item).collect()),
        Value::Number(_) => number(parse(value)),
        value => match text(value).strip_prefix('#') {
            // One of the tests has more than 256 bits.
            Some(digits) => Item::String(big_endian(digits)),
            None => Item::String(text(value).as_bytes().to_vec()),
        },
    }
}

fn big_endian(decimal: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in decimal.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry.to_be_bytes()[3];
            carry >>= 8;
        }
        if carry > 0 {
            bytes.insert(0, carry.to_be_bytes()[3]);
        }
    }
    bytes
}

/// Ethereum's forks that an L1 can have, with the key of each in a genesis file.
const FORKS: [(&str, &str); 10] = [
    ("Paris", ""),
    ("Shanghai", "shanghaiTime"),
    ("Cancun", "cancunTime"),
    ("Prague", "pragueTime"),
    ("Osaka", "osakaTime"),
    ("BPO1", "bpo1Time"),
    ("BPO2", "bpo2Time"),
    ("BPO3", "bpo3Time"),
    ("BPO4", "bpo4Time"),
    ("BPO5", "bpo5Time"),
];

/// The configuration of an L1 with this fork, or that changes to it at 15,000 seconds; `None` where
/// there is a fork before the merge, or one that is not known. `own` is the test's configuration.
pub fn config_of(network: &str, own: &Value) -> Option<Value> {
    let (from, to) = match network.strip_suffix("AtTime15k") {
        Some(change) => change.split_once("To")?,
        None => (network, network),
    };
    let place = |name: &str| {
        let name = if name == "Merge" { "Paris" } else { name };
        FORKS.iter().position(|(fork, _)| *fork == name)
    };
    let (from, to) = (place(from)?, place(to)?);
    let id = optional(own, "chainid").map_or(1, uint);
    let mut config = json!({"chainId": id});
    for (index, (_, key)) in FORKS.iter().enumerate().take(to + 1).skip(1) {
        config[*key] = if index > from { 15_000 } else { 0 }.into();
    }
    for (fork, params) in own["blobSchedule"].as_object().into_iter().flatten() {
        config["blobSchedule"][fork.to_lowercase()] = json!({
            "target": uint(&params["target"]),
            "max": uint(&params["max"]),
            "baseFeeUpdateFraction": uint(&params["baseFeeUpdateFraction"]),
        });
    }
    Some(config)
}

/// Whether a transaction has a price of gas beyond 128 bits, which nobody can pay and the types at
/// hand do not hold. Prices stand among the first four fields.
fn has_large_price(raw: &[u8]) -> bool {
    let mut rest = if raw[0] < 0x80 { &raw[1..] } else { raw };
    let Ok(Item::List(fields)) = rlp_item(&mut rest) else { return false };
    fields.iter().take(4).any(|field| matches!(field, Item::String(bytes) if bytes.len() > 16))
}

/// A transaction from a sender who can pay: it is valid, with hash and sender, or not.
fn transaction_test(test: &Value) -> Test {
    let newest = FORKS.iter().rev().find_map(|(fork, _)| {
        let result = optional(&test["result"], fork)?;
        Some((*fork, result))
    });
    let Some((fork, result)) = newest else { return Test::Left };
    let raw: Bytes = parse(&test["txbytes"]);
    let expected = optional(result, "exception").is_none();
    let tx = TxEnvelope::decode_2718_exact(&raw).ok();
    let tx = tx.and_then(|tx| tx.recover().ok().map(|sender| (tx, sender)));
    let Some((tx, sender)) = tx else {
        if expected && has_large_price(&raw) {
            return Test::Left;
        }
        assert!(!expected, "does not decode at {fork}");
        return Test::Passed;
    };
    if expected {
        assert_eq!(tx.tx_hash(), parse::<B256>(&result["hash"]));
        assert_eq!(sender, parse::<Address>(&result["sender"]));
    }
    let gas = U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas());
    if gas.checked_add(tx.value()).is_none() {
        // More than anyone can own: well-formed, but in no block.
        return Test::Left;
    }
    let config = config_of(fork, &Value::Null).unwrap();
    let account = json!({"balance": U256::MAX, "nonce": U256::from(tx.nonce())});
    let alloc = json!({
        "config": config,
        "gasLimit": "0x1",
        "difficulty": "0x0",
        "alloc": { sender.to_string(): account },
    });
    let (_, state) =
        genesis(&spec(config.clone()), &serde_json::from_value(alloc).unwrap()).unwrap();
    let block = json!({"currentNumber": "0x1", "currentTimestamp": "0x1", "currentBaseFee": "0x0",
        "currentGasLimit": U256::from(u64::MAX), "currentCoinbase": Address::ZERO,
        "currentRandom": B256::ZERO, "currentExcessBlobGas": "0x0"});
    let outcome = state_tests::in_block(&spec(config), &block, &state, |mut executor| {
        executor.transact(&tx, sender).map(|_| ()).map_err(|error| error.to_string())
    });
    assert_eq!(outcome.is_ok(), expected, "{fork}: {outcome:?}, {result}");
    Test::Passed
}
