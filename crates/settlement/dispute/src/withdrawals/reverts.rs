//! What the names of the contracts' errors mean to who withdraws.

use crate::revert;

/// A revert in words: the error's name, with what it means here, a reason string, or the bare data.
pub(super) fn describe(data: &[u8]) -> String {
    let reason = revert::reason(data);
    match meaning(&reason) {
        Some(meaning) => format!("{reason} ({meaning})"),
        None => reason,
    }
}

/// The portal's error where the withdrawal's call would fail.
pub(super) const GAS_ESTIMATION: &str = "OptimismPortal_GasEstimation";

/// What an error means to who withdraws.
fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "OptimismPortal_AlreadyFinalized" => "the withdrawal is done",
        "OptimismPortal_BadTarget" => "the target may not be called by a withdrawal",
        "OptimismPortal_CallPaused" => "the chain is paused: wait until it is not",
        "OptimismPortal_CalldataTooLarge" => "deposits carry up to 120,000 bytes",
        GAS_ESTIMATION => "the withdrawal's call would fail",
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
}
