// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Initializable } from "src/universal/Initializable.sol";
import { OptimismMintableERC20 } from "src/universal/OptimismMintableERC20.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Creates tokens that stand for those of the other chain; anyone may have one made. A token's address depends on
///         what it is created with, so that there is one of each.
contract OptimismMintableERC20Factory is Initializable, ProxyAdminOwnedBase, ISemver {
    event StandardL2TokenCreated(address indexed remoteToken, address indexed localToken);
    event OptimismMintableERC20Created(address indexed localToken, address indexed remoteToken, address deployer);

    bytes30 private spacer_0_2_30;
    /// @notice Who mints and burns the tokens.
    address public bridge;
    /// @notice The remote token of each token created here.
    mapping(address => address) public deployments;
    uint256[48] private __gap;

    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the factory up; only for the proxy's admin or the admin's owner.
    function initialize(address _bridge) external reinitializer(1) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        bridge = _bridge;
    }

    /// @notice `createOptimismMintableERC20` by its older name.
    function createStandardL2Token(
        address _remoteToken,
        string memory _name,
        string memory _symbol
    )
        external
        returns (address)
    {
        return createOptimismMintableERC20(_remoteToken, _name, _symbol);
    }

    /// @notice Creates a token of 18 decimals.
    function createOptimismMintableERC20(
        address _remoteToken,
        string memory _name,
        string memory _symbol
    )
        public
        returns (address)
    {
        return createOptimismMintableERC20WithDecimals(_remoteToken, _name, _symbol, 18);
    }

    /// @notice Creates a token. Name, symbol and decimals should be the remote token's; that can't be seen from here.
    function createOptimismMintableERC20WithDecimals(
        address _remoteToken,
        string memory _name,
        string memory _symbol,
        uint8 _decimals
    )
        public
        returns (address)
    {
        require(_remoteToken != address(0), "OptimismMintableERC20Factory: must provide remote token address");
        bytes32 salt = keccak256(abi.encode(_remoteToken, _name, _symbol, _decimals));
        address token =
            address(new OptimismMintableERC20{ salt: salt }(bridge, _remoteToken, _name, _symbol, _decimals));
        deployments[token] = _remoteToken;
        emit StandardL2TokenCreated(_remoteToken, token);
        emit OptimismMintableERC20Created(token, _remoteToken, msg.sender);
        return token;
    }

    function BRIDGE() external view returns (address) {
        return bridge;
    }

    function version() external view returns (string memory) {
        return "1.11.0";
    }
}
