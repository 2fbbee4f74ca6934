//! Why a contract reverted, in words.

use alloy_sol_types::{Panic, Revert, SolError};
use opal_protocol::contracts::{
    IAnchorStateRegistry, IDisputeGameFactory, IFaultDisputeGame, IOptimismPortal,
};

/// Longest text of a contract that is passed on.
const MAX_TEXT: usize = 200;

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
    use alloy_primitives::B256;

    use super::*;

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
