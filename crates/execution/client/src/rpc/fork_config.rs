//! `eth_config` (EIP-7910): the forks in force, next and last, with what they bring.

use std::collections::BTreeMap;

use alloy_eips::eip7840::BlobParams;
use alloy_eips::{eip7002, eip7251};
use alloy_primitives::{Address, Bytes, U64};
use opal_evm::{ChainSpec, Rules};
use opal_protocol::hardfork::TABLE;
use opal_protocol::predeploys::{BEACON_ROOTS, HISTORY_STORAGE};
use revm::primitives::hardfork::SpecId;
use serde::Serialize;

use super::{Registry, Rpc};

/// The answer of `eth_config`.
#[derive(Clone, Debug, Serialize)]
struct ForkConfigs {
    current: ForkConfig,
    next: Option<ForkConfig>,
    last: Option<ForkConfig>,
}

/// One fork. Numbers are plain, as the EIP has them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForkConfig {
    activation_time: u64,
    blob_schedule: Option<BlobSchedule>,
    chain_id: U64,
    fork_id: Bytes,
    precompiles: BTreeMap<String, Address>,
    system_contracts: BTreeMap<&'static str, Address>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    base_fee_update_fraction: u128,
    max: u64,
    target: u64,
}

impl From<BlobParams> for BlobSchedule {
    fn from(params: BlobParams) -> Self {
        Self {
            base_fee_update_fraction: params.update_fraction,
            max: params.max_blob_count,
            target: params.target_blob_count,
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_config", |rpc, _| {
        let now = rpc.chain.head().header().timestamp;
        let times = fork_times(rpc.chain.spec());
        let at = |time: &u64| rpc.fork_config(*time, &times);
        let current = times.iter().rev().find(|time| **time <= now);
        let next = times.iter().find(|time| **time > now);
        Ok(ForkConfigs {
            current: at(current.unwrap_or(&0)),
            next: next.map(at),
            last: next.and(times.last()).map(at),
        })
    });
}

/// Times at which rules change, ascending.
fn fork_times(spec: &ChainSpec) -> Vec<u64> {
    let mut times: Vec<u64> = match &spec.rules {
        Rules::L1(rules) => {
            let forks =
                [rules.shanghai_time, rules.cancun_time, rules.prague_time, rules.osaka_time];
            let blobs = rules.blob_schedule.iter().map(|(time, _)| *time);
            forks.into_iter().flatten().chain(blobs).collect()
        }
        Rules::L2(rules) => TABLE.iter().filter_map(|row| rules.schedule.time(row.fork)).collect(),
    };
    times.sort_unstable();
    times.dedup();
    times
}

impl Rpc {
    fn fork_config(&self, time: u64, times: &[u64]) -> ForkConfig {
        let spec = self.chain.spec();
        let genesis = self.chain.genesis().header().timestamp;
        let mut fork_id = crc32fast::Hasher::new();
        // EIP-2124, by time alone: all block-numbered forks are active from the first block.
        fork_id.update(self.chain.genesis().hash.as_slice());
        for time in times.iter().filter(|passed| **passed > genesis && **passed <= time) {
            fork_id.update(&time.to_be_bytes());
        }
        let precompiles = opal_evm::precompile_addresses(spec, time);
        ForkConfig {
            activation_time: if time <= genesis { 0 } else { time },
            blob_schedule: spec.blob_params(time).map(Into::into),
            chain_id: U64::from(spec.chain_id),
            fork_id: Bytes::copy_from_slice(&fork_id.finalize().to_be_bytes()),
            precompiles: precompiles.into_iter().collect(),
            system_contracts: system_contracts(spec, time),
        }
    }
}

fn system_contracts(spec: &ChainSpec, time: u64) -> BTreeMap<&'static str, Address> {
    let fork = spec.evm_spec(time);
    let mut contracts = BTreeMap::new();
    if fork >= SpecId::CANCUN {
        contracts.insert("BEACON_ROOTS_ADDRESS", BEACON_ROOTS);
    }
    if fork >= SpecId::PRAGUE {
        contracts.insert("HISTORY_STORAGE_ADDRESS", HISTORY_STORAGE);
        if let Rules::L1(rules) = &spec.rules {
            contracts.insert(
                "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
                eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            );
            contracts.insert("DEPOSIT_CONTRACT_ADDRESS", rules.deposit_contract);
            contracts.insert(
                "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
                eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            );
        }
    }
    contracts
}
