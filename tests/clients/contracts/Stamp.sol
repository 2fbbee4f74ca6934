// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A collection of ERC-721 tokens; the first `count` ids are its creator's.
contract Stamp {
    string public constant name = "Stamp";
    string public constant symbol = "STMP";

    mapping(uint256 => address) public ownerOf;
    mapping(uint256 => address) public getApproved;
    mapping(address => mapping(address => bool)) public isApprovedForAll;

    event Transfer(address indexed from, address indexed to, uint256 indexed id);
    event Approval(address indexed owner, address indexed approved, uint256 indexed id);

    constructor(uint256 count) {
        for (uint256 id = 0; id < count; id++) {
            ownerOf[id] = msg.sender;
            emit Transfer(address(0), msg.sender, id);
        }
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x80ac58cd;
    }

    function approve(address approved, uint256 id) external {
        require(ownerOf[id] == msg.sender, "not the owner");
        getApproved[id] = approved;
        emit Approval(msg.sender, approved, id);
    }

    function transferFrom(address from, address to, uint256 id) public {
        require(ownerOf[id] == from, "not the owner");
        require(msg.sender == from || getApproved[id] == msg.sender, "not approved");
        delete getApproved[id];
        ownerOf[id] = to;
        emit Transfer(from, to, id);
    }

    /// The bridges' recipients here are accounts without code, hence nobody is asked.
    function safeTransferFrom(address from, address to, uint256 id) external {
        transferFrom(from, to, id);
    }
}
