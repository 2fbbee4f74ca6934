//! `opal genesis`: the files with the state that chains begin with.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use eyre::{WrapErr, bail, eyre};
use opal_governance::genesis_file::{self, GenesisFileError};
use opal_protocol::registry::{self, ChainPreset};
use opal_service::files::write_whole;

use crate::data_dir::DataDir;
use crate::tool::{on_thread, print};

/// The state that a chain begins with, which is data: a file is the chain's if the block that it
/// makes has the hash that is known of the chain.
#[derive(Debug, Args)]
pub(crate) struct GenesisArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check genesis files and copy them into the data directory, where `opal node --network` finds
    /// them.
    Import {
        /// A genesis.json, a .json.zst of the superchain registry, a directory with such files, or
        /// a checkout of the registry.
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// Check genesis files against the hashes of their chains.
    Verify {
        /// As for import; those in the data directory if left out.
        #[arg(value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
}

/// Folders below a given one in which genesis files are looked for.
const DEPTH: usize = 4;

pub(crate) async fn run(args: GenesisArgs) -> eyre::Result<()> {
    on_thread(move || check_all(&args)).await
}

fn check_all(args: &GenesisArgs) -> eyre::Result<()> {
    let target = args.data.genesis()?;
    let (paths, import) = match &args.command {
        Command::Import { paths } => (paths.clone(), true),
        Command::Verify { paths } if paths.is_empty() => (vec![target.clone()], false),
        Command::Verify { paths } => (paths.clone(), false),
    };
    let (mut good, mut bad) = (0, 0);
    for path in paths {
        for file in files(&path)? {
            match check(&file) {
                Ok((chain, json)) => {
                    good += 1;
                    let network = chain.network();
                    if import {
                        let path = store(&target, chain.chain_id, &json)?;
                        print(&format!("{network}: {}, in {}", chain.l2.hash, path.display()));
                    } else {
                        print(&format!("{network}: {}, {}", chain.l2.hash, file.display()));
                    }
                }
                Err(Refused::NoGenesis(reason)) => {
                    print(&format!("left out {}: {reason}", file.display()));
                }
                Err(Refused::Wrong(error)) => {
                    bad += 1;
                    print(&format!("wrong: {}: {error}", file.display()));
                }
            }
        }
    }
    match (good, bad) {
        (_, 1..) => bail!("{bad} of the genesis files are not what they should be"),
        (0, 0) => bail!("no genesis file was found"),
        _ => Ok(()),
    }
}

/// Why a file is not taken.
enum Refused {
    /// It is none of a chain that can begin with it.
    NoGenesis(String),
    /// It should be a chain's genesis and is not.
    Wrong(GenesisFileError),
}

/// The chain that a file is the genesis of, and the JSON in it.
fn check(path: &Path) -> Result<(&'static ChainPreset, Vec<u8>), Refused> {
    let none = |error: &GenesisFileError| Refused::NoGenesis(error.to_string());
    let json = genesis_file::read_file(path).map_err(Refused::Wrong)?;
    let genesis = genesis_file::parse(&json).map_err(|error| none(&error))?;
    // The registry's files don't say which chain they are of. No two chains began in one second.
    let (chain_id, time) = (genesis.genesis.config.chain_id, genesis.genesis.timestamp);
    let is_chain = |chain: &&ChainPreset| match genesis.has_config {
        true => chain.chain_id == chain_id,
        false => chain.l2_time == time,
    };
    let chain = registry::chains().iter().find(is_chain).ok_or_else(|| {
        Refused::NoGenesis(
            "its chain is not in the registry; start it with --rollup-config and --genesis"
                .to_owned(),
        )
    })?;
    match genesis_file::verify(genesis, &chain.rollup_config()) {
        Ok(_) => Ok((chain, json)),
        Err(error @ GenesisFileError::Migrated { .. }) => Err(none(&error)),
        Err(error) => Err(Refused::Wrong(error)),
    }
}

/// Writes a genesis into the folder under its chain's id, at once or not at all.
fn store(folder: &Path, chain_id: u64, json: &[u8]) -> eyre::Result<PathBuf> {
    let context = || format!("cannot write into {}", folder.display());
    std::fs::create_dir_all(folder).wrap_err_with(context)?;
    let path = folder.join(name(chain_id));
    write_whole(&path, &genesis_file::pack(json)?).wrap_err_with(context)?;
    Ok(path)
}

/// Name of a chain's file in the data directory.
fn name(chain_id: u64) -> String {
    format!("{chain_id}.json.zst")
}

/// The file of a chain in the data directory.
pub(crate) fn stored(data: &DataDir, chain: &ChainPreset) -> eyre::Result<PathBuf> {
    let folder = data.genesis()?;
    let plain = folder.join(format!("{}.json", chain.chain_id));
    [folder.join(name(chain.chain_id)), plain].into_iter().find(|path| path.is_file()).ok_or_else(
        || {
            eyre!(
                "no genesis of {network} in {}: take it from a checkout of the superchain registry by \
                 `opal genesis import REGISTRY`, or name its file with --genesis",
                folder.display(),
                network = chain.network()
            )
        },
    )
}

/// The genesis files that a path means, by name.
fn files(path: &Path) -> eyre::Result<Vec<PathBuf>> {
    if !path.exists() {
        bail!("{} does not exist", path.display());
    }
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let registry = path.join("superchain/extra/genesis");
    let mut found = Vec::new();
    collect(if registry.is_dir() { &registry } else { path }, DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> eyre::Result<()> {
    let context = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).wrap_err_with(context)? {
        let path = entry.wrap_err_with(context)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, found)?;
        } else if path.is_file() && (name.ends_with(".json") || name.ends_with(".json.zst")) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_are_found_by_their_names() {
        let root = std::env::temp_dir().join(format!("opal-genesis-files-{}", std::process::id()));
        let registry = root.join("superchain/extra/genesis/mainnet");
        std::fs::create_dir_all(&registry).unwrap();
        std::fs::write(registry.join("op.json.zst"), "x").unwrap();
        std::fs::write(registry.join("notes.txt"), "x").unwrap();
        std::fs::write(root.join("rollup.json"), "x").unwrap();
        // Of a registry only the genesis files are of interest.
        assert_eq!(files(&root).unwrap(), [registry.join("op.json.zst")]);
        assert_eq!(files(&root.join("rollup.json")).unwrap(), [root.join("rollup.json")]);
        assert_eq!(files(&registry).unwrap().len(), 1);
        assert!(files(&root.join("nowhere")).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
