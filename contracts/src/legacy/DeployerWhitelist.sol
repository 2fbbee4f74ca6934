// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Said, before Bedrock, who may create contracts on L2. Nobody asks since.
contract DeployerWhitelist is ISemver {
    event OwnerChanged(address oldOwner, address newOwner);
    event WhitelistStatusChanged(address deployer, bool whitelisted);
    event WhitelistDisabled(address oldOwner);

    /// @notice Who rules the list; without an owner everybody is allowed.
    address public owner;
    mapping(address => bool) public whitelist;

    modifier onlyOwner() {
        require(msg.sender == owner, "DeployerWhitelist: function can only be called by the owner of this contract");
        _;
    }

    function setWhitelistedDeployer(address _deployer, bool _isWhitelisted) external onlyOwner {
        whitelist[_deployer] = _isWhitelisted;
        emit WhitelistStatusChanged(_deployer, _isWhitelisted);
    }

    function setOwner(address _owner) external onlyOwner {
        require(_owner != address(0), "DeployerWhitelist: can only be disabled via enableArbitraryContractDeployment");
        emit OwnerChanged(owner, _owner);
        owner = _owner;
    }

    /// @notice Ends the list, for good.
    function enableArbitraryContractDeployment() external onlyOwner {
        emit WhitelistDisabled(owner);
        owner = address(0);
    }

    function isDeployerAllowed(address _deployer) external view returns (bool) {
        return owner == address(0) || whitelist[_deployer];
    }

    function version() external view returns (string memory) {
        return "1.1.2";
    }
}
