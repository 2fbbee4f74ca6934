//! Errors of the Engine API with their codes. Geth's have a fixed text and the cause in the data.

use jsonrpsee::types::ErrorObjectOwned;
use serde_json::json;

use super::EngineError;

/// The Engine API's own error codes. Spec: execution-apis, `engine/common.md`, "Errors".
pub mod codes {
    /// No such building job.
    pub const UNKNOWN_PAYLOAD: i32 = -38001;
    /// The labels contradict each other.
    pub const INVALID_FORKCHOICE: i32 = -38002;
    /// The attributes can't be built.
    pub const INVALID_ATTRIBUTES: i32 = -38003;
    /// Too many things asked for at once.
    pub const TOO_LARGE: i32 = -38004;
    /// The method is not for the fork at this time.
    pub const UNSUPPORTED_FORK: i32 = -38005;
    /// A parameter is missing, superfluous or malformed.
    pub const INVALID_PARAMS: i32 = -32602;
    /// A fault of this node.
    pub const SERVER: i32 = -32000;
}

pub(super) type ApiResult<T> = Result<T, ErrorObjectOwned>;

fn error(code: i32, message: &str, cause: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, Some(json!({ "err": cause.to_string() })))
}

pub(super) fn params(cause: impl ToString) -> ErrorObjectOwned {
    error(codes::INVALID_PARAMS, "Invalid parameters", cause)
}

pub(super) fn attributes(cause: impl ToString) -> ErrorObjectOwned {
    error(codes::INVALID_ATTRIBUTES, "Invalid payload attributes", cause)
}

pub(super) fn unsupported_fork(cause: impl ToString) -> ErrorObjectOwned {
    error(codes::UNSUPPORTED_FORK, "Unsupported fork", cause)
}

pub(super) fn too_large(cause: impl ToString) -> ErrorObjectOwned {
    error(codes::TOO_LARGE, "Too large request", cause)
}

pub(super) fn server(cause: impl ToString) -> ErrorObjectOwned {
    error(codes::SERVER, "Server error", cause)
}

pub(super) fn engine(cause: EngineError) -> ErrorObjectOwned {
    match cause {
        EngineError::UnknownPayload(_) => error(codes::UNKNOWN_PAYLOAD, "Unknown payload", cause),
        EngineError::InvalidForkchoice(cause) => {
            error(codes::INVALID_FORKCHOICE, "Invalid forkchoice state", cause)
        }
        EngineError::InvalidAttributes(cause) => attributes(cause),
        EngineError::Chain(cause) => {
            tracing::error!(target: "opal::execution", error = %cause, "engine call failed");
            server(cause)
        }
    }
}
