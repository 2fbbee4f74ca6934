//! What a rollup shall be: the one input of deployment and genesis.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use opal_protocol::config::BaseFeeConfig;
use opal_protocol::{Hardfork, HardforkSchedule};
use serde::{Deserialize, Serialize};

use crate::accounts::{DevAccounts, DevRole};
use crate::intent_file::{balances, wei};

/// Chain id of the embedded L1, unless the intent says otherwise.
pub const EMBEDDED_L1_CHAIN_ID: u64 = 900;
/// L2 gas that the SystemConfig demands of a block: all deposits that one L1 block can carry, and
/// the L1 attributes.
pub const MIN_GAS_LIMIT: u64 = 21_000_000;
/// The highest L2 gas limit that the SystemConfig takes.
pub const MAX_GAS_LIMIT: u64 = 500_000_000;

/// The rollup to deploy. JSON in camel case; fields left out have the defaults of
/// [`Intent::default`], unknown fields are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Intent {
    /// Chain id that the L1 must have. Left out, an external L1 may have any; the embedded one has
    /// [`EMBEDDED_L1_CHAIN_ID`].
    pub l1_chain_id: Option<u64>,
    /// Chain id of the L2.
    pub l2_chain_id: u64,
    /// Seconds between L2 blocks.
    pub l2_block_time: u64,
    /// The newest fork that is active from L2 genesis on.
    #[serde(with = "fork_name")]
    pub fork: Hardfork,
    /// When later forks activate: seconds after L2 genesis.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fork_offsets: BTreeMap<Hardfork, u64>,
    /// Gas limit of L2 blocks.
    pub gas_limit: u64,
    /// Factors of the L1 fee.
    pub fees: FeeScalars,
    /// The L2 chain's EIP-1559 parameters.
    pub eip1559: BaseFeeConfig,
    /// The operator fee, charged from Isthmus on.
    pub operator_fee: OperatorFee,
    /// Floor of the L2 base fee in wei, from Jovian on.
    pub min_base_fee: u64,
    /// Jovian's DA footprint gas scalar; zero means the protocol's default of 400.
    pub da_footprint_gas_scalar: u16,
    /// Number of L1 blocks in which the batches of an epoch must appear.
    pub seq_window_size: u64,
    /// L1 blocks for which a channel stays open before Granite.
    pub channel_timeout: u64,
    /// Seconds that L2 may run ahead of its L1 origin before Fjord.
    pub max_sequencer_drift: u64,
    /// Where batches are sent to; derived from the L2 chain id if left out.
    pub batch_inbox: Option<Address>,
    /// Seconds between proving and finalizing a withdrawal.
    pub proof_maturity_delay: u64,
    /// The games about output roots.
    pub dispute_game: DisputeGame,
    /// Where the fees of L2 go.
    pub fee_vaults: FeeVaults,
    /// Whether the portal's ether lies in a lockbox, which several chains can share later.
    pub eth_lockbox: bool,
    /// Who may do what.
    pub roles: Roles,
    /// Distinguishes deployments of the same chain id on one L1: it enters every contract address.
    pub salt: B256,
    /// On an external L1, the deployer tops the batcher up to this balance, in wei.
    #[serde(deserialize_with = "wei")]
    pub batcher_funding: U256,
    /// Likewise for the proposer.
    #[serde(deserialize_with = "wei")]
    pub proposer_funding: U256,
    /// The embedded L1; without meaning for an external one.
    pub embedded_l1: EmbeddedL1,
    /// Balances at L2 genesis, in wei.
    #[serde(deserialize_with = "balances")]
    pub l2_balances: BTreeMap<Address, U256>,
}

/// Factors of the L1 fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FeeScalars {
    /// Factor of the L1 base fee in millionths, from Ecotone on.
    pub base_fee: u32,
    /// Factor of the L1 blob base fee in millionths, from Ecotone on.
    pub blob_base_fee: u32,
    /// Gas added to a transaction's data gas, before Ecotone.
    pub bedrock_overhead: u64,
    /// Factor of the fee in millionths, before Ecotone.
    pub bedrock_scalar: u64,
}

impl Default for FeeScalars {
    fn default() -> Self {
        Self {
            base_fee: 1368,
            blob_base_fee: 801_949,
            bedrock_overhead: 188,
            bedrock_scalar: 684_000,
        }
    }
}

/// The operator fee. Spec: `isthmus/exec-engine.md`, `jovian/exec-engine.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OperatorFee {
    /// Factor of the gas used.
    pub scalar: u32,
    /// Wei per transaction.
    pub constant: u64,
}

/// The permissioned dispute game. Spec: `fault-proof/stage-one/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DisputeGame {
    /// Seconds between a game's end and its use for withdrawals.
    pub finality_delay: u64,
    /// Seconds for which bonds are held back after a game.
    pub weth_delay: u64,
    /// Seconds that each side has to move.
    pub max_clock_duration: u64,
    /// Seconds that a side has at least after the other's move.
    pub clock_extension: u64,
    /// Depth of the game tree.
    pub max_depth: u64,
    /// Depth down to which claims are output roots.
    pub split_depth: u64,
    /// Commitment to the fault-proof program's first state.
    pub absolute_prestate: B256,
    /// What a proposal costs until it is settled, in wei.
    #[serde(deserialize_with = "wei")]
    pub init_bond: U256,
}

impl Default for DisputeGame {
    /// The OP Stack's standard configuration.
    fn default() -> Self {
        Self {
            finality_delay: 302_400,
            weth_delay: 604_800,
            max_clock_duration: 302_400,
            clock_extension: 10_800,
            max_depth: 73,
            split_depth: 30,
            absolute_prestate: B256::ZERO,
            init_bond: U256::from(ETHER / 100 * 8),
        }
    }
}

/// The vaults on L2 that fees are collected in. Anybody may have them paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FeeVaults {
    /// Who gets the tips; the SystemConfig's owner if left out, as for all.
    pub sequencer_fee_recipient: Option<Address>,
    /// Who gets the base fees.
    pub base_fee_recipient: Option<Address>,
    /// Who gets the fees for L1 data.
    pub l1_fee_recipient: Option<Address>,
    /// Who gets the operator fees.
    pub operator_fee_recipient: Option<Address>,
    /// What a vault must hold before it pays, in wei.
    #[serde(deserialize_with = "wei")]
    pub min_withdrawal: U256,
    /// On which layer it pays.
    pub withdrawal_network: WithdrawalNetwork,
}

impl Default for FeeVaults {
    fn default() -> Self {
        Self {
            sequencer_fee_recipient: None,
            base_fee_recipient: None,
            l1_fee_recipient: None,
            operator_fee_recipient: None,
            min_withdrawal: U256::from(10 * ETHER),
            withdrawal_network: WithdrawalNetwork::L2,
        }
    }
}

/// A layer, as the vaults number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum WithdrawalNetwork {
    /// By a withdrawal.
    L1 = 0,
    /// Directly.
    L2 = 1,
}

/// The addresses that hold power over the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Roles {
    /// Sends batches to L1.
    pub batcher: Address,
    /// Signs unsafe blocks for the P2P network.
    pub unsafe_block_signer: Address,
    /// Changes the system configuration on L1.
    pub system_config_owner: Address,
    /// Upgrades the contracts on L1, and registers dispute games.
    pub l1_proxy_admin_owner: Address,
    /// Upgrades the predeploys on L2.
    pub l2_proxy_admin_owner: Address,
    /// Pauses withdrawals and rejects dispute games.
    pub guardian: Address,
    /// Proposes output roots.
    pub proposer: Address,
    /// Disputes proposals.
    pub challenger: Address,
}

/// Ethereum's fork that the embedded L1 starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum L1Fork {
    /// Prague and Electra.
    #[default]
    Prague,
    /// Osaka and Fulu, with cell proofs in blob transactions.
    Osaka,
}

/// Genesis of the embedded L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EmbeddedL1 {
    /// The fork that is active from genesis on.
    pub fork: L1Fork,
    /// Gas limit of L1 blocks.
    pub gas_limit: u64,
    /// Balances at L1 genesis, in wei.
    #[serde(deserialize_with = "balances")]
    pub balances: BTreeMap<Address, U256>,
}

impl Default for EmbeddedL1 {
    fn default() -> Self {
        Self { fork: L1Fork::default(), gas_limit: 60_000_000, balances: BTreeMap::new() }
    }
}

impl Default for Intent {
    fn default() -> Self {
        Self {
            l1_chain_id: None,
            l2_chain_id: 901,
            l2_block_time: 2,
            fork: Hardfork::LATEST_LIVE,
            fork_offsets: BTreeMap::new(),
            gas_limit: 60_000_000,
            fees: FeeScalars::default(),
            eip1559: BaseFeeConfig::default(),
            operator_fee: OperatorFee::default(),
            min_base_fee: 0,
            da_footprint_gas_scalar: 0,
            seq_window_size: 3600,
            channel_timeout: 300,
            max_sequencer_drift: 600,
            batch_inbox: None,
            proof_maturity_delay: 604_800,
            dispute_game: DisputeGame::default(),
            fee_vaults: FeeVaults::default(),
            eth_lockbox: false,
            roles: Roles::default(),
            salt: B256::ZERO,
            batcher_funding: U256::ZERO,
            proposer_funding: U256::ZERO,
            embedded_l1: EmbeddedL1::default(),
            l2_balances: BTreeMap::new(),
        }
    }
}

/// An intent that no chain can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// The JSON has a wrong shape.
    #[error("intent: {0}")]
    Json(String),
    /// The TOML has a wrong shape.
    #[error("intent: {0}")]
    Toml(String),
    /// A field has a value that cannot work.
    #[error("intent: {field} is {value}, {reason}")]
    Invalid {
        /// Name of the JSON field.
        field: &'static str,
        /// The value it has.
        value: String,
        /// What it must be.
        reason: &'static str,
    },
}

const ETHER: u128 = 1_000_000_000_000_000_000;

impl Intent {
    /// A devnet whose roles are accounts of one mnemonic, with 10,000 ether on both layers for
    /// each account.
    pub fn devnet(accounts: &DevAccounts) -> Self {
        let role = |role| accounts.role(role).address();
        let balances: BTreeMap<_, _> =
            accounts.addresses().map(|address| (address, U256::from(10_000 * ETHER))).collect();
        Self {
            l2_block_time: 1,
            // A withdrawal is a matter of seconds: every delay is over with the next L1 block or
            // the one after it.
            proof_maturity_delay: 1,
            dispute_game: DisputeGame {
                finality_delay: 1,
                weth_delay: 1,
                max_clock_duration: 1,
                clock_extension: 0,
                ..DisputeGame::default()
            },
            roles: Roles {
                batcher: role(DevRole::Batcher),
                unsafe_block_signer: role(DevRole::UnsafeBlockSigner),
                system_config_owner: role(DevRole::SystemConfigOwner),
                l1_proxy_admin_owner: role(DevRole::L1ProxyAdminOwner),
                l2_proxy_admin_owner: role(DevRole::L2ProxyAdminOwner),
                guardian: role(DevRole::Guardian),
                proposer: role(DevRole::Proposer),
                challenger: role(DevRole::Challenger),
            },
            batcher_funding: U256::from(10 * ETHER),
            proposer_funding: U256::from(10 * ETHER),
            embedded_l1: EmbeddedL1 { balances: balances.clone(), ..EmbeddedL1::default() },
            l2_balances: balances,
            ..Self::default()
        }
    }

    /// Reads an intent file and checks it.
    ///
    /// # Errors
    /// On JSON of the wrong shape, an unknown field, or a value that cannot work.
    pub fn from_json(json: &str) -> Result<Self, IntentError> {
        let intent: Self =
            serde_json::from_str(json).map_err(|e| IntentError::Json(e.to_string()))?;
        intent.check()?;
        Ok(intent)
    }

    /// Refuses values that cannot work. What the rollup configuration checks by itself (chain ids,
    /// block time, windows, EIP-1559 parameters) is left to it.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), IntentError> {
        let invalid =
            |field, value: String, reason| Err(IntentError::Invalid { field, value, reason });
        if self.l2_chain_id == 0 {
            return invalid("l2ChainId", "0".to_owned(), "which no chain may have");
        }
        if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&self.gas_limit) {
            let reason = "not in the SystemConfig's range of 21 million to 500 million";
            return invalid("gasLimit", self.gas_limit.to_string(), reason);
        }
        if self.eip1559.denominator_canyon > u64::from(u32::MAX)
            || self.eip1559.elasticity > u64::from(u32::MAX)
        {
            let value = format!("{}/{}", self.eip1559.denominator_canyon, self.eip1559.elasticity);
            return invalid("eip1559", value, "of which the header holds 32 bits each");
        }
        for (fork, offset) in &self.fork_offsets {
            let value = || format!("{fork}={offset}");
            if *fork <= self.fork || *offset == 0 {
                return invalid("forkOffsets", value(), "which is active at genesis already");
            }
        }
        if let Some((earlier, later)) = self.schedule(1).out_of_order() {
            let value = format!("{later} without, or before, {earlier}");
            return invalid("forkOffsets", value, "but forks activate in order");
        }
        self.dispute_game.check()?;
        let roles = &self.roles;
        for (field, address) in [
            ("roles.batcher", roles.batcher),
            ("roles.unsafeBlockSigner", roles.unsafe_block_signer),
            ("roles.systemConfigOwner", roles.system_config_owner),
            ("roles.l1ProxyAdminOwner", roles.l1_proxy_admin_owner),
            ("roles.l2ProxyAdminOwner", roles.l2_proxy_admin_owner),
            ("roles.guardian", roles.guardian),
            ("roles.proposer", roles.proposer),
            ("roles.challenger", roles.challenger),
        ] {
            if address.is_zero() {
                return invalid(field, address.to_string(), "whose key nobody has");
            }
        }
        Ok(())
    }

    /// What the deployer leaves on an external L1: an account and the balance that it shall have.
    pub fn fundings(&self) -> [(&'static str, Address, U256); 2] {
        [
            ("fund the batcher", self.roles.batcher, self.batcher_funding),
            ("fund the proposer", self.roles.proposer, self.proposer_funding),
        ]
    }

    /// Chain id of the embedded L1.
    pub fn embedded_l1_chain_id(&self) -> u64 {
        self.l1_chain_id.unwrap_or(EMBEDDED_L1_CHAIN_ID)
    }

    /// Activation times of all forks, the L2 beginning at `genesis_time` (seconds).
    pub fn schedule(&self, genesis_time: u64) -> HardforkSchedule {
        let mut schedule = HardforkSchedule::at_genesis(self.fork);
        for (fork, offset) in &self.fork_offsets {
            schedule.set(*fork, Some(genesis_time.saturating_add(*offset)));
        }
        schedule
    }

    /// Where batches are sent to. By convention a zero byte, then the first 19 bytes of the hash of
    /// the chain id.
    pub fn batch_inbox(&self) -> Address {
        self.batch_inbox.unwrap_or_else(|| {
            let hash = keccak256(B256::from(U256::from(self.l2_chain_id)));
            let mut bytes = [0u8; 20];
            bytes[1..].copy_from_slice(&hash[..19]);
            Address::from(bytes)
        })
    }
}

impl DisputeGame {
    /// Refuses values that no game can have.
    fn check(&self) -> Result<(), IntentError> {
        let invalid = |field, value: u64, reason| {
            let value = value.to_string();
            Err(IntentError::Invalid { field, value, reason })
        };
        if self.max_clock_duration == 0 {
            return invalid("disputeGame.maxClockDuration", 0, "which leaves no time to move");
        }
        // The last claim above the split has twice the extension, for a run of the program.
        if self.clock_extension.saturating_mul(2) > self.max_clock_duration {
            let reason = "more than half of disputeGame.maxClockDuration";
            return invalid("disputeGame.clockExtension", self.clock_extension, reason);
        }
        if self.max_depth > 125 {
            let reason = "above 125, the deepest position that a claim can have";
            return invalid("disputeGame.maxDepth", self.max_depth, reason);
        }
        if self.split_depth < 2 || self.split_depth.saturating_add(1) >= self.max_depth {
            let reason = "not between 2 and two levels above disputeGame.maxDepth";
            return invalid("disputeGame.splitDepth", self.split_depth, reason);
        }
        if self.init_bond > U256::from(u128::MAX) {
            let value = self.init_bond.to_string();
            let reason = "more than the 128 bits that a claim's bond has";
            return Err(IntentError::Invalid { field: "disputeGame.initBond", value, reason });
        }
        Ok(())
    }
}

/// A fork as JSON: its lower-case name.
mod fork_name {
    use opal_protocol::Hardfork;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(fork: &Hardfork, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(fork.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Hardfork, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::TEST_MNEMONIC;
    use alloy_primitives::address;

    fn devnet() -> Intent {
        Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap())
    }

    #[test]
    fn json_round_trip_and_defaults() {
        let intent = devnet();
        let json = serde_json::to_string(&intent).unwrap();
        assert!(json.contains("\"fork\":\"karst\""), "{json}");
        assert_eq!(Intent::from_json(&json).unwrap(), intent);

        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        value.as_object_mut().unwrap().remove("gasLimit");
        assert_eq!(Intent::from_json(&value.to_string()).unwrap().gas_limit, 60_000_000);
        value["gasLimits"] = 1.into();
        assert!(
            Intent::from_json(&value.to_string()).unwrap_err().to_string().contains("gasLimits")
        );
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        type Change = (&'static str, fn(&mut Intent));
        let changes: [Change; 7] = [
            ("disputeGame.maxClockDuration", |i| i.dispute_game.max_clock_duration = 0),
            ("disputeGame.clockExtension", |i| i.dispute_game.clock_extension = 1),
            ("disputeGame.splitDepth", |i| i.dispute_game.split_depth = 72),
            ("disputeGame.initBond", |i| i.dispute_game.init_bond = U256::MAX),
            ("gasLimit", |i| i.gas_limit = 20_000_000),
            ("roles.batcher", |i| i.roles.batcher = Address::ZERO),
            ("l2ChainId", |i| i.l2_chain_id = 0),
        ];
        for (field, change) in changes {
            let mut intent = devnet();
            intent.check().unwrap();
            change(&mut intent);
            let error = intent.check().unwrap_err().to_string();
            assert!(error.contains(&format!("intent: {field} is ")), "{error}");
        }
    }

    #[test]
    fn batch_inbox_is_derived_from_the_chain_id() {
        let mut intent = devnet();
        // Ink and Soneium, as the superchain registry has them.
        for (chain_id, inbox) in [
            (57_073, address!("005969bf0EcbF6eDB6C47E5e94693b1C3651Be97")),
            (1868, address!("008dC74CecC9dedA8595B2Fe210cE5979F0BfA8e")),
        ] {
            intent.l2_chain_id = chain_id;
            assert_eq!(intent.batch_inbox(), inbox);
        }
        intent.batch_inbox = Some(Address::repeat_byte(7));
        assert_eq!(intent.batch_inbox(), Address::repeat_byte(7));
    }
}
