//! The Engine API: the [`LocalEngine`] as consensus clients of any make call it.
//!
//! ```text
//!   engine_ method ──► which fork is it for? (versions) ──► LocalEngine ──► wire types
//! ```
//! Spec: execution-apis, `engine/{paris,shanghai,cancun,prague,osaka}.md`; the OP Stack's fields:
//! `exec-engine.md` and the pages of the forks. Codes and texts are geth's and op-geth's. The module
//! belongs on a server that asks for a token
//! ([`RpcServerConfig::jwt`](opal_service::RpcServerConfig)), beside [`rpc::module`](crate::rpc),
//! which has the `eth_` methods that consensus clients call.

mod blobs;
mod bodies;
mod error;
mod payload;
#[cfg(test)]
mod tests;
mod versions;
mod wire;

use alloy_primitives::{B256, hex};
use jsonrpsee::RpcModule;
use opal_protocol::{Hardfork, PayloadAttributes};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::warn;

use crate::engine::{EngineError, LocalEngine, PayloadStatus};
use crate::payload_id::PayloadId;
use crate::rpc::params::Args;
use error::ApiResult;
pub use error::codes;
pub use payload::{ExecutionPayload, Expected, PayloadError, requests_hash};
pub use wire::{
    BlobsBundle, Envelope, ForkchoiceStateV1, ForkchoiceUpdatedV1, PayloadStatusV1, Status,
};

/// The methods that `engine_exchangeCapabilities` names: all that are answered, but itself, which
/// the specification leaves out.
pub const CAPABILITIES: [&str; 19] = [
    "engine_forkchoiceUpdatedV1",
    "engine_forkchoiceUpdatedV2",
    "engine_forkchoiceUpdatedV3",
    "engine_getBlobsV1",
    "engine_getBlobsV2",
    "engine_getBlobsV3",
    "engine_getClientVersionV1",
    "engine_getPayloadBodiesByHashV1",
    "engine_getPayloadBodiesByRangeV1",
    "engine_getPayloadV1",
    "engine_getPayloadV2",
    "engine_getPayloadV3",
    "engine_getPayloadV4",
    "engine_getPayloadV5",
    "engine_newPayloadV1",
    "engine_newPayloadV2",
    "engine_newPayloadV3",
    "engine_newPayloadV4",
    "engine_signalSuperchainV1",
];

/// The newest protocol version of the OP Stack that is followed, as `engine_signalSuperchainV1`
/// tells it. Its encoding: `superchain-upgrades.md`, "Protocol Version Format".
const PROTOCOL_MAJOR: u32 = 9;

/// The `engine_` methods over an engine.
pub fn module(engine: LocalEngine) -> RpcModule<()> {
    let mut registry = Registry(RpcModule::new(engine));
    let fork_choice: [(&str, Method<ForkchoiceUpdatedV1>); 3] = [
        ("engine_forkchoiceUpdatedV1", |e, p| fork_choice_updated(e, p, 1)),
        ("engine_forkchoiceUpdatedV2", |e, p| fork_choice_updated(e, p, 2)),
        ("engine_forkchoiceUpdatedV3", |e, p| fork_choice_updated(e, p, 3)),
    ];
    fork_choice.into_iter().for_each(|(name, method)| registry.add(name, method));
    let new_payload: [(&str, Method<PayloadStatusV1>); 4] = [
        ("engine_newPayloadV1", |e, p| new_payload(e, p, 1)),
        ("engine_newPayloadV2", |e, p| new_payload(e, p, 2)),
        ("engine_newPayloadV3", |e, p| new_payload(e, p, 3)),
        ("engine_newPayloadV4", |e, p| new_payload(e, p, 4)),
    ];
    new_payload.into_iter().for_each(|(name, method)| registry.add(name, method));
    registry.add("engine_getPayloadV1", |e, p| Ok(get_payload(e, p, 1)?.execution_payload));
    let get: [(&str, Method<Envelope>); 4] = [
        ("engine_getPayloadV2", |e, p| get_payload(e, p, 2)),
        ("engine_getPayloadV3", |e, p| get_payload(e, p, 3)),
        ("engine_getPayloadV4", |e, p| get_payload(e, p, 4)),
        ("engine_getPayloadV5", |e, p| get_payload(e, p, 5)),
    ];
    get.into_iter().for_each(|(name, method)| registry.add(name, method));
    bodies::register(&mut registry);
    blobs::register(&mut registry);
    registry.add("engine_exchangeCapabilities", |_, params| {
        let _: Vec<String> = params.sequence().next()?;
        Ok(CAPABILITIES.to_vec())
    });
    registry.add("engine_getClientVersionV1", |_, _| Ok(client_version()));
    registry.add("engine_signalSuperchainV1", |_, params| {
        let signal: Option<SuperchainSignal> = params.sequence().optional_next()?;
        Ok(signal_superchain(signal))
    });
    registry.0.remove_context()
}

type Method<T> = fn(&LocalEngine, &Args<'_>) -> ApiResult<T>;

/// The module while methods are being added.
struct Registry(RpcModule<LocalEngine>);

impl Registry {
    /// Adds a method, which may execute blocks and runs on a thread of its own.
    fn add<T: Serialize + Clone + 'static>(&mut self, name: &'static str, method: Method<T>) {
        let added = self.0.register_blocking_method(name, move |params, engine, _| {
            method(&engine, &Args(params))
        });
        // A name added twice is a mistake that the test of the method list finds.
        if let Err(error) = added {
            tracing::error!(target: "opal::execution", name, %error, "RPC method not added");
        }
    }
}

fn fork_choice_updated(
    engine: &LocalEngine,
    params: &Args<'_>,
    version: u8,
) -> ApiResult<ForkchoiceUpdatedV1> {
    let mut params = params.sequence();
    let state: ForkchoiceStateV1 = params.next()?;
    let attributes: Option<PayloadAttributes> = params.optional_next()?;
    if let Some(attributes) = &attributes {
        versions::check_attributes(engine.chain().spec(), version, attributes)?;
    }
    let updated = engine.fork_choice_updated(state.into(), attributes).map_err(error::engine)?;
    Ok(updated.into())
}

fn new_payload(engine: &LocalEngine, params: &Args<'_>, version: u8) -> ApiResult<PayloadStatusV1> {
    let mut params = params.sequence();
    let payload: ExecutionPayload = params.next()?;
    let mut extra = versions::Extra::default();
    if version >= 3 {
        extra.versioned_hashes = params.optional_next()?;
        extra.parent_beacon_block_root = params.optional_next()?;
    }
    if version >= 4 {
        extra.requests = params.optional_next()?;
    }
    let spec = engine.chain().spec();
    versions::check_payload(spec, version, &payload, &extra)?;
    let requests_hash = match &extra.requests {
        None => None,
        Some(requests) => Some(payload::requests_hash(requests).map_err(error::params)?),
    };
    let time = payload.timestamp;
    let isthmus = spec.is_active(Hardfork::Isthmus, time);
    if isthmus && extra.requests.as_ref().is_some_and(|requests| !requests.is_empty()) {
        return Ok(PayloadStatusV1::invalid("requests must be empty on an OP chain".to_owned()));
    }
    let expected = Expected {
        withdrawals_root_given: isthmus,
        parent_beacon_block_root: extra.parent_beacon_block_root,
        requests_hash,
    };
    let block = match payload.into_block(&expected) {
        Ok(block) => block,
        Err(error @ PayloadError::BlockHash { .. }) if version == 1 => {
            return Ok(PayloadStatusV1 {
                status: Status::InvalidBlockHash,
                ..PayloadStatusV1::invalid(error.to_string())
            });
        }
        Err(error) => return Ok(PayloadStatusV1::invalid(error.to_string())),
    };
    if let Some(hashes) = &extra.versioned_hashes
        && let Err(error) = payload::check_versioned_hashes(&block, hashes)
    {
        return Ok(PayloadStatusV1::invalid(error));
    }
    let status = engine.new_payload(&block).map_err(error::engine)?;
    if let PayloadStatus::Invalid { error, .. } = &status {
        warn!(target: "opal::execution", block = %block.id(), error, "invalid payload");
    }
    Ok(status.into())
}

fn get_payload(engine: &LocalEngine, params: &Args<'_>, version: u8) -> ApiResult<Envelope> {
    let id: PayloadId = params.sequence().next()?;
    versions::check_id(version, id)?;
    let built = engine.get_payload(id).map_err(error::engine)?;
    let spec = engine.chain().spec();
    let time = built.block.header().timestamp;
    versions::check_get(spec, version, time)?;
    let isthmus = spec.is_active(Hardfork::Isthmus, time);
    Envelope::new(&built, version, spec.is_l2(), isthmus).map_err(error::server)
}

/// Spec: execution-apis, `engine/identification.md`.
fn client_version() -> Vec<Value> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    // No client has this code in the specification's list, which allows others.
    vec![json!({ "code": "OL", "name": "opal", "version": version, "commit": "0x00000000" })]
}

/// Versions that the chain's operators ask for.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct SuperchainSignal {
    recommended: B256,
    required: B256,
}

/// Tells of a version that this one may not follow; answers with ours. Spec: `exec-engine.md`,
/// "engine_signalSuperchainV1".
fn signal_superchain(signal: Option<SuperchainSignal>) -> B256 {
    if let Some(signal) = signal {
        for (wish, version) in [("required", signal.required), ("recommended", signal.recommended)]
        {
            // The major number of version type 0.
            let mut major = [0; 4];
            major.copy_from_slice(&version[16..20]);
            if version[0] != 0 || u32::from_be_bytes(major) > PROTOCOL_MAJOR {
                warn!(target: "opal::execution", version = hex::encode(version), wish,
                    "the superchain asks for a newer protocol version");
            }
        }
    }
    let mut ours = B256::ZERO;
    ours[16..20].copy_from_slice(&PROTOCOL_MAJOR.to_be_bytes());
    ours
}
