//! The calls that move ether, tokens and messages between the layers.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;
use opal_protocol::contracts::IBridgedToken::approveCall;
use opal_protocol::contracts::ICrossDomainMessenger::sendMessageCall;
use opal_protocol::contracts::IERC721Bridge::bridgeERC721ToCall;
use opal_protocol::contracts::IL2ToL1MessagePasser::initiateWithdrawalCall;
use opal_protocol::contracts::IOptimismPortal::depositTransactionCall;
use opal_protocol::contracts::IStandardBridge::bridgeERC20ToCall;
use opal_protocol::predeploys::{
    L2_CROSS_DOMAIN_MESSENGER, L2_ERC721_BRIDGE, L2_STANDARD_BRIDGE, L2_TO_L1_MESSAGE_PASSER,
};
use serde::Serialize;

/// Bytes of data that a deposit may carry.
const MAX_DEPOSIT_DATA: usize = 120_000;

/// What to send to a chain, whoever signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// Wei to send along.
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
}

impl Call {
    pub(super) fn new(to: Address, value: U256, call: &impl SolCall) -> Self {
        Self { to, value, data: call.abi_encode().into() }
    }
}

/// What moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asset {
    /// Wei.
    Ether(U256),
    /// An amount of an ERC-20 token, in its smallest unit.
    Erc20 {
        /// The token on the layer that it leaves.
        local: Address,
        /// The token on the other layer.
        remote: Address,
        /// How much.
        amount: U256,
    },
    /// One token of an ERC-721 contract.
    Erc721 {
        /// The contract on the layer that it leaves.
        local: Address,
        /// The contract on the other layer.
        remote: Address,
        /// Which.
        id: U256,
    },
    /// A call by the messengers.
    Message {
        /// Wei to send along.
        value: U256,
        /// Calldata.
        data: Bytes,
    },
}

/// A transfer to the other layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What moves.
    pub asset: Asset,
    /// The recipient, or the target of a message.
    pub to: Address,
    /// The least gas for the call on the other layer.
    pub gas_limit: u32,
}

/// Where a layer's bridges are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bridges {
    /// Messages.
    pub messenger: Address,
    /// Ether and ERC-20 tokens.
    pub standard: Address,
    /// ERC-721 tokens.
    pub erc721: Address,
}

impl Bridges {
    /// Those of L2, which are the same everywhere.
    pub const L2: Self = Self {
        messenger: L2_CROSS_DOMAIN_MESSENGER,
        standard: L2_STANDARD_BRIDGE,
        erc721: L2_ERC721_BRIDGE,
    };

    /// The call that moves anything but bare ether.
    fn call(&self, transfer: &Transfer) -> Option<Call> {
        let (to, gas) = (transfer.to, transfer.gas_limit);
        let none = Bytes::new();
        Some(match &transfer.asset {
            Asset::Ether(_) => return None,
            Asset::Erc20 { local, remote, amount } => {
                let call = bridgeERC20ToCall {
                    _localToken: *local,
                    _remoteToken: *remote,
                    _to: to,
                    _amount: *amount,
                    _minGasLimit: gas,
                    _extraData: none,
                };
                Call::new(self.standard, U256::ZERO, &call)
            }
            Asset::Erc721 { local, remote, id } => {
                let call = bridgeERC721ToCall {
                    _localToken: *local,
                    _remoteToken: *remote,
                    _to: to,
                    _tokenId: *id,
                    _minGasLimit: gas,
                    _extraData: none,
                };
                Call::new(self.erc721, U256::ZERO, &call)
            }
            Asset::Message { value, data } => {
                let call =
                    sendMessageCall { _target: to, _message: data.clone(), _minGasLimit: gas };
                Call::new(self.messenger, *value, &call)
            }
        })
    }

    /// Who must be allowed to take the tokens, which contract grants it, and the argument: an amount
    /// or a token's id.
    pub fn spender(&self, asset: &Asset) -> Option<(Address, Address, U256)> {
        match asset {
            Asset::Erc20 { local, amount, .. } => Some((*local, self.standard, *amount)),
            Asset::Erc721 { local, id, .. } => Some((*local, self.erc721, *id)),
            Asset::Ether(_) | Asset::Message { .. } => None,
        }
    }
}

/// The call that allows a bridge to take tokens.
pub fn approval(token: Address, spender: Address, amount: U256) -> Call {
    Call::new(token, U256::ZERO, &approveCall { spender, amount })
}

/// The call on L1 that brings something to L2. Bare ether goes straight through the portal, and
/// is the recipient's whatever the recipient is; the sender keeps it on L2 if the call there fails.
pub fn deposit(transfer: &Transfer, portal: Address, l1: &Bridges) -> Call {
    l1.call(transfer).unwrap_or_else(|| {
        let value = match transfer.asset {
            Asset::Ether(value) => value,
            _ => U256::ZERO,
        };
        let call = depositTransactionCall {
            _to: transfer.to,
            _value: value,
            _gasLimit: u64::from(transfer.gas_limit),
            _isCreation: false,
            _data: Bytes::new(),
        };
        Call::new(portal, value, &call)
    })
}

/// The call on L2 that begins a withdrawal. Bare ether goes straight through the message passer.
pub fn withdrawal(transfer: &Transfer) -> Call {
    Bridges::L2.call(transfer).unwrap_or_else(|| {
        let value = match transfer.asset {
            Asset::Ether(value) => value,
            _ => U256::ZERO,
        };
        let call = initiateWithdrawalCall {
            _target: transfer.to,
            _gasLimit: U256::from(transfer.gas_limit),
            _data: Bytes::new(),
        };
        Call::new(L2_TO_L1_MESSAGE_PASSER, value, &call)
    })
}

/// Why an L2 call can't be made through the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForceError {
    /// Too much data.
    #[error("the call has {0} bytes of data, but a deposit carries up to {MAX_DEPOSIT_DATA}")]
    TooLarge(usize),
    /// Too little gas.
    #[error("--l2-gas {given} is too little for the call's data: the portal wants {least} or more")]
    Gas {
        /// What was given.
        given: u64,
        /// What the portal demands.
        least: u64,
    },
}

/// The call on L1 that makes an L2 call as the same account, which no sequencer can refuse. The
/// value comes out of the account's ether on L2; L1 takes only gas.
///
/// # Errors
/// When the portal would not take it.
pub fn forced(call: &Call, portal: Address, l2_gas: u64) -> Result<Call, ForceError> {
    let size = call.data.len();
    if size > MAX_DEPOSIT_DATA {
        return Err(ForceError::TooLarge(size));
    }
    // As the portal's minimumGasLimit.
    let least = 21_000 + 40 * size as u64;
    if l2_gas < least {
        return Err(ForceError::Gas { given: l2_gas, least });
    }
    let call = depositTransactionCall {
        _to: call.to,
        _value: call.value,
        _gasLimit: l2_gas,
        _isCreation: false,
        _data: call.data.clone(),
    };
    Ok(Call::new(portal, U256::ZERO, &call))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PORTAL: Address = Address::repeat_byte(1);
    const L1: Bridges = Bridges {
        messenger: Address::repeat_byte(2),
        standard: Address::repeat_byte(3),
        erc721: Address::repeat_byte(4),
    };

    fn transfer(asset: Asset) -> Transfer {
        Transfer { asset, to: Address::repeat_byte(5), gas_limit: 200_000 }
    }

    #[test]
    fn ether_goes_by_portal_and_message_passer() {
        let ether = transfer(Asset::Ether(U256::from(7)));
        let call = deposit(&ether, PORTAL, &L1);
        assert_eq!((call.to, call.value), (PORTAL, U256::from(7)));
        let inner = depositTransactionCall::abi_decode(&call.data).unwrap();
        assert_eq!((inner._value, inner._gasLimit), (U256::from(7), 200_000));
        let call = withdrawal(&ether);
        assert_eq!((call.to, call.value), (L2_TO_L1_MESSAGE_PASSER, U256::from(7)));
        let inner = initiateWithdrawalCall::abi_decode(&call.data).unwrap();
        assert_eq!((inner._target, inner._gasLimit), (ether.to, U256::from(200_000)));
        assert_eq!(L1.spender(&ether.asset), None);
    }

    #[test]
    fn tokens_and_messages_go_by_their_bridges() {
        let (local, remote) = (Address::repeat_byte(6), Address::repeat_byte(7));
        let erc20 = transfer(Asset::Erc20 { local, remote, amount: U256::from(8) });
        let erc721 = transfer(Asset::Erc721 { local, remote, id: U256::from(9) });
        let message = transfer(Asset::Message { value: U256::from(1), data: b"hi".into() });
        for (transfer, on_l1, on_l2, value) in [
            (&erc20, L1.standard, L2_STANDARD_BRIDGE, 0),
            (&erc721, L1.erc721, L2_ERC721_BRIDGE, 0),
            (&message, L1.messenger, L2_CROSS_DOMAIN_MESSENGER, 1),
        ] {
            let (down, up) = (deposit(transfer, PORTAL, &L1), withdrawal(transfer));
            assert_eq!((down.to, up.to), (on_l1, on_l2));
            assert_eq!((down.value, &down.data), (U256::from(value), &up.data));
        }
        assert_eq!(L1.spender(&erc20.asset), Some((local, L1.standard, U256::from(8))));
        assert_eq!(
            Bridges::L2.spender(&erc721.asset),
            Some((local, L2_ERC721_BRIDGE, U256::from(9)))
        );
        assert_eq!(approval(local, L1.standard, U256::from(8)).to, local);
    }

    #[test]
    fn a_forced_call_is_the_same_call_through_the_portal() {
        let call = withdrawal(&transfer(Asset::Ether(U256::from(7))));
        let least = 21_000 + 40 * call.data.len() as u64;
        let outer = forced(&call, PORTAL, least).unwrap();
        assert_eq!((outer.to, outer.value), (PORTAL, U256::ZERO));
        let inner = depositTransactionCall::abi_decode(&outer.data).unwrap();
        assert_eq!(
            (inner._to, inner._value, inner._data),
            (call.to, call.value, call.data.clone())
        );
        let given = least - 1;
        assert_eq!(forced(&call, PORTAL, given), Err(ForceError::Gas { given, least }));
        let large = Call { data: vec![0; MAX_DEPOSIT_DATA + 1].into(), ..call };
        assert_eq!(forced(&large, PORTAL, u64::MAX), Err(ForceError::TooLarge(120_001)));
    }
}
