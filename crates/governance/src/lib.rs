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
use alloy_primitives::Bytes;
use alloy_provider::Provider;
use alloy_signer_local::PrivateKeySigner;
use opal_evm::ChainSpec;
use opal_protocol::{BlockId, ConfigError, L1BlockRef, RollupConfig};

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
    Transactions(#[from] transactions::TransactionsError),
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
    let plan = steps::plan(intent, in_process::DEPLOYER)?;
    let addresses = plan.addresses;
    let l1_genesis = l1_genesis::l1_genesis(intent, &plan, timestamp)?;
    let l2_genesis = l2_genesis::l2_genesis(intent, timestamp)?;
    let rollup_config = rollup_config::rollup_config(
        intent,
        &addresses,
        intent.embedded_l1_chain_id(),
        block_id("L1", &l1_genesis)?,
        block_id("L2", &l2_genesis)?,
        timestamp,
    )?;
    Ok(DevnetGenesis { l1_genesis, l2_genesis, rollup_config, addresses })
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

/// Deploys a rollup to an external L1. The contracts' addresses depend on the signer and the
/// intent's salt and L2 chain id. Started again, it skips what is done already; the rollup then
/// starts from the newest L1 block and is a new chain under the old contracts.
///
/// # Errors
/// If the intent cannot work, the L1 refuses a step, or the L1 has contracts there of another
/// intent.
pub async fn deploy_to_l1(
    provider: &impl Provider,
    signer: &PrivateKeySigner,
    intent: &Intent,
) -> Result<Deployment, GovernanceError> {
    intent.check()?;
    let l1_chain_id = transactions::chain_id(provider, intent.l1_chain_id).await?;
    let plan = steps::plan(intent, signer.address())?;
    let addresses = plan.addresses;
    let batcher = (intent.roles.batcher, intent.batcher_funding);
    let l1_start = transactions::deploy(provider, signer, &plan, l1_chain_id, batcher).await?;
    let timestamp = l1_start.timestamp;
    let l2_genesis = l2_genesis::l2_genesis(intent, timestamp)?;
    let rollup_config = rollup_config::rollup_config(
        intent,
        &addresses,
        l1_chain_id,
        l1_start.id(),
        block_id("L2", &l2_genesis)?,
        timestamp,
    )?;
    Ok(Deployment { l1_start, l2_genesis, rollup_config, addresses })
}

/// Number and hash of the block that a genesis makes.
fn block_id(layer: &'static str, genesis: &Genesis) -> Result<BlockId, GovernanceError> {
    let error = |reason: String| GovernanceError::Genesis { layer, reason };
    let spec = ChainSpec::from_genesis(genesis).map_err(|e| error(e.to_string()))?;
    let (block, _) = opal_evm::genesis(&spec, genesis).map_err(|e| error(e.to_string()))?;
    Ok(block.id())
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
            assert_eq!(block_id(layer, &read).unwrap(), id);
        }
        let json = serde_json::to_string(&first.rollup_config).unwrap();
        assert_eq!(RollupConfig::from_json(&json).unwrap(), first.rollup_config);
    }

    #[test]
    fn every_fork_has_a_devnet() {
        let mut hashes = std::collections::HashSet::new();
        for row in opal_protocol::hardfork::TABLE {
            let intent = Intent { fork: row.fork, ..intent() };
            let devnet = devnet_genesis(&intent, TIME).unwrap();
            let config = devnet.rollup_config;
            assert_eq!(config.schedule.at(TIME), row.fork);
            assert_eq!(config.genesis.l2_time, TIME);
            assert_eq!(config.deposit_contract_address, devnet.addresses.optimism_portal_proxy);
            let legacy = row.fork < Hardfork::Ecotone;
            assert_eq!(config.genesis.system_config.scalar[0] == 0, legacy, "{}", row.fork);
            hashes.insert(config.genesis.l1.hash);
        }
        // The fee scalars before Ecotone are all that L1 sees of the fork.
        assert_eq!(hashes.len(), 2);
    }

    #[test]
    fn addresses_depend_on_salt_and_chain() {
        let base = devnet_genesis(&intent(), TIME).unwrap().addresses;
        let salted = Intent { salt: alloy_primitives::B256::repeat_byte(1), ..intent() };
        let other = Intent { l2_chain_id: 902, ..intent() };
        for changed in [salted, other] {
            let addresses = devnet_genesis(&changed, TIME).unwrap().addresses;
            for (a, b) in base.named().into_iter().zip(addresses.named()) {
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
