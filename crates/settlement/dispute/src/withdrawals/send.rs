//! Sends a call and sees it through: tried without sending first, so that a refusal is free and has
//! a name.

use alloy_primitives::{Address, B256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::{BlockId, TransactionReceipt, TransactionRequest};
use alloy_sol_types::SolCall;
use opal_protocol::contracts::IBridgedToken::{
    allowanceCall, decimalsCall, getApprovedCall, isApprovedForAllCall, l1TokenCall,
    remoteTokenCall,
};
use opal_service::keys::Key;
use opal_service::{TxCandidate, TxManager, TxManagerConfig};
use tracing::info;

use super::reverts::describe;
use super::transfers::{Asset, Bridges, Call, approval};
use super::{BridgeError, Layer, TARGET};
use crate::revert::revert_data;

/// Most gas that a transaction may have on L1 (EIP-7825).
const MAX_GAS: u64 = 1 << 24;

/// For this sender portal and messengers revert where the call that they make fails, so that an
/// estimate does not settle for the gas with which it does.
const ESTIMATION_ADDRESS: Address = Address::with_last_byte(1);

/// An account on one of the chains.
#[derive(Clone, Debug)]
pub struct Sender {
    layer: Layer,
    provider: DynProvider,
    manager: TxManager,
}

impl Sender {
    /// Makes one.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn new(
        layer: Layer,
        provider: DynProvider,
        key: Key,
        config: TxManagerConfig,
    ) -> Result<Self, BridgeError> {
        let manager = TxManager::new(provider.clone(), key, config).await;
        let manager = manager.map_err(|source| BridgeError::Tx { what: "connecting", source })?;
        Ok(Self { layer, provider, manager })
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.manager.address()
    }

    fn request(&self, call: &Call) -> TransactionRequest {
        TransactionRequest::default()
            .from(self.address())
            .to(call.to)
            .value(call.value)
            .input(call.data.clone().into())
    }

    /// Whether the call would go through now.
    pub(super) async fn simulate(
        &self,
        what: &'static str,
        call: &Call,
        at: BlockId,
    ) -> Result<(), BridgeError> {
        match self.provider.call(self.request(call)).block(at).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match revert_data(&error) {
                Some(data) => BridgeError::Reverted { what, reason: describe(&data) },
                None => BridgeError::rpc(self.layer, "eth_call", &error),
            }),
        }
    }

    /// Sends the call and waits until it is confirmed.
    ///
    /// # Errors
    /// When it would revert, does revert, or is not mined.
    pub async fn send(
        &self,
        what: &'static str,
        call: &Call,
    ) -> Result<TransactionReceipt, BridgeError> {
        self.simulate(what, call, BlockId::latest()).await?;
        let estimate = self.estimate(what, self.request(call)).await?;
        self.send_with(what, call, estimate).await
    }

    /// Sends a call of the portal or of a messenger that makes another call, with gas enough for
    /// that one, too.
    ///
    /// # Errors
    /// As [`Sender::send`]; and when that other call would fail whatever the gas.
    pub async fn send_through(
        &self,
        what: &'static str,
        call: &Call,
    ) -> Result<TransactionReceipt, BridgeError> {
        self.simulate(what, call, BlockId::latest()).await?;
        let estimate = self.estimate(what, self.request(call).from(ESTIMATION_ADDRESS)).await?;
        self.send_with(what, call, estimate).await
    }

    async fn estimate(
        &self,
        what: &'static str,
        request: TransactionRequest,
    ) -> Result<u64, BridgeError> {
        self.provider.estimate_gas(request).await.map_err(|error| match revert_data(&error) {
            Some(data) => BridgeError::Reverted { what, reason: describe(&data) },
            None => BridgeError::rpc(self.layer, "eth_estimateGas", &error),
        })
    }

    /// Sends the call with half as much gas again as was estimated.
    async fn send_with(
        &self,
        what: &'static str,
        call: &Call,
        estimate: u64,
    ) -> Result<TransactionReceipt, BridgeError> {
        // Deposits burn gas at a price that changes from block to block.
        let gas_limit = estimate.saturating_mul(3) / 2;
        let gas_limit = if estimate < MAX_GAS { gas_limit.min(MAX_GAS) } else { gas_limit };
        let candidate = TxCandidate {
            to: Some(call.to),
            data: call.data.clone(),
            value: call.value,
            blobs: Vec::new(),
            gas_limit: Some(gas_limit),
        };
        let sent = self.manager.send(candidate).await;
        let receipt = sent.map_err(|source| BridgeError::Tx { what, source })?;
        let hash = receipt.transaction_hash;
        if receipt.status() {
            info!(target: TARGET, %hash, layer = %self.layer, "{what}: confirmed");
            return Ok(receipt);
        }
        // The state before its block is the nearest that can be asked.
        let before = receipt.block_number.unwrap_or_default().saturating_sub(1);
        self.simulate(what, call, before.into()).await?;
        let reason = format!("transaction {hash} failed, of its gas or by what came before it");
        Err(BridgeError::Reverted { what, reason })
    }

    /// Allows the layer's bridge to take the tokens, where it must ask for them: one that the bridge
    /// mints and burns need not be allowed.
    ///
    /// # Errors
    /// When the token refuses.
    pub async fn approve(
        &self,
        bridges: &Bridges,
        asset: &Asset,
    ) -> Result<Option<B256>, BridgeError> {
        let Some((token, spender, amount)) = bridges.spender(asset) else { return Ok(None) };
        let owner = self.address();
        let allowed = match asset {
            Asset::Erc721 { .. } => {
                let approved = self.ask(token, getApprovedCall { tokenId: amount }).await?;
                let all = isApprovedForAllCall { owner, operator: spender };
                approved == Some(spender) || self.ask(token, all).await? == Some(true)
            }
            _ => {
                let allowance = self.ask(token, allowanceCall { owner, spender }).await?;
                allowance.is_some_and(|allowance| allowance >= amount)
            }
        };
        if allowed || self.ask(token, remoteTokenCall {}).await?.is_some() {
            return Ok(None);
        }
        let receipt = self.send("approval", &approval(token, spender, amount)).await?;
        Ok(Some(receipt.transaction_hash))
    }

    /// Asks a token; `None` if it has no such function.
    async fn ask<C: SolCall>(
        &self,
        token: Address,
        call: C,
    ) -> Result<Option<C::Return>, BridgeError> {
        ask(self.layer, &self.provider, token, call).await
    }
}

/// Asks a contract; `None` if it has no such function.
pub(super) async fn ask<C: SolCall>(
    layer: Layer,
    provider: &DynProvider,
    contract: Address,
    call: C,
) -> Result<Option<C::Return>, BridgeError> {
    let request = TransactionRequest::default().to(contract).input(call.abi_encode().into());
    match provider.call(request).await {
        Ok(answer) => Ok(C::abi_decode_returns(&answer).ok()),
        Err(error) => match revert_data(&error) {
            Some(_) => Ok(None),
            None => Err(BridgeError::rpc(layer, "eth_call", &error)),
        },
    }
}

/// Decimals of a token; `None` if it does not say.
///
/// # Errors
/// When the node does not answer.
pub async fn decimals(
    layer: Layer,
    provider: &DynProvider,
    token: Address,
) -> Result<Option<u8>, BridgeError> {
    ask(layer, provider, token, decimalsCall {}).await
}

/// The other side of a token that a bridge mints and burns.
///
/// # Errors
/// When the token does not say, or the node does not answer.
pub async fn remote_token(
    layer: Layer,
    provider: &DynProvider,
    token: Address,
) -> Result<Address, BridgeError> {
    if let Some(remote) = ask(layer, provider, token, remoteTokenCall {}).await? {
        return Ok(remote);
    }
    // Tokens of before Bedrock.
    let remote = ask(layer, provider, token, l1TokenCall {}).await?;
    remote.ok_or(BridgeError::RemoteToken(token))
}
