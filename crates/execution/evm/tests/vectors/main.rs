//! Real data: blocks of OP chains executed without a network, fee tables, and a slice of Ethereum's
//! own tests. How the files are found, and what fails: see `opal_tests::vectors`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod blockchains;
mod ethereum;
mod exec;
mod exec_generated;
mod fees;
mod state_tests;

use std::process::ExitCode;

use alloy_genesis::Genesis;
use alloy_primitives::U256;
use opal_evm::ChainSpec;
use opal_protocol::Hardfork;
use opal_tests::vectors::{Vectors, optional, parse, text, uint};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut vectors = Vectors::from_env();
    vectors.folder("evm", ethereum::check);
    vectors.folder("exec", exec::check);
    vectors.folder("fees", fees::check);
    vectors.test("blocks of every fork with recorded witnesses", exec_generated::every_fork);
    vectors.test("a wrong header field is named", exec_generated::wrong_field);
    vectors.test("blocks in other forms", exec_generated::other_forms);
    vectors.run()
}

/// A fork by name. The L1 fix between Holocene and Isthmus has a name of its own in the vectors.
fn fork(value: &Value) -> Hardfork {
    match text(value) {
        "pectra_blob_schedule" => Hardfork::Holocene,
        name => name.parse().unwrap(),
    }
}

/// A number of any size; zero when absent.
fn number(value: &Value) -> U256 {
    if value.is_null() { U256::ZERO } else { parse(value) }
}

fn spec(config: Value) -> ChainSpec {
    let genesis = json!({"config": config, "gasLimit": "0x1", "difficulty": "0x0", "alloc": {}});
    ChainSpec::from_genesis(&serde_json::from_value::<Genesis>(genesis).unwrap()).unwrap()
}

/// An OP chain with the base fee parameters in `rollup` (or else those of OP Mainnet), and the
/// activation times that `time` gives.
fn op_spec(
    chain_id: u64,
    rollup: &Value,
    mut time: impl FnMut(Hardfork) -> Option<u64>,
) -> ChainSpec {
    let or = |key: &str, default: u64| optional(rollup, key).map_or(default, uint);
    let mut config = json!({
        "chainId": chain_id,
        "optimism": {
            "eip1559Elasticity": or("eip1559_elasticity", 6),
            "eip1559Denominator": or("eip1559_denominator", 50),
            "eip1559DenominatorCanyon": or("eip1559_denominator_canyon", 250),
        },
    });
    for row in &opal_protocol::hardfork::TABLE {
        if let (Some(key), Some(time)) = (row.genesis_key, time(row.fork)) {
            config[key] = time.into();
        }
    }
    spec(config)
}
