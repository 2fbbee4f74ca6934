//! Presets: the chains of the superchain registry, as the reference node has them built in.
//!
//! The facts are a generated table, checked against the registry by this crate's vectors test. It
//! holds what derivation needs; the state that a chain begins with is a data file, which the hash
//! of [`ChainPreset::l2`] verifies.
//!
//! ```
//! use opal_protocol::{Hardfork, RollupConfig, registry};
//!
//! let chain = registry::find("op-mainnet")?;
//! assert_eq!(chain.chain_id, 10);
//! assert_eq!(RollupConfig::for_chain(10), Some(chain.rollup_config()));
//! assert!(chain.rollup_config().is_active(Hardfork::Karst, 1_783_526_401));
//! # Ok::<(), registry::UnknownChain>(())
//! ```

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use alloy_primitives::{Address, B256};

use crate::config::{AltDaConfig, BaseFeeConfig, CommitmentType, Genesis};
use crate::hardfork::TABLE;
use crate::suggest;
use crate::{BlockId, Hardfork, HardforkSchedule, RollupConfig, SystemConfig};

#[rustfmt::skip]
#[path = "registry_table.rs"]
mod table;

/// L1 blocks for which a channel stays open before Granite, on every chain of the registry.
const CHANNEL_TIMEOUT: u64 = 300;

/// What the registry says of a chain.
#[derive(Clone, Debug)]
pub struct ChainPreset {
    /// The superchain that the chain belongs to: "mainnet", "sepolia".
    pub superchain: &'static str,
    /// The chain's name within its superchain: "op".
    pub name: &'static str,
    /// Name for people: "OP Mainnet".
    pub title: &'static str,
    /// Chain id of the L2.
    pub chain_id: u64,
    /// Chain id of the L1.
    pub l1_chain_id: u64,
    /// Whether the Optimism Collective governs the chain's upgrades.
    pub governed_by_optimism: bool,
    /// From when on the chain takes its superchain's fork times, in seconds; `None` if it chooses
    /// its own.
    pub superchain_time: Option<u64>,
    /// Where batches lie.
    pub data_availability: DataAvailability,
    /// The token on L1 that fees are paid in, if not ether.
    pub gas_paying_token: Option<Address>,
    /// Seconds between L2 blocks.
    pub block_time: u64,
    /// Number of L1 blocks in which the batches of an epoch must appear.
    pub seq_window_size: u64,
    /// Seconds that L2 may run ahead of its L1 origin before Fjord.
    pub max_sequencer_drift: u64,
    /// EIP-1559 parameters.
    pub base_fee: BaseFeeConfig,
    /// Activation times of Canyon and the forks after it, in order and in seconds; those beyond the
    /// end are not scheduled. Bedrock and Regolith are active in genesis on every chain.
    pub forks: &'static [u64],
    /// See [`RollupConfig::pectra_blob_schedule_time`].
    pub pectra_blob_schedule_time: Option<u64>,
    /// See [`RollupConfig::keep_karst_upgrade_gas`].
    pub keep_karst_upgrade_gas: bool,
    /// Chains whose messages the chain takes.
    pub dependency_set: &'static [u64],
    /// The L1 block that the L2 genesis block has as its origin.
    pub l1: BlockId,
    /// The L2 genesis block.
    pub l2: BlockId,
    /// Timestamp of the L2 genesis block, in seconds.
    pub l2_time: u64,
    /// L2 gas limit at genesis.
    pub gas_limit: u64,
    /// The batcher at genesis.
    pub batcher: Address,
    /// L1 fee overhead at genesis.
    pub overhead: B256,
    /// L1 fee scalar at genesis.
    pub scalar: B256,
    /// L1 address that batches are sent to.
    pub batch_inbox: Address,
    /// The OptimismPortal on L1.
    pub portal: Address,
    /// The SystemConfig on L1.
    pub system_config: Address,
}

/// Where a chain's batches lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAvailability {
    /// On L1, as calldata or blobs.
    L1,
    /// Elsewhere: by the OP Stack's alt-DA mode, or in a way of the chain's own, of which the
    /// registry says nothing.
    Alt(Option<AltDaConfig>),
}

/// Why a chain of the registry can't be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Alt-DA mode.
    #[error(
        "{chain} posts {commitment} commitments to L1 and keeps its batches on a DA server (alt-DA); \
         Opal derives chains whose batches are on L1"
    )]
    AltDa {
        /// The chain's title.
        chain: &'static str,
        /// "keccak" or "generic".
        commitment: &'static str,
    },
    /// A data availability layer that the registry does not describe.
    #[error(
        "{chain} keeps its batches in a data availability layer of its own, which the registry does \
         not describe; Opal derives chains whose batches are on L1"
    )]
    OwnDa {
        /// The chain's title.
        chain: &'static str,
    },
}

/// A name or id that no chain of the registry has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no chain \"{name}\" in the registry{}: `opal chains` lists them; for another chain give its rollup.json",
    suggest::did_you_mean(nearest.as_deref())
)]
pub struct UnknownChain {
    /// What was asked for.
    pub name: String,
    /// The network name that was probably meant.
    pub nearest: Option<String>,
}

/// Every chain of the registry, by superchain and name.
pub const fn chains() -> &'static [ChainPreset] {
    &table::CHAINS
}

/// A chain by its id in decimal, by the reference node's network name (`op-mainnet`,
/// `unichain-sepolia`), by its identifier in the registry (`mainnet/op`), or by its bare name, for
/// which a chain on mainnet goes first (`unichain`). `-` and `_`, and letters of either case, are
/// the same.
///
/// # Errors
/// If there is no such chain.
pub fn find(name: &str) -> Result<&'static ChainPreset, UnknownChain> {
    let wanted = name.trim().to_ascii_lowercase().replace('_', "-");
    // Short names of the reference clients.
    let wanted = match wanted.as_str() {
        "mainnet" | "optimism" => "op-mainnet".to_owned(),
        "sepolia" | "optimism-sepolia" => "op-sepolia".to_owned(),
        _ => wanted,
    };
    let id: Option<u64> = wanted.parse().ok();
    let is = |chain: &ChainPreset, text: &str| {
        text.to_ascii_lowercase().replace('_', "-") == wanted || Some(chain.chain_id) == id
    };
    chains()
        .iter()
        .find(|chain| is(chain, &chain.network()) || is(chain, &chain.identifier()))
        // Mainnet's chains stand before those of the testnets.
        .or_else(|| chains().iter().find(|chain| is(chain, chain.name)))
        .ok_or_else(|| {
            let names: alloc::vec::Vec<String> =
                chains().iter().map(ChainPreset::network).collect();
            let nearest = suggest::nearest(&wanted, names.iter().map(String::as_str));
            UnknownChain { name: name.to_owned(), nearest: nearest.map(ToOwned::to_owned) }
        })
}

impl ChainPreset {
    /// Name of the chain after `--network`, as the reference node has it: "op-mainnet".
    pub fn network(&self) -> String {
        format!("{}-{}", self.name, self.superchain)
    }

    /// Name of the chain in the registry: "mainnet/op".
    pub fn identifier(&self) -> String {
        format!("{}/{}", self.superchain, self.name)
    }

    /// Why Opal can't derive the chain, if it can't.
    ///
    /// # Errors
    /// The reason.
    pub const fn supported(&self) -> Result<(), Unsupported> {
        let chain = self.title;
        match self.data_availability {
            DataAvailability::L1 => Ok(()),
            DataAvailability::Alt(None) => Err(Unsupported::OwnDa { chain }),
            DataAvailability::Alt(Some(alt_da)) => {
                let commitment = match alt_da.commitment_type {
                    CommitmentType::Keccak => "keccak",
                    CommitmentType::Generic => "generic",
                };
                Err(Unsupported::AltDa { chain, commitment })
            }
        }
    }

    /// Whether the chain was there before Bedrock: its first Bedrock block has the state of that
    /// older chain, which no list of allocations gives, and can't be rebuilt from one.
    pub const fn is_migrated(&self) -> bool {
        self.l2.number != 0
    }

    /// Activation times of all forks.
    pub fn schedule(&self) -> HardforkSchedule {
        let mut schedule = HardforkSchedule::at_genesis(Hardfork::Regolith);
        let forks = TABLE.iter().filter(|row| row.fork >= Hardfork::Canyon);
        for (row, time) in forks.zip(self.forks) {
            schedule.set(row.fork, Some(*time));
        }
        schedule
    }

    /// The chain's rollup configuration, as the reference node makes it from the registry.
    pub fn rollup_config(&self) -> RollupConfig {
        RollupConfig {
            genesis: Genesis {
                l1: self.l1,
                l2: self.l2,
                l2_time: self.l2_time,
                system_config: SystemConfig {
                    batcher_address: self.batcher,
                    overhead: self.overhead,
                    scalar: self.scalar,
                    gas_limit: self.gas_limit,
                    ..SystemConfig::default()
                },
            },
            block_time: self.block_time,
            max_sequencer_drift_config: self.max_sequencer_drift,
            seq_window_size: self.seq_window_size,
            channel_timeout_config: CHANNEL_TIMEOUT,
            l1_chain_id: self.l1_chain_id,
            l2_chain_id: self.chain_id,
            schedule: self.schedule(),
            pectra_blob_schedule_time: self.pectra_blob_schedule_time,
            batch_inbox_address: self.batch_inbox,
            deposit_contract_address: self.portal,
            l1_system_config_address: self.system_config,
            chain_op_config: self.base_fee,
            keep_karst_upgrade_gas: self.keep_karst_upgrade_gas,
            dependency_set: self.dependency_set.iter().copied().collect(),
            alt_da: match self.data_availability {
                DataAvailability::L1 => None,
                DataAvailability::Alt(alt_da) => alt_da,
            },
            ..RollupConfig::default()
        }
    }
}

impl RollupConfig {
    /// The configuration of a chain of the registry; see [`registry`](crate::registry).
    pub fn for_chain(chain_id: u64) -> Option<Self> {
        chains().iter().find(|chain| chain.chain_id == chain_id).map(ChainPreset::rollup_config)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn chains_are_found_by_every_name_that_users_know() {
        for (name, id) in [
            ("op-mainnet", 10),
            ("OP-Mainnet", 10),
            ("mainnet", 10),
            ("optimism", 10),
            ("mainnet/op", 10),
            ("op", 10),
            ("10", 10),
            (" 11155420 ", 11155420),
            ("op-sepolia", 11155420),
            ("sepolia", 11155420),
            ("optimism_sepolia", 11155420),
            ("sepolia/op", 11155420),
            ("unichain-sepolia", 1301),
            ("unichain", 130),
            ("celo-sep", 11142220),
            ("celo-sep-sepolia", 11142220),
            ("radius_testnet-sepolia", 863),
            ("radius-testnet", 863),
            ("settlus-sepolia", 5373),
            ("sepolia-devnet-2", 420130015),
        ] {
            assert_eq!(find(name).unwrap().chain_id, id, "{name}");
        }
        for name in ["", "base-mainnet-2", "11", "op-", "mainnet/"] {
            assert_eq!(find(name).unwrap_err().name, name);
        }
        let error = find("unichian-sepolia").unwrap_err();
        assert!(error.to_string().contains("did you mean \"unichain-sepolia\"?"), "{error}");
    }

    #[test]
    fn ids_and_names_are_unique_and_every_preset_is_a_valid_configuration() {
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for chain in chains() {
            assert!(ids.insert(chain.chain_id) && names.insert(chain.network()));
            let config = chain.rollup_config();
            assert_eq!(config.check(), Ok(()), "{}", chain.network());
            assert_eq!(RollupConfig::for_chain(chain.chain_id), Some(config));
            assert_eq!(find(&chain.network()).unwrap().chain_id, chain.chain_id);
            assert_eq!(find(&chain.identifier()).unwrap().chain_id, chain.chain_id);
            assert_eq!(find(&chain.chain_id.to_string()).unwrap().chain_id, chain.chain_id);
        }
        assert_eq!(RollupConfig::for_chain(0), None);
    }

    #[test]
    fn chains_with_batches_elsewhere_say_why_they_cannot_be_derived() {
        assert_eq!(find("op-mainnet").unwrap().supported(), Ok(()));
        let redstone = find("redstone-mainnet").unwrap();
        let error = redstone.supported().unwrap_err().to_string();
        assert!(error.contains("Redstone") && error.contains("DA server"), "{error}");
        assert!(redstone.rollup_config().alt_da.is_some());
        let error = find("celo-mainnet").unwrap().supported().unwrap_err();
        assert_eq!(error, Unsupported::OwnDa { chain: "Celo" });
        let migrated = chains().iter().filter(|chain| chain.is_migrated()).count();
        assert_eq!(migrated, 4);
    }
}
