// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Text } from "src/libraries/Text.sol";
import { ERC721 } from "src/universal/ERC721.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { IOptimismMintableERC721 } from "src/interfaces/ITokens.sol";

/// @notice Stands for an ERC-721 token of the other chain. The bridge of this chain mints pieces that are kept there and
///         burns those that go back.
contract OptimismMintableERC721 is ERC721, ISemver {
    event Mint(address indexed account, uint256 tokenId);
    event Burn(address indexed account, uint256 tokenId);

    /// @notice The chain that the token is at home on.
    uint256 public immutable REMOTE_CHAIN_ID;
    /// @notice The token's contract there.
    address public immutable REMOTE_TOKEN;
    /// @notice Who mints and burns.
    address public immutable BRIDGE;

    modifier byBridge() {
        require(msg.sender == BRIDGE, "OptimismMintableERC721: only bridge can call this function");
        _;
    }

    constructor(
        address _bridge,
        uint256 _remoteChainId,
        address _remoteToken,
        string memory _name,
        string memory _symbol
    )
        ERC721(_name, _symbol, _uri(_remoteChainId, _remoteToken))
    {
        require(_bridge != address(0), "OptimismMintableERC721: bridge cannot be address(0)");
        require(_remoteChainId != 0, "OptimismMintableERC721: remote chain id cannot be zero");
        require(_remoteToken != address(0), "OptimismMintableERC721: remote token cannot be address(0)");
        BRIDGE = _bridge;
        REMOTE_CHAIN_ID = _remoteChainId;
        REMOTE_TOKEN = _remoteToken;
    }

    function safeMint(address _to, uint256 _tokenId) external byBridge {
        _safeMint(_to, _tokenId);
        emit Mint(_to, _tokenId);
    }

    /// @notice Burns a piece whoever its owner is; that `_from` is the owner is the bridge's concern.
    function burn(address _from, uint256 _tokenId) external byBridge {
        _burn(_tokenId);
        emit Burn(_from, _tokenId);
    }

    function remoteChainId() external view returns (uint256) {
        return REMOTE_CHAIN_ID;
    }

    function remoteToken() external view returns (address) {
        return REMOTE_TOKEN;
    }

    function bridge() external view returns (address) {
        return BRIDGE;
    }

    function version() external view returns (string memory) {
        return "1.3.2";
    }

    function supportsInterface(bytes4 _interfaceId) public view override returns (bool) {
        return _interfaceId == type(IOptimismMintableERC721).interfaceId || super.supportsInterface(_interfaceId);
    }

    /// @dev The pieces' URIs are EIP-681 calls of the token at home, where their metadata is.
    function _uri(uint256 _chainId, address _token) private pure returns (string memory) {
        return string.concat("ethereum:", Text.hexadecimal(_token), "@", Text.decimal(_chainId), "/tokenURI?uint256=");
    }
}
