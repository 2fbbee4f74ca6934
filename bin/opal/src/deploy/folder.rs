//! The folder of a deployment: the intent, the state, and what other programs read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, keccak256};
use eyre::{WrapErr, bail};
use opal_governance::{Deployment, Intent};
use opal_service::files::write_whole;
use serde::{Deserialize, Serialize};

const INTENT: &str = "intent.toml";
const STATE: &str = "state.json";

/// What a deployment that was begun is bound to. All else is on L1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct State {
    /// The account that deploys.
    pub(crate) deployer: Address,
    /// The L1 that it deploys to.
    pub(crate) l1_chain_id: u64,
    /// Hash of the intent's values.
    pub(crate) intent: B256,
}

impl State {
    pub(crate) fn new(deployer: Address, l1_chain_id: u64, intent: &Intent) -> eyre::Result<Self> {
        let intent = keccak256(serde_json::to_vec(intent)?);
        Ok(Self { deployer, l1_chain_id, intent })
    }
}

/// A folder that may not exist yet.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads and checks the intent.
    pub(crate) fn intent(&self) -> eyre::Result<Intent> {
        let path = self.0.join(INTENT);
        let text = fs::read_to_string(&path).wrap_err_with(|| {
            format!("cannot read {} (opal deploy init writes one)", path.display())
        })?;
        Intent::from_toml(&text).wrap_err_with(|| path.display().to_string())
    }

    /// Writes the intent, unless there is one.
    pub(crate) fn write_intent(&self, intent: &Intent) -> eyre::Result<PathBuf> {
        let path = self.0.join(INTENT);
        if path.exists() {
            bail!("{} is there already; it is not written over", path.display());
        }
        self.write(INTENT, intent.to_toml().as_bytes())?;
        Ok(path)
    }

    /// The state, if the deployment was begun from here.
    pub(crate) fn state(&self) -> eyre::Result<Option<State>> {
        let path = self.0.join(STATE);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .wrap_err_with(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).wrap_err_with(|| format!("cannot read {}", path.display())),
        }
    }

    /// Binds the folder to a deployment, unless it is bound to another one.
    pub(crate) fn begin(&self, state: &State) -> eyre::Result<()> {
        let found = self.state()?;
        match &found {
            None => self.write_json(STATE, state),
            Some(found) if found == state => Ok(()),
            Some(found) => {
                let what = if found.l1_chain_id != state.l1_chain_id {
                    format!("L1 chain {}, this is chain {}", found.l1_chain_id, state.l1_chain_id)
                } else if found.deployer != state.deployer {
                    format!("the deployer {}, the key is of {}", found.deployer, state.deployer)
                } else {
                    "another intent: intent.toml was changed since".to_owned()
                };
                bail!(
                    "the deployment in {} was begun with {what}. Go back to that, or use another folder (and another salt, if account and chain ids are the same)",
                    self.0.display()
                )
            }
        }
    }

    /// Writes what nodes and tools need.
    pub(crate) fn write_deployment(&self, deployment: &Deployment) -> eyre::Result<()> {
        self.write_json("rollup.json", &deployment.rollup_config)?;
        self.write_json("genesis.json", &deployment.l2_genesis)?;
        self.write_json("addresses.json", &deployment.addresses)
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> eyre::Result<()> {
        let mut json = serde_json::to_vec_pretty(value)?;
        json.push(b'\n');
        self.write(name, &json)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> eyre::Result<()> {
        let path = self.0.join(name);
        fs::create_dir_all(&self.0)
            .and_then(|()| write_whole(&path, bytes))
            .wrap_err_with(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_governance::{DevAccounts, TEST_MNEMONIC};

    #[test]
    fn a_folder_is_bound_to_one_deployment() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().join("new"));
        let error = format!("{:#}", folder.intent().unwrap_err());
        assert!(error.contains("opal deploy init"), "{error}");
        let intent = Intent::devnet(&DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap());
        folder.write_intent(&intent).unwrap();
        assert!(folder.write_intent(&intent).is_err(), "an intent is never written over");

        let account = Address::repeat_byte(1);
        let state = State::new(account, 5, &intent).unwrap();
        assert_eq!(folder.state().unwrap(), None);
        folder.begin(&state).unwrap();
        folder.begin(&state).unwrap();
        assert_eq!(folder.state().unwrap(), Some(state));
        let changed = Intent { gas_limit: 30_000_000, ..intent.clone() };
        for (other, reason) in [
            (State::new(account, 6, &intent).unwrap(), "L1 chain 5, this is chain 6"),
            (State::new(Address::repeat_byte(2), 5, &intent).unwrap(), "the key is of 0x0202"),
            (State::new(account, 5, &changed).unwrap(), "intent.toml was changed"),
        ] {
            let error = folder.begin(&other).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
