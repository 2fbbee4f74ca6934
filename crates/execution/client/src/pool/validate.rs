//! Rules that a transaction must pass before it enters the pool, one after the other.

use alloy_consensus::{Transaction, Typed2718, constants::KECCAK_EMPTY};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, U256};
use opal_evm::{L1FeeParams, State};
use opal_protocol::TxEnvelope;
use revm::context_interface::cfg::gas::calculate_initial_tx_gas;
use revm::database_interface::DatabaseRef;
use revm::primitives::hardfork::SpecId;

use super::{PoolConfig, PoolError, PooledTransaction};

/// The block that the pool's transactions would go into: its rules, its fees and the state it
/// builds on.
#[derive(Clone, Debug)]
pub struct PoolHead {
    /// Hash of the parent, the current head.
    pub hash: B256,
    /// Number of the parent.
    pub number: u64,
    /// Time of the parent, in seconds.
    pub timestamp: u64,
    /// Chain id.
    pub chain_id: u64,
    /// Ethereum rules of the next block.
    pub spec_id: SpecId,
    /// Base fee of the next block, in wei per gas.
    pub base_fee: u64,
    /// Gas limit of the head.
    pub gas_limit: u64,
    /// Blob limits; `None` where blob transactions are not allowed (L2, or before Cancun).
    pub blobs: Option<BlobParams>,
    /// Blob base fee of the next block, in wei per blob gas.
    pub blob_base_fee: u128,
    /// Parameters of the L1 and operator fees; `None` on L1.
    pub l1_fee: Option<L1FeeParams>,
    /// State after the head.
    pub state: State,
}

/// No precomputed tables: one copy of the trusted setup in the process, small and quickly loaded.
const KZG_PRECOMPUTE: u64 = 0;

/// What the pool asks of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AccountView {
    pub nonce: u64,
    pub balance: U256,
    /// It has code: of the accounts that may send, only those with a delegation have.
    pub has_code: bool,
}

fn has_code(code_hash: B256) -> bool {
    code_hash != KECCAK_EMPTY && !code_hash.is_zero()
}

impl PoolHead {
    pub(super) fn account(&self, address: Address) -> Result<AccountView, PoolError> {
        let account =
            self.state.basic_ref(address).map_err(|error| PoolError::State(error.to_string()))?;
        Ok(account.map_or_else(AccountView::default, |account| AccountView {
            nonce: account.nonce,
            balance: account.balance,
            has_code: has_code(account.code_hash),
        }))
    }

    /// The most that a transaction can cost its sender, fees for L1 data and operator included.
    pub(super) fn full_cost(&self, tx: &PooledTransaction) -> U256 {
        let Some(fee) = &self.l1_fee else { return tx.max_cost() };
        tx.max_cost()
            .saturating_add(fee.l1_cost(tx.data_size()))
            .saturating_add(fee.operator_fee(tx.tx().gas_limit()))
    }

    /// Cheap rules that need neither the sender nor the other transactions. `size` is that of the
    /// encoding without blobs, `network_size` that with them.
    pub(super) fn check_stateless(
        &self,
        tx: &TxEnvelope,
        size: usize,
        network_size: usize,
        config: &PoolConfig,
    ) -> Result<(), PoolError> {
        self.check_type(tx)?;
        match tx.chain_id() {
            None if config.allow_unprotected => {}
            None => return Err(PoolError::NotReplayProtected),
            Some(id) if id != self.chain_id => {
                return Err(PoolError::InvalidSender(format!(
                    "invalid chain id for signer: have {id} want {}",
                    self.chain_id
                )));
            }
            Some(_) => {}
        }
        check_size(size, config.max_tx_bytes)?;
        check_size(network_size, config.max_blob_tx_bytes)?;
        if tx.nonce() == u64::MAX {
            return Err(PoolError::NonceMax);
        }
        self.check_init_code(tx)?;
        self.check_gas_cap(tx)?;
        if tx.gas_limit() > self.gas_limit {
            return Err(PoolError::GasLimit);
        }
        if tx.max_priority_fee_per_gas().is_some_and(|tip| tip > tx.max_fee_per_gas()) {
            return Err(PoolError::TipAboveFeeCap);
        }
        self.check_gas(tx)?;
        if tx.authorization_list().is_some_and(|list| list.is_empty()) {
            return Err(PoolError::EmptyAuthorizationList);
        }
        Ok(())
    }

    /// What of the stateless rules a new head may change: whether a transaction that was taken
    /// once could still run.
    pub(super) fn still_fits(&self, pooled: &PooledTransaction) -> bool {
        let tx = pooled.tx();
        let version = u8::from(self.spec_id.is_enabled_in(SpecId::OSAKA));
        tx.gas_limit() <= self.gas_limit
            && self.check_gas_cap(tx).is_ok()
            && pooled.sidecar().is_none_or(|sidecar| u8::from(sidecar.is_eip7594()) == version)
    }

    fn check_type(&self, tx: &TxEnvelope) -> Result<(), PoolError> {
        let known = match tx {
            TxEnvelope::Legacy(_) => true,
            TxEnvelope::Eip2930(_) => self.spec_id.is_enabled_in(SpecId::BERLIN),
            TxEnvelope::Eip1559(_) => self.spec_id.is_enabled_in(SpecId::LONDON),
            TxEnvelope::Eip4844(_) => self.blobs.is_some(),
            TxEnvelope::Eip7702(_) => self.spec_id.is_enabled_in(SpecId::PRAGUE),
            TxEnvelope::Deposit(_) => false,
        };
        if known { Ok(()) } else { Err(PoolError::TypeNotSupported) }
    }

    fn check_init_code(&self, tx: &TxEnvelope) -> Result<(), PoolError> {
        const LIMIT: usize = revm::primitives::eip3860::MAX_INITCODE_SIZE;
        if self.spec_id.is_enabled_in(SpecId::SHANGHAI)
            && tx.kind().is_create()
            && tx.input().len() > LIMIT
        {
            return Err(PoolError::InitCodeSize { size: tx.input().len(), limit: LIMIT });
        }
        Ok(())
    }

    /// EIP-7825.
    fn check_gas_cap(&self, tx: &TxEnvelope) -> Result<(), PoolError> {
        const CAP: u64 = revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
        if self.spec_id.is_enabled_in(SpecId::OSAKA) && tx.gas_limit() > CAP {
            return Err(PoolError::GasLimitTooHigh { cap: CAP, tx: tx.gas_limit() });
        }
        Ok(())
    }

    fn check_gas(&self, tx: &TxEnvelope) -> Result<(), PoolError> {
        let (accounts, slots) = tx.access_list().map_or((0, 0), |list| {
            (list.len() as u64, list.iter().map(|item| item.storage_keys.len() as u64).sum())
        });
        let authorizations = tx.authorization_list().map_or(0, |list| list.len() as u64);
        let gas = calculate_initial_tx_gas(
            self.spec_id,
            tx.input(),
            tx.kind().is_create(),
            accounts,
            slots,
            authorizations,
            None,
        );
        if tx.gas_limit() < gas.initial_total_gas() {
            return Err(PoolError::IntrinsicGas {
                gas: tx.gas_limit(),
                minimum: gas.initial_total_gas(),
            });
        }
        if tx.gas_limit() < gas.floor_gas() {
            return Err(PoolError::FloorDataGas { gas: tx.gas_limit(), minimum: gas.floor_gas() });
        }
        Ok(())
    }

    /// EIP-4844 and EIP-7594. Verifying the proofs takes about a millisecond a blob, and the
    /// trusted setup is loaded when the first blob arrives.
    pub(super) fn check_blobs(&self, pooled: &PooledTransaction) -> Result<(), PoolError> {
        let tx = pooled.tx();
        if !tx.is_eip4844() {
            return Ok(());
        }
        let (Some(params), Some(hashes)) = (&self.blobs, tx.blob_versioned_hashes()) else {
            return Err(PoolError::TypeNotSupported);
        };
        let Some(sidecar) = pooled.sidecar() else { return Err(PoolError::MissingSidecar) };
        if hashes.is_empty() {
            return Err(PoolError::Blobless);
        }
        let limit = params.max_blobs_per_tx.min(params.max_blob_count) as usize;
        if hashes.len() > limit {
            return Err(PoolError::TooManyBlobs { have: hashes.len(), limit });
        }
        if tx.kind().is_create() {
            return Err(PoolError::BlobCreate);
        }
        if tx.max_fee_per_blob_gas().unwrap_or_default() == 0 {
            return Err(PoolError::BlobFeeTooLow);
        }
        let want = u8::from(self.spec_id.is_enabled_in(SpecId::OSAKA));
        let got = u8::from(sidecar.is_eip7594());
        if want != got {
            return Err(PoolError::SidecarVersion { want, got });
        }
        sidecar
            .validate(hashes, c_kzg::ethereum_kzg_settings(KZG_PRECOMPUTE))
            .map_err(|error| PoolError::InvalidSidecar(error.to_string()))
    }

    /// Rules about the sender's account alone.
    pub(super) fn check_account(&self, tx: &PooledTransaction) -> Result<AccountView, PoolError> {
        let state = |error: <State as DatabaseRef>::Error| PoolError::State(error.to_string());
        let account = self.state.basic_ref(tx.sender()).map_err(state)?.unwrap_or_default();
        if tx.tx().nonce() < account.nonce {
            return Err(PoolError::NonceTooLow { state: account.nonce, tx: tx.tx().nonce() });
        }
        let has_code = has_code(account.code_hash);
        if has_code {
            let code = match account.code {
                Some(code) => code,
                None => self.state.code_by_hash_ref(account.code_hash).map_err(state)?,
            };
            if !code.is_empty() && !code.is_eip7702() {
                return Err(PoolError::SenderNotEoa(tx.sender()));
            }
        }
        let cost = self.full_cost(tx);
        if cost > account.balance {
            return Err(PoolError::InsufficientFunds { balance: account.balance, cost });
        }
        Ok(AccountView { nonce: account.nonce, balance: account.balance, has_code })
    }
}

pub(super) fn check_size(size: usize, limit: usize) -> Result<(), PoolError> {
    if size > limit { Err(PoolError::Oversized { size, limit }) } else { Ok(()) }
}
