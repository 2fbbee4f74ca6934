// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Initializable } from "src/universal/Initializable.sol";

/// @notice A contract with one owner. The event, the messages and the layouts below are OpenZeppelin's (4.x).
abstract contract Ownable {
    address private _owner;

    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    modifier onlyOwner() {
        require(msg.sender == _owner, "Ownable: caller is not the owner");
        _;
    }

    function owner() public view returns (address) {
        return _owner;
    }

    /// @notice Leaves the contract without an owner, for good.
    function renounceOwnership() public onlyOwner {
        _transferOwnership(address(0));
    }

    function transferOwnership(address newOwner) public onlyOwner {
        require(newOwner != address(0), "Ownable: new owner is the zero address");
        _transferOwnership(newOwner);
    }

    function _transferOwnership(address newOwner) internal {
        address oldOwner = _owner;
        _owner = newOwner;
        emit OwnershipTransferred(oldOwner, newOwner);
    }
}

/// @dev Puts 50 slots between the initializer's and the owner's.
abstract contract GapBeforeOwner {
    uint256[50] private __gap;
}

/// @notice An owner behind a proxy: slot 0 is the initializer's, slot 51 the owner, slot 101 the first of the contract.
abstract contract OwnableUpgradeable is Initializable, GapBeforeOwner, Ownable {
    uint256[49] private __gap;
}
