//! Blocks of calls instead of transactions: `eth_simulateV1`.

use super::*;

use crate::call::{self, CallError, CallRequest, OverriddenState};
use crate::probe::{Probe, Stop, TRANSFER_LOG_ADDRESS};
use revm::context::result::HaltReason;

/// What a simulated block does otherwise than one that is built.
#[derive(Clone, Copy)]
pub struct Simulation<'a> {
    /// Base fee in wei.
    pub base_fee: u64,
    /// Price of blob gas in wei; `None` is what follows from the parent.
    pub blob_base_fee: Option<u128>,
    /// Whether nonces and fees are checked as those of transactions.
    pub validation: bool,
    /// Whether each transfer of value leaves a log of [`TRANSFER_LOG_ADDRESS`].
    pub trace_transfers: bool,
    /// Ends a call that runs too long.
    pub stop: Option<Stop<'a>>,
}

impl core::fmt::Debug for Simulation<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Simulation")
            .field("base_fee", &self.base_fee)
            .field("validation", &self.validation)
            .finish_non_exhaustive()
    }
}

impl<'a> BlockExecutor<'a> {
    /// Begins a simulated block, as [`BlockExecutor::new`] begins one that is built.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn simulate(
        spec: &'a ChainSpec,
        parent: Parent<'a>,
        input: BlockInput,
        state: &OverriddenState,
        hashes: BlockHashes<'a>,
        simulation: Simulation<'a>,
    ) -> Result<Self, BlockError> {
        let probe = Probe::new(simulation.stop);
        let db = BlockDb { probe: Some(probe), ..BlockDb::new(state.state.clone(), hashes) };
        let mut this = Self::with_db(spec, parent, input, db);
        this.base_fee = simulation.base_fee;
        this.evm.precompiles = state.precompiles.clone();
        let block = &mut this.evm.ctx.block;
        block.basefee = simulation.base_fee;
        if let (Some(blob), Some(price)) =
            (&mut block.blob_excess_gas_and_price, simulation.blob_base_fee)
        {
            blob.blob_gasprice = price;
        }
        let cfg = &mut this.evm.ctx.cfg;
        call::unlimited(cfg);
        cfg.disable_nonce_check = !simulation.validation;
        // Where nothing is checked, gas without a price is free whatever the base fee is.
        this.free_gas = !simulation.validation;
        this.before_transactions()?;
        if let Some(probe) = &mut this.evm.ctx.journaled_state.database.probe {
            probe.transfers = simulation.trace_transfers;
            probe.base_fee = Some(simulation.base_fee);
        }
        Ok(this)
    }

    /// An account's nonce after the calls so far.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn nonce(&mut self, address: Address) -> Result<u64, CallError> {
        Ok(self.evm.ctx.journal_mut().load_account(address)?.info.nonce)
    }

    /// Runs a call on top of those before it. The block shows `tx` for it, which nobody signed.
    ///
    /// # Errors
    /// When the request is not valid, the state cannot be read, or the stop signal came.
    pub fn simulate_call(
        &mut self,
        request: &CallRequest,
        tx: &TxEnvelope,
    ) -> Result<ExecutionResult<HaltReason>, CallError> {
        let nonce = request.nonce.unwrap_or_default();
        let env = call::call_env(request, self.gas_left(), nonce)?;
        self.blob_gas_used += env.blob_hashes.len() as u64 * DATA_GAS_PER_BLOB;
        let free = self.free_gas && env.gas_price == 0;
        self.evm.ctx.block.basefee = if free { 0 } else { self.base_fee };
        let result = handler::run(&mut self.evm, env, L2Tx::Call);
        let probe = self.evm.ctx.journaled_state.database.probe.as_ref();
        if probe.is_some_and(|probe| probe.stopped) {
            return Err(CallError::Stopped);
        }
        let result = result?;
        self.gas_used += result.tx_gas_used();
        let logs = result.logs().iter().filter(|log| log.address != TRANSFER_LOG_ADDRESS);
        self.receipts.push(Receipt {
            tx_type: tx.tx_type(),
            success: result.is_success(),
            cumulative_gas_used: self.gas_used,
            logs: logs.cloned().collect(),
            deposit_nonce: None,
            deposit_receipt_version: None,
        });
        self.encoded.push(tx.encoded_2718());
        self.transactions.push(tx.clone());
        Ok(result)
    }
}
