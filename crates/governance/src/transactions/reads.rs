//! What is on L1 of a deployment.

use alloy_eips::BlockId;
use alloy_primitives::{Address, Bytes};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_sol_types::SolCall;
use alloy_transport::TransportResult;
use opal_protocol::L1BlockRef;
use opal_service::http::error_text;

use super::TransactionsError;
use crate::abi::ISystemConfigSetup;
use crate::steps::{Check, Plan, Query, byte_of};

/// Chain id of the L1, which must be the intent's if that names one.
///
/// # Errors
/// If the L1 does not answer, or is another chain.
pub async fn chain_id(
    provider: &impl Provider,
    expected: Option<u64>,
) -> Result<u64, TransactionsError> {
    let found = request("read the chain id", provider.get_chain_id().await)?;
    match expected {
        Some(expected) if expected != found => {
            Err(TransactionsError::WrongChain { found, expected })
        }
        _ => Ok(found),
    }
}

/// The L1 block that a deployment's L2 begins with: the one in which its SystemConfig was
/// initialized.
///
/// # Errors
/// If the L1 does not answer, or has no such contract.
pub async fn start_block(
    provider: &impl Provider,
    system_config: Address,
) -> Result<L1BlockRef, TransactionsError> {
    let query =
        Query::Call(system_config, ISystemConfigSetup::startBlockCall {}.abi_encode().into());
    let answer = read(provider, &query, BlockId::latest()).await?;
    let number = ISystemConfigSetup::startBlockCall::abi_decode_returns(&answer)
        .ok()
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(TransactionsError::NotDeployed(system_config))?;
    let block = provider.get_block_by_number(number.into()).await;
    let block = request("read the block that L2 begins with", block)?
        .ok_or(TransactionsError::NotDeployed(system_config))?;
    Ok(L1BlockRef::from_header(block.header.hash, &block.header.inner))
}

/// A check, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, and what it must be.
    pub check: Check,
    /// What it is. A call that reverts or meets no contract finds nothing.
    pub found: Bytes,
}

impl Finding {
    /// Whether it is as it must be.
    pub fn holds(&self) -> bool {
        self.found == self.check.expected
    }
}

/// Reads all that a plan wants to hold, in the state after one block.
///
/// # Errors
/// If the L1 does not answer.
pub async fn verify(
    provider: &impl Provider,
    plan: &Plan,
    block: BlockId,
) -> Result<Vec<Finding>, TransactionsError> {
    let mut findings = Vec::with_capacity(plan.checks.len());
    for check in &plan.checks {
        let found = read(provider, &check.query, block).await?;
        findings.push(Finding { check: check.clone(), found });
    }
    Ok(findings)
}

/// Which steps of a plan have been done, in the newest block.
///
/// # Errors
/// If the L1 does not answer.
pub async fn done(provider: &impl Provider, plan: &Plan) -> Result<Vec<bool>, TransactionsError> {
    let mut done = Vec::new();
    for step in plan.steps() {
        done.push(read(provider, &step.done.query, BlockId::latest()).await? == step.done.expected);
    }
    Ok(done)
}

/// Reads what a check asks for. A call that reverts or meets no contract reads as nothing.
pub(super) async fn read(
    provider: &impl Provider,
    query: &Query,
    block: BlockId,
) -> Result<Bytes, TransactionsError> {
    match query {
        Query::Code(address) => {
            request("read code", provider.get_code_at(*address).block_id(block).await)
        }
        Query::Storage(address, slot) => {
            let value = provider.get_storage_at(*address, (*slot).into()).block_id(block).await;
            request("read storage", value)
                .map(|value| Bytes::copy_from_slice(&value.to_be_bytes::<32>()))
        }
        Query::StorageByte(address, slot, offset) => {
            let value = provider.get_storage_at(*address, (*slot).into()).block_id(block).await;
            request("read storage", value).map(|value| byte_of(value, *offset))
        }
        Query::Call(to, data) => {
            let call =
                TransactionRequest::default().to(*to).input(TransactionInput::both(data.clone()));
            match provider.call(call).block(block).await {
                Ok(output) => Ok(output),
                Err(error) if error.is_error_resp() => Ok(Bytes::new()),
                Err(error) => request("call a contract", Err(error)),
            }
        }
    }
}

pub(super) fn request<T>(
    doing: &'static str,
    answer: TransportResult<T>,
) -> Result<T, TransactionsError> {
    answer.map_err(|e| TransactionsError::Request { doing, reason: error_text(&e) })
}
