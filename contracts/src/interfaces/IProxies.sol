// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The admin's view of an EIP-1967 proxy.
interface IProxy {
    function upgradeTo(address _implementation) external;
    function upgradeToAndCall(address _implementation, bytes calldata _data) external payable returns (bytes memory);
    function changeAdmin(address _admin) external;
}

/// @notice The getters of an EIP-1967 proxy, which don't change state when the admin or address(0) calls them.
interface IStaticERC1967Proxy {
    function implementation() external view returns (address);
    function admin() external view returns (address);
}

/// @notice The owner's view of a legacy Chugsplash proxy.
interface IL1ChugSplashProxy {
    function setStorage(bytes32 _key, bytes32 _value) external;
    function setOwner(address _owner) external;
}

/// @notice The getters of a legacy Chugsplash proxy.
interface IStaticL1ChugSplashProxy {
    function getImplementation() external view returns (address);
    function getOwner() external view returns (address);
}

/// @notice The legacy registry that resolved delegate proxies look their implementation up in.
interface IAddressManager {
    function setAddress(string memory _name, address _address) external;
    function getAddress(string memory _name) external view returns (address);
    function owner() external view returns (address);
    function transferOwnership(address _newOwner) external;
}
