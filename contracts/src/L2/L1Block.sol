// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { DEPOSITOR_ACCOUNT as DEPOSITOR, ETHER } from "src/libraries/Constants.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice What L2 knows of L1, written by the deposit that opens every L2 block. The execution engine reads the fee
///         parameters straight from slots 1, 3 and 5 to 8, so that the layout is part of consensus.
contract L1Block is ISemver, ProxyAdminOwnedBase {
    error NotDepositor();
    error L1Block_FeatureAlreadyEnabled();
    error L1Block_NotAuthorizedToSetFeature();

    event FeatureSet(bytes32 indexed feature, bool indexed enabled);

    /// @notice Number and time of the L2 block's L1 origin.
    uint64 public number;
    uint64 public timestamp;
    /// @notice Base fee of the L1 origin, in wei.
    uint256 public basefee;
    bytes32 public hash;
    /// @notice L2 blocks since the first one with this L1 origin.
    uint64 public sequenceNumber;
    /// @notice From Ecotone on, in millionths.
    uint32 public blobBaseFeeScalar;
    uint32 public baseFeeScalar;
    /// @notice The address of the batcher, left-padded.
    bytes32 public batcherHash;
    /// @notice Up to Ecotone: gas added to each transaction's data gas, and the fee's factor in millionths.
    uint256 public l1FeeOverhead;
    uint256 public l1FeeScalar;
    /// @notice Blob base fee of the L1 origin, in wei.
    uint256 public blobBaseFee;
    /// @notice From Isthmus on: the operator fee's constant (wei) and factor.
    uint64 public operatorFeeConstant;
    uint32 public operatorFeeScalar;
    /// @notice From Jovian on: L2 gas per byte of estimated data availability.
    uint16 public daFootprintGasScalar;
    /// @notice Optional features that were switched on; they can't be switched off.
    mapping(bytes32 => bool) public isFeatureEnabled;

    function version() public pure returns (string memory) {
        return "1.9.0";
    }

    function DEPOSITOR_ACCOUNT() public pure returns (address addr_) {
        addr_ = DEPOSITOR;
    }

    function gasPayingToken() public pure returns (address addr_, uint8 decimals_) {
        addr_ = ETHER;
        decimals_ = 18;
    }

    function gasPayingTokenName() public view returns (string memory name_) {
        name_ = "Ether";
    }

    function gasPayingTokenSymbol() public view returns (string memory symbol_) {
        symbol_ = "ETH";
    }

    function isCustomGasToken() public view returns (bool is_) {
        is_ = false;
    }

    /// @notice The attributes up to Ecotone, ABI-encoded.
    function setL1BlockValues(
        uint64 _number,
        uint64 _timestamp,
        uint256 _basefee,
        bytes32 _hash,
        uint64 _sequenceNumber,
        bytes32 _batcherHash,
        uint256 _l1FeeOverhead,
        uint256 _l1FeeScalar
    )
        external
    {
        require(msg.sender == DEPOSITOR, "L1Block: only the depositor account can set L1 block values");
        number = _number;
        timestamp = _timestamp;
        basefee = _basefee;
        hash = _hash;
        sequenceNumber = _sequenceNumber;
        batcherHash = _batcherHash;
        l1FeeOverhead = _l1FeeOverhead;
        l1FeeScalar = _l1FeeScalar;
    }

    /// @notice The attributes from Ecotone on. Calldata after the selector, packed:
    ///         0 baseFeeScalar (4), 4 blobBaseFeeScalar (4), 8 sequenceNumber (8), 16 timestamp (8), 24 number (8),
    ///         32 basefee (32), 64 blobBaseFee (32), 96 hash (32), 128 batcherHash (32).
    function setL1BlockValuesEcotone() external {
        _setEcotoneValues();
    }

    /// @notice As for Ecotone, then 160 operatorFeeScalar (4), 164 operatorFeeConstant (8).
    function setL1BlockValuesIsthmus() external {
        _setEcotoneValues();
        assembly ("memory-safe") {
            sstore(operatorFeeConstant.slot, shr(160, calldataload(164)))
        }
    }

    /// @notice As for Isthmus, then 172 daFootprintGasScalar (2).
    function setL1BlockValuesJovian() external {
        _setEcotoneValues();
        assembly ("memory-safe") {
            let operatorFee := shr(160, calldataload(164))
            let daFootprint := shr(240, calldataload(176))
            sstore(operatorFeeConstant.slot, or(shl(96, daFootprint), operatorFee))
        }
    }

    /// @notice Switches a feature on. The depositor, the proxy's admin and the admin's owner may.
    function setFeature(bytes32 _feature) external {
        if (msg.sender != DEPOSITOR && msg.sender != proxyAdminOwner() && msg.sender != address(proxyAdmin())) {
            revert L1Block_NotAuthorizedToSetFeature();
        }
        if (isFeatureEnabled[_feature]) revert L1Block_FeatureAlreadyEnabled();
        isFeatureEnabled[_feature] = true;
        emit FeatureSet(_feature, true);
    }

    /// @dev The fields that share a slot are adjacent in calldata, in the slot's order from the highest byte down, so
    ///      that one shift places them. Offsets count the selector's four bytes.
    function _setEcotoneValues() private {
        if (msg.sender != DEPOSITOR) revert NotDepositor();
        assembly ("memory-safe") {
            sstore(sequenceNumber.slot, shr(128, calldataload(4)))
            sstore(number.slot, shr(128, calldataload(20)))
            sstore(basefee.slot, calldataload(36))
            sstore(blobBaseFee.slot, calldataload(68))
            sstore(hash.slot, calldataload(100))
            sstore(batcherHash.slot, calldataload(132))
        }
    }
}
