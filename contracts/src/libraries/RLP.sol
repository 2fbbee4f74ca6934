// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Reads RLP in calldata, without copies. Lengths must be written in their shortest form.
library RLP {
    /// @dev The item has no bytes.
    error EmptyItem();
    /// @dev A list stands where a string must.
    error UnexpectedList();
    /// @dev A string stands where a list must.
    error UnexpectedString();
    /// @dev There are bytes behind the item.
    error InvalidDataRemainder();
    /// @dev The item ends before its length.
    error ContentLengthMismatch();
    /// @dev The length is not in its shortest form.
    error InvalidHeader();

    /// @dev Longest payload whose length stands in the first byte.
    uint256 private constant SHORT = 55;

    /// @notice The payload of an item that is a list and nothing else.
    function list(bytes calldata _item) internal pure returns (bytes calldata payload_) {
        (bool isList, uint256 start, uint256 end) = first(_item);
        if (!isList) revert UnexpectedString();
        if (end != _item.length) revert InvalidDataRemainder();
        return _item[start:end];
    }

    /// @notice The payload of an item that is a string and nothing else.
    function str(bytes calldata _item) internal pure returns (bytes calldata payload_) {
        (bool isList, uint256 start, uint256 end) = first(_item);
        if (isList) revert UnexpectedList();
        if (end != _item.length) revert InvalidDataRemainder();
        return _item[start:end];
    }

    /// @notice One of several items, header and all.
    function item(bytes calldata _items, uint256 _index) internal pure returns (bytes calldata) {
        uint256 end;
        for (uint256 i = 0; i < _index; ++i) {
            (,, end) = first(_items);
            _items = _items[end:];
        }
        (,, end) = first(_items);
        return _items[:end];
    }

    /// @notice Where the payload of the first of several items starts and ends.
    function first(bytes calldata _items) internal pure returns (bool isList_, uint256 start_, uint256 end_) {
        if (_items.length == 0) revert EmptyItem();
        uint256 prefix = uint8(_items[0]);
        if (prefix < 0x80) return (false, 0, 1);
        isList_ = prefix >= 0xc0;
        uint256 length = prefix - (isList_ ? 0xc0 : 0x80);
        start_ = 1;
        if (length > SHORT) {
            uint256 size = length - SHORT;
            if (_items.length <= size) revert ContentLengthMismatch();
            start_ += size;
            if (_items[1] == 0) revert InvalidHeader();
            length = uint256(bytes32(_items[1:start_])) >> (256 - 8 * size);
            if (length <= SHORT) revert InvalidHeader();
        }
        if (_items.length - start_ < length) revert ContentLengthMismatch();
        end_ = start_ + length;
        // A byte that stands for itself needs no header.
        if (!isList_ && length == 1 && start_ == 1 && _items[1] < 0x80) revert InvalidHeader();
    }
}
