//! The rollup RPC: `optimism_` for everyone, `admin_` where it is switched on.

use std::sync::Arc;

use alloy_primitives::{B256, U64};
use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE};
use opal_protocol::{L2BlockRef, RollupConfig, output::output_root_v0};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::Command;
use crate::engine::{BlockAt, Engine, block_ref};
use crate::safe_db::{SafeDb, SafeDbError, SafeHeadRecord};
use crate::status::SyncStatus;

/// What the RPC reads from.
#[derive(Clone)]
pub(crate) struct RpcContext {
    pub config: Arc<RollupConfig>,
    pub engine: Arc<dyn Engine>,
    pub status: watch::Receiver<SyncStatus>,
    pub commands: mpsc::Sender<Command>,
    pub safe_db: Option<Arc<SafeDb>>,
}

/// Answer of `optimism_outputAtBlock`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputResponse {
    version: B256,
    output_root: B256,
    block_ref: L2BlockRef,
    withdrawal_storage_root: B256,
    state_root: B256,
    sync_status: SyncStatus,
}

fn error(message: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, message.to_string(), None::<()>)
}

/// All methods of the rollup RPC.
pub(crate) fn module(
    context: RpcContext,
    admin: bool,
) -> Result<RpcModule<()>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(context);
    module.register_method("optimism_syncStatus", |_, context, _| {
        Ok::<_, ErrorObjectOwned>(*context.status.borrow())
    })?;
    module.register_method("optimism_rollupConfig", |_, context, _| {
        serde_json::to_value(&*context.config).map_err(error)
    })?;
    module.register_method("optimism_version", |_, _, _| {
        concat!("opal/v", env!("CARGO_PKG_VERSION"))
    })?;
    module.register_blocking_method("optimism_outputAtBlock", |params, context, _| {
        let (number,): (U64,) = params.parse()?;
        output_at(&context, number.to())
    })?;
    module.register_method("optimism_safeHeadAtL1Block", |params, context, _| {
        let (number,): (U64,) = params.parse()?;
        safe_head_at(context.safe_db.as_deref(), number.to())
    })?;
    if admin {
        register_admin(&mut module)?;
    }
    Ok(module.remove_context())
}

/// Code of plain errors of the reference node.
const SERVER_ERROR: i32 = -32000;

/// The newest safe head recorded at or before an L1 block; messages and code as op-node's.
fn safe_head_at(db: Option<&SafeDb>, number: u64) -> Result<SafeHeadRecord, ErrorObjectOwned> {
    let error = |text: String| ErrorObjectOwned::owned(SERVER_ERROR, text, None::<()>);
    let failed =
        |reason: &str| error(format!("failed to get safe head at l1 block {number:#x}: {reason}"));
    let db = db.ok_or_else(|| failed("safe head database not enabled"))?;
    // The error names the file, which is nobody's business out there.
    let found = db.at_l1(number).map_err(|error| {
        db.fail(&error);
        failed(&SafeDbError::Failed.to_string())
    })?;
    found.ok_or_else(|| error("not found".to_owned()))
}

fn output_at(context: &RpcContext, number: u64) -> Result<OutputResponse, ErrorObjectOwned> {
    let block = context.engine.block(BlockAt::Number(number)).map_err(error)?;
    let block = block.ok_or_else(|| {
        error(format!("failed to get L2 block ref with sync status: L2 block {number} not found"))
    })?;
    let block_ref = block_ref(&context.config, &block).map_err(error)?;
    let output = context.engine.output_at(&block).map_err(error)?;
    Ok(OutputResponse {
        version: B256::ZERO,
        output_root: output_root_v0(
            output.state_root,
            output.withdrawals_storage_root,
            output.block_hash,
        ),
        block_ref,
        withdrawal_storage_root: output.withdrawals_storage_root,
        state_root: output.state_root,
        sync_status: *context.status.borrow(),
    })
}

fn register_admin(
    module: &mut RpcModule<RpcContext>,
) -> Result<(), jsonrpsee::core::RegisterMethodError> {
    module.register_async_method("admin_startSequencer", |params, context, _| async move {
        let (hash,): (B256,) = params.parse()?;
        ask(&context, |reply| Command::StartSequencer(hash, reply)).await?.map_err(error)
    })?;
    module.register_async_method("admin_stopSequencer", |_, context, _| async move {
        ask(&context, Command::StopSequencer).await?.map_err(error)
    })?;
    module.register_async_method("admin_sequencerActive", |_, context, _| async move {
        ask(&context, Command::SequencerActive).await
    })?;
    module.register_async_method("admin_resetDerivationPipeline", |_, context, _| async move {
        ask(&context, Command::ResetDerivation).await
    })?;
    Ok(())
}

/// Sends a command to the driver and waits for its answer.
async fn ask<T>(
    context: &RpcContext,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, ErrorObjectOwned> {
    let (reply, answer) = oneshot::channel();
    context.commands.send(command(reply)).await.map_err(|_| error("the node is stopping"))?;
    answer.await.map_err(|_| error("the node is stopping"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opal_protocol::BlockId;

    #[test]
    fn safe_heads_are_told_as_by_op_node() {
        let error = safe_head_at(None, 18).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (-32000, "failed to get safe head at l1 block 0x12: safe head database not enabled")
        );
        let dir = tempfile::tempdir().unwrap();
        let db = SafeDb::open(dir.path(), 901, B256::ZERO).unwrap();
        let error = safe_head_at(Some(&db), 18).unwrap_err();
        assert_eq!((error.code(), error.message()), (-32000, "not found"));
        let id = |number| BlockId { number, ..BlockId::default() };
        db.record(SafeHeadRecord { l1_block: id(17), safe_head: id(90) }).unwrap();
        assert_eq!(safe_head_at(Some(&db), 18).unwrap().safe_head, id(90));
        assert!(safe_head_at(Some(&db), 16).is_err());
    }

    #[test]
    fn the_place_of_a_broken_file_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = SafeDb::open(dir.path(), 901, B256::ZERO).unwrap();
        let id = |number| BlockId { number, ..BlockId::default() };
        db.record(SafeHeadRecord { l1_block: id(17), safe_head: id(90) }).unwrap();
        db.flush().unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mut content = std::fs::read(&file).unwrap();
        *content.last_mut().unwrap() ^= 1;
        std::fs::write(&file, content).unwrap();
        for _ in 0..2 {
            let error = safe_head_at(Some(&db), 18).unwrap_err();
            let text =
                "failed to get safe head at l1 block 0x12: safe head database failed (see the log)";
            assert_eq!((error.code(), error.message()), (-32000, text));
        }
        assert!(matches!(db.flush(), Err(SafeDbError::Failed)), "nor is anything added to it");
    }
}
