// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { L2_CROSS_DOMAIN_MESSENGER } from "src/libraries/Constants.sol";
import { Tokens } from "src/libraries/Tokens.sol";
import { ERC721Bridge } from "src/universal/ERC721Bridge.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ICrossDomainMessenger } from "src/interfaces/ICrossDomainMessenger.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { IERC721, IOptimismMintableERC721 } from "src/interfaces/ITokens.sol";

/// @notice The bridge of ERC-721 tokens on L2, which mints and burns.
contract L2ERC721Bridge is ERC721Bridge, ProxyAdminOwnedBase, ISemver {
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the bridge up; only for the proxy's admin or the admin's owner.
    function initialize(ERC721Bridge _l1ERC721Bridge) external reinitializer(1) {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        _connect(ICrossDomainMessenger(L2_CROSS_DOMAIN_MESSENGER), _l1ERC721Bridge);
    }

    function version() external view returns (string memory) {
        return "1.10.1";
    }

    function _take(address _localToken, address _remoteToken, uint256 _tokenId) internal override {
        require(_remoteToken != address(0), "L2ERC721Bridge: remote token cannot be address(0)");
        require(
            msg.sender == IERC721(_localToken).ownerOf(_tokenId),
            "L2ERC721Bridge: Withdrawal is not being initiated by NFT owner"
        );
        require(
            _remoteToken == IOptimismMintableERC721(_localToken).remoteToken(),
            "L2ERC721Bridge: remote token does not match given value"
        );
        IOptimismMintableERC721(_localToken).burn(msg.sender, _tokenId);
    }

    function _release(address _localToken, address _remoteToken, address _to, uint256 _tokenId) internal override {
        require(_localToken != address(this), "L2ERC721Bridge: local token cannot be self");
        require(
            Tokens.offers(_localToken, type(IOptimismMintableERC721).interfaceId),
            "L2ERC721Bridge: local token interface is not compliant"
        );
        require(
            _remoteToken == IOptimismMintableERC721(_localToken).remoteToken(),
            "L2ERC721Bridge: wrong remote token for Optimism Mintable ERC721 local token"
        );
        IOptimismMintableERC721(_localToken).safeMint(_to, _tokenId);
    }
}
