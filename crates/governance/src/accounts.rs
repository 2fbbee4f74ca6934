//! Accounts of a devnet: the keys of a mnemonic, at fixed indices.

use alloy_primitives::Address;
use alloy_signer_local::{
    PrivateKeySigner,
    coins_bip39::{English, Mnemonic, Wordlist},
};
use coins_bip32::prelude::Parent;

/// The mnemonic that every Ethereum development tool knows. Its keys are public: never use them
/// on a chain of value.
pub const TEST_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Path of the account keys, without the index.
const PATH: &str = "m/44'/60'/0'/0";

/// Accounts that are there for users: indices 0 to 9.
pub const USER_ACCOUNTS: usize = 10;

/// A mnemonic that no key can be derived from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mnemonic of {words} words is not usable: {reason}")]
pub struct MnemonicError {
    /// Number of words given; the words themselves are secret.
    pub words: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The accounts of a mnemonic that a devnet uses: ten for users, then one for each role.
#[derive(Clone, Debug)]
pub struct DevAccounts {
    signers: Vec<PrivateKeySigner>,
}

/// Who acts in a rollup, by the index of the account in a devnet's mnemonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DevRole {
    /// Sends batches to L1.
    Batcher = USER_ACCOUNTS,
    /// Signs unsafe blocks for the P2P network.
    UnsafeBlockSigner,
    /// Changes the system configuration on L1.
    SystemConfigOwner,
    /// Upgrades the contracts on L1.
    L1ProxyAdminOwner,
    /// Upgrades the predeploys on L2.
    L2ProxyAdminOwner,
    /// Proposes output roots on L1.
    Proposer,
    /// Disputes proposals on L1.
    Challenger,
    /// Pauses withdrawals on L1.
    Guardian,
}

/// Accounts derived and funded: those of users and roles, and a few spare ones.
const COUNT: usize = 20;

impl DevAccounts {
    /// Derives the accounts at `m/44'/60'/0'/0/0` to `…/19`.
    ///
    /// # Errors
    /// If the phrase is no BIP-39 mnemonic in English.
    pub fn from_mnemonic(phrase: &str) -> Result<Self, MnemonicError> {
        let words = phrase.split_whitespace().count();
        let error = |reason: String| MnemonicError { words, reason };
        // The library's messages quote the words, so the reason is found here.
        let mnemonic = Mnemonic::<English>::new_from_phrase(phrase).map_err(|_| {
            let unknown = phrase.split_whitespace().position(|w| English::get_index(w).is_err());
            error(match unknown {
                Some(position) => format!("word {} is not in BIP-39's English list", position + 1),
                None if ![12, 15, 18, 21, 24].contains(&words) => {
                    "it must have 12, 15, 18, 21 or 24 words".to_owned()
                }
                None => "its checksum is wrong".to_owned(),
            })
        })?;
        // The path's prefix is walked once: the seed costs 2048 rounds of HMAC.
        let parent = mnemonic.derive_key(PATH, None).map_err(|e| error(e.to_string()))?;
        let signers = (0..COUNT as u32)
            .map(|index| {
                let child = parent.derive_child(index).map_err(|e| error(e.to_string()))?;
                let key: &coins_bip32::ecdsa::SigningKey = child.as_ref();
                Ok(PrivateKeySigner::from(key.clone()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { signers })
    }

    /// The accounts for users, whose keys may be shown.
    pub fn users(&self) -> &[PrivateKeySigner] {
        &self.signers[..USER_ACCOUNTS.min(self.signers.len())]
    }

    /// The key of a role.
    pub fn role(&self, role: DevRole) -> &PrivateKeySigner {
        // Every role's index is below COUNT, which `from_mnemonic` always derives.
        &self.signers[role as usize]
    }

    /// Addresses of all derived accounts, in the order of their indices.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.signers.iter().map(PrivateKeySigner::address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn the_test_mnemonic_has_the_addresses_that_tools_print() {
        let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
        let addresses: Vec<_> = accounts.addresses().collect();
        assert_eq!(addresses.len(), COUNT);
        assert_eq!(addresses[0], address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        assert_eq!(addresses[9], address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
        assert_eq!(addresses[19], address!("8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"));
        assert_eq!(accounts.role(DevRole::Batcher).address(), addresses[10]);
        assert_eq!(accounts.role(DevRole::L2ProxyAdminOwner).address(), addresses[14]);
        assert_eq!(accounts.role(DevRole::Guardian).address(), addresses[17]);
        assert_eq!(accounts.users().len(), USER_ACCOUNTS);
    }

    #[test]
    fn a_bad_mnemonic_is_an_error_that_hides_the_words() {
        let cases = [
            ("test test secretword".to_owned(), "word 3 is not in"),
            ("test test test".to_owned(), "12, 15, 18"),
            (TEST_MNEMONIC.replace("junk", "test"), "checksum"),
        ];
        for (phrase, reason) in cases {
            let error = DevAccounts::from_mnemonic(&phrase).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
            assert!(!error.to_string().contains("secretword"), "{error}");
        }
    }
}
