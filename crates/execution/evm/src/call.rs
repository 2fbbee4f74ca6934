//! Running a call without a block: `eth_call`, `eth_estimateGas` and `eth_createAccessList`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::map::{AddressMap, AddressSet};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::either::Either;
use revm::state::AccountInfo;

use crate::executor::{BlockHashes, blob_env, cfg_env};
use crate::handler::{self, BlockDb, EvmError, L2Tx, OpalEvm};
use crate::precompiles::{OpalPrecompiles, precompiles};
use crate::probe::{Accesses, Probe, Stop};
use crate::state::bytecode;
use crate::{ChainSpec, State, StateError};

/// A call to simulate. Fields that are `None` get the values that make the call go through: no
/// gas price means that gas is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; nonce and code of the account are not checked.
    pub from: Address,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Value in wei.
    pub value: U256,
    /// Gas limit; `None` is the block's.
    pub gas: Option<u64>,
    /// Price of gas in wei, before EIP-1559.
    pub gas_price: Option<u128>,
    /// Highest price of gas in wei.
    pub max_fee_per_gas: Option<u128>,
    /// Highest tip in wei.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Call data or init code.
    pub data: Bytes,
    /// Addresses and slots to warm up.
    pub access_list: Option<AccessList>,
    /// Delegations to set first (EIP-7702).
    pub authorization_list: Option<Vec<SignedAuthorization>>,
    /// Nonce of the sender, which decides the address of a created contract; `None` is the
    /// account's.
    pub nonce: Option<u64>,
    /// Blobs that the call pretends to carry (L1).
    pub blob_versioned_hashes: Option<Vec<B256>>,
    /// Highest price of blob gas in wei (L1).
    pub max_fee_per_blob_gas: Option<u128>,
}

/// Another state for one account during a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code.
    pub code: Option<Bytes>,
    /// The whole storage: slots that are not named are zero.
    pub state: Option<Vec<(B256, B256)>>,
    /// Single slots.
    pub state_diff: Option<Vec<(B256, B256)>>,
    /// Where the precompile that is here goes for the time being.
    pub move_precompile_to: Option<Address>,
}

/// Overrides by account.
pub type StateOverrides = AddressMap<AccountOverride>;

/// Why a call could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request is not valid: funds, intrinsic gas, fees below the base fee.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// Both kinds of gas price, or overrides that contradict each other.
    #[error("{0}")]
    Request(String),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The stop signal came before the end.
    #[error("execution aborted")]
    Stopped,
    /// The EVM gave up.
    #[error("evm: {0}")]
    Evm(String),
}

impl From<EvmError> for CallError {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::Transaction(error) => Self::Invalid(error),
            EvmError::Database(error) => Self::State(error),
            error => Self::Evm(error.to_string()),
        }
    }
}

/// A state with overrides in force, and the precompiles that they leave.
#[derive(Clone, Debug)]
pub struct OverriddenState {
    pub(crate) state: State,
    pub(crate) precompiles: OpalPrecompiles,
}

impl OverriddenState {
    /// Puts overrides in force over `state`, under the rules of `timestamp`.
    ///
    /// # Errors
    /// When overrides contradict each other or the state cannot be read.
    pub fn new(
        spec: &ChainSpec,
        timestamp: u64,
        state: &State,
        overrides: &StateOverrides,
    ) -> Result<Self, CallError> {
        let precompiles = precompiles(spec.hardfork(timestamp), spec.evm_spec(timestamp));
        let mut this = Self { state: state.clone(), precompiles };
        // In order, so that the same overrides always end in the same error.
        let sorted: BTreeMap<_, _> = overrides.iter().collect();
        let mut targets = AddressSet::default();
        for (address, change) in sorted {
            if targets.contains(address) {
                return Err(CallError::Request(format!(
                    "account {address} has already been overridden by a precompile"
                )));
            }
            if let Some(to) = change.move_precompile_to {
                let Some(moved) = this.precompiles.remove(address) else {
                    let text = format!("account {address} is not a precompile");
                    return Err(CallError::Request(text));
                };
                if overrides.contains_key(&to) {
                    return Err(CallError::Request(format!("account {to} is already overridden")));
                }
                this.precompiles.insert(to, moved);
                targets.insert(to);
            }
            // Whatever is overridden is an account, not a precompile.
            this.precompiles.remove(address);
            this.set(address, change)?;
        }
        Ok(this)
    }

    fn set(&mut self, address: &Address, change: &AccountOverride) -> Result<(), CallError> {
        if change.state.is_some() && change.state_diff.is_some() {
            return Err(CallError::Request(format!(
                "account {address} has both 'state' and 'stateDiff'"
            )));
        }
        let known = self.state.info(address)?;
        let is_new = known.is_none();
        let mut info = known.unwrap_or_default();
        info.balance = change.balance.unwrap_or(info.balance);
        info.nonce = change.nonce.unwrap_or(info.nonce);
        if let Some(code) = &change.code {
            let code_hash = keccak256(code);
            info = AccountInfo { code_hash, code: Some(bytecode(code.clone())), ..info };
        }
        let has_slots =
            change.state.iter().chain(&change.state_diff).any(|slots| !slots.is_empty());
        if is_new && info.is_empty() && !has_slots {
            // Nothing makes no account.
            return Ok(());
        }
        let slots = change.state.iter().chain(&change.state_diff).flatten();
        let slots =
            slots.map(|(slot, value)| (U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0)));
        Ok(self.state.set_account(address, info, change.state.is_some(), slots)?)
    }

    fn nonce(&self, request: &CallRequest) -> Result<u64, StateError> {
        match request.nonce {
            Some(nonce) => Ok(nonce),
            None => Ok(self.state.info(&request.from)?.map_or(0, |info| info.nonce)),
        }
    }

    /// The state, overrides included.
    pub const fn state(&self) -> &State {
        &self.state
    }
}

/// The block that a call runs in.
#[derive(Clone, Copy)]
pub struct CallBlock<'a> {
    /// Rules of the chain.
    pub spec: &'a ChainSpec,
    /// Number, time, fees and limits.
    pub header: &'a Header,
    /// Price of blob gas in wei; `None` is what follows from the header.
    pub blob_base_fee: Option<u128>,
    /// What the call sees.
    pub state: &'a OverriddenState,
    /// Hashes of earlier blocks.
    pub hashes: BlockHashes<'a>,
    /// Ends a call that runs too long.
    pub stop: Option<Stop<'a>>,
}

impl core::fmt::Debug for CallBlock<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CallBlock").field("number", &self.header.number).finish_non_exhaustive()
    }
}

impl<'a> CallBlock<'a> {
    /// Runs `request`. Nothing is kept. Neither the L1 fee nor the operator fee is charged, and gas
    /// only if the request names a price; the limits of block and transaction gas do not apply.
    ///
    /// # Errors
    /// When the request is not valid, the state cannot be read, or the stop signal comes. A revert
    /// or a halt is no error.
    pub fn call(&self, request: &CallRequest) -> Result<ExecutionResult<HaltReason>, CallError> {
        Ok(self.run(request, Probe::new(self.stop))?.0)
    }

    /// Runs `request` with longer and longer access lists until it finds nothing more to list.
    /// Gives the list with the result of the call that has it (EIP-2930).
    ///
    /// # Errors
    /// As [`CallBlock::call`].
    pub fn access_list(
        &self,
        request: &CallRequest,
    ) -> Result<(AccessList, ExecutionResult<HaltReason>), CallError> {
        let mut request = request.clone();
        let mut warm = self.state.precompiles.warm().clone();
        warm.insert(request.from);
        warm.insert(match request.to {
            Some(to) => to,
            None => request.from.create(self.state.nonce(&request)?),
        });
        let authorizations = request.authorization_list.iter().flatten();
        warm.extend(authorizations.filter_map(|authorization| {
            let chain = authorization.chain_id;
            let here = chain.is_zero() || chain == U256::from(self.spec.chain_id);
            here.then(|| authorization.recover_authority().ok()).flatten()
        }));
        let mut known =
            Accesses::new(warm.clone(), &request.access_list.take().unwrap_or_default());
        loop {
            let list = known.list();
            request.access_list = Some(list.clone());
            let mut probe = Probe::new(self.stop);
            probe.accesses = Some(Accesses::new(warm.clone(), &list));
            let (result, probe) = self.run(&request, probe)?;
            let found = probe.accesses.unwrap_or_default();
            if found == known {
                return Ok((list, result));
            }
            known = found;
        }
    }

    fn run(
        &self,
        request: &CallRequest,
        probe: Probe<'a>,
    ) -> Result<(ExecutionResult<HaltReason>, Probe<'a>), CallError> {
        let Self { spec, header, blob_base_fee, state, hashes, .. } = *self;
        let probe = Some(probe);
        let (mut evm, tx) = prepare(spec, header, blob_base_fee, state, hashes, request, probe)?;
        let result = handler::run(&mut evm, tx, L2Tx::Call);
        let probe = evm.ctx.journaled_state.database.probe.take().unwrap_or_default();
        if probe.stopped {
            return Err(CallError::Stopped);
        }
        Ok((result?, probe))
    }
}

/// The EVM and the transaction of a call.
pub(crate) fn prepare<'a>(
    spec: &ChainSpec,
    header: &Header,
    blob_base_fee: Option<u128>,
    state: &OverriddenState,
    hashes: BlockHashes<'a>,
    request: &CallRequest,
    probe: Option<Probe<'a>>,
) -> Result<(OpalEvm<'a>, TxEnv), CallError> {
    let time = header.timestamp;
    let tx = call_env(request, header.gas_limit, state.nonce(request)?)?;
    let mut blob = blob_env(spec, time, header.excess_blob_gas);
    if let (Some(blob), Some(price)) = (&mut blob, blob_base_fee) {
        blob.blob_gasprice = price;
    }
    // Gas that is free must be so whatever the base fee is; the BASEFEE opcode then gives zero,
    // as it does in the reference client.
    let basefee = if tx.gas_price == 0 { 0 } else { header.base_fee_per_gas.unwrap_or_default() };
    // So are blobs when the request names a price of zero for them, or has some and no price.
    let unpriced = request.max_fee_per_blob_gas.is_none() && !tx.blob_hashes.is_empty();
    if (request.max_fee_per_blob_gas == Some(0) || unpriced)
        && let Some(blob) = &mut blob
    {
        blob.blob_gasprice = 0;
    }
    let block = BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(time),
        gas_limit: header.gas_limit,
        basefee,
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: blob,
        slot_num: 0,
    };
    let mut cfg = cfg_env(spec, time);
    unlimited(&mut cfg);
    cfg.disable_nonce_check = true;
    cfg.disable_block_gas_limit = true;
    let db = BlockDb { probe, ..BlockDb::new(state.state.clone(), hashes) };
    let mut evm = handler::new_evm(db, block, cfg, spec.hardfork(time));
    evm.precompiles = state.precompiles.clone();
    Ok((evm, tx))
}

/// What no simulation is held to: code of the sender, the gas cap and the chain id of transactions.
pub(crate) fn unlimited(cfg: &mut CfgEnv) {
    cfg.disable_eip3607 = true;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg.tx_chain_id_check = false;
}

pub(crate) fn call_env(
    request: &CallRequest,
    block_gas: u64,
    nonce: u64,
) -> Result<TxEnv, CallError> {
    let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if dynamic && request.gas_price.is_some() {
        return Err(CallError::Request(
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".into(),
        ));
    }
    let tip = request.max_priority_fee_per_gas;
    let mut tx = TxEnv {
        caller: request.from,
        gas_limit: request.gas.unwrap_or(block_gas),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        nonce,
        chain_id: None,
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: dynamic.then(|| tip.unwrap_or_default()),
        blob_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: request
            .authorization_list
            .iter()
            .flatten()
            .cloned()
            .map(Either::Left)
            .collect(),
        tx_type: 0,
    };
    tx.tx_type = if !tx.authorization_list.is_empty() {
        4
    } else if !tx.blob_hashes.is_empty() {
        3
    } else if dynamic {
        2
    } else {
        u8::from(request.access_list.is_some())
    };
    Ok(tx)
}
