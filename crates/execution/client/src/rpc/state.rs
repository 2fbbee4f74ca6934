//! Balances, nonces, code, storage and their proofs.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;

use super::error::{self, RpcResult};
use super::{Registry, Rpc};

/// Storage slots that one `eth_getProof` may ask for.
const MAX_PROOF_SLOTS: usize = 1_024;

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_getBalance", |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        let (_, state) = rpc.state(block)?;
        Ok(state.account(&address).map_err(state_error)?.unwrap_or_default().balance)
    });
    registry.quick("eth_getTransactionCount", |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        if block == Some(BlockId::Number(BlockNumberOrTag::Pending)) {
            let nonce = rpc.chain.pool().next_nonce(address).map_err(|e| error::pool(&e))?;
            return Ok(U64::from(nonce));
        }
        let (_, state) = rpc.state(block)?;
        let account = state.account(&address).map_err(state_error)?.unwrap_or_default();
        Ok(U64::from(account.nonce))
    });
    registry.quick("eth_getCode", |rpc, params| {
        let (address, block): (Address, Option<BlockId>) = params.two_optional()?;
        let (_, state) = rpc.state(block)?;
        state.code(&address).map_err(state_error)
    });
    registry.quick("eth_getStorageAt", |rpc, params| {
        let mut params = params.sequence();
        let (address, slot): (Address, JsonStorageKey) = (params.next()?, params.next()?);
        let (_, state) = rpc.state(params.optional_next()?)?;
        let slot = U256::from_be_bytes(slot.as_b256().0);
        Ok(B256::from(state.storage(&address, slot).map_err(state_error)?))
    });
    registry.blocking("eth_getProof", |rpc, params| {
        let mut params = params.sequence();
        let (address, keys): (Address, Vec<JsonStorageKey>) = (params.next()?, params.next()?);
        rpc.proof(address, keys, params.optional_next()?)
    });
}

fn state_error(error: opal_evm::StateError) -> jsonrpsee::types::ErrorObjectOwned {
    error::server(error.to_string())
}

impl Rpc {
    fn proof(
        &self,
        address: Address,
        keys: Vec<JsonStorageKey>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse> {
        if keys.len() > MAX_PROOF_SLOTS {
            return Err(error::invalid_params(format!(
                "too many slots in proof request: {} (limit {MAX_PROOF_SLOTS})",
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
