//! Balances, nonces, code, storage and their proofs.

use std::collections::BTreeMap;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;

use super::error::{self, RpcResult};
use super::{Cost, Registry, Rpc};

/// Storage slots that one `eth_getProof` or `eth_getStorageValues` may ask for.
const MAX_SLOTS: usize = 1_024;
/// geth's code for a request of too much.
const CLIENT_LIMIT_EXCEEDED: i32 = -38026;

pub(super) fn register(registry: &mut Registry) {
    registry.at_block("eth_getBalance", 1, Cost::Cheap, |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        let (_, state) = rpc.state(block)?;
        Ok(state.account(&address).map_err(state_error)?.unwrap_or_default().balance)
    });
    registry.at_block("eth_getTransactionCount", 1, Cost::Cheap, |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        if block == Some(BlockId::Number(BlockNumberOrTag::Pending)) {
            let nonce = rpc.chain.pool().next_nonce(address).map_err(|e| error::pool(&e))?;
            return Ok(U64::from(nonce));
        }
        let (_, state) = rpc.state(block)?;
        let account = state.account(&address).map_err(state_error)?.unwrap_or_default();
        Ok(U64::from(account.nonce))
    });
    registry.at_block("eth_getCode", 1, Cost::Cheap, |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        let (_, state) = rpc.state(block)?;
        state.code(&address).map_err(state_error)
    });
    registry.at_block("eth_getStorageAt", 2, Cost::Cheap, |rpc, params| {
        let mut params = params.sequence();
        let (address, slot): (Address, String) = (params.next()?, params.next()?);
        let slot = storage_key(&slot)?;
        let (_, state) = rpc.state(params.optional_next()?)?;
        Ok(B256::from(state.storage(&address, slot).map_err(state_error)?))
    });
    registry.at_block("eth_getProof", 2, Cost::Expensive, |rpc, params| {
        let mut params = params.sequence();
        let (address, keys): (Address, Vec<JsonStorageKey>) = (params.next()?, params.next()?);
        rpc.proof(address, keys, params.optional_next()?)
    });
    registry.at_block("eth_getStorageValues", 1, Cost::Expensive, |rpc, params| {
        let (requests, block): (SlotRequests, Option<BlockId>) = params.two_optional()?;
        rpc.storage_values(requests, block)
    });
}

/// A storage slot in hex, with geth's complaints.
fn storage_key(text: &str) -> RpcResult<U256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // Of what was sent, no more is sent back than is needed to find it.
    let shown = text.get(..80).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(error::invalid_params(format!("invalid hex in storage key: {shown:?}")));
    }
    if digits.len() > 64 {
        let complaint = "storage key too long (want at most 32 bytes)";
        return Err(error::invalid_params(format!("{complaint}: {shown:?}")));
    }
    let padded = format!("{digits:0>64}");
    padded.parse::<B256>().map(Into::into).map_err(|e| error::invalid_params(e.to_string()))
}

/// Slots by account.
type SlotRequests = BTreeMap<Address, Vec<JsonStorageKey>>;

fn state_error(error: opal_evm::StateError) -> jsonrpsee::types::ErrorObjectOwned {
    error::server(error.to_string())
}

impl Rpc {
    fn storage_values(
        &self,
        requests: SlotRequests,
        block: Option<BlockId>,
    ) -> RpcResult<BTreeMap<Address, Vec<B256>>> {
        let slots: usize = requests.values().map(Vec::len).sum();
        if slots > MAX_SLOTS {
            let text = format!("too many slots (max {MAX_SLOTS})");
            return Err(error::coded(CLIENT_LIMIT_EXCEEDED, text));
        }
        if slots == 0 {
            return Err(error::invalid_params("empty request"));
        }
        let (_, state) = self.state(block)?;
        let values = |(address, keys): (Address, Vec<JsonStorageKey>)| {
            let value = |key: JsonStorageKey| state.storage(&address, key.as_b256().into());
            let values = keys.into_iter().map(|key| value(key).map(B256::from));
            Ok((address, values.collect::<Result<_, _>>().map_err(state_error)?))
        };
        requests.into_iter().map(values).collect()
    }

    fn proof(
        &self,
        address: Address,
        keys: Vec<JsonStorageKey>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse> {
        if keys.len() > MAX_SLOTS {
            return Err(error::invalid_params(format!(
                "too many slots in proof request: {} (limit {MAX_SLOTS})",
                keys.len()
            )));
        }
        let (_, state) = self.state(block)?;
        let slots: Vec<B256> = keys.iter().map(|key| key.as_b256()).collect();
        let proof = state.proof(&address, &slots).map_err(state_error)?;
        let storage_proof = keys
            .into_iter()
            .zip(proof.storage_proof)
            .map(|(key, slot)| EIP1186StorageProof { key, value: slot.value, proof: slot.proof })
            .collect();
        Ok(EIP1186AccountProofResponse {
            address,
            balance: proof.balance,
            code_hash: proof.code_hash,
            nonce: proof.nonce,
            storage_hash: proof.storage_root,
            account_proof: proof.account_proof,
            storage_proof,
        })
    }
}
