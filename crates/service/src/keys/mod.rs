//! Private keys from hex, from a mnemonic, or from a keystore file. Errors never repeat what was given.

mod args;
mod keystore;

use std::fmt;

use alloy_primitives::{Address, B256};
use alloy_signer_local::coins_bip39::English;
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner};
use zeroize::Zeroizing;

pub use args::{KeyArgs, KeyArgsError};
pub use keystore::KeystoreError;

/// The mnemonic that Ethereum's development tools share; its accounts are public knowledge.
pub const TEST_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Why a key could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes of hex.
    #[error("the private key must be 32 bytes in hex (64 digits, with or without 0x)")]
    NotHex,
    /// Zero or not below the curve order.
    #[error("the private key is not a valid secp256k1 key")]
    NotOnCurve,
    /// Not a BIP-39 phrase.
    #[error("the mnemonic is not a valid BIP-39 phrase: check its words, their number and order")]
    Mnemonic,
    /// Not a BIP-32 path.
    #[error("the derivation path is not of the form m/44'/60'/0'/0/0")]
    Path,
}

/// A secret given on the command line or in the environment; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself, for parsing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A signing key; its `Debug` shows the address only. Cheap to clone.
#[derive(Clone)]
pub struct Key(PrivateKeySigner);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address())
    }
}

impl Key {
    /// The key behind a signer.
    pub const fn from_signer(signer: PrivateKeySigner) -> Self {
        Self(signer)
    }

    /// Reads 64 hex digits, with or without `0x`.
    ///
    /// # Errors
    /// When the text is not a valid key.
    pub fn from_hex(secret: &Secret) -> Result<Self, KeyError> {
        let bytes: B256 = secret.expose().trim().parse().map_err(|_| KeyError::NotHex)?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &B256) -> Result<Self, KeyError> {
        PrivateKeySigner::from_bytes(bytes).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// Reads the text of a keystore file of version 3, as geth and Foundry write them. Takes about a
    /// second, by intent of who wrote it.
    ///
    /// # Errors
    /// When the file is not one, or the password is not its.
    pub fn from_keystore(json: &str, password: &Secret) -> Result<Self, KeystoreError> {
        keystore::read(json, password)
    }

    /// Derives the key at `path` (BIP-32) of a BIP-39 phrase.
    ///
    /// # Errors
    /// When phrase or path are not valid.
    pub fn from_mnemonic(phrase: &Secret, path: &str) -> Result<Self, KeyError> {
        let phrase = Zeroizing::new(phrase.expose().trim().to_owned());
        let builder = MnemonicBuilder::<English>::default()
            .phrase(phrase.as_str())
            .derivation_path(path)
            .map_err(|_| KeyError::Path)?;
        builder.build().map(Self).map_err(|_| KeyError::Mnemonic)
    }

    /// The key of account `index` of a BIP-39 phrase, at `m/44'/60'/0'/0/index`.
    ///
    /// # Errors
    /// When the phrase is not valid.
    pub fn from_mnemonic_index(phrase: &Secret, index: u32) -> Result<Self, KeyError> {
        Self::from_mnemonic(phrase, &format!("m/44'/60'/0'/0/{index}"))
    }

    /// The account's address.
    pub const fn address(&self) -> Address {
        self.0.address()
    }

    /// The signer.
    pub const fn signer(&self) -> &PrivateKeySigner {
        &self.0
    }

    /// The key as `0x` and 64 hex digits. Only for keys meant to be shown, such as those of the
    /// test mnemonic.
    pub fn expose_hex(&self) -> String {
        self.0.to_bytes().to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn test_mnemonic_gives_the_known_accounts() {
        let phrase = Secret::from(TEST_MNEMONIC);
        let key = Key::from_mnemonic_index(&phrase, 0).unwrap();
        assert_eq!(key.address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        let key = Key::from_mnemonic(&phrase, "m/44'/60'/0'/0/2").unwrap();
        assert_eq!(key.address(), address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"));
        let again = Key::from_hex(&Secret::from(key.expose_hex())).unwrap();
        assert_eq!(again.address(), key.address());
    }

    #[test]
    fn errors_and_debug_never_show_the_secret() {
        let hex = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff8";
        assert_eq!(Key::from_hex(&hex.into()).unwrap_err(), KeyError::NotHex);
        let zero = "00".repeat(32);
        assert_eq!(Key::from_hex(&zero.into()).unwrap_err(), KeyError::NotOnCurve);
        let phrase = Secret::from("test test junk");
        assert_eq!(Key::from_mnemonic_index(&phrase, 0).unwrap_err(), KeyError::Mnemonic);
        let phrase = Secret::from(TEST_MNEMONIC);
        assert_eq!(Key::from_mnemonic(&phrase, "m/x").unwrap_err(), KeyError::Path);

        let key = Key::from_mnemonic_index(&phrase, 0).unwrap();
        assert_eq!(format!("{phrase:?}"), "Secret(..)");
        assert_eq!(format!("{key:?}"), "Key(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)");
    }
}
