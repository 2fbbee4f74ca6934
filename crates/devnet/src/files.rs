//! What `--out DIR` writes, so that other processes and tools can join the devnet.

use std::path::{Path, PathBuf};

use alloy_genesis::Genesis;
use opal_governance::Addresses;
use opal_protocol::RollupConfig;
use serde::Serialize;

/// URLs of a running devnet (`endpoints.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// L1 JSON-RPC.
    pub l1_rpc: String,
    /// L1 beacon API, where the L1 has one.
    pub l1_beacon: Option<String>,
    /// L2 JSON-RPC of the sequencer.
    pub l2_rpc: String,
    /// The same over WebSocket.
    pub l2_ws: String,
    /// Rollup RPC of the sequencer.
    pub rollup_rpc: String,
    /// L2 JSON-RPC of the verifier, where one runs.
    pub verifier_rpc: Option<String>,
    /// Rollup RPC of the verifier, where one runs.
    pub verifier_rollup_rpc: Option<String>,
    /// Prometheus metrics, where they are served.
    pub metrics: Option<String>,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct FileError {
    /// Where to.
    pub path: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

/// The files of a devnet.
#[derive(Debug)]
pub struct Files<'a> {
    /// `rollup.json`
    pub rollup: &'a RollupConfig,
    /// `genesis.json`
    pub l2_genesis: &'a Genesis,
    /// `l1-genesis.json`, where the L1 is the embedded one.
    pub l1_genesis: Option<&'a Genesis>,
    /// `addresses.json`
    pub addresses: &'a Addresses,
    /// `endpoints.json`, written last: when it is there, everything answers.
    pub endpoints: &'a Endpoints,
}

/// Makes sure that the directory can be written to, before anything is started.
///
/// # Errors
/// When it can't be created or written to.
pub fn prepare(dir: &Path) -> Result<(), FileError> {
    let error = |source| FileError { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(error)?;
    let endpoints = dir.join("endpoints.json");
    // A file of an earlier run would tell wrong ports.
    match std::fs::remove_file(&endpoints) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(FileError { path: endpoints, source }),
    }
    let probe = dir.join(".opal-write-test");
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(error)
}

impl Files<'_> {
    /// Writes all files, `endpoints.json` last and in one step.
    ///
    /// # Errors
    /// The first file that can't be written.
    pub fn write(&self, dir: &Path) -> Result<(), FileError> {
        write_json(dir, "rollup.json", self.rollup)?;
        write_json(dir, "genesis.json", self.l2_genesis)?;
        if let Some(genesis) = self.l1_genesis {
            write_json(dir, "l1-genesis.json", genesis)?;
        }
        write_json(dir, "addresses.json", self.addresses)?;
        write_json(dir, "endpoints.json", self.endpoints)
    }
}

fn write_json(dir: &Path, name: &str, value: &impl Serialize) -> Result<(), FileError> {
    let path = dir.join(name);
    let error = |source| FileError { path: path.clone(), source };
    let mut json = serde_json::to_vec_pretty(value).map_err(|e| error(e.into()))?;
    json.push(b'\n');
    let temporary = dir.join(format!(".{name}.tmp"));
    std::fs::write(&temporary, json).map_err(error)?;
    std::fs::rename(&temporary, &path).map_err(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unwritable_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = prepare(&file.path().join("sub")).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()));
    }

    #[test]
    fn an_earlier_endpoints_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("endpoints.json"), "{}").unwrap();
        prepare(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
