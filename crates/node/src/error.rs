//! What the node cannot mend by itself.

use opal_protocol::BlockId;

/// Errors that stop the node, or that say why it could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The L1 could not be read.
    #[error("L1: {0}")]
    L1(#[from] opal_da::DaError),
    /// The execution engine failed, or refused what must not be refused.
    #[error("execution engine: {0}")]
    Engine(#[from] crate::engine::EngineError),
    /// The execution client behind the given URL can't be used.
    #[error(transparent)]
    HttpEngine(#[from] crate::engine::HttpEngineError),
    /// The engine could not build a block that it must build.
    #[error("execution engine: {0}")]
    Build(String),
    /// The engine lacks a block that it should have.
    #[error("execution engine has no L2 block {0}; its data does not belong to this chain")]
    MissingBlock(String),
    /// A block of the L2 chain has no valid L1 attributes deposit.
    #[error("L2 block {block}: {error}")]
    L1Info {
        /// The block.
        block: BlockId,
        /// What is wrong with it.
        error: Box<opal_protocol::l1_info::L1InfoError>,
    },
    /// The engine's genesis is not the rollup's.
    #[error(
        "the L2 genesis block is {found}, but the rollup config says {expected}; use the genesis file that belongs to it"
    )]
    WrongL2Genesis {
        /// What the rollup config says.
        expected: BlockId,
        /// What the engine has.
        found: BlockId,
    },
    /// The L1 is another chain than the rollup config means.
    #[error(
        "the L1 at the given URL has block {found} where the rollup config starts from {expected}; it is another chain"
    )]
    WrongL1Genesis {
        /// What the rollup config says.
        expected: BlockId,
        /// Block of that height on the L1.
        found: alloy_primitives::B256,
    },
    /// The L1 reorganised below what the node holds to be final.
    #[error(
        "the L1 no longer contains {0}, from which the finalized L2 head comes; check the L1 endpoint, then restart from a clean state"
    )]
    FinalizedReorged(BlockId),
    /// The L1 is shorter than the chain that the node holds to be final: nothing can be decided.
    #[error(
        "the L1 does not reach {0} yet, the origin of the finalized L2 head; is its endpoint still syncing?"
    )]
    L1Behind(BlockId),
    /// Blobs cannot be read, although batches may be in blobs.
    #[error(
        "batches of this chain may be in blobs, but no L1 beacon endpoint is given: name one by --l1-beacon (--l1.beacon), or accept by --l1.beacon.ignore that derivation stops at the first blob"
    )]
    NoBeacon,
    /// The record of safe heads cannot be used.
    #[error(transparent)]
    SafeDb(#[from] crate::safe_db::SafeDbError),
    /// The recording of derivation's inputs cannot be begun.
    #[error("cannot record to {path}: {error}")]
    Recording {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// Derivation cannot go on.
    #[error("derivation: {0}")]
    Derivation(#[from] opal_derivation::CriticalError),
    /// Derivation was told of a block that it had not asked for.
    #[error("derivation: {0}")]
    NotAsked(#[from] opal_derivation::ExecutedError),
    /// A server could not be started.
    #[error(transparent)]
    Rpc(#[from] opal_service::rpc_server::RpcServerError),
    /// The Unix socket can't be opened.
    #[cfg(unix)]
    #[error(transparent)]
    Ipc(#[from] opal_service::ipc::IpcError),
    /// Two RPC methods have the same name.
    #[error(transparent)]
    RpcMethod(#[from] jsonrpsee::core::RegisterMethodError),
}

impl From<crate::engine::BuildError> for NodeError {
    fn from(error: crate::engine::BuildError) -> Self {
        match error {
            crate::engine::BuildError::Engine(error) => error.into(),
            crate::engine::BuildError::NotImported(error) => Self::Build(error),
        }
    }
}
