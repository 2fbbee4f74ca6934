//! Genesis and deployment: from an [`Intent`] to a rollup that can start.
//!
//! ```text
//!             ┌─ L1 contracts: one list of steps ─┬─ in the embedded L1's genesis
//!  Intent ────┤                                   └─ as transactions to an external L1
//!             ├─ L2 genesis
//!             └─ rollup configuration
//! ```
//! [`devnet_genesis`] builds everything for the embedded L1, [`deploy_to_l1`] for an external one.

mod abi;
pub mod accounts;
pub mod addresses;
pub mod artifacts;
pub mod genesis_file;
pub mod in_process;
pub mod intent;
mod intent_file;
pub mod l1_chain_config;
pub mod l1_genesis;
pub mod l2_genesis;
pub mod rollup_config;
pub mod steps;
pub mod transactions;

pub use accounts::{DevAccounts, DevRole, MnemonicError, TEST_MNEMONIC};
pub use addresses::Addresses;
pub use intent::{Intent, IntentError};

use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes};
use alloy_provider::{DynProvider, Provider};
use opal_evm::{ChainSpec, State};
use opal_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;
use opal_protocol::{BlockId, ConfigError, L1BlockRef, OutputV0, RollupConfig, SealedBlock};
use opal_service::keys::Key;
use steps::Plan;
use transactions::TransactionsError;

/// Why a rollup could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum GovernanceError {
    /// The intent cannot work.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The rollup configuration that follows from the intent cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An embedded contract is damaged.
    #[error(transparent)]
    Artifact(#[from] artifacts::ArtifactError),
    /// The deployment into the embedded L1's genesis failed.
    #[error(transparent)]
    InProcess(#[from] in_process::InProcessError),
    /// The deployment on an external L1 failed.
    #[error(transparent)]
    Transactions(#[from] TransactionsError),
    /// The execution layer refuses the genesis.
    #[error("{layer} genesis: {reason}")]
    Genesis {
        /// "L1" or "L2".
        layer: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A devnet on an embedded L1, ready to start.
#[derive(Clone, Debug)]
pub struct DevnetGenesis {
    /// Genesis of the L1, with the contracts in it.
    pub l1_genesis: Genesis,
    /// Genesis of the L2.
    pub l2_genesis: Genesis,
    /// The rollup configuration.
    pub rollup_config: RollupConfig,
    /// The contracts on L1.
    pub addresses: Addresses,
}

/// Builds both chains of a devnet; both begin at `timestamp` (seconds).
///
/// # Errors
/// If the intent cannot work.
pub fn devnet_genesis(intent: &Intent, timestamp: u64) -> Result<DevnetGenesis, GovernanceError> {
    intent.check()?;
    let addresses = steps::addresses(intent, in_process::DEPLOYER)?;
    let l1_chain_id = intent.embedded_l1_chain_id();
    let l2 = l2_start(intent, &addresses, l1_chain_id, timestamp)?;
    let plan = steps::plan(intent, in_process::DEPLOYER, l2.output.root())?;
    let l1_genesis = l1_genesis::l1_genesis(intent, &plan, timestamp)?;
    let (l1, _) = genesis_block("L1", &l1_genesis)?;
    let rollup_config = rollup_config::rollup_config(
        intent,
        &addresses,
        l1_chain_id,
        l1.id(),
        l2.block,
        timestamp,
    )?;
    Ok(DevnetGenesis { l1_genesis, l2_genesis: l2.genesis, rollup_config, addresses })
}

/// A deployment that was tried out in memory.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The steps. The anchor of the dispute games is not known before the deployment, and some
    /// other value here.
    pub plan: Plan,
    /// Gas that each step's transaction uses.
    pub gas: Vec<u64>,
}

/// Tries a deployment out in memory, on an L1 that has nothing but the deterministic deployment
/// proxy.
///
/// # Errors
/// If the intent cannot work.
pub fn rehearse(intent: &Intent, deployer: Address) -> Result<Rehearsal, GovernanceError> {
    intent.check()?;
    let plan = steps::plan(intent, deployer, B256::repeat_byte(0xff))?;
    let proxy = l1_genesis::contract(l1_genesis::CREATE2_PROXY_CODE);
    let alloc = [(steps::CREATE2_PROXY, proxy)].into();
    let mut evm = in_process::GenesisEvm::new(intent.embedded_l1_chain_id(), 1, &alloc);
    let gas = evm.deploy(&plan, deployer)?;
    Ok(Rehearsal { plan, gas })
}

/// A rollup on an external L1, ready to start.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The L1 block that the rollup starts from.
    pub l1_start: L1BlockRef,
    /// Genesis of the L2.
    pub l2_genesis: Genesis,
    /// The rollup configuration.
    pub rollup_config: RollupConfig,
    /// The contracts on L1.
    pub addresses: Addresses,
}

/// Deploys a rollup to an external L1. The contracts' addresses depend on the key's account and the
/// intent's salt and L2 chain id. Started again, it skips what is done already; the rollup is the
/// same then. `confirmations` blocks are waited for (the block itself counted) where a reorg would
/// make another rollup: after the block that L2 begins with, and at the end.
///
/// # Errors
/// If the intent cannot work, the L1 refuses a step, or the L1 has contracts there of another
/// intent.
pub async fn deploy_to_l1(
    provider: &DynProvider,
    key: &Key,
    intent: &Intent,
    confirmations: u64,
    observer: transactions::Observer<'_>,
) -> Result<Deployment, GovernanceError> {
    intent.check()?;
    let l1_chain_id = transactions::chain_id(provider, intent.l1_chain_id).await?;
    let account = key.address();
    let first = steps::plan(intent, account, B256::ZERO)?;
    let mut deployer = transactions::Deployer::new(provider, key, &first, observer).await?;
    deployer.run(&first.until_start).await?;
    let start = transactions::start_block(provider, first.addresses.system_config_proxy).await?;
    deployer.confirm(start.number, confirmations).await?;

    let (deployment, plan) = read_deployment_on(provider, account, intent, l1_chain_id).await?;
    deployer.run(&plan.after_start).await?;
    deployer.top_up(&intent.fundings()).await?;
    let block = deployer.newest_block().await?.header;
    deployer.confirm(block.number, confirmations).await?;
    let findings = transactions::verify(provider, &plan, block.hash.into()).await?;
    match findings.into_iter().find(|finding| !finding.holds()) {
        None => Ok(deployment),
        Some(transactions::Finding { check: steps::Check { what, expected, .. }, found }) => {
            Err(TransactionsError::Check { what, found, expected }.into())
        }
    }
}

/// The rollup that was deployed to an external L1 by `deployer`, and all that was to be done for
/// it. The block that it starts from is read from L1, all else follows from the intent; whether the
/// contracts are as they should be is another question: [`transactions::verify`].
///
/// # Errors
/// If the intent cannot work, or the L1 has no such deployment.
pub async fn read_deployment(
    provider: &impl Provider,
    deployer: Address,
    intent: &Intent,
) -> Result<(Deployment, Plan), GovernanceError> {
    intent.check()?;
    let l1_chain_id = transactions::chain_id(provider, intent.l1_chain_id).await?;
    read_deployment_on(provider, deployer, intent, l1_chain_id).await
}

async fn read_deployment_on(
    provider: &impl Provider,
    deployer: Address,
    intent: &Intent,
    l1_chain_id: u64,
) -> Result<(Deployment, Plan), GovernanceError> {
    let addresses = steps::addresses(intent, deployer)?;
    let l1_start = transactions::start_block(provider, addresses.system_config_proxy).await?;
    let timestamp = l1_start.timestamp;
    let l2 = l2_start(intent, &addresses, l1_chain_id, timestamp)?;
    let plan = steps::plan(intent, deployer, l2.output.root())?;
    let rollup_config = rollup_config::rollup_config(
        intent,
        &addresses,
        l1_chain_id,
        l1_start.id(),
        l2.block,
        timestamp,
    )?;
    Ok((Deployment { l1_start, l2_genesis: l2.genesis, rollup_config, addresses }, plan))
}

/// The first block of L2.
struct L2Start {
    genesis: Genesis,
    block: BlockId,
    output: OutputV0,
}

/// Builds L2's genesis. The withdrawals of its output are those of the state, whatever the fork has
/// in its header.
fn l2_start(
    intent: &Intent,
    addresses: &Addresses,
    l1_chain_id: u64,
    timestamp: u64,
) -> Result<L2Start, GovernanceError> {
    let genesis = l2_genesis::l2_genesis(intent, addresses, l1_chain_id, timestamp)?;
    let (block, state) = genesis_block("L2", &genesis)?;
    let withdrawals_storage_root = state
        .storage_root(&L2_TO_L1_MESSAGE_PASSER)
        .map_err(|e| GovernanceError::Genesis { layer: "L2", reason: e.to_string() })?;
    let output = OutputV0 {
        state_root: block.header().state_root,
        withdrawals_storage_root,
        block_hash: block.id().hash,
    };
    Ok(L2Start { genesis, block: block.id(), output })
}

/// The block that a genesis makes, and its state.
fn genesis_block(
    layer: &'static str,
    genesis: &Genesis,
) -> Result<(SealedBlock, State), GovernanceError> {
    let error = |reason: String| GovernanceError::Genesis { layer, reason };
    let spec = ChainSpec::from_genesis(genesis).map_err(|e| error(e.to_string()))?;
    opal_evm::genesis(&spec, genesis).map_err(|e| error(e.to_string()))
}

/// The reason in a revert's output, as text where it is one.
fn revert_reason(output: &Bytes) -> String {
    alloy_sol_types::decode_revert_reason(output)
        .unwrap_or_else(|| format!("reverted with {output}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_sol_types::{SolCall, SolValue};
    use opal_protocol::Hardfork;

    const TIME: u64 = 1_800_000_000;

    fn intent() -> Intent {
        Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap())
    }

    #[test]
    fn a_genesis_is_the_same_every_time_and_after_json() {
        let (first, second) = (devnet_genesis(&intent(), TIME).unwrap(), intent());
        let second = devnet_genesis(&second, TIME).unwrap();
        assert_eq!(first.rollup_config, second.rollup_config);
        assert_eq!(first.l1_genesis, second.l1_genesis);
        let [a, b] = [&first, &second].map(|g| serde_json::to_string(&g.l2_genesis).unwrap());
        assert_eq!(a, b);

        for (layer, genesis, id) in [
            ("L1", &first.l1_genesis, first.rollup_config.genesis.l1),
            ("L2", &first.l2_genesis, first.rollup_config.genesis.l2),
        ] {
            let json = serde_json::to_string(genesis).unwrap();
            let read: Genesis = serde_json::from_str(&json).unwrap();
            assert_eq!(genesis_block(layer, &read).unwrap().0.id(), id);
        }
        let json = serde_json::to_string(&first.rollup_config).unwrap();
        assert_eq!(RollupConfig::from_json(&json).unwrap(), first.rollup_config);
    }

    #[test]
    fn every_fork_has_a_devnet() {
        for row in opal_protocol::hardfork::TABLE {
            let intent = Intent { fork: row.fork, ..intent() };
            let devnet = devnet_genesis(&intent, TIME).unwrap();
            let config = devnet.rollup_config;
            assert_eq!(config.schedule.at(TIME), row.fork);
            assert_eq!(config.genesis.l2_time, TIME);
            assert_eq!(config.deposit_contract_address, devnet.addresses.optimism_portal_proxy);
            let legacy = row.fork < Hardfork::Ecotone;
            assert_eq!(config.genesis.system_config.scalar[0] == 0, legacy, "{}", row.fork);

            // Withdrawals are proven against the genesis until there is a proposal.
            let (block, state) = genesis_block("L2", &devnet.l2_genesis).unwrap();
            let withdrawals_storage_root = state.storage_root(&L2_TO_L1_MESSAGE_PASSER).unwrap();
            if row.fork >= Hardfork::Isthmus {
                assert_eq!(block.header().withdrawals_root, Some(withdrawals_storage_root));
            }
            let output = OutputV0 {
                state_root: block.header().state_root,
                withdrawals_storage_root,
                block_hash: config.genesis.l2.hash,
            };
            let evm = in_process::GenesisEvm::new(900, TIME, &devnet.l1_genesis.alloc);
            let registry = devnet.addresses.anchor_state_registry_proxy;
            let anchor = abi::IAnchorStateRegistrySetup::getStartingAnchorRootCall {};
            let anchor = evm.call(registry, anchor.abi_encode().into()).unwrap();
            assert_eq!(anchor, (output.root(), 0u64).abi_encode());
        }
    }

    #[test]
    fn addresses_depend_on_salt_and_chain() {
        let base = devnet_genesis(&intent(), TIME).unwrap().addresses;
        let salted = Intent { salt: alloy_primitives::B256::repeat_byte(1), ..intent() };
        let other = Intent { l2_chain_id: 902, ..intent() };
        for changed in [salted, other] {
            let addresses = devnet_genesis(&changed, TIME).unwrap().addresses;
            for (a, b) in base.named().zip(addresses.named()) {
                assert_ne!(a.1, b.1, "{}", a.0);
            }
        }
    }

    #[test]
    fn wrong_intents_are_refused() {
        let same = Intent { l2_chain_id: 900, ..intent() };
        assert!(matches!(devnet_genesis(&same, TIME), Err(GovernanceError::Config(_))));
        let low = Intent { gas_limit: 1, ..intent() };
        assert!(matches!(devnet_genesis(&low, TIME), Err(GovernanceError::Intent(_))));
    }
}
