//! Blocks of all forks in the format of `exec/`, from a chain made here with witnesses recorded: real
//! ones end with Holocene.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip7702};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_eips::{eip2935, eip4788};
use alloy_genesis::Genesis;
use alloy_primitives::{
    Address, B64, B256, Bytes, Signature, TxKind, U256, address, bytes, keccak256,
};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, execution_witness, genesis};
use opal_protocol::hardfork::TABLE;
use opal_protocol::predeploys::{
    BEACON_ROOTS, HISTORY_STORAGE, L1_BLOCK, L2_TO_L1_MESSAGE_PASSER, SEQUENCER_FEE_VAULT,
};
use opal_protocol::{DepositTransaction, Hardfork, PayloadAttributes, SealedBlock, TxEnvelope};
use opal_tests::vectors::panic_text;
use serde_json::{Value, json};

use crate::exec::check_case;

/// Stores BLOCKHASH of the block before the parent in slot 1 and clears slot 2.
const CONTRACT: Address = address!("00000000000000000000000000000000000c0de1");
/// When the fork activates: with the second block.
const ACTIVATION: u64 = 4;

/// Transactions of users; any signature is somebody's, whom genesis then makes rich.
fn user_transactions(fork: Hardfork) -> Vec<TxEnvelope> {
    let call = |to: TxKind, input: Bytes| {
        let tx = TxEip1559 {
            chain_id: 901,
            gas_limit: 200_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            to,
            value: U256::from(3),
            input,
            ..Default::default()
        };
        TxEnvelope::Eip1559(tx.into_signed(Signature::test_signature()))
    };
    let mut list = vec![
        call(TxKind::Call(CONTRACT), Bytes::new()),
        call(TxKind::Call(Address::repeat_byte(7)), bytes!("01")),
        // Returns one byte of code.
        call(TxKind::Create, bytes!("600160005360016000f3")),
    ];
    if fork >= Hardfork::Isthmus {
        let authorization =
            Authorization { chain_id: U256::from(901), address: CONTRACT, nonce: 0 };
        let signed = SignedAuthorization::new_unchecked(authorization, 0, U256::ONE, U256::ONE);
        let tx = TxEip7702 {
            chain_id: 901,
            gas_limit: 200_000,
            max_fee_per_gas: 10_000_000_000,
            to: CONTRACT,
            authorization_list: vec![signed],
            ..Default::default()
        };
        list.push(TxEnvelope::Eip7702(tx.into_signed(Signature::test_signature())));
    }
    list
}

fn genesis_of(fork: Hardfork) -> Genesis {
    let mut config = json!({"chainId": 901, "optimism": {"eip1559Elasticity": 6,
        "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250}});
    for row in TABLE.iter().filter(|row| row.fork <= fork) {
        if let Some(key) = row.genesis_key {
            config[key] = if row.fork == fork { ACTIVATION } else { 0 }.into();
        }
    }
    let mut alloc = json!({
        CONTRACT.to_string(): {"balance": "0x0", "code": "0x600243034060015560006002550000",
            "storage": {B256::with_last_byte(2).to_string(): B256::with_last_byte(9)}},
        // Base fee; Ecotone's scalars; overhead and scalar before; blob base fee; scalar of the DA
        // footprint, scalar and constant of the operator fee.
        L1_BLOCK.to_string(): {"balance": "0x0", "nonce": "0x1", "storage": {
            B256::with_last_byte(1).to_string(): B256::with_last_byte(200),
            B256::with_last_byte(3).to_string():
                format!("0x{}0000000500000009{}", "00".repeat(16), "00".repeat(8)),
            B256::with_last_byte(5).to_string(): B256::with_last_byte(188),
            B256::with_last_byte(6).to_string(): B256::from(U256::from(684_000)),
            B256::with_last_byte(7).to_string(): B256::with_last_byte(3),
            B256::with_last_byte(8).to_string():
                format!("0x{}0190000f42400000000000000007", "00".repeat(18))}},
        L2_TO_L1_MESSAGE_PASSER.to_string(): {"balance": "0x0", "nonce": "0x1"},
        BEACON_ROOTS.to_string():
            {"balance": "0x0", "nonce": "0x1", "code": &eip4788::BEACON_ROOTS_CODE},
        HISTORY_STORAGE.to_string():
            {"balance": "0x0", "nonce": "0x1", "code": &eip2935::HISTORY_STORAGE_CODE},
    });
    for tx in user_transactions(fork) {
        alloc[tx.recover().unwrap().to_string()] = json!({"balance": U256::from(10_u128.pow(20))});
    }
    // The genesis block is of the fork before.
    let extra = match fork {
        fork if fork > Hardfork::Jovian => "0x01000000fa000000060000000000000000",
        fork if fork > Hardfork::Holocene => "0x00000000fa00000006",
        _ => "0x",
    };
    serde_json::from_value(json!({"config": config, "gasLimit": "0x1c9c380", "difficulty": "0x0",
        "extraData": extra, "alloc": alloc}))
    .unwrap()
}

/// Attributes at this time: a deposit, the fork's upgrade if it activates, then `users`.
fn attributes(
    spec: &ChainSpec,
    fork: Hardfork,
    timestamp: u64,
    users: &[TxEnvelope],
) -> PayloadAttributes {
    let active = |fork| spec.is_active(fork, timestamp);
    let deposit = DepositTransaction {
        source_hash: keccak256(timestamp.to_be_bytes()),
        from: Address::repeat_byte(0xde),
        to: TxKind::Call(L1_BLOCK),
        mint: 5,
        gas_limit: 1_000_000,
        ..DepositTransaction::default()
    };
    let mut transactions = vec![Bytes::from(TxEnvelope::from(deposit).encoded_2718())];
    let mut gas_limit = 30_000_000;
    if timestamp == ACTIVATION {
        let config = opal_protocol::RollupConfig::default();
        if let Ok(deposits) = config.upgrade_deposits(fork) {
            transactions.extend(deposits);
            gas_limit += config.upgrade_gas(fork).unwrap();
        }
    }
    transactions.extend(users.iter().map(|tx| Bytes::from(tx.encoded_2718())));
    PayloadAttributes {
        timestamp,
        prev_randao: B256::repeat_byte(timestamp as u8),
        suggested_fee_recipient: SEQUENCER_FEE_VAULT,
        withdrawals: spec.has_withdrawals(timestamp).then(Vec::new),
        parent_beacon_block_root: spec.has_beacon_root(timestamp).then_some(B256::repeat_byte(7)),
        transactions: Some(transactions),
        no_tx_pool: true,
        gas_limit: Some(gas_limit),
        eip1559_params: active(Hardfork::Holocene).then_some(B64::ZERO),
        min_base_fee: active(Hardfork::Jovian).then_some(1_000),
    }
}

/// The blocks before, at and after the fork's activation, as cases.
fn cases(fork: Hardfork) -> Vec<Value> {
    let file = genesis_of(fork);
    let spec = ChainSpec::from_genesis(&file).unwrap();
    let (mut head, mut state) = genesis(&spec, &file).unwrap();
    let mut chain: Vec<SealedBlock> = vec![head.clone()];
    let mut cases = Vec::new();
    for number in 1..=3_u64 {
        let users = if number == 3 { user_transactions(fork) } else { Vec::new() };
        let attributes = attributes(&spec, fork, 2 * number, &users);
        let hashes = |number: u64| chain.get(number as usize).map(|block| block.hash);
        let input = BlockInput::from_attributes(&spec, head.header(), &attributes).unwrap();
        let mut executor =
            BlockExecutor::new(&spec, (&head).into(), input, &state, &hashes).unwrap();
        let mut senders = Vec::new();
        for raw in attributes.transactions.iter().flatten() {
            let tx: TxEnvelope =
                alloy_eips::eip2718::Decodable2718::decode_2718_exact(raw).unwrap();
            senders.push(tx.recover().unwrap());
            executor.transact(&tx, senders[senders.len() - 1]).unwrap();
        }
        let built = executor.finish().unwrap();
        let block = &built.block.block;
        let (_, witness) =
            execution_witness(&spec, (&head).into(), block, &senders, &state, &hashes).unwrap();
        let mut preimages: BTreeMap<B256, Bytes> =
            witness.nodes.iter().chain(&witness.codes).map(|b| (keccak256(b), b.clone())).collect();
        for ancestor in chain.iter().skip(witness.oldest_ancestor.unwrap_or(number) as usize) {
            let rlp = alloy_rlp::encode(ancestor.header());
            preimages.insert(keccak256(&rlp), rlp.into());
        }
        let times: serde_json::Map<String, Value> = TABLE
            .iter()
            .filter(|row| row.fork <= fork)
            .filter_map(|row| {
                let time = if row.fork == fork { ACTIVATION } else { 0 };
                Some((row.rollup_key?.to_owned(), time.into()))
            })
            .collect();
        cases.push(json!({
            "chain_id": 901,
            "active_fork": fork.name(),
            "rollup": {"hardforks": times},
            "parent_hash": head.hash,
            "parent_header_rlp": Bytes::from(alloy_rlp::encode(head.header())),
            "attributes": attributes,
            "preimages": preimages,
            "expected": {
                "block_hash": built.block.hash,
                "header_rlp": Bytes::from(alloy_rlp::encode(built.block.header())),
                "gas_used": built.block.header().gas_used,
                "state_root": built.block.header().state_root,
            },
        }));
        state = built.state;
        head = built.block;
        chain.push(head.clone());
    }
    cases
}

/// Each fork's blocks are checked by what their witnesses hold.
pub fn every_fork() {
    for row in TABLE.iter().filter(|row| row.fork <= Hardfork::Karst) {
        for case in cases(row.fork) {
            check_case(&case);
        }
    }
}

/// A block that breaks a rule is reported by the field that shows it.
pub fn wrong_field() {
    let mut case = cases(Hardfork::Karst).remove(2);
    let rlp: Bytes = serde_json::from_value(case["expected"]["header_rlp"].clone()).unwrap();
    let mut header: alloy_consensus::Header =
        alloy_rlp::Decodable::decode(&mut rlp.as_ref()).unwrap();
    header.gas_used += 1;
    case["expected"]["header_rlp"] = json!(Bytes::from(alloy_rlp::encode(&header)));
    let panic = catch_unwind(AssertUnwindSafe(|| check_case(&case))).unwrap_err();
    assert!(panic_text(&*panic).contains("gasUsed should be"), "{}", panic_text(&*panic));
}

/// A file may leave out what it can do without: the time of the newest fork, and the parent's RLP.
pub fn other_forms() {
    for fork in [Hardfork::Isthmus, Hardfork::Jovian, Hardfork::Karst] {
        let mut case = cases(fork).remove(2);
        let key = TABLE[fork as usize].rollup_key.unwrap();
        case["rollup"]["hardforks"].as_object_mut().unwrap().remove(key).unwrap();
        let rlp: Bytes = serde_json::from_value(case["parent_header_rlp"].take()).unwrap();
        let parent: alloy_consensus::Header =
            alloy_rlp::Decodable::decode(&mut rlp.as_ref()).unwrap();
        case["parent_header"] = json!(parent);
        let rlp: Bytes = serde_json::from_value(case["expected"]["header_rlp"].clone()).unwrap();
        let header: alloy_consensus::Header =
            alloy_rlp::Decodable::decode(&mut rlp.as_ref()).unwrap();
        assert_eq!(header.blob_gas_used > Some(0), fork >= Hardfork::Jovian, "DA footprint");
        check_case(&case);
    }
}
