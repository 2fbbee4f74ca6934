//! What a node means when it refuses a transaction.
//!
//! JSON-RPC has no codes for it, so the text decides; it is matched loosely, over the words that
//! geth, reth, erigon, nethermind and anvil use.

use alloy_transport::{RpcError, TransportError, TransportErrorKind};

/// Why `eth_sendRawTransaction` failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The pool holds this very transaction already: as good as accepted.
    AlreadyKnown,
    /// The nonce was used by a mined transaction.
    NonceTooLow,
    /// The nonce leaves a gap that the node does not accept.
    NonceTooHigh,
    /// A higher fee is needed, be it for the block or to replace a pending transaction.
    Underpriced,
    /// The account can't pay.
    InsufficientFunds(String),
    /// The pool holds a transaction of the other kind (blob or ordinary) of this account.
    Reserved,
    /// The node wants the other form of blob proofs (one per blob, or one per cell).
    SidecarForm(String),
    /// The node did not answer, was too busy, or its pool has no room: try again.
    Unavailable(String),
    /// Anything else: this transaction will not be taken.
    Refused(String),
}

/// Sorts an error of `eth_sendRawTransaction`; `blobs` says whether the transaction carries any.
pub fn classify(error: &TransportError, blobs: bool) -> Rejection {
    let text = crate::http::error_text(error);
    let payload = match error {
        RpcError::ErrorResp(payload) => payload,
        // A refusal may come with an HTTP error status; a body too large is one.
        RpcError::Transport(TransportErrorKind::HttpError(http))
            if (400..500).contains(&http.status) && http.status != 429 =>
        {
            return Rejection::Refused(text);
        }
        _ => return Rejection::Unavailable(text),
    };
    if payload.is_retry_err() {
        return Rejection::Unavailable(text);
    }
    let lower = payload.message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["already known", "already imported", "known transaction", "alreadyknown"]) {
        Rejection::AlreadyKnown
    } else if has(&["nonce too low", "nonce is too low", "nonce has already been used", "oldnonce"])
    {
        Rejection::NonceTooLow
    } else if has(&["nonce too high", "nonce is too high", "nonce gap", "gapped nonce"]) {
        Rejection::NonceTooHigh
    } else if has(&["insufficient funds", "insufficientfunds", "insufficient balance"]) {
        Rejection::InsufficientFunds(text)
    } else if has(&[
        "pool is full",
        "pool overflow",
        "pool limit",
        "account limit exceeded",
        "too many pending",
    ]) {
        Rejection::Unavailable(text)
    } else if has(&["already reserved"]) {
        Rejection::Reserved
    } else if has(&[
        "underpriced",
        "fee too low",
        "feetoolow",
        "less than block base fee",
        "gas price too low",
        "blob fee cap",
        "less than block blob",
        "replacement not allowed",
    ]) {
        Rejection::Underpriced
    } else if blobs
        && has(&["sidecar", "proof", "cell", "wrapper", "rlp", "decod", "blob version", "kzg"])
    {
        Rejection::SidecarForm(text)
    } else {
        Rejection::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(message: &str, blobs: bool) -> Rejection {
        let payload = serde_json::json!({ "code": -32000, "message": message }).to_string();
        classify(&RpcError::ErrorResp(serde_json::from_str(&payload).unwrap()), blobs)
    }

    #[test]
    fn the_words_of_known_nodes_are_understood() {
        for (message, expected) in [
            ("already known", Rejection::AlreadyKnown),
            ("transaction already imported", Rejection::AlreadyKnown),
            ("nonce too low: next nonce 5, tx nonce 4", Rejection::NonceTooLow),
            ("replacement transaction underpriced", Rejection::Underpriced),
            ("max fee per gas less than block base fee: address 0x", Rejection::Underpriced),
            ("max fee per blob gas less than block blob gas fee", Rejection::Underpriced),
            ("transaction gas price below minimum: underpriced", Rejection::Underpriced),
            ("address already reserved", Rejection::Reserved),
        ] {
            assert_eq!(refused(message, false), expected, "{message}");
        }
        for full in ["txpool is full", "account limit exceeded: pooled 16 txs"] {
            assert!(matches!(refused(full, true), Rejection::Unavailable(_)), "{full}");
        }
        let dear = "exceeds block gas limit";
        assert!(matches!(refused(dear, false), Rejection::Refused(_)));
        assert!(matches!(refused("invalid opcode", true), Rejection::Refused(_)));
        let old = "unexpected blob sidecar version, want 1";
        assert!(matches!(refused(old, true), Rejection::SidecarForm(_)));
        assert!(matches!(refused(old, false), Rejection::Refused(_)));
        assert!(matches!(
            refused("insufficient funds for gas * price + value", false),
            Rejection::InsufficientFunds(_)
        ));
        let busy = TransportErrorKind::http_error(502, "bad gateway".to_owned());
        assert!(matches!(classify(&busy, false), Rejection::Unavailable(_)));
        let large = TransportErrorKind::http_error(413, "too large".to_owned());
        assert!(matches!(classify(&large, false), Rejection::Refused(_)));
    }
}
