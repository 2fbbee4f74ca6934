//! `eth_getLogs`.

use std::sync::Arc;

use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee::types::ErrorObjectOwned;

use super::error::{self, RpcResult};
use super::gate::Deadline;
use super::params::Args;
use super::{Registry, Rpc};
use crate::chain::StoredBlock;

/// Alternatives that one position of a filter may list.
const MAX_ALTERNATIVES: usize = 1_000;
/// Blooms that are read together. Few in tests, so that short chains have several pieces.
const BLOOMS_AT_ONCE: u64 = if cfg!(test) { 4 } else { 512 };

pub(super) fn register(registry: &mut Registry) {
    registry.blocking("eth_getLogs", |rpc, params| {
        let filter = parse(params)?;
        rpc.check_range(&filter)?;
        rpc.logs(&filter)
    });
}

/// The filter of a request.
pub(super) fn parse(params: &Args<'_>) -> RpcResult<Filter> {
    params.one().map_err(|error| {
        // The library's words differ from geth's by their letters' case.
        match error.message().contains("cannot specify both blockHash") {
            true => error::invalid_params(
                "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock, choose \
                 one or the other",
            ),
            false => error,
        }
    })
}

impl Rpc {
    /// Refuses ranges that end before they begin, and blocks that are not there yet: their absence
    /// would look as if they had no logs.
    fn check_range(&self, filter: &Filter) -> RpcResult<()> {
        if let (Some(from), Some(to)) = (filter.get_from_block(), filter.get_to_block())
            && from > to
        {
            return Err(error::invalid_params("invalid block range params"));
        }
        let head = self.chain.head().header().number;
        if filter.get_to_block().is_some_and(|end| end > head) {
            return Err(error::invalid_params("block range extends beyond current head block"));
        }
        Ok(())
    }

    /// All logs that a filter names.
    pub(super) fn logs(&self, filter: &Filter) -> RpcResult<Vec<Log>> {
        check_size(filter)?;
        let mut logs = Vec::new();
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let stored =
                    self.chain.stored(&hash).ok_or_else(|| error::server("unknown block"))?;
                collect(&stored, filter, false, &mut logs);
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let number = |tag: alloy_eips::BlockNumberOrTag| match tag.as_number() {
                    Some(number) => Ok(number),
                    None => {
                        let stored = self.by_tag(tag);
                        stored.map(|s| s.number()).ok_or_else(error::header_not_found)
                    }
                };
                let from = number(from_block.unwrap_or_default())?;
                let to = number(to_block.unwrap_or_default())?;
                if from > to {
                    return Err(error::invalid_params("invalid block range params"));
                }
                let first = self.chain.genesis().header().number;
                let to = to.min(self.chain.head().header().number);
                self.collect_range(from.max(first), to, filter, &mut logs)?;
            }
        }
        Ok(logs)
    }

    /// The logs of a range of blocks. A reorg meanwhile makes it begin again, so that they are all
    /// of one chain.
    fn collect_range(
        &self,
        from: u64,
        to: u64,
        filter: &Filter,
        logs: &mut Vec<Log>,
    ) -> RpcResult<()> {
        let limit = self.config.max_log_blocks;
        if to.saturating_sub(from) >= limit {
            return Err(error::limit_exceeded(format!("exceed maximum block range: {limit}")));
        }
        let deadline = self.deadline();
        loop {
            // Every other block is an ancestor of the last one.
            let end = self.chain.canonical_hash(to);
            let collected = self.collect_once(from, to, filter, &deadline, logs);
            if self.chain.canonical_hash(to) == end {
                return collected;
            }
            deadline.check()?;
            logs.clear();
            if self.chain.head().header().number < to {
                // The new chain is shorter.
                return Err(error::header_not_found());
            }
        }
    }

    /// Reads blooms, and receipts only where the bloom may match.
    fn collect_once(
        &self,
        from: u64,
        to: u64,
        filter: &Filter,
        deadline: &Deadline,
        logs: &mut Vec<Log>,
    ) -> RpcResult<()> {
        let mut bytes = 0;
        let mut next = from;
        while next <= to {
            deadline.check()?;
            let blooms =
                self.chain.logs_blooms(next, to.min(next.saturating_add(BLOOMS_AT_ONCE - 1)));
            if blooms.is_empty() {
                return Err(self.missing_blocks());
            }
            let numbers = next..;
            next += blooms.len() as u64;
            for (number, bloom) in numbers.zip(blooms) {
                if !filter.matches_bloom(bloom) {
                    continue;
                }
                deadline.check()?;
                let stored = self.chain.stored_by_number(number);
                let stored = stored.ok_or_else(|| self.missing_blocks())?;
                let before = logs.len();
                collect(&stored, filter, false, logs);
                bytes += logs[before..].iter().map(size).sum::<usize>();
                self.check_answer(logs.len(), bytes)?;
            }
        }
        Ok(())
    }

    /// Why blocks below the head are not here. An answer without them would look as if they had no
    /// logs.
    fn missing_blocks(&self) -> ErrorObjectOwned {
        match self.chain.storage_error() {
            Some(error) => error::server(error.to_string()),
            None => error::pruned_history(),
        }
    }

    /// Refuses an answer that has become too large.
    fn check_answer(&self, logs: usize, bytes: usize) -> RpcResult<()> {
        let limits = &self.config;
        if logs > limits.max_logs {
            let limit = limits.max_logs;
            return Err(error::limit_exceeded(format!("query returned more than {limit} results")));
        }
        if bytes > limits.max_log_bytes {
            let limit = limits.max_log_bytes;
            return Err(error::limit_exceeded(format!(
                "query returned more than {limit} bytes of logs"
            )));
        }
        Ok(())
    }
}

/// Bytes of memory, about.
fn size(log: &Log) -> usize {
    size_of::<Log>() + log.data().data.len() + 32 * log.topics().len()
}

pub(super) fn check_size(filter: &Filter) -> RpcResult<()> {
    let largest = filter.topics.iter().map(|topic| topic.len()).max().unwrap_or_default();
    if largest.max(filter.address.len()) > MAX_ALTERNATIVES {
        return Err(error::invalid_params("exceed max addresses or topics per search position"));
    }
    Ok(())
}

/// Appends the logs of a block that match address and topics. `removed` marks those of a block
/// that a reorg took out.
pub(super) fn collect(
    stored: &Arc<StoredBlock>,
    filter: &Filter,
    removed: bool,
    logs: &mut Vec<Log>,
) {
    let header = stored.block.header();
    if !filter.matches_bloom(header.logs_bloom) {
        return;
    }
    let mut log_index = 0;
    let transactions = &stored.block.block.body.transactions;
    for (index, (receipt, tx)) in stored.receipts.iter().zip(transactions).enumerate() {
        for log in &receipt.logs {
            if filter.matches(log) {
                logs.push(Log {
                    inner: log.clone(),
                    block_hash: Some(stored.block.hash),
                    block_number: Some(header.number),
                    block_timestamp: Some(header.timestamp),
                    transaction_hash: Some(tx.tx_hash()),
                    transaction_index: Some(index as u64),
                    log_index: Some(log_index),
                    removed,
                });
            }
            log_index += 1;
        }
    }
}
