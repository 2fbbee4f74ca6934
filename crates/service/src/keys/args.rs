//! The flags that give a key, the same for everything that signs.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::{Key, KeyError, KeystoreError, Secret};

/// Largest file of a key or a password, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Derivation path of a mnemonic's first account.
const FIRST_ACCOUNT: &str = "m/44'/60'/0'/0/0";

/// The flags. Whoever takes them gives each its variable: `mut_arg("private_key", ...)` and so on.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub struct KeyArgs {
    /// Private key in hex. Others on the machine can see command lines: prefer a file, or the
    /// variable.
    #[arg(long, hide_env_values = true, value_name = "HEX")]
    pub private_key: Option<Secret>,
    /// File that holds the private key in hex.
    #[arg(long, value_name = "FILE")]
    pub private_key_file: Option<PathBuf>,
    /// Encrypted key file of version 3, as geth and Foundry write them.
    #[arg(long, value_name = "FILE")]
    pub keystore: Option<PathBuf>,
    /// File whose first line is the password of --keystore.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// BIP-39 phrase to derive the key from. Others can see command lines: prefer the variable.
    #[arg(long, hide_env_values = true, value_name = "WORDS")]
    pub mnemonic: Option<Secret>,
    /// Derivation path of the mnemonic's key.
    #[arg(long, value_name = "PATH", default_value = FIRST_ACCOUNT)]
    pub hd_path: String,
}

/// Why the flags give no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyArgsError {
    /// None was given.
    #[error(
        "no key: give --private-key-file, --keystore with --password-file, --mnemonic, or \
         --private-key (or the variable of one of them)"
    )]
    Missing,
    /// Two were given, on the command line or in the environment.
    #[error("{0} and {1} both give a key; give one of them")]
    Both(&'static str, &'static str),
    /// A keystore without a password, or the other way round.
    #[error("--keystore and --password-file go together: {0} is missing")]
    Half(&'static str),
    /// A file can't be read.
    #[error("{flag}: {}: {source}", path.display())]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key is none.
    #[error("{flag}: {source}")]
    Key {
        /// The flag that gave it.
        flag: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The keystore can't be opened.
    #[error("--keystore: {}: {source}", path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeystoreError,
    },
}

impl KeyArgs {
    /// The key.
    ///
    /// # Errors
    /// When there is none, more than one, or it can't be read.
    pub fn key(&self) -> Result<Key, KeyArgsError> {
        self.key_if_any()?.ok_or(KeyArgsError::Missing)
    }

    /// The key; `None` if none was given.
    ///
    /// # Errors
    /// When more than one was given, or it can't be read.
    pub fn key_if_any(&self) -> Result<Option<Key>, KeyArgsError> {
        let given = [
            (self.private_key.is_some(), "--private-key"),
            (self.private_key_file.is_some(), "--private-key-file"),
            (self.keystore.is_some(), "--keystore"),
            (self.mnemonic.is_some(), "--mnemonic"),
        ];
        let mut given = given.into_iter().filter_map(|(given, flag)| given.then_some(flag));
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(KeyArgsError::Both(one, other));
        }
        if let Some(secret) = &self.private_key {
            return Ok(Some(hex("--private-key", secret)?));
        }
        if let Some(path) = &self.private_key_file {
            let flag = "--private-key-file";
            return Ok(Some(hex(flag, &file(flag, path)?)?));
        }
        if let Some(phrase) = &self.mnemonic {
            let key = Key::from_mnemonic(phrase, &self.hd_path);
            return Ok(Some(key.map_err(|source| KeyArgsError::Key {
                flag: if source == KeyError::Path { "--hd-path" } else { "--mnemonic" },
                source,
            })?));
        }
        match (&self.keystore, &self.password_file) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(KeyArgsError::Half("--keystore")),
            (Some(_), None) => Err(KeyArgsError::Half("--password-file")),
            (Some(path), Some(password)) => {
                let json = file("--keystore", path)?;
                let password = file("--password-file", password)?;
                let line = password.expose().lines().next().unwrap_or_default();
                let key = Key::from_keystore(json.expose(), &line.into());
                Ok(Some(
                    key.map_err(|source| KeyArgsError::Keystore { path: path.clone(), source })?,
                ))
            }
        }
    }
}

fn hex(flag: &'static str, secret: &Secret) -> Result<Key, KeyArgsError> {
    Key::from_hex(secret).map_err(|source| KeyArgsError::Key { flag, source })
}

/// The text of a file that is small, as every such file is.
fn file(flag: &'static str, path: &Path) -> Result<Secret, KeyArgsError> {
    let read = || {
        let mut text = Zeroizing::new(String::new());
        File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            let reason = format!("it has more than {MAX_FILE} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Secret::from(text.as_str()))
    };
    read().map_err(|source| KeyArgsError::File { flag, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use alloy_primitives::{Address, address};
    use clap::Parser;

    use super::*;
    use crate::keys::TEST_MNEMONIC;

    #[derive(Debug, Parser)]
    #[command(
        mut_arg("private_key", |arg| arg.env("OPAL_NO_SUCH_KEY")),
        mut_arg("hd_path", |arg| arg.visible_alias("old-hd-path"))
    )]
    struct Cli {
        #[command(flatten)]
        key: KeyArgs,
    }

    /// Of the key below, written by Foundry's cast for the password `correct horse `.
    const KEYSTORE: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"ebef20f8d99a78f40cac61faba616d09"},"ciphertext":"99436cacc32b954d26299b6170d2cca960886e7d9684e92222b3e181342033fa","kdf":"scrypt","kdfparams":{"dklen":32,"n":8192,"p":1,"r":8,"salt":"677cadb9b7e9364ebf9c6d7df27a8633acb4fb65bac477366c4afbaa9ce224f3"},"mac":"f2662538472343d94b03a5a87f0cbaaa114ec36739ef3276a80274596df34ff7"},"id":"79c4a44a-0779-4f51-b363-78d041228177","version":3}"#;
    const HEX: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const FIRST: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    const SECOND: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

    fn address(args: &[&str]) -> Result<Address, String> {
        let cli = Cli::try_parse_from([&["test"], args].concat()).map_err(|e| e.to_string())?;
        cli.key.key().map(|key| key.address()).map_err(|e| e.to_string())
    }

    #[test]
    fn each_flag_gives_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (key, keystore, password) = (path("key"), path("keystore"), path("password"));
        fs::write(&key, format!("{HEX}\n")).unwrap();
        fs::write(&keystore, KEYSTORE).unwrap();
        fs::write(&password, "correct horse \r\nsecond line").unwrap();
        assert_eq!(address(&["--private-key", HEX]), Ok(FIRST));
        assert_eq!(address(&["--private-key-file", &key]), Ok(FIRST));
        assert_eq!(address(&["--keystore", &keystore, "--password-file", &password]), Ok(FIRST));
        assert_eq!(address(&["--mnemonic", TEST_MNEMONIC]), Ok(FIRST));
        for name in ["--hd-path", "--old-hd-path"] {
            let second = ["--mnemonic", TEST_MNEMONIC, name, "m/44'/60'/0'/0/1"];
            assert_eq!(address(&second), Ok(SECOND));
        }
        fs::write(&password, "other").unwrap();
        let error = address(&["--keystore", &keystore, "--password-file", &password]).unwrap_err();
        assert_eq!(error, format!("--keystore: {keystore}: the password is wrong"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_shown() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large");
        fs::write(&large, "0".repeat(70_000)).unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "00").unwrap();
        let other = other.to_str().unwrap();
        let (large, missing) = (large.to_str().unwrap(), dir.path().join("missing"));
        let missing = missing.to_str().unwrap();
        for (args, expected) in [
            (vec![], "no key: give --private-key-file"),
            (
                vec!["--private-key", HEX, "--mnemonic", TEST_MNEMONIC],
                "--private-key and --mnemonic both give a key",
            ),
            (vec!["--private-key", "0xac0974"], "--private-key: the private key must be 32 bytes"),
            (vec!["--private-key-file", missing], "--private-key-file: "),
            (vec!["--private-key-file", large], "more than 65536 bytes"),
            (vec!["--mnemonic", "test junk"], "--mnemonic: "),
            (vec!["--mnemonic", TEST_MNEMONIC, "--hd-path", "m/x"], "--hd-path: "),
            (vec!["--keystore", missing], "--password-file is missing"),
            (vec!["--password-file", missing], "--keystore is missing"),
            (vec!["--keystore", missing, "--password-file", large], "--keystore: "),
            (vec!["--keystore", other, "--password-file", other], "not a keystore file"),
        ] {
            let error = address(&args).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
            assert!(!error.contains("ac0974") && !error.contains("junk"), "{error}");
        }
        let cli = Cli::try_parse_from(["test", "--private-key", HEX]).unwrap();
        assert!(!format!("{cli:?}").contains("ac0974"));
    }
}
