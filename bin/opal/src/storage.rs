//! Where and how a node keeps its chain.

use std::path::PathBuf;
use std::sync::Arc;

use alloy_genesis::Genesis;
use alloy_primitives::B256;
use clap::Args;
use opal_execution::{
    Chain, ChainConfig, ChainSpec, DEFAULT_HISTORY, History, StorageConfig, genesis_block,
};

use crate::data_dir::DataDir;

/// Flags of the commands that run a chain.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageArgs {
    /// Keep the chain in memory: it begins at genesis at each start.
    #[arg(long, env = "OPAL_IN_MEMORY")]
    in_memory: bool,
    /// Keep the states of all blocks, for queries.
    #[arg(long, env = "OPAL_ARCHIVE", conflicts_with_all = ["prune", "in_memory"])]
    archive: bool,
    /// Blocks behind the head whose states are kept for queries [default: those of a week]. Blocks
    /// and receipts are always kept.
    #[arg(long, env = "OPAL_PRUNE", value_name = "BLOCKS", conflicts_with = "in_memory")]
    prune: Option<u64>,
    /// MiB of the state that stay in memory, about.
    #[arg(
        long,
        env = "OPAL_STATE_MEMORY",
        value_name = "MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u64).range(16..=1 << 20)
    )]
    state_memory: u64,
}

impl StorageArgs {
    /// In memory whatever the flags are.
    #[cfg(test)]
    pub(crate) const fn memory() -> Self {
        Self { in_memory: true, archive: false, prune: None, state_memory: 512 }
    }

    /// Opens a chain in its directory below the data directory, or begins it in memory. `check` is
    /// given the hash of its genesis block before anything is made.
    pub(crate) fn open<E: Into<eyre::Report>>(
        &self,
        data: &DataDir,
        genesis: &Genesis,
        limits: ChainConfig,
        check: impl FnOnce(B256) -> Result<(), E>,
    ) -> eyre::Result<Arc<Chain>> {
        let spec = ChainSpec::from_genesis(genesis)?;
        let hash = genesis_block(&spec, genesis)?.hash;
        check(hash).map_err(Into::into)?;
        if self.in_memory {
            return Ok(Chain::with_config(spec, genesis, limits)?);
        }
        let dir: PathBuf = data.execution(spec.chain_id, hash)?;
        let storage = StorageConfig {
            history: match (self.archive, self.prune) {
                (true, _) => History::All,
                (false, Some(blocks)) => History::Blocks(blocks),
                (false, None) => DEFAULT_HISTORY,
            },
            state_memory: self.state_memory << 20,
            ..StorageConfig::new(dir)
        };
        Ok(Chain::open(spec, genesis, limits, storage)?)
    }
}
