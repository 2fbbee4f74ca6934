//! Who signs.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use eyre::{WrapErr, bail};
use opal_service::keys::{Key, Secret};

/// Where the key is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Key")]
pub(super) struct KeyArgs {
    /// Private key in hex. Others on the machine can see command lines: prefer the variable, or a
    /// file.
    #[arg(
        long,
        env = "OPAL_BRIDGE_PRIVATE_KEY",
        hide_env_values = true,
        value_name = "HEX",
        global = true
    )]
    private_key: Option<Secret>,
    /// File with the private key in hex.
    #[arg(long, env = "OPAL_BRIDGE_PRIVATE_KEY_FILE", value_name = "FILE", global = true)]
    private_key_file: Option<PathBuf>,
    /// BIP-39 phrase to derive the key from.
    #[arg(
        long,
        env = "OPAL_BRIDGE_MNEMONIC",
        hide_env_values = true,
        value_name = "WORDS",
        global = true
    )]
    mnemonic: Option<Secret>,
    /// Derivation path of the mnemonic's key.
    #[arg(
        long,
        env = "OPAL_BRIDGE_HD_PATH",
        default_value = "m/44'/60'/0'/0/0",
        value_name = "PATH",
        global = true
    )]
    hd_path: String,
}

impl KeyArgs {
    /// The key; `None` if none was given.
    ///
    /// # Errors
    /// When it can't be read, or several are given.
    pub(super) fn read(&self) -> eyre::Result<Option<Key>> {
        match (&self.private_key, &self.private_key_file, &self.mnemonic) {
            (None, None, None) => Ok(None),
            (Some(secret), None, None) => {
                Ok(Some(Key::from_hex(secret).wrap_err("--private-key")?))
            }
            (None, Some(path), None) => {
                let flag = || format!("--private-key-file {}", path.display());
                let secret = Secret::from(fs::read_to_string(path).wrap_err_with(flag)?);
                Ok(Some(Key::from_hex(&secret).wrap_err_with(flag)?))
            }
            (None, None, Some(phrase)) => {
                let key = Key::from_mnemonic(phrase, &self.hd_path);
                Ok(Some(key.wrap_err("--mnemonic, --hd-path")?))
            }
            _ => bail!("give one of --private-key, --private-key-file and --mnemonic"),
        }
    }
}
