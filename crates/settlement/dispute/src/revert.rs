//! Why a contract reverted: the data in a node's answer, and what it says in words.

use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, Revert, SolError};
use alloy_transport::TransportError;
use opal_protocol::contracts::{
    IAnchorStateRegistry, IDisputeGameFactory, IFaultDisputeGame, IOptimismPortal,
};
use serde_json::Value;

/// Longest text of a contract that is passed on.
const MAX_TEXT: usize = 200;

/// The data of a revert, if this is the answer to a call that reverted; empty where the node gives
/// none. Code 3 is geth's for reverts; others tell it by their words, or by the data alone.
pub(crate) fn revert_data(error: &TransportError) -> Option<Bytes> {
    let payload = error.as_error_resp()?;
    let data = payload.data.as_ref().and_then(|data| {
        let value: Value = serde_json::from_str(data.get()).ok()?;
        // Some nodes wrap it in an object, and some put a word in front of it.
        let text = value.as_str().or_else(|| value.get("data")?.as_str())?;
        text.get(text.find("0x")?..)?.parse().ok()
    });
    let reverted = payload.code == 3 || payload.message.to_lowercase().contains("revert");
    data.or_else(|| reverted.then(Bytes::new))
}

/// Names the error in the data of a revert: a custom error of the settlement contracts with its
/// arguments, the text of a `require`, or the data itself.
pub(crate) fn reason(data: &[u8]) -> String {
    let Some((selector, arguments)) = data.split_first_chunk::<4>() else {
        return if data.is_empty() { "no reason given".to_owned() } else { hex(data) };
    };
    if let Ok(revert) = Revert::abi_decode(data) {
        return shown(&revert.reason);
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return shown(&panic.to_string());
    }
    let name = IDisputeGameFactory::IDisputeGameFactoryErrors::name_by_selector(*selector)
        .or_else(|| IFaultDisputeGame::IFaultDisputeGameErrors::name_by_selector(*selector))
        .or_else(|| IAnchorStateRegistry::IAnchorStateRegistryErrors::name_by_selector(*selector))
        .or_else(|| IOptimismPortal::IOptimismPortalErrors::name_by_selector(*selector));
    match name {
        Some(name) if arguments.is_empty() => name.to_owned(),
        Some(name) => format!("{name}({})", hex(arguments)),
        None => format!("unknown error {}", hex(data)),
    }
}

/// The text without what could disturb a log, cut where it is long.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

fn hex(data: &[u8]) -> String {
    let cut = data.get(..MAX_TEXT / 2).unwrap_or(data);
    let dots = if cut.len() < data.len() { "…" } else { "" };
    format!("{}{dots}", alloy_primitives::hex::encode_prefixed(cut))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_primitives::B256;
    use alloy_transport::RpcError;

    use super::*;

    #[test]
    fn data_of_reverts_is_found_in_the_forms_that_nodes_use() {
        let data =
            |json: &str| revert_data(&RpcError::ErrorResp(serde_json::from_str(json).unwrap()));
        for (json, expected) in [
            (
                r#"{"code":3,"message":"execution reverted","data":"0x01020304"}"#,
                Some("0x01020304"),
            ),
            (r#"{"code":-32000,"message":"reverted","data":{"data":"0x0102"}}"#, Some("0x0102")),
            (r#"{"code":-32015,"message":"VM error","data":"Reverted 0x01"}"#, Some("0x01")),
            (r#"{"code":-32000,"message":"execution reverted"}"#, Some("0x")),
            (r#"{"code":3,"message":"no","data":"nothing"}"#, Some("0x")),
            (r#"{"code":3,"message":"no","data":"0xzz"}"#, Some("0x")),
            (r#"{"code":-32000,"message":"header not found","data":{"a":1}}"#, None),
            (r#"{"code":-32000,"message":"header not found","data":null}"#, None),
        ] {
            assert_eq!(data(json), expected.map(|hex| hex.parse().unwrap()), "{json}");
        }
    }

    #[test]
    fn reverts_are_named() {
        let bad_auth = IFaultDisputeGame::BadAuth {}.abi_encode();
        assert_eq!(reason(&bad_auth), "BadAuth");
        let exists = IDisputeGameFactory::GameAlreadyExists { uuid: B256::repeat_byte(7) };
        let text = reason(&exists.abi_encode());
        assert_eq!(text, format!("GameAlreadyExists({})", B256::repeat_byte(7)));
        let require = Revert::from("DelayedWETH: contract is\n paused").abi_encode();
        assert_eq!(reason(&require), "DelayedWETH: contract is paused");
        assert!(reason(&Panic::from(0x11).abi_encode()).contains("overflow"));
    }

    #[test]
    fn what_is_no_known_error_is_shown_and_bounded() {
        assert_eq!(reason(&[]), "no reason given");
        assert_eq!(reason(&[1, 2]), "0x0102");
        assert_eq!(reason(&[0xde, 0xad, 0xbe, 0xef]), "unknown error 0xdeadbeef");
        assert!(reason(&[0xfe; 100_000]).len() < 300);
        assert!(reason(&Revert::from("x".repeat(100_000)).abi_encode()).len() <= MAX_TEXT);
    }
}
