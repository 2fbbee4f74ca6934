//! Blocks as the network writes them, and genesis files.

use alloy_consensus::Header;
use alloy_genesis::Genesis;
use alloy_primitives::{U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use opal_evm::{BlockExecutor, BlockInput, ChainSpec, Parent, next_base_fee, next_excess_blob_gas};
use opal_protocol::{Block, SealedBlock};
use serde_json::json;

use crate::memory::within;

/// A block, or a header, that is read is written the same.
pub fn block(data: &[u8]) {
    let limit = 64 * data.len() + 4096;
    let mut rest = data;
    if let Ok(block) = within(limit, "a block", || Block::decode(&mut rest)) {
        let read = &data[..data.len() - rest.len()];
        assert_eq!(block.length(), read.len());
        assert_eq!(alloy_rlp::encode(&block), read);
        let sealed = SealedBlock::new(block);
        assert_eq!(sealed.hash, keccak256(alloy_rlp::encode(sealed.header())));
        header(&alloy_rlp::encode(sealed.header()));
    }
    header(data);
}

fn header(data: &[u8]) {
    let mut rest = data;
    let read = within(2 * data.len() + 4096, "a header", || Header::decode(&mut rest));
    let Ok(header) = read else { return };
    let read = &data[..data.len() - rest.len()];
    assert_eq!(header.length(), read.len());
    assert_eq!(alloy_rlp::encode(&header), read);
}

/// A genesis file that is read gives one block and one state, which hold what the file says. An
/// empty block can be built on it, or is refused.
pub fn genesis(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limit = 256 * data.len() + 65_536;
    let read = within(limit, "JSON", || serde_json::from_str::<Genesis>(text));
    let Ok(file) = read else { return };
    let Ok(spec) = within(limit, "a specification", || ChainSpec::from_genesis(&file)) else {
        return;
    };
    let made = within(4 * limit, "genesis", || opal_evm::genesis(&spec, &file));
    let Ok((block, state)) = made else { return };
    let (again, _) = opal_evm::genesis(&spec, &file).unwrap();
    assert_eq!(again.hash, block.hash);
    let header = block.header();
    assert_eq!(header.state_root, state.root());
    assert_eq!(Header::decode(&mut &alloy_rlp::encode(header)[..]).as_ref(), Ok(header));

    for (address, wanted) in &file.alloc {
        let account = state.account(address).unwrap().unwrap();
        assert_eq!(account.balance, wanted.balance);
        assert_eq!(account.nonce, wanted.nonce.unwrap_or_default());
        assert_eq!(state.code(address).unwrap(), wanted.code.clone().unwrap_or_default());
        for (slot, value) in wanted.storage.iter().flatten() {
            let found = state.storage(address, U256::from_be_bytes(slot.0)).unwrap();
            assert_eq!(found, U256::from_be_bytes(value.0));
        }
    }

    for time in [0, 1, header.timestamp.saturating_add(1), u64::MAX] {
        spec.evm_spec(time);
        spec.base_fee_params(time);
        next_base_fee(&spec, header, time);
        next_excess_blob_gas(&spec, header, time);
    }
    let Some(timestamp) = header.timestamp.checked_add(1) else { return };
    let input = BlockInput {
        timestamp,
        beneficiary: header.beneficiary,
        prev_randao: header.mix_hash,
        gas_limit: header.gas_limit,
        extra_data: header.extra_data.clone(),
        parent_beacon_block_root: spec.has_beacon_root(timestamp).then(Default::default),
        withdrawals: spec.has_withdrawals(timestamp).then(Vec::new),
    };
    let hashes = |_: u64| Some(block.hash);
    let parent = Parent::from(&block);
    let Ok(executor) = BlockExecutor::new(&spec, parent, input, &state, &hashes) else { return };
    if let Ok(built) = executor.finish() {
        assert_eq!(Some(built.block.header().number), header.number.checked_add(1));
    }
}

/// A small OP chain's genesis file with every fork.
pub(super) fn genesis_file() -> serde_json::Value {
    let mut config = json!({
        "chainId": 901, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0,
        "optimism": {
            "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
        },
    });
    for key in opal_protocol::hardfork::TABLE.iter().filter_map(|row| row.genesis_key) {
        config[key] = json!(0);
    }
    json!({
        "config": config, "nonce": "0x0", "timestamp": "0x3e8", "gasLimit": "0x1c9c380",
        "extraData": "0x01000000fa000000060000000000000000", "difficulty": "0x0",
        "baseFeePerGas": "0x3b9aca00",
        "alloc": {
            "0x00000000000000000000000000000000000000aa": {"balance": "0x3635c9adc5dea00000"},
            // Stores the call's value in the slot that the call data names, and logs the size of
            // the data.
            "0x00000000000000000000000000000000000000bb": {
                "balance": "0x0", "code": "0x345f355536600052600760206000a100",
                "storage": {"0x01": "0x02", "0x03": "0x00000005"},
            },
            "0x4200000000000000000000000000000000000015": {
                "balance": "0x0", "nonce": "0x1", "code": "0x00", "storage": {"0x01": "0x07"},
            },
            "0x4200000000000000000000000000000000000016": {"balance": "0x0", "code": "0x00"},
        },
    })
}

fn l1_genesis_file() -> serde_json::Value {
    json!({
        "config": {
            "chainId": 900, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 1001,
            "blobSchedule": {
                "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
                "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
            },
        },
        "timestamp": "0x3e8", "gasLimit": "0x1c9c380", "difficulty": "0x0", "number": "0x3",
        "excessBlobGas": "0x20000", "blobGasUsed": "0x0",
        "alloc": {"0x00000000000000000000000000000000000000aa": {"balance": "1000", "nonce": "0x5"}},
    })
}

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (field, value) in [
        ("number", "0xffffffffffffffff"),
        ("timestamp", "0xffffffffffffffff"),
        ("gasLimit", "0x0"),
        ("gasLimit", "0xffffffffffffffff"),
        ("baseFeePerGas", "0xffffffffffffffff"),
        ("excessBlobGas", "0xffffffffffffffff"),
        ("blobGasUsed", "0xffffffffffffffff"),
        ("extraData", "0x"),
        ("extraData", "0x01ffffffffffffffffffffffffffffffff"),
    ] {
        for mut file in [genesis_file(), l1_genesis_file()] {
            file[field] = json!(value);
            seeds.push(("genesis", file.to_string().into_bytes()));
        }
    }
    for file in [genesis_file(), l1_genesis_file()] {
        let text = file.to_string();
        let genesis: Genesis = serde_json::from_value(file).unwrap();
        let spec = ChainSpec::from_genesis(&genesis).unwrap();
        let (block, _) = opal_evm::genesis(&spec, &genesis).unwrap();
        seeds.push(("genesis", text.into_bytes()));
        seeds.push(("block", alloy_rlp::encode(&*block.block)));
        seeds.push(("block", alloy_rlp::encode(block.header())));
    }
    seeds
}
