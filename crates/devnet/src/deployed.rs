//! A rollup that `opal deploy` has put on an L1, read from its folder.

use std::fs;
use std::path::{Path, PathBuf};

use alloy_genesis::Genesis;
use alloy_primitives::Address;
use opal_governance::{Addresses, DevAccounts, DevRole, genesis_file};
use opal_protocol::RollupConfig;

/// Why a folder is no rollup that can be run.
#[derive(Debug, thiserror::Error)]
pub enum DeployedError {
    /// A file can't be read.
    #[error("cannot read {path}: {source} (opal deploy apply or inspect writes it)")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {reason}")]
    Form {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The batcher's key is not among the accounts.
    #[error(
        "the deployment's batcher is {expected}, and that of the mnemonic is {found}: give the mnemonic that has the roles"
    )]
    Batcher {
        /// Who sends the batches of this rollup.
        expected: Address,
        /// Whose key is there.
        found: Address,
    },
}

/// What is read from the folder.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// `rollup.json`
    pub rollup: RollupConfig,
    /// `genesis.json`
    pub l2_genesis: Genesis,
    /// `addresses.json`
    pub addresses: Addresses,
}

impl Deployed {
    /// Reads a folder and checks that its files belong together.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the genesis is of another rollup.
    pub fn read(dir: &Path) -> Result<Self, DeployedError> {
        let text = |name| {
            let path = dir.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => Ok((path, text)),
                Err(source) => Err(DeployedError::Read { path, source }),
            }
        };
        let form = |path: PathBuf, reason: &dyn ToString| DeployedError::Form {
            path,
            reason: reason.to_string(),
        };
        let (path, json) = text("rollup.json")?;
        let rollup = RollupConfig::from_json(&json).map_err(|e| form(path, &e))?;
        let (path, json) = text("addresses.json")?;
        let addresses = serde_json::from_str(&json).map_err(|e| form(path, &e))?;
        let (path, json) = text("genesis.json")?;
        let file = genesis_file::parse(json.as_bytes()).map_err(|e| form(path.clone(), &e))?;
        let l2_genesis = file.genesis.clone();
        genesis_file::verify(file, &rollup).map_err(|e| form(path, &e))?;
        Ok(Self { rollup, l2_genesis, addresses })
    }

    /// Demands that the accounts can run the rollup.
    ///
    /// # Errors
    /// If the batcher is somebody else.
    pub fn check_accounts(&self, accounts: &DevAccounts) -> Result<(), DeployedError> {
        let expected = self.rollup.genesis.system_config.batcher_address;
        let found = accounts.role(DevRole::Batcher).address();
        if expected == found { Ok(()) } else { Err(DeployedError::Batcher { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_governance::{Intent, TEST_MNEMONIC, devnet_genesis};
    use serde::Serialize;

    #[test]
    fn a_folder_is_read_and_files_of_two_rollups_are_not() {
        let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
        let intent = Intent::devnet(&accounts);
        let devnet = devnet_genesis(&intent, 1_800_000_000).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "rollup.json", &devnet.rollup_config);
        write(folder, "addresses.json", &devnet.addresses);
        let error = Deployed::read(folder).unwrap_err().to_string();
        assert!(error.contains("genesis.json") && error.contains("opal deploy"), "{error}");
        write(folder, "genesis.json", &devnet.l2_genesis);
        let mut read = Deployed::read(folder).unwrap();
        assert_eq!(read.rollup, devnet.rollup_config);
        assert_eq!(read.addresses, devnet.addresses);
        read.check_accounts(&accounts).unwrap();
        read.rollup.genesis.system_config.batcher_address = Address::repeat_byte(1);
        let error = read.check_accounts(&accounts).unwrap_err().to_string();
        assert!(error.contains("0x0101"), "{error}");

        let other = devnet_genesis(&intent, 1_800_000_001).unwrap();
        write(folder, "genesis.json", &other.l2_genesis);
        assert!(matches!(Deployed::read(folder), Err(DeployedError::Form { .. })));
    }

    fn write(folder: &Path, name: &str, value: &impl Serialize) {
        fs::write(folder.join(name), serde_json::to_vec(value).unwrap()).unwrap();
    }
}
