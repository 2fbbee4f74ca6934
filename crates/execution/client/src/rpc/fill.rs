//! `eth_fillTransaction`: a transaction with everything but a signature.

use alloy_eips::eip2718::Encodable2718;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use serde::Serialize;

use super::call::Call;
use super::error::{self, RpcResult};
use super::request::{BlockOverrides, call_request, unsigned};
use super::types::RpcTransaction;
use super::{Registry, Rpc};

/// The answer of `eth_fillTransaction`.
#[derive(Clone, Debug, Serialize)]
struct Filled {
    raw: Bytes,
    tx: RpcTransaction,
}

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("eth_fillTransaction", |rpc, params| rpc.fill(params.one()?));
}

impl Rpc {
    /// Fills in nonce, fees and gas where they are missing.
    fn fill(&self, mut request: TransactionRequest) -> RpcResult<Filled> {
        let chain_id = self.chain.spec().chain_id;
        let from = request.from.unwrap_or_default();
        if request.gas_price.is_some()
            && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
        {
            return Err(error::server(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            ));
        }
        if request.gas_price.is_none() {
            let tip = request.max_priority_fee_per_gas.unwrap_or_else(|| self.suggested_tip());
            let base_fee = self.chain.head().header().base_fee_per_gas.unwrap_or_default();
            let twice = u128::from(base_fee).saturating_mul(2);
            let cap = request.max_fee_per_gas.unwrap_or_else(|| twice.saturating_add(tip));
            if cap < tip {
                return Err(error::server(format!(
                    "maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})"
                )));
            }
            request.max_priority_fee_per_gas = Some(tip);
            request.max_fee_per_gas = Some(cap);
        }
        if request.nonce.is_none() {
            let nonce = self.chain.pool().next_nonce(from);
            request.nonce = Some(nonce.map_err(|error| error::pool(&error))?);
        }
        if request.gas.is_none() {
            let block = Some(BlockId::Number(BlockNumberOrTag::Latest));
            let overrides = BlockOverrides::default();
            let call = Call::new(self, request.clone(), block, None, overrides)?;
            request.gas = Some(call.estimate()?);
        }
        let tx = unsigned(&call_request(request, chain_id)?, chain_id);
        Ok(Filled { raw: tx.encoded_2718().into(), tx: RpcTransaction::unsent(&tx, from) })
    }
}
