//! Hardforks: one ordered enum and one table.
//!
//! A fork is one row of [`TABLE`]. Code asks [`RollupConfig`](crate::RollupConfig) for a feature
//! (`channel_timeout`, `max_sequencer_drift`) wherever a feature is what it means, and compares
//! with a fork only where the specification itself speaks of the fork.

use core::fmt;
use core::str::FromStr;

use alloy_primitives::{B256, b256};

/// The OP Stack's network upgrades, in the order in which they activate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Hardfork {
    /// The first fork: always active.
    Bedrock,
    /// Deposit gas metering and the deposit nonce in receipts.
    Regolith,
    /// Shanghai and the deposit receipt version.
    Canyon,
    /// Span batches.
    Delta,
    /// Cancun, blobs and the two-part L1 fee.
    Ecotone,
    /// Brotli channels, FastLZ L1 fee, P256VERIFY.
    Fjord,
    /// Shorter channel timeout, bounded bn256 pairing.
    Granite,
    /// Strict derivation, EIP-1559 parameters in the system config.
    Holocene,
    /// Prague, operator fee, withdrawals root in the header.
    Isthmus,
    /// Minimum base fee and DA footprint.
    Jovian,
    /// Osaka's EVM changes.
    Karst,
    /// Cross-chain messages.
    Interop,
}

/// What the table says about one fork.
#[derive(Clone, Copy, Debug)]
pub struct HardforkRow {
    /// The fork of this row; rows stand in the enum's order.
    pub fork: Hardfork,
    /// Lower-case name, as users type it after `--fork`.
    pub name: &'static str,
    /// Key of the activation time in `rollup.json`; Bedrock has none.
    pub rollup_key: Option<&'static str>,
    /// Key of the activation time in the `config` section of `genesis.json`.
    pub genesis_key: Option<&'static str>,
    /// What the fork's first block does to the contracts of the system.
    pub upgrade: Upgrade,
}

/// How a fork's first block upgrades the system. A block that upgrades it holds no user
/// transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Not at all: the fork changes rules only.
    None,
    /// By the deposits of a bundle that is the same for every chain; see
    /// [`upgrades`](crate::upgrades).
    Bundle {
        /// SHA-256 of the bundle file.
        sha256: B256,
        /// Gas that the first block may use beyond the chain's gas limit: what the deposits may use
        /// from Karst on, and nothing before.
        extra_gas: u64,
    },
    /// By the deposits of a bundle that is not final: a chain that schedules the fork says which.
    OwnBundle,
}

const fn row(
    fork: Hardfork,
    name: &'static str,
    rollup_key: &'static str,
    genesis_key: &'static str,
    upgrade: Upgrade,
) -> HardforkRow {
    HardforkRow {
        fork,
        name,
        rollup_key: Some(rollup_key),
        genesis_key: Some(genesis_key),
        upgrade,
    }
}

const fn bundle(sha256: B256, extra_gas: u64) -> Upgrade {
    Upgrade::Bundle { sha256, extra_gas }
}

// SHA-256 of the bundle files. Karst's is the one that the reference implementation locks; those of
// the forks before it are of the same format, written by `UpgradeBundle::to_json`.
const ECOTONE_BUNDLE: B256 =
    b256!("d8a10ae7beb31f160455d3543b52b464f4251aa489076f173ae0331db5772f09");
const FJORD_BUNDLE: B256 =
    b256!("f3fdbff908adeef844c2e04a93c3c79eff618018c082f9fca6fb441aa52b6f3b");
const ISTHMUS_BUNDLE: B256 =
    b256!("194239455bb3a9f0b5e79440039f6c129ed858a59e28810e76f7817b70005a92");
const JOVIAN_BUNDLE: B256 =
    b256!("01f525aaa7d1df98f2c36369c8d8a19dc9cdbcfa141d7c30b667a639ef1a18dc");
const KARST_BUNDLE: B256 =
    b256!("08f5df36f7ff29a9421ab84beebe96684a7455df9a5d234a2468613a4008ad91");

/// Every fork, in order.
pub const TABLE: [HardforkRow; 12] = [
    HardforkRow {
        fork: Hardfork::Bedrock,
        name: "bedrock",
        rollup_key: None,
        genesis_key: None,
        upgrade: Upgrade::None,
    },
    row(Hardfork::Regolith, "regolith", "regolith_time", "regolithTime", Upgrade::None),
    row(Hardfork::Canyon, "canyon", "canyon_time", "canyonTime", Upgrade::None),
    row(Hardfork::Delta, "delta", "delta_time", "deltaTime", Upgrade::None),
    row(Hardfork::Ecotone, "ecotone", "ecotone_time", "ecotoneTime", bundle(ECOTONE_BUNDLE, 0)),
    row(Hardfork::Fjord, "fjord", "fjord_time", "fjordTime", bundle(FJORD_BUNDLE, 0)),
    row(Hardfork::Granite, "granite", "granite_time", "graniteTime", Upgrade::None),
    row(Hardfork::Holocene, "holocene", "holocene_time", "holoceneTime", Upgrade::None),
    row(Hardfork::Isthmus, "isthmus", "isthmus_time", "isthmusTime", bundle(ISTHMUS_BUNDLE, 0)),
    row(Hardfork::Jovian, "jovian", "jovian_time", "jovianTime", bundle(JOVIAN_BUNDLE, 0)),
    row(Hardfork::Karst, "karst", "karst_time", "karstTime", bundle(KARST_BUNDLE, 55_370_657)),
    row(Hardfork::Interop, "interop", "interop_time", "interopTime", Upgrade::OwnBundle),
];

impl Hardfork {
    /// The newest fork that is live on OP Mainnet.
    pub const LATEST_LIVE: Self = Self::Karst;

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// What the fork's first block does to the contracts of the system.
    pub const fn upgrade(self) -> Upgrade {
        TABLE[self as usize].upgrade
    }
}

impl fmt::Display for Hardfork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fork name that the table does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown hardfork \"{0}\": use one of regolith, canyon, delta, ecotone, fjord, granite, holocene, isthmus, jovian, karst, interop"
)]
pub struct UnknownHardfork(pub alloc::string::String);

impl FromStr for Hardfork {
    type Err = UnknownHardfork;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        TABLE
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(s))
            .map(|row| row.fork)
            .ok_or_else(|| UnknownHardfork(s.into()))
    }
}

/// Activation time of each fork, in seconds since the Unix epoch; `None` means not scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardforkSchedule {
    times: [Option<u64>; TABLE.len()],
}

impl Default for HardforkSchedule {
    fn default() -> Self {
        Self::at_genesis(Hardfork::Bedrock)
    }
}

impl HardforkSchedule {
    /// All forks up to and including `newest` active from time 0, later ones not scheduled.
    pub fn at_genesis(newest: Hardfork) -> Self {
        let mut times = [None; TABLE.len()];
        for row in TABLE.iter().filter(|row| row.fork <= newest) {
            times[row.fork as usize] = Some(0);
        }
        Self { times }
    }

    /// Activation time of a fork, if it is scheduled.
    pub const fn time(&self, fork: Hardfork) -> Option<u64> {
        self.times[fork as usize]
    }

    /// Sets or clears a fork's activation time. Bedrock is always active and stays so.
    pub fn set(&mut self, fork: Hardfork, time: Option<u64>) {
        if fork != Hardfork::Bedrock {
            self.times[fork as usize] = time;
        }
    }

    /// Whether a fork is active in a block with this timestamp.
    pub fn is_active(&self, fork: Hardfork, timestamp: u64) -> bool {
        self.time(fork).is_some_and(|time| timestamp >= time)
    }

    /// The newest fork that is active at this timestamp.
    pub fn at(&self, timestamp: u64) -> Hardfork {
        TABLE
            .iter()
            .rev()
            .map(|row| row.fork)
            .find(|fork| self.is_active(*fork, timestamp))
            .unwrap_or(Hardfork::Bedrock)
    }

    /// Whether the block at `timestamp` is the first one with the fork, its parent being at
    /// `parent_timestamp`. A fork that is active in genesis has no activation block.
    pub fn activates(&self, fork: Hardfork, parent_timestamp: u64, timestamp: u64) -> bool {
        self.is_active(fork, timestamp) && !self.is_active(fork, parent_timestamp)
    }

    /// The forks whose upgrade deposits the block at `timestamp` must carry, in order, its parent
    /// being at `parent_timestamp`. If there is one, the block holds no user transactions.
    pub fn upgrades_at(
        &self,
        parent_timestamp: u64,
        timestamp: u64,
    ) -> impl Iterator<Item = Hardfork> + use<> {
        let schedule = *self;
        TABLE
            .iter()
            .filter(|row| row.upgrade != Upgrade::None)
            .map(|row| row.fork)
            .filter(move |fork| schedule.activates(*fork, parent_timestamp, timestamp))
    }

    /// The first fork of [`upgrades_at`](Self::upgrades_at).
    pub fn upgrade_at(&self, parent_timestamp: u64, timestamp: u64) -> Option<Hardfork> {
        self.upgrades_at(parent_timestamp, timestamp).next()
    }

    /// The first pair of forks whose times stand in the wrong order: a fork needs every earlier
    /// one to be scheduled no later than itself.
    pub fn out_of_order(&self) -> Option<(Hardfork, Hardfork)> {
        TABLE.windows(2).find_map(|pair| {
            let (earlier, later) = (pair[0].fork, pair[1].fork);
            let wrong = match (self.time(earlier), self.time(later)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(a), Some(b)) => a > b,
            };
            wrong.then_some((earlier, later))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn table_rows_stand_in_enum_order() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.fork as usize, i);
            assert_eq!(row.name.parse::<Hardfork>().unwrap(), row.fork);
        }
        assert!("shanghai".parse::<Hardfork>().is_err());
    }

    #[test]
    fn activation_is_the_first_block_at_or_after_the_time() {
        let mut schedule = HardforkSchedule::at_genesis(Hardfork::Granite);
        schedule.set(Hardfork::Holocene, Some(100));
        assert_eq!(schedule.at(99), Hardfork::Granite);
        assert_eq!(schedule.at(100), Hardfork::Holocene);
        assert!(schedule.activates(Hardfork::Holocene, 99, 101));
        assert!(!schedule.activates(Hardfork::Holocene, 100, 102));
        assert!(!schedule.activates(Hardfork::Granite, 0, 2));
    }

    #[test]
    fn order_is_checked() {
        let mut schedule = HardforkSchedule::at_genesis(Hardfork::Granite);
        assert_eq!(schedule.out_of_order(), None);
        schedule.set(Hardfork::Isthmus, Some(5));
        assert_eq!(schedule.out_of_order(), Some((Hardfork::Holocene, Hardfork::Isthmus)));
        schedule.set(Hardfork::Holocene, Some(6));
        assert_eq!(schedule.out_of_order(), Some((Hardfork::Holocene, Hardfork::Isthmus)));
    }
}
