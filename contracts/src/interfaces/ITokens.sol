// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A contract that tells which interfaces it has (ERC-165).
interface IERC165 {
    function supportsInterface(bytes4 _interfaceId) external view returns (bool);
}

/// @notice What the bridge uses of a fungible token.
interface IERC20 {
    function transfer(address _to, uint256 _amount) external returns (bool);
    function transferFrom(address _from, address _to, uint256 _amount) external returns (bool);
}

/// @notice A token that the bridge of its chain mints and burns, for one on the other chain. The interface's ERC-165 id
///         is what the bridge tells such tokens by.
interface IOptimismMintableERC20 {
    function remoteToken() external view returns (address);
    function bridge() external returns (address);
    function mint(address _to, uint256 _amount) external;
    function burn(address _from, uint256 _amount) external;
}

/// @notice The same before Bedrock, when such tokens were on L2 only.
interface ILegacyMintableERC20 {
    function l1Token() external view returns (address);
    function mint(address _to, uint256 _amount) external;
    function burn(address _from, uint256 _amount) external;
}

/// @notice What the bridge uses of a token of single pieces.
interface IERC721 {
    function ownerOf(uint256 _tokenId) external view returns (address);
    function transferFrom(address _from, address _to, uint256 _tokenId) external;
    function safeTransferFrom(address _from, address _to, uint256 _tokenId) external;
}

/// @notice A token of single pieces that the bridge of its chain mints and burns.
interface IOptimismMintableERC721 {
    function safeMint(address _to, uint256 _tokenId) external;
    function burn(address _from, uint256 _tokenId) external;
    function REMOTE_CHAIN_ID() external view returns (uint256);
    function REMOTE_TOKEN() external view returns (address);
    function BRIDGE() external view returns (address);
    function remoteChainId() external view returns (uint256);
    function remoteToken() external view returns (address);
    function bridge() external view returns (address);
}

/// @notice Whom a piece may safely be given to.
interface IERC721Receiver {
    /// @return The selector of this function; anything else refuses the piece.
    function onERC721Received(
        address _operator,
        address _from,
        uint256 _tokenId,
        bytes calldata _data
    )
        external
        returns (bytes4);
}
