//! Bodies of known blocks, for clients that sync.

use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, Bytes, U64};
use opal_protocol::SealedBlock;
use serde::Serialize;

use super::Registry;
use super::error::{self, ApiResult};

/// Blocks that one request may ask for. Spec: `engine/shanghai.md`,
/// "engine_getPayloadBodiesByHashV1".
const MAX_BODIES: u64 = 1_024;

/// What of a block is not in its header.
#[derive(Clone, Debug, Serialize)]
struct Body {
    transactions: Vec<Bytes>,
    withdrawals: Option<Vec<Withdrawal>>,
}

impl Body {
    fn of(block: &SealedBlock) -> Self {
        let body = &block.block.body;
        Self {
            transactions: body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
            withdrawals: body.withdrawals.as_ref().map(|list| list.to_vec()),
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("engine_getPayloadBodiesByHashV1", |engine, params| {
        let hashes: Vec<B256> = params.sequence().next()?;
        check_count(hashes.len() as u64)?;
        let body = |hash| engine.block_by_hash(hash).as_ref().map(Body::of);
        Ok(hashes.iter().map(body).collect::<Vec<_>>())
    });
    registry.add("engine_getPayloadBodiesByRangeV1", |engine, params| {
        let mut params = params.sequence();
        let (start, count): (U64, U64) = (params.next()?, params.next()?);
        let (start, count): (u64, u64) = (start.to(), count.to());
        if start == 0 || count == 0 {
            let text = format!("invalid start or count, start: {start} count: {count}");
            return Err(error::params(text));
        }
        check_count(count)?;
        // Nothing is said of blocks above the head.
        let last = start.saturating_add(count - 1).min(engine.head().header().number);
        let body = |number| engine.block_by_number(number).as_ref().map(Body::of);
        Ok((start..=last).map(body).collect::<Vec<_>>())
    });
}

fn check_count(count: u64) -> ApiResult<()> {
    if count > MAX_BODIES {
        return Err(error::too_large(format!("requested count too large: {count}")));
    }
    Ok(())
}
