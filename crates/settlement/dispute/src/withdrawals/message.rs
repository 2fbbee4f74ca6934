//! A withdrawal as L2 recorded it. Spec: `withdrawals.md`.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use opal_protocol::contracts::ICrossDomainMessenger::relayMessageCall;
use opal_protocol::contracts::IERC721Bridge::finalizeBridgeERC721Call;
use opal_protocol::contracts::IL2ToL1MessagePasser::MessagePassed;
use opal_protocol::contracts::IOptimismPortal::WithdrawalTransaction;
use opal_protocol::contracts::IStandardBridge::finalizeBridgeERC20Call;
use opal_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;
use serde::{Deserialize, Serialize};

/// Slot of the message passer's `sentMessages` mapping.
const SENT_MESSAGES: U256 = U256::ZERO;

/// A message from L2 that L1 executes once it is proven and final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// Unique number; the upper 16 bits are the message's version.
    pub nonce: U256,
    /// Who called the message passer.
    pub sender: Address,
    /// What L1 calls.
    pub target: Address,
    /// Wei that come along.
    pub value: U256,
    /// The least gas for the call on L1.
    pub gas_limit: U256,
    /// Calldata.
    pub data: Bytes,
}

/// Why a log of the message passer is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not the form of the event.
    #[error("log {index} of the message passer is no MessagePassed event: {reason}")]
    Form {
        /// Place of the log in the receipt.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The hash in the event is not that of the other fields.
    #[error("log {index} names the withdrawal {named}, but its fields hash to {computed}")]
    Hash {
        /// Place of the log in the receipt.
        index: usize,
        /// The hash in the event.
        named: B256,
        /// The hash of the fields.
        computed: B256,
    },
}

impl Withdrawal {
    /// What both layers know the withdrawal by.
    pub fn hash(&self) -> B256 {
        let fields =
            (self.nonce, self.sender, self.target, self.value, self.gas_limit, self.data.clone());
        keccak256(fields.abi_encode_params())
    }

    /// The slot of the message passer that is 1 once the withdrawal was sent.
    pub fn slot(&self) -> B256 {
        keccak256((self.hash(), SENT_MESSAGES).abi_encode())
    }

    /// Version of the message format: 1 since Bedrock.
    pub fn version(&self) -> u16 {
        let bytes = self.nonce.to_be_bytes::<32>();
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    /// The withdrawals that a transaction made, in order of its logs.
    ///
    /// # Errors
    /// When a log of the message passer is malformed, which no OP chain's is.
    pub fn in_logs(logs: &[Log]) -> Result<Vec<Self>, LogError> {
        let mut found = Vec::new();
        for (index, log) in logs.iter().enumerate() {
            let ours = log.address == L2_TO_L1_MESSAGE_PASSER
                && log.topics().first() == Some(&MessagePassed::SIGNATURE_HASH);
            if !ours {
                continue;
            }
            let event = MessagePassed::decode_log(log)
                .map_err(|error| LogError::Form { index, reason: error.to_string() })?
                .data;
            let withdrawal = Self {
                nonce: event.nonce,
                sender: event.sender,
                target: event.target,
                value: event.value,
                gas_limit: event.gasLimit,
                data: event.data,
            };
            let computed = withdrawal.hash();
            if computed != event.withdrawalHash {
                return Err(LogError::Hash { index, named: event.withdrawalHash, computed });
            }
            found.push(withdrawal);
        }
        Ok(found)
    }

    /// What the messengers know the message by, if the withdrawal carries one of theirs: L1's
    /// messenger then says whether it went through.
    pub fn message_hash(&self) -> Option<B256> {
        message_hash(&self.data)
    }

    /// What the withdrawal carries, as far as this is one of the bridges' or the messengers' forms.
    pub fn cargo(&self) -> Option<Cargo> {
        Cargo::of(&self.data)
    }
}

/// What the messengers know a message by, if this calldata relays one.
pub(super) fn message_hash(data: &[u8]) -> Option<B256> {
    let call = relayMessageCall::abi_decode_validate(data).ok()?;
    // The hash is that of the call in its canonical encoding.
    (call.abi_encode() == data).then(|| keccak256(data))
}

/// What a message between the layers carries. Tokens are named as the layer of arrival knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// An amount of an ERC-20 token, in its smallest unit.
    Erc20 {
        /// The token.
        token: Address,
        /// How much.
        amount: U256,
        /// Who gets it.
        to: Address,
    },
    /// One token of an ERC-721 contract.
    Erc721 {
        /// The contract.
        token: Address,
        /// Which.
        id: U256,
        /// Who gets it.
        to: Address,
    },
    /// A call.
    Message {
        /// Who sent it.
        from: Address,
        /// Who is called.
        to: Address,
        /// Bytes of calldata.
        size: usize,
    },
}

impl Cargo {
    fn of(data: &[u8]) -> Option<Self> {
        let message = relayMessageCall::abi_decode_validate(data).ok()?;
        let inner = &message._message;
        if let Ok(call) = finalizeBridgeERC20Call::abi_decode_validate(inner) {
            let (token, amount, to) = (call._localToken, call._amount, call._to);
            return Some(Self::Erc20 { token, amount, to });
        }
        if let Ok(call) = finalizeBridgeERC721Call::abi_decode_validate(inner) {
            let (token, id, to) = (call._localToken, call._tokenId, call._to);
            return Some(Self::Erc721 { token, id, to });
        }
        let (from, to) = (message._sender, message._target);
        Some(Self::Message { from, to, size: inner.len() })
    }
}

impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Erc20 { token, amount, to } => {
                write!(f, "{amount} of the smallest units of {token} for {to}")
            }
            Self::Erc721 { token, id, to } => write!(f, "token {id} of {token} for {to}"),
            Self::Message { from, to, size } => {
                write!(f, "a call of {size} bytes by {from} to {to}")
            }
        }
    }
}

impl From<&Withdrawal> for WithdrawalTransaction {
    fn from(withdrawal: &Withdrawal) -> Self {
        Self {
            nonce: withdrawal.nonce,
            sender: withdrawal.sender,
            target: withdrawal.target,
            value: withdrawal.value,
            gasLimit: withdrawal.gas_limit,
            data: withdrawal.data.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn log(withdrawal: &Withdrawal, hash: B256) -> Log {
        let event = MessagePassed {
            nonce: withdrawal.nonce,
            sender: withdrawal.sender,
            target: withdrawal.target,
            value: withdrawal.value,
            gasLimit: withdrawal.gas_limit,
            data: withdrawal.data.clone(),
            withdrawalHash: hash,
        };
        Log { address: L2_TO_L1_MESSAGE_PASSER, data: event.encode_log_data() }
    }

    fn withdrawal(data: &[u8]) -> Withdrawal {
        Withdrawal {
            nonce: (U256::ONE << 240) + U256::from(7),
            sender: Address::repeat_byte(1),
            target: Address::repeat_byte(2),
            value: U256::from(3),
            gas_limit: U256::from(4),
            data: Bytes::copy_from_slice(data),
        }
    }

    #[test]
    fn withdrawals_of_a_receipt_in_order_and_of_the_message_passer_only() {
        let (first, second) = (withdrawal(b""), withdrawal(b"data"));
        let mut elsewhere = log(&first, first.hash());
        elsewhere.address = Address::ZERO;
        let logs = [elsewhere, log(&second, second.hash()), log(&first, first.hash())];
        assert_eq!(Withdrawal::in_logs(&logs).unwrap(), [second, first.clone()]);
        assert_eq!(first.version(), 1);
        assert_ne!(first.slot(), first.hash());
    }

    #[test]
    fn a_log_that_contradicts_itself_is_refused() {
        let one = withdrawal(b"x");
        let lie = log(&one, B256::ZERO);
        let error = Withdrawal::in_logs(&[lie]).unwrap_err();
        assert_eq!(error, LogError::Hash { index: 0, named: B256::ZERO, computed: one.hash() });
        let mut cut = log(&one, one.hash());
        cut.data.data = cut.data.data.slice(..64);
        assert!(matches!(Withdrawal::in_logs(&[cut]), Err(LogError::Form { index: 0, .. })));
    }

    #[test]
    fn only_a_message_of_the_messenger_has_a_message_hash() {
        let message = relayMessageCall { _message: b"hello".into(), ..Default::default() };
        let data = message.abi_encode();
        assert_eq!(withdrawal(&data).message_hash(), Some(keccak256(&data)));
        let mut longer = data.clone();
        longer.extend([0; 32]);
        assert_eq!(withdrawal(&longer).message_hash(), None);
        assert_eq!(withdrawal(&data[..data.len() - 32]).message_hash(), None);
        assert_eq!(withdrawal(b"").message_hash(), None);
    }

    #[test]
    fn what_a_withdrawal_carries_is_told() {
        let [token, to, from] = [1, 2, 3].map(Address::repeat_byte);
        let carries = |inner: Vec<u8>| {
            let message = relayMessageCall {
                _sender: from,
                _target: to,
                _message: inner.into(),
                ..Default::default()
            };
            withdrawal(&message.abi_encode()).cargo()
        };
        let coins = finalizeBridgeERC20Call {
            _localToken: token,
            _to: to,
            _amount: U256::from(9),
            ..Default::default()
        };
        let expected = Cargo::Erc20 { token, amount: U256::from(9), to };
        assert_eq!(carries(coins.abi_encode()), Some(expected));
        let stamp = finalizeBridgeERC721Call {
            _localToken: token,
            _to: to,
            _tokenId: U256::from(7),
            ..Default::default()
        };
        let expected = Cargo::Erc721 { token, id: U256::from(7), to };
        assert_eq!(carries(stamp.abi_encode()), Some(expected));
        assert_eq!(carries(vec![1, 2, 3]), Some(Cargo::Message { from, to, size: 3 }));
        assert_eq!(withdrawal(b"no message").cargo(), None);
    }
}
