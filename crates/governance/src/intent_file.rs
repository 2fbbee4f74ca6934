//! The intent as a file for people: TOML with comments and every default.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alloy_primitives::U256;
use alloy_primitives::utils::{format_ether, parse_ether};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::intent::{Intent, IntentError, WithdrawalNetwork};

impl Intent {
    /// Reads an intent file in TOML and checks it.
    ///
    /// # Errors
    /// On TOML of the wrong shape, an unknown key, or a value that cannot work.
    pub fn from_toml(text: &str) -> Result<Self, IntentError> {
        let intent: Self = toml::from_str(text)
            .map_err(|e| IntentError::Toml(e.to_string().trim_end().to_owned()))?;
        intent.check()?;
        Ok(intent)
    }

    /// The intent as a file in TOML, with a comment on each key. The embedded L1 is left out: it is
    /// no matter of a deployment.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write_toml(&mut out);
        out
    }

    fn write_toml(&self, out: &mut String) -> std::fmt::Result {
        let ether = |wei: U256| format!("\"{} ether\"", trimmed(&format_ether(wei)));
        let roles = &self.roles;
        let game = &self.dispute_game;
        let (fees, market) = (&self.fees, &self.eip1559);
        writeln!(
            out,
            "# What a rollup shall be. `opal deploy plan` shows what follows from it.\n\
             # Amounts are in wei, or in a text like \"0.08 ether\". A key left out has the value\n\
             # that `opal deploy init` writes for it; an unknown key is an error.\n"
        )?;
        writeln!(out, "# Chain id of the L1; any L1 if left out.")?;
        match self.l1_chain_id {
            Some(id) => writeln!(out, "l1ChainId = {id}")?,
            None => writeln!(out, "# l1ChainId = 1")?,
        }
        writeln!(
            out,
            "# Chain id of the rollup. It must be nobody else's.\n\
             l2ChainId = {}\n\
             # Seconds between its blocks.\n\
             l2BlockTime = {}\n\
             # The newest hardfork that is active from its first block on.\n\
             fork = \"{}\"\n\
             # Gas limit of its blocks: 21,000,000 to 500,000,000.\n\
             gasLimit = {}",
            self.l2_chain_id,
            self.l2_block_time,
            self.fork.name(),
            self.gas_limit
        )?;
        writeln!(
            out,
            "# Floor of its base fee in wei, from Jovian on.\n\
             minBaseFee = {}\n\
             # Jovian's DA footprint gas scalar; 0 means the protocol's default of 400.\n\
             daFootprintGasScalar = {}\n\
             # L1 blocks in which the batches of an epoch must appear.\n\
             seqWindowSize = {}\n\
             # L1 blocks for which a channel stays open before Granite.\n\
             channelTimeout = {}\n\
             # Seconds that the rollup may run ahead of its L1 origin before Fjord.\n\
             maxSequencerDrift = {}",
            self.min_base_fee,
            self.da_footprint_gas_scalar,
            self.seq_window_size,
            self.channel_timeout,
            self.max_sequencer_drift
        )?;
        writeln!(
            out,
            "# Where batches are sent to; follows from the rollup's chain id if left out."
        )?;
        match self.batch_inbox {
            Some(inbox) => writeln!(out, "batchInbox = \"{inbox}\"")?,
            None => writeln!(out, "# batchInbox = \"{}\"", self.batch_inbox())?,
        }
        writeln!(
            out,
            "# Seconds between proving and finalizing a withdrawal. Only tests want less than the\n\
             # standard of seven days: it is the time in which fraud can be answered.\n\
             proofMaturityDelay = {}\n\
             # Whether the portal's ether lies in a contract of its own, the ETHLockbox.\n\
             ethLockbox = {}\n\
             # Distinguishes deployments of one account and chain id: it enters every address.\n\
             salt = \"{}\"\n\
             # At the end the deployer tops up the batcher and the proposer to these balances.\n\
             batcherFunding = {}\n\
             proposerFunding = {}",
            self.proof_maturity_delay,
            self.eth_lockbox,
            self.salt,
            ether(self.batcher_funding),
            ether(self.proposer_funding)
        )?;
        writeln!(
            out,
            "\n# Who may do what. Each is an account of its own; the owners should be multisigs.\n\
             [roles]\n\
             # Sends batches to L1.\n\
             batcher = \"{}\"\n\
             # Signs unsafe blocks for the P2P network.\n\
             unsafeBlockSigner = \"{}\"\n\
             # Changes the system configuration on L1.\n\
             systemConfigOwner = \"{}\"\n\
             # Upgrades the contracts on L1, and registers dispute games.\n\
             l1ProxyAdminOwner = \"{}\"\n\
             # Upgrades the predeploys on L2. A contract on L1 has another address here: its alias.\n\
             l2ProxyAdminOwner = \"{}\"",
            roles.batcher,
            roles.unsafe_block_signer,
            roles.system_config_owner,
            roles.l1_proxy_admin_owner,
            roles.l2_proxy_admin_owner
        )?;
        writeln!(
            out,
            "# Pauses withdrawals and rejects dispute games.\n\
             guardian = \"{}\"\n\
             # Proposes output roots.\n\
             proposer = \"{}\"\n\
             # Disputes proposals.\n\
             challenger = \"{}\"",
            roles.guardian, roles.proposer, roles.challenger
        )?;
        writeln!(
            out,
            "\n# The permissioned games about output roots. Times are in seconds.\n\
             [disputeGame]\n\
             # Between a game's end and its use for withdrawals.\n\
             finalityDelay = {}\n\
             # For which bonds are held back after a game.\n\
             wethDelay = {}\n\
             # That each side has to move.\n\
             maxClockDuration = {}\n\
             # That a side has at least after the other's move.\n\
             clockExtension = {}\n\
             # Depth of the game tree, and down to where its claims are output roots.\n\
             maxDepth = {}\n\
             splitDepth = {}\n\
             # Commitment to the first state of the fault-proof program.\n\
             absolutePrestate = \"{}\"\n\
             # What a proposal costs until it is settled.\n\
             initBond = {}",
            game.finality_delay,
            game.weth_delay,
            game.max_clock_duration,
            game.clock_extension,
            game.max_depth,
            game.split_depth,
            game.absolute_prestate,
            ether(game.init_bond)
        )?;
        writeln!(
            out,
            "\n# The L1 fee: factors of L1's base fees in millionths. The last two are for forks before\n\
             # Ecotone.\n\
             [fees]\n\
             baseFee = {}\n\
             blobBaseFee = {}\n\
             bedrockOverhead = {}\n\
             bedrockScalar = {}\n\
             \n\
             # The market of the rollup's gas. The second denominator holds from Canyon on.\n\
             [eip1559]\n\
             eip1559Elasticity = {}\n\
             eip1559Denominator = {}\n\
             eip1559DenominatorCanyon = {}\n\
             \n\
             # A fee for each transaction from Isthmus on: a factor of its gas, and wei.\n\
             [operatorFee]\n\
             scalar = {}\n\
             constant = {}",
            fees.base_fee,
            fees.blob_base_fee,
            fees.bedrock_overhead,
            fees.bedrock_scalar,
            market.elasticity,
            market.denominator,
            market.denominator_canyon,
            self.operator_fee.scalar,
            self.operator_fee.constant
        )?;
        let vaults = &self.fee_vaults;
        writeln!(
            out,
            "\n# Where the fees go. Without a recipient, to the systemConfigOwner.\n\
             [feeVaults]"
        )?;
        for (key, recipient) in [
            ("sequencerFeeRecipient", vaults.sequencer_fee_recipient),
            ("baseFeeRecipient", vaults.base_fee_recipient),
            ("l1FeeRecipient", vaults.l1_fee_recipient),
            ("operatorFeeRecipient", vaults.operator_fee_recipient),
        ] {
            match recipient {
                Some(recipient) => writeln!(out, "{key} = \"{recipient}\"")?,
                None => writeln!(out, "# {key} = \"{}\"", roles.system_config_owner)?,
            }
        }
        writeln!(
            out,
            "# What a vault must hold before it pays, and on which layer it does: l1 or l2.\n\
             minWithdrawal = {}\n\
             withdrawalNetwork = \"{}\"",
            ether(vaults.min_withdrawal),
            match vaults.withdrawal_network {
                WithdrawalNetwork::L1 => "l1",
                WithdrawalNetwork::L2 => "l2",
            }
        )?;
        writeln!(
            out,
            "\n# When later forks activate: seconds after the rollup's first block. None by default.\n\
             [forkOffsets]"
        )?;
        match self.fork_offsets.is_empty() {
            true => writeln!(out, "# interop = 86400")?,
            false => {
                for (fork, offset) in &self.fork_offsets {
                    writeln!(out, "{} = {offset}", fork.name())?;
                }
            }
        }
        writeln!(
            out,
            "\n# Balances that the rollup begins with. Nothing on L1 covers them: who withdraws such\n\
             # ether takes that of depositors. None by default.\n\
             [l2Balances]"
        )?;
        match self.l2_balances.is_empty() {
            true => writeln!(out, "# \"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\" = \"1 ether\""),
            false => self
                .l2_balances
                .iter()
                .try_for_each(|(address, wei)| writeln!(out, "\"{address}\" = {}", ether(*wei))),
        }
    }
}

/// A decimal number without zeros at its end.
fn trimmed(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

/// An amount of wei: a number, its text in decimal or hex, or a text such as "0.08 ether".
struct Wei(U256);

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        let text = match Form::deserialize(d)? {
            Form::Number(wei) => return Ok(Self(U256::from(wei))),
            Form::Text(text) => text,
        };
        let amount = match text.strip_suffix("ether") {
            // The parser knows negative amounts too.
            Some(ether) if !ether.contains('-') => parse_ether(ether.trim()).ok(),
            Some(_) => None,
            None => text.trim().parse().ok(),
        };
        amount.map(Self).ok_or_else(|| {
            D::Error::custom(format!("\"{text}\" is no amount: neither wei nor \"… ether\""))
        })
    }
}

/// Reads an amount of wei in any of its forms.
pub(crate) fn wei<'de, D: Deserializer<'de>>(d: D) -> Result<U256, D::Error> {
    Wei::deserialize(d).map(|wei| wei.0)
}

/// Reads a table of amounts of wei.
pub(crate) fn balances<'de, K: Deserialize<'de> + Ord, D: Deserializer<'de>>(
    d: D,
) -> Result<BTreeMap<K, U256>, D::Error> {
    let table = BTreeMap::<K, Wei>::deserialize(d)?;
    Ok(table.into_iter().map(|(key, wei)| (key, wei.0)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::{DevAccounts, TEST_MNEMONIC};
    use crate::intent::{EmbeddedL1, FeeVaults};
    use alloy_primitives::{Address, B256};
    use opal_protocol::Hardfork;

    fn devnet() -> Intent {
        let intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        Intent { embedded_l1: EmbeddedL1::default(), ..intent }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let full = Intent {
            l1_chain_id: Some(5),
            l2_chain_id: 77,
            fork: Hardfork::Jovian,
            fork_offsets: BTreeMap::from([(Hardfork::Karst, 30)]),
            batch_inbox: Some(Address::repeat_byte(3)),
            eth_lockbox: true,
            salt: B256::repeat_byte(9),
            batcher_funding: U256::from(1),
            fee_vaults: FeeVaults {
                l1_fee_recipient: Some(Address::repeat_byte(4)),
                withdrawal_network: WithdrawalNetwork::L1,
                ..FeeVaults::default()
            },
            ..devnet()
        };
        for intent in [devnet(), full] {
            assert_eq!(Intent::from_toml(&intent.to_toml()).unwrap(), intent);
        }
        // The default lacks roles only.
        let text = Intent::default().to_toml();
        assert_eq!(toml::from_str::<Intent>(&text).unwrap(), Intent::default());
        let error = Intent::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains("roles.batcher is 0x0000"), "{error}");
    }

    #[test]
    fn every_key_is_written() {
        let intent = Intent { fork_offsets: BTreeMap::from([(Hardfork::Interop, 1)]), ..devnet() };
        let text = intent.to_toml();
        let json = serde_json::to_value(&intent).unwrap();
        for (key, value) in json.as_object().unwrap() {
            if key == "embeddedL1" {
                continue;
            }
            let table = value.is_object();
            let line = if table { format!("[{key}]") } else { format!("{key} = ") };
            assert!(text.contains(&line), "{line}");
            for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                let found = text.to_lowercase().contains(&key.to_lowercase());
                assert!(found, "{key}");
            }
        }
    }

    #[test]
    fn amounts_have_several_forms() {
        let read = |amount: &str| {
            let text = devnet().to_toml();
            let line = text.lines().find(|line| line.starts_with("batcherFunding")).unwrap();
            Intent::from_toml(&text.replace(line, &format!("batcherFunding = {amount}")))
        };
        let wei = U256::from(80_000_000_000_000_000u64);
        for amount in
            ["80000000000000000", "\"0x11c37937e080000\"", "\"0.08 ether\"", "\"0.08ether\""]
        {
            assert_eq!(read(amount).unwrap().batcher_funding, wei, "{amount}");
        }
        for amount in ["\"a lot\"", "-1", "\"-1 ether\"", "0.5", "\"1 gwei\""] {
            assert!(read(amount).is_err(), "{amount}");
        }
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        for (key, place) in [("gasLimits = 1\n", "gasLimits"), ("[rules]\n", "rules")] {
            let error = Intent::from_toml(&(key.to_owned() + &devnet().to_toml())).unwrap_err();
            assert!(error.to_string().contains(place), "{error}");
        }
        let text = devnet().to_toml().replace("guardian =", "guard =");
        let error = Intent::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains("guard") && error.contains("line"), "{error}");
    }
}
