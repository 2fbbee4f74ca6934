// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Storage } from "src/libraries/Storage.sol";
import { OwnableUpgradeable } from "src/universal/Ownable.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice A version of the protocol, as the OP Stack packs it: type, build, major, minor, patch, pre-release.
type ProtocolVersion is uint256;

/// @notice Tells nodes which version of the protocol they need, and which they should have.
contract ProtocolVersions is OwnableUpgradeable, ISemver {
    /// @notice What a ConfigUpdate changes.
    enum UpdateType {
        REQUIRED_PROTOCOL_VERSION,
        RECOMMENDED_PROTOCOL_VERSION
    }

    /// @param version    The form of `data`; 0.
    /// @param updateType What changes.
    /// @param data       The new value, ABI-encoded.
    event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data);

    uint256 public constant VERSION = 0;
    bytes32 public constant REQUIRED_SLOT = bytes32(uint256(keccak256("protocolversion.required")) - 1);
    bytes32 public constant RECOMMENDED_SLOT = bytes32(uint256(keccak256("protocolversion.recommended")) - 1);

    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the contract up, in the call that sets its proxy's implementation: whoever is first may.
    function initialize(
        address _owner,
        ProtocolVersion _required,
        ProtocolVersion _recommended
    )
        external
        reinitializer(1)
    {
        _transferOwnership(_owner);
        _set(UpdateType.REQUIRED_PROTOCOL_VERSION, REQUIRED_SLOT, _required);
        _set(UpdateType.RECOMMENDED_PROTOCOL_VERSION, RECOMMENDED_SLOT, _recommended);
    }

    /// @notice Below this version a node can't follow its chain.
    function setRequired(ProtocolVersion _required) external onlyOwner {
        _set(UpdateType.REQUIRED_PROTOCOL_VERSION, REQUIRED_SLOT, _required);
    }

    /// @notice Below this version a node should be updated.
    function setRecommended(ProtocolVersion _recommended) external onlyOwner {
        _set(UpdateType.RECOMMENDED_PROTOCOL_VERSION, RECOMMENDED_SLOT, _recommended);
    }

    function required() external view returns (ProtocolVersion out_) {
        return ProtocolVersion.wrap(Storage.getUint(REQUIRED_SLOT));
    }

    function recommended() external view returns (ProtocolVersion out_) {
        return ProtocolVersion.wrap(Storage.getUint(RECOMMENDED_SLOT));
    }

    function version() external view returns (string memory) {
        return "1.1.2";
    }

    function _set(UpdateType _type, bytes32 _slot, ProtocolVersion _version) private {
        Storage.setUint(_slot, ProtocolVersion.unwrap(_version));
        emit ConfigUpdate(VERSION, _type, abi.encode(_version));
    }
}
