//! What L2 says: receipts, headers, proofs. Read as bare JSON, for receipts of deposits are none of
//! Ethereum's.

use alloy_primitives::{B256, Log, U64};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use opal_protocol::contracts::ICrossDomainMessenger::{failedMessagesCall, successfulMessagesCall};
use opal_protocol::predeploys::{L2_CROSS_DOMAIN_MESSENGER, L2_TO_L1_MESSAGE_PASSER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::proof::L2State;
use super::send::ask;
use super::{BridgeError, Layer};

/// A receipt of L2, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2Receipt {
    /// The transaction.
    pub transaction_hash: B256,
    /// The block that it is in.
    pub block_number: U64,
    /// 1 if it succeeded.
    pub status: U64,
    /// Its logs.
    pub logs: Vec<alloy_rpc_types_eth::Log>,
}

impl L2Receipt {
    /// Its logs as the chain has them.
    pub fn logs(&self) -> Vec<Log> {
        self.logs.iter().map(|log| log.inner.clone()).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    number: U64,
    hash: B256,
    state_root: B256,
    withdrawals_root: Option<B256>,
}

/// An L2 node.
#[derive(Clone, Debug)]
pub struct L2 {
    provider: DynProvider,
}

impl L2 {
    /// Checks that the node serves the chain.
    ///
    /// # Errors
    /// When it does not answer, or serves another chain.
    pub async fn connect(
        provider: DynProvider,
        chain_id: Option<u64>,
    ) -> Result<Self, BridgeError> {
        let found = provider.get_chain_id().await;
        let found = found.map_err(|error| BridgeError::rpc(Layer::L2, "eth_chainId", &error))?;
        match chain_id {
            Some(expected) if expected != found => Err(BridgeError::WrongChain { found, expected }),
            _ => Ok(Self { provider }),
        }
    }

    /// The node.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    async fn get<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Option<T>, BridgeError> {
        let answer: Value = self
            .provider
            .raw_request(method.into(), params)
            .await
            .map_err(|error| BridgeError::rpc(Layer::L2, method, &error))?;
        let unexpected = |error: serde_json::Error| {
            let reason = format!("unexpected answer: {error}");
            BridgeError::Rpc { layer: Layer::L2, method, reason }
        };
        serde_json::from_value(answer).map_err(unexpected)
    }

    /// The receipt of a transaction; `None` if it is not mined.
    ///
    /// # Errors
    /// When L2 does not answer.
    pub async fn receipt(&self, hash: B256) -> Result<Option<L2Receipt>, BridgeError> {
        self.get("eth_getTransactionReceipt", json!([hash])).await
    }

    /// The state of a block; `None` if the node does not have it yet.
    ///
    /// # Errors
    /// When L2 does not answer.
    pub async fn state(&self, number: u64) -> Result<Option<L2State>, BridgeError> {
        let number = json!([format!("{number:#x}"), false]);
        let header: Option<Header> = self.get("eth_getBlockByNumber", number).await?;
        Ok(header.map(|header| L2State {
            number: header.number.to(),
            hash: header.hash,
            state_root: header.state_root,
            withdrawals_root: header.withdrawals_root,
        }))
    }

    /// Whether L2's messenger made a message's call: `Some(true)` if it did, `Some(false)` if the
    /// call failed, `None` if the message has not come yet.
    ///
    /// # Errors
    /// When L2 does not answer.
    pub async fn message(&self, hash: B256) -> Result<Option<bool>, BridgeError> {
        let messenger = L2_CROSS_DOMAIN_MESSENGER;
        let done = ask(Layer::L2, &self.provider, messenger, successfulMessagesCall(hash)).await?;
        if done == Some(true) {
            return Ok(done);
        }
        let failed = ask(Layer::L2, &self.provider, messenger, failedMessagesCall(hash)).await?;
        Ok((failed == Some(true)).then_some(false))
    }

    /// The message passer's account in a block, and one slot of it.
    ///
    /// # Errors
    /// When L2 does not answer: nodes that keep no old states can't, for blocks of some days ago.
    pub async fn proof(
        &self,
        slot: B256,
        number: u64,
    ) -> Result<EIP1186AccountProofResponse, BridgeError> {
        const METHOD: &str = "eth_getProof";
        let params = json!([L2_TO_L1_MESSAGE_PASSER, [slot], format!("{number:#x}")]);
        self.get(METHOD, params).await?.ok_or_else(|| BridgeError::Rpc {
            layer: Layer::L2,
            method: METHOD,
            reason: format!("no proof in block {number}"),
        })
    }
}
