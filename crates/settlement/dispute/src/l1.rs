//! Reads of L1's contracts, and dry runs of transactions to them.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_provider::Provider;
use alloy_sol_types::SolCall;
use alloy_transport::TransportError;
use opal_service::endpoint::{CallError, Endpoint};
use opal_service::http::error_text;
use serde::Deserialize;
use serde_json::json;

use crate::revert;

/// Why a contract did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContractError {
    /// L1 did not answer, or not with what the call gives: try again.
    #[error(transparent)]
    Unavailable(#[from] CallError),
    /// The contract refused.
    #[error("{function} of {contract} reverted: {reason}")]
    Reverted { contract: Address, function: &'static str, reason: String },
    /// There is no code, or code of another kind.
    #[error("there is no contract with {function} at {contract}")]
    NotThere { contract: Address, function: &'static str },
    /// The account can't pay for the transaction.
    #[error("{account} cannot pay for {function}: {reason}")]
    InsufficientFunds { account: Address, function: &'static str, reason: String },
}

/// A block of L1, as far as the clock and reorgs are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct L1Head {
    /// Hash of the block.
    pub hash: B256,
    number: U64,
    timestamp: U64,
}

impl L1Head {
    /// Number of the block.
    pub(crate) fn number(&self) -> u64 {
        self.number.to()
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn timestamp(&self) -> u64 {
        self.timestamp.to()
    }
}

/// L1 behind its RPC.
#[derive(Clone, Debug)]
pub(crate) struct L1 {
    pub endpoint: Endpoint,
    /// The block whose state is read; without one it is the tip's.
    at: Option<B256>,
}

impl L1 {
    /// Reads the state of the tip, whichever block that is at each call.
    pub(crate) const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, at: None }
    }

    /// Reads the state of this block. An endpoint may be several nodes, of which some lag behind:
    /// those that do not know the block then fail, instead of answering for an older one.
    pub(crate) fn at(&self, block: &L1Head) -> Self {
        Self { at: Some(block.hash), ..self.clone() }
    }

    /// The tip.
    pub(crate) async fn head(&self) -> Result<L1Head, CallError> {
        let head: Option<L1Head> =
            self.endpoint.request("eth_getBlockByNumber", ("latest", false)).await?;
        head.ok_or_else(|| self.endpoint.error("there is no latest block"))
    }

    /// Calls a function that only reads.
    pub(crate) async fn call<C: SolCall>(
        &self,
        contract: Address,
        call: C,
    ) -> Result<C::Return, ContractError> {
        let request = json!({ "to": contract, "data": Bytes::from(call.abi_encode()) });
        let client = self.endpoint.provider.client();
        let block = self.at.map_or_else(|| json!("latest"), |hash| json!({ "blockHash": hash }));
        let answer = client.request::<_, Bytes>("eth_call", (request, block)).await;
        let data = answer.map_err(|e| self.error::<C>(contract, None, &e))?;
        C::abi_decode_returns(&data)
            .map_err(|_| ContractError::NotThere { contract, function: C::SIGNATURE })
    }

    /// Runs a transaction at the tip without sending it; gives the gas that it needs there.
    pub(crate) async fn estimate<C: SolCall>(
        &self,
        from: Address,
        contract: Address,
        value: U256,
        call: &C,
    ) -> Result<u64, ContractError> {
        let data = Bytes::from(call.abi_encode());
        let request = json!({ "from": from, "to": contract, "value": value, "data": data });
        let client = self.endpoint.provider.client();
        let answer = client.request::<_, U64>("eth_estimateGas", (request,)).await;
        answer.map(|gas| gas.to()).map_err(|e| self.error::<C>(contract, Some(from), &e))
    }

    /// A word of a contract's storage.
    pub(crate) async fn storage(&self, contract: Address, slot: B256) -> Result<B256, CallError> {
        self.endpoint.request("eth_getStorageAt", (contract, slot, "latest")).await
    }

    fn error<C: SolCall>(
        &self,
        contract: Address,
        account: Option<Address>,
        error: &TransportError,
    ) -> ContractError {
        let function = C::SIGNATURE;
        let unavailable = || self.endpoint.call_error(function, error);
        let Some(payload) = error.as_error_resp() else { return unavailable().into() };
        if let Some(data) = revert::revert_data(error) {
            let reason = match data.is_empty() {
                false => revert::reason(&data),
                true => payload.message.to_string(),
            };
            return ContractError::Reverted { contract, function, reason };
        }
        if let Some(account) = account
            && payload.message.to_lowercase().contains("insufficient")
        {
            let reason = error_text(error);
            return ContractError::InsufficientFunds { account, function, reason };
        }
        unavailable().into()
    }
}

/// The answer of a contract that may not know the question.
pub(crate) fn where_known<T>(answer: Result<T, ContractError>) -> Result<Option<T>, ContractError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ContractError::Reverted { .. } | ContractError::NotThere { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
