//! Identity and settings: chain id, network, client version, limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U64, keccak256};

use super::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_chainId", |rpc, _| Ok(U64::from(rpc.chain.spec().chain_id)));
    registry.quick("eth_syncing", |_, _| Ok(false));
    registry.quick("eth_accounts", |_, _| Ok(Vec::<Address>::new()));
    registry.quick("net_version", |rpc, _| Ok(rpc.chain.spec().chain_id.to_string()));
    registry.quick("net_listening", |_, _| Ok(true));
    registry.quick("net_peerCount", |_, _| Ok(U64::ZERO));
    registry.quick("web3_clientVersion", |rpc, _| Ok(rpc.config.client_version.clone()));
    registry.quick("web3_sha3", |_, params| {
        let data: Bytes = params.one()?;
        Ok(keccak256(data))
    });
    registry.quick("rpc_modules", |_, _| {
        let names = ["debug", "eth", "miner", "net", "rpc", "trace", "txpool", "web3"];
        Ok(names.into_iter().map(|name| (name, "1.0")).collect::<BTreeMap<_, _>>())
    });
    registry.quick("miner_setMaxDASize", |rpc, params| {
        let (max_tx, max_block): (U64, U64) = params.two()?;
        rpc.chain.da_limits().set(max_tx.to(), max_block.to());
        Ok(true)
    });
}
