// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_ERC721_BRIDGE } from "src/libraries/Constants.sol";
import { ERC721Bridge } from "src/universal/ERC721Bridge.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { IERC721 } from "src/interfaces/ITokens.sol";

/// @notice The bridge of ERC-721 tokens on L1, which keeps what is on L2.
contract L1ERC721Bridge is ERC721Bridge, ReinitializableBase, ProxyAdminOwnedBase, ISemver {
    /// @notice Whether a token is kept here, by its contract, that contract's partner on L2, and its number.
    mapping(address => mapping(address => mapping(uint256 => bool))) public deposits;
    address private spacer_50_0_20;
    /// @notice The chain's configuration, whose pause stops giving out.
    ISystemConfig public systemConfig;

    constructor() ReinitializableBase(3) {
        _disableInitializers();
    }

    /// @notice Sets the bridge up; only for the proxy's admin or the admin's owner.
    function initialize(
        ICrossDomainMessenger _messenger,
        ISystemConfig _systemConfig
    )
        external
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        systemConfig = _systemConfig;
        _connect(_messenger, ERC721Bridge(L2_ERC721_BRIDGE));
    }

    function superchainConfig() external view returns (ISuperchainConfig) {
        return systemConfig.superchainConfig();
    }

    function paused() public view override returns (bool) {
        return systemConfig.paused();
    }

    function version() external view returns (string memory) {
        return "2.9.1";
    }

    /// @dev The note is made first: a token that calls back finds it, as the other chain will.
    function _take(address _localToken, address _remoteToken, uint256 _tokenId) internal override {
        require(_remoteToken != address(0), "L1ERC721Bridge: remote token cannot be address(0)");
        deposits[_localToken][_remoteToken][_tokenId] = true;
        IERC721(_localToken).transferFrom(msg.sender, address(this), _tokenId);
    }

    function _release(address _localToken, address _remoteToken, address _to, uint256 _tokenId) internal override {
        require(!paused(), "L1ERC721Bridge: paused");
        require(_localToken != address(this), "L1ERC721Bridge: local token cannot be self");
        require(
            deposits[_localToken][_remoteToken][_tokenId], "L1ERC721Bridge: Token ID is not escrowed in the L1 Bridge"
        );
        deposits[_localToken][_remoteToken][_tokenId] = false;
        IERC721(_localToken).safeTransferFrom(address(this), _to, _tokenId);
    }
}
