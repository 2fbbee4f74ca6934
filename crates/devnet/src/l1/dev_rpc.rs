//! RPC methods that only a development L1 has: reorgs on demand, and blocks at once.

use std::sync::{Arc, Mutex, PoisonError};

use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use serde::Deserialize;
use serde_json::Value;

use super::producer::{Producer, ProducerError, Reorg};
use super::unix_time;

/// `dev_reorg(depth)` replaces the newest blocks, see [`Producer::reorg`]; `evm_mine` builds a
/// block at once, see [`Producer::mine`].
///
/// # Errors
/// When a name is registered twice, which would be a mistake in this function.
pub fn module(
    producer: Arc<Mutex<Producer>>,
) -> Result<RpcModule<Arc<Mutex<Producer>>>, RegisterMethodError> {
    let mut module = RpcModule::new(producer);
    module.register_blocking_method("dev_reorg", |params, producer, _| {
        let depth: Quantity = params.one()?;
        let depth = depth.value().ok_or_else(|| {
            ErrorObjectOwned::owned(INVALID_PARAMS, "the depth is no number", None::<()>)
        })?;
        let reorg = producer.lock().unwrap_or_else(PoisonError::into_inner).reorg(depth);
        reorg.map_err(|error| error_object(&error)) as Result<Reorg, ErrorObjectOwned>
    })?;
    // Answers "0x0", as the tools that know the method expect.
    module.register_blocking_method("evm_mine", |_, producer, _| {
        let mined = producer.lock().unwrap_or_else(PoisonError::into_inner).mine(unix_time());
        mined.map(|_| Value::from("0x0")).map_err(|error| error_object(&error))
    })?;
    Ok(module)
}

const INVALID_PARAMS: i32 = -32602;
const SERVER_ERROR: i32 = -32000;

fn error_object(error: &ProducerError) -> ErrorObjectOwned {
    let code = match error {
        ProducerError::Depth(_) | ProducerError::BeyondFinalized { .. } => INVALID_PARAMS,
        _ => SERVER_ERROR,
    };
    ErrorObjectOwned::owned(code, error.to_string(), None::<()>)
}

/// A number as people type it (`3`) or as Ethereum's RPC writes it (`"0x3"`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(u64),
    Text(String),
}

impl Quantity {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
        }
    }
}
