//! Revert data by the names of the contracts' errors, with what to do about the common ones.

use alloy_primitives::Bytes;
use alloy_transport::{RpcError, TransportError};

use crate::revert;

/// The data of a revert, if this is the answer to a call that reverted.
pub fn revert_data(error: &TransportError) -> Option<Bytes> {
    let RpcError::ErrorResp(payload) = error else { return None };
    let data = payload.data.as_ref().and_then(|data| {
        let value: serde_json::Value = serde_json::from_str(data.get()).ok()?;
        // Some nodes wrap it in an object.
        let text = value.as_str().or_else(|| value.get("data")?.as_str())?;
        let text = text.strip_prefix("Reverted ").unwrap_or(text);
        text.parse::<Bytes>().ok()
    });
    let reverted = payload.code == 3 || payload.message.to_lowercase().contains("revert");
    match data {
        Some(data) => Some(data),
        None => reverted.then(Bytes::new),
    }
}

/// A revert in words: the error's name, with what it means here, a reason string, or the bare data.
pub fn describe(data: &[u8]) -> String {
    let reason = revert::reason(data);
    match meaning(&reason) {
        Some(meaning) => format!("{reason} ({meaning})"),
        None => reason,
    }
}

/// What an error means to who withdraws.
fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "OptimismPortal_AlreadyFinalized" => "the withdrawal is done",
        "OptimismPortal_BadTarget" => "the target may not be called by a withdrawal",
        "OptimismPortal_CallPaused" => "the chain is paused: wait until it is not",
        "OptimismPortal_CalldataTooLarge" => "deposits carry up to 120,000 bytes",
        "OptimismPortal_GasEstimation" => "the withdrawal's call would fail",
        "OptimismPortal_GasLimitTooLow" => "the deposit buys too little L2 gas for its data",
        "OptimismPortal_ImproperDisputeGame" => {
            "the game is blacklisted, retired or not the factory's: prove against another"
        }
        "OptimismPortal_InvalidDisputeGame" => {
            "the game lost or is not of the respected type: prove against another"
        }
        "OptimismPortal_InvalidMerkleProof" => "the game's state does not hold the withdrawal",
        "OptimismPortal_InvalidOutputRootProof" => "the game is about another output root",
        "OptimismPortal_InvalidProofTimestamp" => "the game is of this very block: try again",
        "OptimismPortal_InvalidRootClaim" => {
            "the game is not resolved, lost, struck out, or in its airgap"
        }
        "OptimismPortal_NoReentrancy" => "a withdrawal may not finalize another",
        "OptimismPortal_NotAllowedOnCGTMode" => "the chain's gas token is not ether",
        "OptimismPortal_ProofNotOldEnough" => "the proof maturity delay is not over",
        "OptimismPortal_Unproven" => "prove the withdrawal first",
        "OutOfGas" => "L1 blocks are full of deposits: try again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_sol_types::{Revert, SolError};
    use opal_protocol::contracts::IOptimismPortal::{
        IOptimismPortalErrors, OptimismPortal_ProofNotOldEnough,
    };

    use super::*;

    #[test]
    fn common_errors_have_a_meaning() {
        let data = OptimismPortal_ProofNotOldEnough {}.abi_encode();
        assert_eq!(
            describe(&data),
            "OptimismPortal_ProofNotOldEnough (the proof maturity delay is not over)"
        );
        assert_eq!(describe(&Revert::from("no money").abi_encode()), "no money");
        assert_eq!(describe(&[]), "no reason given");
    }

    #[test]
    fn meanings_are_those_of_real_errors() {
        for name in IOptimismPortalErrors::VARIANT_NAMES {
            // A name that the contract lacks would never be met.
            assert!(meaning(name).is_some() || meaning_is_left_out(name), "{name}");
        }
    }

    /// Errors that no call of the bridge meets.
    fn meaning_is_left_out(name: &str) -> bool {
        ["InvalidInteropState", "InvalidLockboxState", "MigratingToSameRegistry", "NotUsingInterop"]
            .iter()
            .chain(&["InsufficientDeposit", "InvalidGasToken", "OnlyCustomGasToken"])
            .any(|end| name.ends_with(end))
    }

    #[test]
    fn nodes_that_word_it_differently() {
        let error = |json: &str| RpcError::ErrorResp(serde_json::from_str(json).unwrap());
        let geth = error(r#"{"code":3,"message":"execution reverted","data":"0x01020304"}"#);
        assert_eq!(revert_data(&geth), Some(Bytes::from_static(&[1, 2, 3, 4])));
        let wrapped = error(r#"{"code":-32000,"message":"reverted","data":{"data":"0x0102"}}"#);
        assert_eq!(revert_data(&wrapped), Some(Bytes::from_static(&[1, 2])));
        let old = error(r#"{"code":-32015,"message":"VM error","data":"Reverted 0x01"}"#);
        assert_eq!(revert_data(&old), Some(Bytes::from_static(&[1])));
        let bare = error(r#"{"code":-32000,"message":"execution reverted"}"#);
        assert_eq!(revert_data(&bare), Some(Bytes::new()));
        let other = error(r#"{"code":-32000,"message":"header not found"}"#);
        assert_eq!(revert_data(&other), None);
    }
}
