//! Prices: gas price, tips, blob base fee, fee history.

use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U128};
use alloy_rpc_types_eth::FeeHistory;
use serde::Deserialize;

use super::error::{self, RpcResult};
use super::{Registry, Rpc};
use crate::chain::StoredBlock;
use crate::rules;

/// Blocks that one `eth_feeHistory` may ask for.
const MAX_FEE_HISTORY: u64 = 1_024;
/// Reward percentiles that one `eth_feeHistory` may ask for.
const MAX_PERCENTILES: usize = 100;
/// Blocks whose tips a suggestion looks at.
const TIP_BLOCKS: u64 = 20;
/// The percentile of their tips that is suggested.
const TIP_PERCENTILE: usize = 60;
/// Least suggestion on an L1, in wei per gas.
const MIN_TIP_L1: u128 = 1_000_000_000;
/// Least suggestion on an OP chain, and the one as long as blocks have room.
const MIN_TIP_L2: u128 = 1_000_000;
/// No suggestion is higher, whatever others paid.
const MAX_TIP: u128 = 500_000_000_000;

/// A block count: quantity or plain number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Quantity(U64),
    Number(u64),
}

pub(super) fn register(registry: &mut Registry) {
    registry.quick("eth_gasPrice", |rpc, _| {
        let base_fee = rpc.chain.head().header().base_fee_per_gas.unwrap_or_default();
        Ok(U128::from(rpc.suggested_tip().saturating_add(u128::from(base_fee))))
    });
    registry.quick("eth_maxPriorityFeePerGas", |rpc, _| Ok(U128::from(rpc.suggested_tip())));
    registry.quick("eth_baseFee", |rpc, _| Ok(U64::from(rpc.chain.pool().head().base_fee)));
    registry
        .quick("eth_blobBaseFee", |rpc, _| Ok(U128::from(rpc.chain.pool().head().blob_base_fee)));
    registry.blocking("eth_feeHistory", |rpc, params| {
        let mut params = params.sequence();
        let (count, newest): (Count, BlockNumberOrTag) = (params.next()?, params.next()?);
        let percentiles: Option<Vec<f64>> = params.optional_next()?;
        let count = match count {
            Count::Quantity(count) => count.to::<u64>(),
            Count::Number(count) => count,
        };
        rpc.fee_history(count, newest, &percentiles.unwrap_or_default())
    });
}

impl Rpc {
    /// The tip that gets a transaction into one of the next blocks, in wei per gas.
    pub(super) fn suggested_tip(&self) -> u128 {
        let head = self.chain.head();
        let header = head.header();
        let l2 = self.chain.spec().is_l2();
        let minimum = if l2 { MIN_TIP_L2 } else { MIN_TIP_L1 };
        // An OP chain whose blocks have room takes any tip: to ask for more wastes users' money.
        if l2 && header.gas_used < header.gas_limit / 10 * 9 {
            return minimum;
        }
        let oldest = header.number.saturating_sub(TIP_BLOCKS - 1);
        let mut tips: Vec<u128> = (oldest..=header.number)
            .filter_map(|number| self.chain.stored_by_number(number))
            .flat_map(|stored| tips(&stored).into_iter().map(|(tip, _)| tip))
            .collect();
        tips.sort_unstable();
        let index = tips.len().saturating_sub(1) * TIP_PERCENTILE / 100;
        tips.get(index).copied().unwrap_or_default().clamp(minimum, MAX_TIP)
    }

    fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: &[f64],
    ) -> RpcResult<FeeHistory> {
        check_percentiles(percentiles)?;
        if count == 0 {
            return Ok(FeeHistory::default());
        }
        let head = self.chain.head().header().number;
        let newest = match newest {
            BlockNumberOrTag::Number(number) if number > head => {
                return Err(error::server(format!(
                    "request beyond head block: requested {number}, head {head}"
                )));
            }
            tag => self.by_tag(tag).ok_or_else(error::header_not_found)?.number(),
        };
        let first = self.chain.genesis().header().number;
        let count = count.min(MAX_FEE_HISTORY).min(newest - first + 1);
        let oldest = newest + 1 - count;
        let mut history = FeeHistory { oldest_block: oldest, ..Default::default() };
        let mut rewards = Vec::new();
        let spec = self.chain.spec();
        let mut last = None;
        for number in oldest..=newest {
            let stored = self.chain.stored_by_number(number);
            let stored = stored.ok_or_else(error::header_not_found)?;
            let header = stored.block.header();
            history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
            history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
            let blob_params = spec.blob_params(header.timestamp);
            let blob_fee = rules::blob_base_fee(spec, header);
            history
                .base_fee_per_blob_gas
                .push(blob_fee.unwrap_or_else(|| u128::from(spec.is_l2())));
            history.blob_gas_used_ratio.push(blob_params.map_or(0.0, |params| {
                ratio(header.blob_gas_used.unwrap_or_default(), params.max_blob_gas_per_block())
            }));
            if !percentiles.is_empty() {
                rewards.push(block_rewards(&stored, percentiles));
            }
            last = Some(stored);
        }
        if let Some(stored) = last {
            let header = stored.block.header();
            let next = header.timestamp.saturating_add(1);
            history.base_fee_per_gas.push(opal_evm::next_base_fee(spec, header, next).into());
            history.base_fee_per_blob_gas.push(rules::next_blob_base_fee(spec, header, next));
        }
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        Ok(history)
    }
}

fn check_percentiles(percentiles: &[f64]) -> RpcResult<()> {
    if percentiles.len() > MAX_PERCENTILES {
        return Err(error::invalid_params(format!(
            "invalid reward percentile: over the query limit {MAX_PERCENTILES}"
        )));
    }
    let mut previous = 0.0;
    for percentile in percentiles {
        if !(0.0..=100.0).contains(percentile) {
            return Err(error::invalid_params(format!("invalid reward percentile: {percentile}")));
        }
        if *percentile < previous {
            return Err(error::invalid_params(format!(
                "invalid reward percentile: {percentile} after {previous}"
            )));
        }
        previous = *percentile;
    }
    Ok(())
}

fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

/// Effective tip and gas of each transaction that pays fees.
fn tips(stored: &StoredBlock) -> Vec<(u128, u64)> {
    let base_fee = stored.block.header().base_fee_per_gas.unwrap_or_default();
    let transactions = stored.block.block.body.transactions.iter().enumerate();
    transactions
        .filter(|(_, tx)| !tx.is_deposit_tx())
        .map(|(index, tx)| {
            let tip = tx.effective_tip_per_gas(base_fee).unwrap_or_default();
            (tip, rules::gas_used(&stored.receipts, index))
        })
        .collect()
}

/// For each percentile of the block's gas, the tip that bought it.
fn block_rewards(stored: &StoredBlock, percentiles: &[f64]) -> Vec<u128> {
    let mut tips = tips(stored);
    if tips.is_empty() {
        return vec![0; percentiles.len()];
    }
    tips.sort_unstable();
    let total: u64 = tips.iter().map(|(_, gas)| gas).sum();
    let reward = |percentile: &f64| {
        let threshold = (total as f64 * percentile / 100.0) as u64;
        let mut sum = 0;
        let reached = tips.iter().find(|(_, gas)| {
            sum += gas;
            sum >= threshold
        });
        reached.or(tips.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(reward).collect()
}
