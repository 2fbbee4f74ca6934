// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { OptimismMintableERC721 } from "src/L2/OptimismMintableERC721.sol";
import { Initializable } from "src/universal/Initializable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @dev Keeps the mapping where it was when the factory had no initializer.
abstract contract FactoryRecord {
    /// @notice Whether a token was created here.
    mapping(address => bool) public isOptimismMintableERC721;
}

/// @notice Creates tokens that stand for ERC-721 tokens of the other chain; anyone may have one made, one of each name.
contract OptimismMintableERC721Factory is FactoryRecord, Initializable, ProxyAdminOwnedBase, ISemver {
    event OptimismMintableERC721Created(address indexed localToken, address indexed remoteToken, address deployer);

    /// @notice Who mints and burns the tokens.
    address public bridge;
    /// @notice The chain that the tokens are at home on.
    uint256 public remoteChainID;
    uint256[46] private __gap;

    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the factory up; only for the proxy's admin or the admin's owner.
    function initialize(address _bridge, uint256 _remoteChainID) external reinitializer(1) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        bridge = _bridge;
        remoteChainID = _remoteChainID;
    }

    /// @notice Creates a token. Name and symbol should be the remote token's; that can't be seen from here.
    function createOptimismMintableERC721(
        address _remoteToken,
        string memory _name,
        string memory _symbol
    )
        external
        returns (address)
    {
        require(_remoteToken != address(0), "OptimismMintableERC721Factory: L1 token address cannot be address(0)");
        bytes32 salt = keccak256(abi.encode(_remoteToken, _name, _symbol));
        address token =
            address(new OptimismMintableERC721{ salt: salt }(bridge, remoteChainID, _remoteToken, _name, _symbol));
        isOptimismMintableERC721[token] = true;
        emit OptimismMintableERC721Created(token, _remoteToken, msg.sender);
        return token;
    }

    function BRIDGE() external view returns (address) {
        return bridge;
    }

    function REMOTE_CHAIN_ID() external view returns (uint256) {
        return remoteChainID;
    }

    function version() external view returns (string memory) {
        return "1.5.1";
    }
}
