//! JSON-RPC errors with the codes and texts of geth, on which clients match.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{Panic, Revert, SolError};
use jsonrpsee::types::ErrorObjectOwned;
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

pub(super) fn server(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, message, None::<()>)
}

pub(super) fn invalid_params(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, message, None::<()>)
}

pub(super) fn limit_exceeded(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(LIMIT_EXCEEDED, message, None::<()>)
}

pub(super) fn header_not_found() -> ErrorObjectOwned {
    server("header not found")
}

pub(super) fn state_unavailable(root: B256) -> ErrorObjectOwned {
    server(format!("historical state {root} is not available"))
}

/// A revert with the reason in words, where the data holds one.
pub(super) fn reverted(output: &Bytes) -> ErrorObjectOwned {
    let reason = Revert::abi_decode(output).map(|revert| revert.reason);
    let reason = reason.or_else(|error| {
        let panic = Panic::abi_decode(output).map_err(|_| error)?;
        Ok::<_, alloy_sol_types::Error>(match panic.kind() {
            Some(kind) => format!("{} (0x{:x})", kind.as_str(), panic.code),
            None => format!("unknown panic code: 0x{:x}", panic.code),
        })
    });
    let message = match reason {
        Ok(reason) => format!("execution reverted: {reason}"),
        Err(_) => "execution reverted".to_string(),
    };
    ErrorObjectOwned::owned(REVERTED, message, Some(output))
}

pub(super) fn pool(error: &PoolError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code(), error.to_string(), None::<()>)
}

pub(super) fn chain(error: &ChainError) -> ErrorObjectOwned {
    server(error.to_string())
}
