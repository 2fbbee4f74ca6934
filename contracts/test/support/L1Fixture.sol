// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { OptimismPortal } from "src/L1/OptimismPortal.sol";
import { SystemConfig } from "src/L1/SystemConfig.sol";
import { IAnchorStateRegistry } from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { Test } from "test/support/Test.sol";

/// @notice A pause switch to set by hand.
contract Pause is ISuperchainConfig {
    mapping(address => bool) public paused;
    address public constant guardian = address(0x6A2D);

    function set(address _identifier, bool _paused) external {
        paused[_identifier] = _paused;
    }
}

/// @notice A lockbox that takes what it is given and gives what it is asked for.
contract Lockbox is IETHLockbox {
    function lockETH() external payable { }
    function receiveLiquidity() external payable { }

    function unlockETH(uint256 _value) external {
        OptimismPortal(payable(msg.sender)).donateETH{ value: _value }();
    }
}

/// @notice The L1 contracts of a chain behind proxies that the test administers.
abstract contract L1Fixture is Test {
    address internal constant OWNER = address(0xA11CE);

    SystemConfig internal config;
    OptimismPortal internal portal;
    Pause internal pause;

    function setUpL1() internal virtual {
        pause = new Pause();
        config = SystemConfig(deployProxied(address(new SystemConfig()), initializeConfig(OWNER)));
        portal = OptimismPortal(payable(deployProxied(address(new OptimismPortal(604_800)), initializePortal())));
    }

    function defaultResourceConfig() internal pure returns (IResourceMetering.ResourceConfig memory) {
        return IResourceMetering.ResourceConfig({
            maxResourceLimit: 20_000_000,
            elasticityMultiplier: 10,
            baseFeeMaxChangeDenominator: 8,
            minimumBaseFee: 1 gwei,
            systemTxMaxGas: 1_000_000,
            maximumBaseFee: type(uint128).max
        });
    }

    function addresses() internal pure returns (SystemConfig.Addresses memory) {
        return SystemConfig.Addresses({
            l1CrossDomainMessenger: address(0x101),
            l1ERC721Bridge: address(0x102),
            l1StandardBridge: address(0x103),
            optimismPortal: address(0x104),
            optimismMintableERC20Factory: address(0x105),
            delayedWETH: address(0x106),
            opcm: address(0x107)
        });
    }

    function initializeConfig(address _owner) internal view returns (bytes memory) {
        return initializeConfig(_owner, 60_000_000, defaultResourceConfig());
    }

    function initializeConfig(
        address _owner,
        uint64 _gasLimit,
        IResourceMetering.ResourceConfig memory _resourceConfig
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 batcher = bytes32(uint256(0xBA7C));
        return abi.encodeCall(
            SystemConfig.initialize,
            (
                _owner,
                1368,
                810_949,
                batcher,
                _gasLimit,
                address(0x516),
                _resourceConfig,
                address(0xFF00),
                addresses(),
                901,
                pause
            )
        );
    }

    function initializePortal() internal view returns (bytes memory) {
        return abi.encodeCall(
            OptimismPortal.initialize,
            (ISystemConfig(address(config)), IAnchorStateRegistry(address(0x456)), IETHLockbox(address(0)))
        );
    }
}
