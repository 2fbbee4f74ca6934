// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { PROXY_IMPLEMENTATION_ADDRESS } from "src/libraries/Constants.sol";
import { Ownable } from "src/universal/Ownable.sol";
import {
    IAddressManager,
    IL1ChugSplashProxy,
    IProxy,
    IStaticERC1967Proxy,
    IStaticL1ChugSplashProxy
} from "src/interfaces/IProxies.sol";

/// @notice The admin of proxies: EIP-1967 ones, and the two legacy kinds of chains that began before Bedrock.
contract ProxyAdmin is Ownable {
    enum ProxyType {
        ERC1967,
        CHUGSPLASH,
        RESOLVED
    }

    /// @notice The kind of each proxy; EIP-1967 unless set.
    mapping(address => ProxyType) public proxyType;
    /// @notice The name of a resolved proxy's implementation in the AddressManager.
    mapping(address => string) public implementationName;
    IAddressManager public addressManager;
    bool internal upgrading;

    constructor(address _owner) {
        _transferOwnership(_owner);
    }

    function setProxyType(address _address, ProxyType _type) external onlyOwner {
        proxyType[_address] = _type;
    }

    function setImplementationName(address _address, string memory _name) external onlyOwner {
        implementationName[_address] = _name;
    }

    function setAddressManager(IAddressManager _address) external onlyOwner {
        addressManager = _address;
    }

    function setAddress(string memory _name, address _address) external onlyOwner {
        addressManager.setAddress(_name, _address);
    }

    /// @notice Sets a flag that Chugsplash proxies read: while it is set, only their owner may use them.
    function setUpgrading(bool _upgrading) external onlyOwner {
        upgrading = _upgrading;
    }

    function isUpgrading() external view returns (bool) {
        return upgrading;
    }

    function getProxyImplementation(address _proxy) external view returns (address) {
        ProxyType kind = proxyType[_proxy];
        if (kind == ProxyType.ERC1967) return IStaticERC1967Proxy(_proxy).implementation();
        if (kind == ProxyType.CHUGSPLASH) return IStaticL1ChugSplashProxy(_proxy).getImplementation();
        return addressManager.getAddress(implementationName[_proxy]);
    }

    function getProxyAdmin(address payable _proxy) external view returns (address) {
        ProxyType kind = proxyType[_proxy];
        if (kind == ProxyType.ERC1967) return IStaticERC1967Proxy(_proxy).admin();
        if (kind == ProxyType.CHUGSPLASH) return IStaticL1ChugSplashProxy(_proxy).getOwner();
        return addressManager.owner();
    }

    /// @notice Hands a proxy to another admin. For a resolved proxy this hands over the whole AddressManager.
    function changeProxyAdmin(address payable _proxy, address _newAdmin) external onlyOwner {
        ProxyType kind = proxyType[_proxy];
        if (kind == ProxyType.ERC1967) IProxy(_proxy).changeAdmin(_newAdmin);
        else if (kind == ProxyType.CHUGSPLASH) IL1ChugSplashProxy(_proxy).setOwner(_newAdmin);
        else addressManager.transferOwnership(_newAdmin);
    }

    function upgrade(address payable _proxy, address _implementation) public onlyOwner {
        ProxyType kind = proxyType[_proxy];
        if (kind == ProxyType.ERC1967) {
            IProxy(_proxy).upgradeTo(_implementation);
        } else if (kind == ProxyType.CHUGSPLASH) {
            bytes32 value = bytes32(uint256(uint160(_implementation)));
            IL1ChugSplashProxy(_proxy).setStorage(PROXY_IMPLEMENTATION_ADDRESS, value);
        } else {
            addressManager.setAddress(implementationName[_proxy], _implementation);
        }
    }

    /// @notice Upgrades a proxy and calls it with `_data` in one transaction. Only for an EIP-1967 proxy is the call
    ///         made by the proxy itself, in its own context; for the others it comes from this contract.
    function upgradeAndCall(
        address payable _proxy,
        address _implementation,
        bytes memory _data
    )
        external
        payable
        onlyOwner
    {
        if (proxyType[_proxy] == ProxyType.ERC1967) {
            IProxy(_proxy).upgradeToAndCall{ value: msg.value }(_implementation, _data);
            return;
        }
        upgrade(_proxy, _implementation);
        (bool success,) = _proxy.call{ value: msg.value }(_data);
        require(success, "ProxyAdmin: call to proxy after upgrade failed");
    }
}
