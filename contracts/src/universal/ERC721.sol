// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Text } from "src/libraries/Text.sol";
import { IERC165, IERC721Receiver } from "src/interfaces/ITokens.sol";

/// @notice A token of single pieces that can be listed (ERC-721 with its metadata and enumeration). The layout and the
///         messages are OpenZeppelin's (4.x).
abstract contract ERC721 {
    /// @dev ERC-165 ids of the standard's three interfaces.
    bytes4 private constant CORE = 0x80ac58cd;
    bytes4 private constant METADATA = 0x5b5e139f;
    bytes4 private constant ENUMERABLE = 0x780e9d63;

    string private _name;
    string private _symbol;
    mapping(uint256 => address) private _owners;
    mapping(address => uint256) private _balances;
    mapping(uint256 => address) private _tokenApprovals;
    mapping(address => mapping(address => bool)) private _operatorApprovals;
    /// @dev The pieces of each owner, from 0 to its balance, and where each piece stands among them.
    mapping(address => mapping(uint256 => uint256)) private _ownedTokens;
    mapping(uint256 => uint256) private _ownedTokensIndex;
    /// @dev All pieces, and where each stands.
    uint256[] private _allTokens;
    mapping(uint256 => uint256) private _allTokensIndex;
    /// @notice What, with a piece's number behind it, tells of the piece.
    string public baseTokenURI;

    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

    constructor(string memory name_, string memory symbol_, string memory baseTokenURI_) {
        _name = name_;
        _symbol = symbol_;
        baseTokenURI = baseTokenURI_;
    }

    function approve(address to, uint256 tokenId) external {
        address owner = ownerOf(tokenId);
        require(to != owner, "ERC721: approval to current owner");
        require(
            msg.sender == owner || isApprovedForAll(owner, msg.sender),
            "ERC721: approve caller is not token owner nor approved for all"
        );
        _approve(owner, to, tokenId);
    }

    function setApprovalForAll(address operator, bool approved) external {
        require(msg.sender != operator, "ERC721: approve to caller");
        _operatorApprovals[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }

    function transferFrom(address from, address to, uint256 tokenId) external {
        _assertMayMove(tokenId);
        _transfer(from, to, tokenId);
    }

    function safeTransferFrom(address from, address to, uint256 tokenId) external {
        safeTransferFrom(from, to, tokenId, "");
    }

    function name() external view returns (string memory) {
        return _name;
    }

    function symbol() external view returns (string memory) {
        return _symbol;
    }

    function balanceOf(address owner) external view returns (uint256) {
        require(owner != address(0), "ERC721: address zero is not a valid owner");
        return _balances[owner];
    }

    function tokenURI(uint256 tokenId) external view returns (string memory) {
        ownerOf(tokenId);
        return string.concat(baseTokenURI, Text.decimal(tokenId));
    }

    function totalSupply() external view returns (uint256) {
        return _allTokens.length;
    }

    function tokenByIndex(uint256 index) external view returns (uint256) {
        require(index < _allTokens.length, "ERC721Enumerable: global index out of bounds");
        return _allTokens[index];
    }

    function tokenOfOwnerByIndex(address owner, uint256 index) external view returns (uint256) {
        require(owner != address(0), "ERC721: address zero is not a valid owner");
        require(index < _balances[owner], "ERC721Enumerable: owner index out of bounds");
        return _ownedTokens[owner][index];
    }

    /// @notice Moves a piece, and demands of a contract that it says it can handle it.
    function safeTransferFrom(address from, address to, uint256 tokenId, bytes memory data) public {
        _assertMayMove(tokenId);
        _transfer(from, to, tokenId);
        _assertAccepted(from, to, tokenId, data);
    }

    function ownerOf(uint256 tokenId) public view returns (address) {
        address owner = _owners[tokenId];
        require(owner != address(0), "ERC721: invalid token ID");
        return owner;
    }

    function getApproved(uint256 tokenId) public view returns (address) {
        ownerOf(tokenId);
        return _tokenApprovals[tokenId];
    }

    function isApprovedForAll(address owner, address operator) public view returns (bool) {
        return _operatorApprovals[owner][operator];
    }

    function supportsInterface(bytes4 _interfaceId) public view virtual returns (bool) {
        return _interfaceId == CORE || _interfaceId == METADATA || _interfaceId == ENUMERABLE
            || _interfaceId == type(IERC165).interfaceId;
    }

    function _safeMint(address _to, uint256 _tokenId) internal {
        require(_to != address(0), "ERC721: mint to the zero address");
        require(_owners[_tokenId] == address(0), "ERC721: token already minted");
        _allTokensIndex[_tokenId] = _allTokens.length;
        _allTokens.push(_tokenId);
        _give(_to, _tokenId);
        emit Transfer(address(0), _to, _tokenId);
        _assertAccepted(address(0), _to, _tokenId, "");
    }

    function _burn(uint256 _tokenId) internal {
        address owner = ownerOf(_tokenId);
        _approve(owner, address(0), _tokenId);
        _takeFrom(owner, _tokenId);
        // The last piece takes the place of the one that goes.
        uint256 index = _allTokensIndex[_tokenId];
        uint256 last = _allTokens[_allTokens.length - 1];
        _allTokens[index] = last;
        _allTokensIndex[last] = index;
        delete _allTokensIndex[_tokenId];
        _allTokens.pop();
        delete _owners[_tokenId];
        emit Transfer(owner, address(0), _tokenId);
    }

    function _transfer(address _from, address _to, uint256 _tokenId) private {
        require(ownerOf(_tokenId) == _from, "ERC721: transfer from incorrect owner");
        require(_to != address(0), "ERC721: transfer to the zero address");
        _approve(_from, address(0), _tokenId);
        // The owner's list keeps its order if nothing changes hands.
        if (_from != _to) {
            _takeFrom(_from, _tokenId);
            _give(_to, _tokenId);
        }
        emit Transfer(_from, _to, _tokenId);
    }

    function _give(address _to, uint256 _tokenId) private {
        uint256 index = _balances[_to]++;
        _ownedTokens[_to][index] = _tokenId;
        _ownedTokensIndex[_tokenId] = index;
        _owners[_tokenId] = _to;
    }

    /// @dev Leaves the piece without a place; its owner is still written down.
    function _takeFrom(address _from, uint256 _tokenId) private {
        uint256 index = _ownedTokensIndex[_tokenId];
        uint256 lastIndex = --_balances[_from];
        if (index != lastIndex) {
            uint256 last = _ownedTokens[_from][lastIndex];
            _ownedTokens[_from][index] = last;
            _ownedTokensIndex[last] = index;
        }
        delete _ownedTokensIndex[_tokenId];
        delete _ownedTokens[_from][lastIndex];
    }

    function _approve(address _owner, address _to, uint256 _tokenId) private {
        _tokenApprovals[_tokenId] = _to;
        emit Approval(_owner, _to, _tokenId);
    }

    function _assertMayMove(uint256 _tokenId) private view {
        address owner = ownerOf(_tokenId);
        require(
            msg.sender == owner || isApprovedForAll(owner, msg.sender) || getApproved(_tokenId) == msg.sender,
            "ERC721: caller is not token owner nor approved"
        );
    }

    function _assertAccepted(address _from, address _to, uint256 _tokenId, bytes memory _data) private {
        if (_to.code.length == 0) return;
        try IERC721Receiver(_to).onERC721Received(msg.sender, _from, _tokenId, _data) returns (bytes4 answer) {
            require(
                answer == IERC721Receiver.onERC721Received.selector,
                "ERC721: transfer to non ERC721Receiver implementer"
            );
        } catch (bytes memory reason) {
            require(reason.length > 0, "ERC721: transfer to non ERC721Receiver implementer");
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
    }
}
