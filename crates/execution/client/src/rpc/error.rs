//! JSON-RPC errors with the codes and texts of geth, on which clients match.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{Panic, Revert, SolError};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::INTERNAL_ERROR_CODE;
use jsonrpsee::types::error::INVALID_PARAMS_CODE;

use crate::chain::ChainError;
use crate::pool::PoolError;

/// Result of an RPC method.
pub(super) type RpcResult<T> = Result<T, ErrorObjectOwned>;

/// geth's code for everything that has none of its own.
const SERVER_ERROR: i32 = -32000;
/// A call that reverted; the revert data is in `data`.
const REVERTED: i32 = 3;
/// EIP-1474: the answer would be too large.
const LIMIT_EXCEEDED: i32 = -32005;

/// geth's code for blocks that a node does not keep (EIP-4444).
const PRUNED_HISTORY: i32 = 4444;

pub(super) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, message, None::<()>)
}

pub(super) fn invalid_params(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, message, None::<()>)
}

pub(super) fn limit_exceeded(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(LIMIT_EXCEEDED, message, None::<()>)
}

pub(super) fn internal(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, message, None::<()>)
}

pub(super) fn coded(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

pub(super) fn header_not_found() -> ErrorObjectOwned {
    server("header not found")
}

/// Blocks below the head are not here: the chain began with a snapshot.
pub(super) fn pruned_history() -> ErrorObjectOwned {
    coded(PRUNED_HISTORY, "pruned history unavailable")
}

pub(super) fn state_unavailable(root: B256) -> ErrorObjectOwned {
    server(format!("historical state {root} is not available"))
}

/// A revert with the reason in words, where the data holds one.
pub(super) fn reverted(output: &Bytes) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REVERTED, revert_text(output), Some(output))
}

/// What a revert says: Solidity's reason or panic, in geth's words.
pub(super) fn revert_text(output: &Bytes) -> String {
    let reason = match (Revert::abi_decode(output), Panic::abi_decode(output)) {
        (Ok(revert), _) => revert.reason,
        (_, Ok(panic)) => match u64::try_from(panic.code).ok().and_then(panic_text) {
            Some(text) => text.to_string(),
            None => format!("unknown panic code: 0x{:x}", panic.code),
        },
        _ => return "execution reverted".to_string(),
    };
    format!("execution reverted: {reason}")
}

const fn panic_text(code: u64) -> Option<&'static str> {
    Some(match code {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}

pub(super) fn pool(error: &PoolError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code(), error.to_string(), None::<()>)
}

pub(super) fn chain(error: &ChainError) -> ErrorObjectOwned {
    server(error.to_string())
}
