//! Where `opal node` keeps the record of safe heads.

use std::path::PathBuf;
use std::sync::Arc;

use opal_node::safe_db::{SafeDb, SafeDbError};
use opal_protocol::RollupConfig;
use tracing::warn;

use crate::data_dir::DataDir;

/// Opens the record in the directory that the user names; an empty name switches it off, as with
/// the reference node. Without one it is in the data directory, where each chain has its own.
pub(crate) fn open(
    named: Option<PathBuf>,
    data: &DataDir,
    rollup: &RollupConfig,
) -> eyre::Result<Option<Arc<SafeDb>>> {
    let (chain_id, genesis) = (rollup.l2_chain_id, rollup.genesis.l2.hash);
    let open = |dir: PathBuf| SafeDb::open(&dir, chain_id, genesis);
    if let Some(dir) = named {
        if dir.as_os_str().is_empty() {
            return Ok(None);
        }
        return Ok(Some(Arc::new(open(dir)?)));
    }
    let Ok(data) = data.path() else {
        warn!(target: "opal::node", "no data directory: safe heads are not recorded");
        return Ok(None);
    };
    match open(data.join("safe-heads").join(format!("{chain_id}-{genesis}"))) {
        Ok(db) => Ok(Some(Arc::new(db))),
        // A second node of the chain, or a system that is read only: no reason not to start.
        Err(error @ (SafeDbError::InUse(_) | SafeDbError::Io { .. })) => {
            warn!(target: "opal::node", %error,
                "safe heads are not recorded; name a directory with --safedb.path");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
