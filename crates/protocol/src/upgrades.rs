//! Upgrade transactions: the deposits with which a fork's first block upgrades the contracts of the
//! system. Spec: `l2-upgrades-1-execution.md`; the derivation pages of the forks.
//!
//! They are data, not code. All of a fork stand in one *bundle*, a JSON file in the format that is
//! published since Karst; for the forks before it, the file is made of their published deposits.
//! [`hardfork::TABLE`](crate::hardfork::TABLE) pins the SHA-256 of each file, a
//! chain of its own may name others ([`RollupConfig::upgrade_bundles`]), and who starts a node loads
//! them into [`RollupConfig::upgrades`].

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes, keccak256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::deposit::DepositSource;
use crate::hardfork::Upgrade;
use crate::predeploys::{ETH_LIQUIDITY, L1_BLOCK, L1_INFO_DEPOSITOR};
use crate::{DepositTransaction, Hardfork, RollupConfig, TxEnvelope};

/// Bytes that a bundle file may have. The published ones have less than a tenth of this.
pub const MAX_BUNDLE_BYTES: usize = 4 << 20;
/// Transactions that a bundle may hold.
pub const MAX_BUNDLE_TRANSACTIONS: usize = 512;
/// The version of the format.
const VERSION: &str = "1.0.0";

/// Gas of the deposit that opens interop's upgrade in a dependency set.
const SET_FEATURE_GAS: u64 = 100_000;
/// Gas of the deposit that ends it.
const FUND_GAS: u64 = 50_000;

/// One upgrade transaction, as bundle files have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// In the order of the published files, which sort their keys.
pub struct UpgradeTransaction {
    /// Calldata, or init code where there is no recipient.
    pub data: Bytes,
    /// Sender.
    #[serde(serialize_with = "checksummed")]
    pub from: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// What the transaction is for; part of its source hash.
    pub intent: String,
    /// Recipient; `null` creates a contract.
    #[serde(serialize_with = "checksummed_option", deserialize_with = "required")]
    pub to: Option<Address>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleJson {
    metadata: Metadata,
    transactions: Vec<UpgradeTransaction>,
}

fn checksummed<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&address.to_checksum(None))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn checksummed_option<S: Serializer>(
    address: &Option<Address>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    address.as_ref().map(|address| address.to_checksum(None)).serialize(serializer)
}

/// Without this, serde takes a missing recipient for `null`, and a contract would be created.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    Option::deserialize(deserializer)
}

/// Why a file is no bundle of a fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The file is longer than any bundle.
    #[error("upgrade bundle has {0} bytes, the most is {MAX_BUNDLE_BYTES}")]
    Size(usize),
    /// Not the published format.
    #[error("upgrade bundle: {0}")]
    Json(String),
    /// Another version of the format.
    #[error("upgrade bundle has format version \"{0}\", expected \"{VERSION}\"")]
    Version(String),
    /// None, or more than any fork has.
    #[error("upgrade bundle has {0} transactions; 1 to {MAX_BUNDLE_TRANSACTIONS} are possible")]
    Count(usize),
    /// The fork has no upgrade transactions.
    #[error("{0} upgrades no contracts")]
    NoUpgrade(Hardfork),
    /// A transaction without purpose: its source hash would say nothing.
    #[error("upgrade transaction {0} has no intent")]
    NoIntent(usize),
    /// An intent of another fork.
    #[error("upgrade transaction {index} is \"{intent}\", which is not of {fork}")]
    OtherFork {
        /// Position in the bundle.
        index: usize,
        /// Its intent.
        intent: String,
        /// Fork of the bundle.
        fork: Hardfork,
    },
    /// The gas limits add up to more than 64 bits hold.
    #[error("the gas limits of the upgrade transactions overflow")]
    Gas,
    /// A published deposit that a bundle cannot express, or whose source hash is of another intent.
    #[error("upgrade deposit {0} is not what a bundle of this fork holds")]
    Deposit(usize),
}

/// The upgrade transactions of one fork.
#[derive(Clone, PartialEq, Eq)]
pub struct UpgradeBundle {
    fork: Hardfork,
    sha256: B256,
    transactions: Vec<UpgradeTransaction>,
    deposits: Vec<Bytes>,
    gas: u64,
}

impl fmt::Debug for UpgradeBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fork, sha256, deposits, .. } = self;
        write!(f, "UpgradeBundle({fork}, {} transactions, {sha256})", deposits.len())
    }
}

/// SHA-256 of a bundle file.
pub fn sha256(file: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(file))
}

/// What is hashed into the source hash of a transaction, from Karst on; the fork's name has a
/// capital.
pub fn qualified_intent(fork: &str, index: usize, intent: &str) -> String {
    alloc::format!("{fork} {index}: {intent}")
}

/// What is hashed into the source hash of a bundle's transaction. Karst was the first with a file,
/// in which the intents repeat; the forks before it have theirs in full.
fn full_intent(fork: Hardfork, index: usize, intent: &str) -> String {
    if fork >= Hardfork::Karst {
        qualified_intent(&title(fork), index, intent)
    } else {
        intent.to_string()
    }
}

/// The fork's name with a capital, as intents have it.
fn title(fork: Hardfork) -> String {
    let mut title = fork.name().to_string();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl UpgradeBundle {
    /// Reads a bundle file. Whether it is the right one is for its hash to say:
    /// [`UpgradeBundle::sha256`].
    ///
    /// # Errors
    /// When it is not of the published format, or another fork's.
    pub fn parse(fork: Hardfork, file: &[u8]) -> Result<Self, BundleError> {
        if file.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::Size(file.len()));
        }
        let json: BundleJson =
            serde_json::from_slice(file).map_err(|e| BundleError::Json(e.to_string()))?;
        if json.metadata.version != VERSION {
            return Err(BundleError::Version(json.metadata.version));
        }
        Self::new(fork, json.transactions, sha256(file))
    }

    /// A bundle of these transactions, with the hash of [`UpgradeBundle::to_json`].
    ///
    /// # Errors
    /// As [`UpgradeBundle::parse`].
    pub fn from_transactions(
        fork: Hardfork,
        transactions: Vec<UpgradeTransaction>,
    ) -> Result<Self, BundleError> {
        let mut bundle = Self::new(fork, transactions, B256::ZERO)?;
        bundle.sha256 = sha256(bundle.to_json()?.as_bytes());
        Ok(bundle)
    }

    /// A bundle of published deposits: their intents, and what they are encoded per EIP-2718.
    ///
    /// # Errors
    /// As [`UpgradeBundle::parse`], and when the bundle would not give the same bytes.
    pub fn from_deposits<'a>(
        fork: Hardfork,
        deposits: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, BundleError> {
        let mut transactions = Vec::new();
        let mut raw = Vec::new();
        for (index, (intent, encoded)) in deposits.into_iter().enumerate() {
            if index >= MAX_BUNDLE_TRANSACTIONS {
                return Err(BundleError::Count(index + 1));
            }
            let Ok(TxEnvelope::Deposit(deposit)) = TxEnvelope::decode_2718_exact(encoded) else {
                return Err(BundleError::Deposit(index));
            };
            transactions.push(UpgradeTransaction {
                data: deposit.input.clone(),
                from: deposit.from,
                gas_limit: deposit.gas_limit,
                intent: intent.to_string(),
                to: deposit.to.to().copied(),
            });
            raw.push(encoded);
        }
        let bundle = Self::from_transactions(fork, transactions)?;
        match bundle.deposits.iter().zip(raw).position(|(ours, given)| ours != given) {
            Some(index) => Err(BundleError::Deposit(index)),
            None => Ok(bundle),
        }
    }

    fn new(
        fork: Hardfork,
        transactions: Vec<UpgradeTransaction>,
        sha256: B256,
    ) -> Result<Self, BundleError> {
        if fork.upgrade() == Upgrade::None {
            return Err(BundleError::NoUpgrade(fork));
        }
        if transactions.is_empty() || transactions.len() > MAX_BUNDLE_TRANSACTIONS {
            return Err(BundleError::Count(transactions.len()));
        }
        let mut gas = 0u64;
        let mut deposits = Vec::with_capacity(transactions.len());
        for (index, transaction) in transactions.iter().enumerate() {
            let UpgradeTransaction { data, from, gas_limit, intent, to } = transaction;
            if intent.is_empty() {
                return Err(BundleError::NoIntent(index));
            }
            let of_fork = |intent: &str| {
                intent.strip_prefix(&title(fork)).is_some_and(|rest| rest.starts_with(": "))
            };
            if fork < Hardfork::Karst && !of_fork(intent) {
                return Err(BundleError::OtherFork { index, intent: intent.clone(), fork });
            }
            gas = gas.checked_add(*gas_limit).ok_or(BundleError::Gas)?;
            deposits.push(encode(DepositTransaction {
                source_hash: source_hash(&full_intent(fork, index, intent)),
                from: *from,
                to: to.map_or(TxKind::Create, TxKind::Call),
                gas_limit: *gas_limit,
                input: data.clone(),
                ..no_value()
            }));
        }
        Ok(Self { fork, sha256, transactions, deposits, gas })
    }

    /// The bundle as a file, laid out as the published ones: keys sorted, two spaces a level.
    ///
    /// # Errors
    /// Never, as far as we know: nothing in a bundle is without a JSON form.
    pub fn to_json(&self) -> Result<String, BundleError> {
        let json = BundleJson {
            metadata: Metadata { version: VERSION.to_string() },
            transactions: self.transactions.clone(),
        };
        serde_json::to_string_pretty(&json).map_err(|e| BundleError::Json(e.to_string()))
    }

    /// The fork that the bundle is of.
    pub const fn fork(&self) -> Hardfork {
        self.fork
    }

    /// SHA-256 of the file.
    pub const fn sha256(&self) -> B256 {
        self.sha256
    }

    /// The transactions as the file has them.
    pub fn transactions(&self) -> &[UpgradeTransaction] {
        &self.transactions
    }

    /// The deposits, encoded per EIP-2718, in order.
    pub fn deposits(&self) -> &[Bytes] {
        &self.deposits
    }

    /// The sum of the gas limits.
    pub const fn gas(&self) -> u64 {
        self.gas
    }
}

fn source_hash(intent: &str) -> B256 {
    DepositSource::Upgrade { intent }.hash()
}

/// What all upgrade transactions share: nothing is minted or sent.
fn no_value() -> DepositTransaction {
    DepositTransaction {
        mint: 0,
        value: U256::ZERO,
        is_system_transaction: false,
        ..DepositTransaction::default()
    }
}

fn encode(deposit: DepositTransaction) -> Bytes {
    TxEnvelope::from(deposit).encoded_2718().into()
}

/// Bundles that were loaded, by fork. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpgradeBundles(Arc<BTreeMap<Hardfork, UpgradeBundle>>);

impl UpgradeBundles {
    /// The bundle of a fork, if it is loaded.
    pub fn get(&self, fork: Hardfork) -> Option<&UpgradeBundle> {
        self.0.get(&fork)
    }

    /// All bundles, in order of their forks.
    pub fn iter(&self) -> impl Iterator<Item = &UpgradeBundle> {
        self.0.values()
    }
}

impl FromIterator<UpgradeBundle> for UpgradeBundles {
    fn from_iter<I: IntoIterator<Item = UpgradeBundle>>(bundles: I) -> Self {
        Self(Arc::new(bundles.into_iter().map(|bundle| (bundle.fork, bundle)).collect()))
    }
}

/// A bundle that a chain needs, and that was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingUpgrade {
    /// The fork.
    pub fork: Hardfork,
    /// SHA-256 of the bundle file; `None` where the chain does not say which bundle is its own.
    pub sha256: Option<B256>,
}

impl fmt::Display for MissingUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fork = self.fork;
        match self.sha256 {
            Some(sha256) => write!(
                f,
                "the upgrade transactions of {fork} are missing: the bundle file with SHA-256 \
                 {sha256}; get it by `opal upgrades import FILE` or `opal upgrades download URL`"
            ),
            None => write!(
                f,
                "no upgrade transactions of {fork} are final: name the SHA-256 of the chain's own \
                 bundle in rollup.json, under \"upgrade_bundles\": {{\"{fork}\": \"0x...\"}}"
            ),
        }
    }
}

impl core::error::Error for MissingUpgrade {}

impl RollupConfig {
    /// SHA-256 of the bundle with which this chain activates a fork; `None` if the fork upgrades
    /// nothing, or if neither the chain nor the fork's row names a bundle.
    pub fn upgrade_hash(&self, fork: Hardfork) -> Option<B256> {
        match (self.upgrade_bundles.get(&fork), fork.upgrade()) {
            (_, Upgrade::None) => None,
            (Some(own), _) => Some(*own),
            (None, Upgrade::Bundle { sha256, .. }) => Some(sha256),
            (None, Upgrade::OwnBundle) => None,
        }
    }

    /// The forks that this chain activates after genesis by upgrade transactions, in order.
    pub fn upgrading_forks(&self) -> impl Iterator<Item = Hardfork> + use<> {
        self.schedule.upgrades_at(self.genesis.l2_time, u64::MAX)
    }

    /// Bundles that were not loaded, of the forks that this chain activates after the time `after`,
    /// in seconds: those that whoever starts there will need.
    pub fn missing_upgrades(&self, after: u64) -> impl Iterator<Item = MissingUpgrade> + '_ {
        let after = after.max(self.genesis.l2_time);
        self.schedule
            .upgrades_at(after, u64::MAX)
            .filter_map(|fork| self.upgrade_bundle(fork).err())
    }

    /// The bundle with which this chain activates a fork.
    ///
    /// # Errors
    /// When it was not loaded, or is not the one that the chain has.
    pub fn upgrade_bundle(&self, fork: Hardfork) -> Result<&UpgradeBundle, MissingUpgrade> {
        let sha256 = self.upgrade_hash(fork);
        self.upgrades
            .get(fork)
            .filter(|bundle| Some(bundle.sha256) == sha256)
            .ok_or(MissingUpgrade { fork, sha256 })
    }

    /// The deposits that activate a fork, encoded, in order.
    ///
    /// # Errors
    /// As [`RollupConfig::upgrade_bundle`].
    pub fn upgrade_deposits(&self, fork: Hardfork) -> Result<Vec<Bytes>, MissingUpgrade> {
        let bundle = self.upgrade_bundle(fork)?;
        let (before, after) = self.interop_deposits(fork);
        Ok(before.into_iter().chain(bundle.deposits.iter().cloned()).chain(after).collect())
    }

    /// Deposits around interop's bundle. They let the chain exchange messages, which is of no use
    /// unless the dependency set holds a second chain. They are kona's of June 2026, where op-node has
    /// others: neither they nor the bundle are final.
    fn interop_deposits(&self, fork: Hardfork) -> (Option<Bytes>, Option<Bytes>) {
        if fork != Hardfork::Interop || self.dependency_set.len() < 2 {
            return (None, None);
        }
        let mut feature = [0u8; 36];
        feature[..4].copy_from_slice(&keccak256("setFeature(bytes32)")[..4]);
        feature[4..11].copy_from_slice(b"INTEROP");
        let set_feature = DepositTransaction {
            source_hash: source_hash("Interop pre: setFeature(INTEROP)"),
            from: L1_INFO_DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            gas_limit: SET_FEATURE_GAS,
            input: Bytes::copy_from_slice(&feature),
            ..no_value()
        };
        let fund = DepositTransaction {
            source_hash: source_hash("Interop post: ETHLiquidity Funding"),
            from: L1_INFO_DEPOSITOR,
            to: TxKind::Call(ETH_LIQUIDITY),
            mint: u128::MAX,
            value: U256::from(u128::MAX),
            gas_limit: FUND_GAS,
            is_system_transaction: false,
            // `fund()`
            input: bytes!("b60d4288"),
        };
        (Some(encode(set_feature)), Some(encode(fund)))
    }

    /// Gas that a fork's first block may use on top of the chain's gas limit. Upgrade transactions
    /// have gas of their own from Karst on; before, they share the block's.
    ///
    /// # Errors
    /// When that depends on a bundle which was not loaded.
    pub fn upgrade_gas(&self, fork: Hardfork) -> Result<u64, MissingUpgrade> {
        if fork < Hardfork::Karst {
            return Ok(0);
        }
        match (fork.upgrade(), self.upgrade_bundles.contains_key(&fork)) {
            (Upgrade::None, _) => Ok(0),
            (Upgrade::Bundle { extra_gas, .. }, false) => Ok(extra_gas),
            _ => {
                let around = match self.interop_deposits(fork) {
                    (Some(_), Some(_)) => SET_FEATURE_GAS + FUND_GAS,
                    _ => 0,
                };
                Ok(self.upgrade_bundle(fork)?.gas.saturating_add(around))
            }
        }
    }

    /// Whether the extra gas of a fork's first block is for that block alone. On chains with
    /// [`RollupConfig::keep_karst_upgrade_gas`], Karst's is not: an early release of the reference
    /// node read it back as a part of the gas limit.
    fn upgrade_gas_ends(&self, fork: Hardfork) -> bool {
        fork != Hardfork::Karst || !self.keep_karst_upgrade_gas
    }

    /// The gas limit of the system configuration, read out of a block that has this gas limit at
    /// `l2_time`: without the extra gas, where the block is a fork's first.
    ///
    /// # Errors
    /// As [`RollupConfig::upgrade_gas`].
    pub fn lasting_gas_limit(&self, gas_limit: u64, l2_time: u64) -> Result<u64, MissingUpgrade> {
        let parent_time = l2_time.saturating_sub(self.block_time);
        let mut lasting = gas_limit;
        for fork in self.schedule.upgrades_at(parent_time, l2_time) {
            if self.upgrade_gas_ends(fork) {
                lasting = lasting.saturating_sub(self.upgrade_gas(fork)?);
            }
        }
        Ok(lasting)
    }

    /// Extra gas of the block at `l2_time` that stays in the gas limit. The block's bundles must
    /// have been there when it was built.
    pub(crate) fn kept_upgrade_gas(&self, l2_time: u64) -> u64 {
        self.schedule
            .upgrades_at(l2_time.saturating_sub(self.block_time), l2_time)
            .filter(|fork| !self.upgrade_gas_ends(*fork))
            .map(|fork| self.upgrade_gas(fork).unwrap_or_default())
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
#[path = "upgrades_tests.rs"]
mod tests;
