//! Small questions about a chain's rules that several modules ask.

use alloy_consensus::{Header, Transaction};
use alloy_primitives::{B256, U64, U256};
use opal_evm::{ChainSpec, ExecutedBlock, L1FeeParams, State};
use opal_protocol::{Hardfork, Receipt, SealedBlock, TxEnvelope, predeploys};

use crate::pool::PoolHead;
use crate::rpc::L1Fields;

/// Storage root of the message passer, which from Isthmus on is the header's withdrawals root;
/// `None` on an L1.
pub(crate) fn withdrawals_storage_root(
    spec: &ChainSpec,
    header: &Header,
    state: &State,
) -> Result<Option<B256>, String> {
    if !spec.is_l2() {
        return Ok(None);
    }
    if spec.is_active(Hardfork::Isthmus, header.timestamp) && header.withdrawals_root.is_some() {
        return Ok(header.withdrawals_root);
    }
    let root = state.storage_root(&predeploys::L2_TO_L1_MESSAGE_PASSER);
    root.map(Some).map_err(|error| error.to_string())
}

/// Fee parameters as the `L1Block` predeploy holds them after a block, which are those that its
/// transactions paid by: its first transaction set them. `None` on an L1.
pub(crate) fn l1_fee(
    spec: &ChainSpec,
    timestamp: u64,
    state: &State,
) -> Result<Option<L1FeeParams>, String> {
    let Some(fork) = spec.hardfork(timestamp) else { return Ok(None) };
    L1FeeParams::read(fork, |slot| state.storage(&predeploys::L1_BLOCK, slot))
        .map(Some)
        .map_err(|error| error.to_string())
}

/// What the pool must know of a new head.
pub(crate) fn pool_head(
    spec: &ChainSpec,
    block: &SealedBlock,
    state: State,
) -> Result<PoolHead, String> {
    let header = block.header();
    // The next block's time is not known; only a fork's activation block could tell the
    // difference.
    let next = header.timestamp.saturating_add(1);
    let blobs = spec.blob_params(next);
    Ok(PoolHead {
        hash: block.hash,
        number: header.number,
        timestamp: header.timestamp,
        chain_id: spec.chain_id,
        spec_id: spec.evm_spec(next),
        base_fee: opal_evm::next_base_fee(spec, header, next),
        gas_limit: header.gas_limit,
        blobs,
        blob_base_fee: next_blob_base_fee(spec, header, next),
        l1_fee: l1_fee(spec, next, &state)?,
        state,
    })
}

/// Blob base fee of the block that follows `header` at `timestamp`, in wei per blob gas. On an OP
/// chain the `BLOBBASEFEE` instruction gives 1, and so does this.
pub(crate) fn next_blob_base_fee(spec: &ChainSpec, header: &Header, timestamp: u64) -> u128 {
    match spec.blob_params(timestamp) {
        Some(params) => {
            let excess = opal_evm::next_excess_blob_gas(spec, header, timestamp);
            params.calc_blob_fee(excess.unwrap_or_default())
        }
        None => 1,
    }
}

/// Blob base fee of a block of an L1; `None` on L2 and before Cancun.
pub(crate) fn blob_base_fee(spec: &ChainSpec, header: &Header) -> Option<u128> {
    let params = spec.blob_params(header.timestamp)?;
    Some(params.calc_blob_fee(header.excess_blob_gas?))
}

/// Gas that one transaction used, from the running totals of the receipts.
pub(crate) fn gas_used(receipts: &[Receipt], index: usize) -> u64 {
    let total = |i: usize| receipts.get(i).map_or(0, |receipt| receipt.cumulative_gas_used);
    total(index).saturating_sub(index.checked_sub(1).map_or(0, total))
}

/// Priority fees of a block's transactions, in wei.
pub(crate) fn priority_fees(executed: &ExecutedBlock) -> U256 {
    let base_fee = executed.block.header().base_fee_per_gas.unwrap_or_default();
    let transactions = executed.block.block.body.transactions.iter().enumerate();
    transactions.filter(|(_, tx)| !tx.is_deposit_tx()).fold(U256::ZERO, |sum, (index, tx)| {
        let tip = tx.effective_tip_per_gas(base_fee).unwrap_or_default();
        sum + U256::from(tip) * U256::from(gas_used(&executed.receipts, index))
    })
}

/// The L1-fee fields of a receipt; none for deposits, which pay no fees.
pub(crate) fn l1_fields(params: &L1FeeParams, tx: &TxEnvelope) -> L1Fields {
    let Some(info) = params.info(tx) else { return L1Fields::default() };
    L1Fields {
        l1_gas_price: Some(info.l1_gas_price),
        l1_gas_used: Some(info.l1_gas_used),
        l1_fee: Some(info.l1_fee),
        l1_fee_scalar: info.l1_fee_scalar.map(millionths),
        l1_base_fee_scalar: info.l1_base_fee_scalar.map(U64::from),
        l1_blob_base_fee: info.l1_blob_base_fee,
        l1_blob_base_fee_scalar: info.l1_blob_base_fee_scalar.map(U64::from),
        operator_fee_scalar: info.operator_fee_scalar.map(U64::from),
        operator_fee_constant: info.operator_fee_constant.map(U64::from),
        da_footprint_gas_scalar: info.da_footprint_gas_scalar.map(U64::from),
        da_footprint: info.da_footprint,
    }
}

/// `684000` as `0.684`.
fn millionths(value: U256) -> String {
    let million = U256::from(1_000_000);
    let (whole, part) = (value / million, value % million);
    let text = format!("{whole}.{:06}", part.to::<u64>());
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_is_shown_as_a_decimal_fraction() {
        assert_eq!(millionths(U256::from(684_000)), "0.684");
        assert_eq!(millionths(U256::from(1_000_000)), "1");
        assert_eq!(millionths(U256::from(1_500_001)), "1.500001");
        assert_eq!(millionths(U256::ZERO), "0");
    }
}
