// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IERC165, IERC20 } from "src/interfaces/ITokens.sol";

/// @notice Calls of tokens that may be anything.
library Tokens {
    /// @dev Gas that ERC-165 gives the question.
    uint256 private constant QUERY_GAS = 30_000;

    /// @notice Whether a contract says that it has the interface, and does not say so of any interface (ERC-165).
    function offers(address _account, bytes4 _interfaceId) internal view returns (bool) {
        return _claims(_account, type(IERC165).interfaceId) && !_claims(_account, 0xffffffff)
            && _claims(_account, _interfaceId);
    }

    function safeTransfer(address _token, address _to, uint256 _amount) internal {
        _call(_token, abi.encodeCall(IERC20.transfer, (_to, _amount)));
    }

    function safeTransferFrom(address _token, address _from, address _to, uint256 _amount) internal {
        _call(_token, abi.encodeCall(IERC20.transferFrom, (_from, _to, _amount)));
    }

    /// @dev Some tokens return nothing, and some return false instead of reverting.
    function _call(address _token, bytes memory _data) private {
        require(_token.code.length > 0, "Address: call to non-contract");
        (bool success, bytes memory result) = _token.call(_data);
        if (!success) {
            require(result.length > 0, "SafeERC20: low-level call failed");
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
        if (result.length > 0) require(abi.decode(result, (bool)), "SafeERC20: ERC20 operation did not succeed");
    }

    /// @dev Whatever the contract does, the question costs no more than its gas: one word of the answer is copied.
    function _claims(address _account, bytes4 _interfaceId) private view returns (bool claims_) {
        bytes memory query = abi.encodeCall(IERC165.supportsInterface, (_interfaceId));
        assembly ("memory-safe") {
            mstore(0, 0)
            let success := staticcall(QUERY_GAS, _account, add(query, 0x20), mload(query), 0, 0x20)
            claims_ := and(and(success, gt(returndatasize(), 0x1f)), iszero(iszero(mload(0))))
        }
    }
}
