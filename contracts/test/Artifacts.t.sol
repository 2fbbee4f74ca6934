// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { OptimismPortal } from "src/L1/OptimismPortal.sol";
import { SystemConfig } from "src/L1/SystemConfig.sol";
import { GasPriceOracle } from "src/L2/GasPriceOracle.sol";
import { L1Block } from "src/L2/L1Block.sol";
import { L2ToL1MessagePasser } from "src/L2/L2ToL1MessagePasser.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { Test } from "test/support/Test.sol";

/// @notice The committed artifacts hold the code that these tests ran.
contract ArtifactsTest is Test {
    function test_initCode_isWhatWasTested() public view {
        assertInitCode("GasPriceOracle", type(GasPriceOracle).creationCode);
        assertInitCode("L1Block", type(L1Block).creationCode);
        assertInitCode("L2ToL1MessagePasser", type(L2ToL1MessagePasser).creationCode);
        assertInitCode("OptimismPortal", type(OptimismPortal).creationCode);
        assertInitCode("Proxy", type(Proxy).creationCode);
        assertInitCode("ProxyAdmin", type(ProxyAdmin).creationCode);
        assertInitCode("SystemConfig", type(SystemConfig).creationCode);
    }

    function test_runtimeCode_isWhatIsDeployed() public {
        assertEq(artifact("GasPriceOracle", ".runtimeCode"), address(new GasPriceOracle()).code, "GasPriceOracle");
        assertEq(artifact("L1Block", ".runtimeCode"), address(new L1Block()).code, "L1Block");
        assertEq(artifact("L2ToL1MessagePasser", ".runtimeCode"), address(new L2ToL1MessagePasser()).code, "passer");
        assertEq(artifact("Proxy", ".runtimeCode"), address(new Proxy(address(this))).code, "Proxy");
        assertEq(artifact("ProxyAdmin", ".runtimeCode"), address(new ProxyAdmin(address(this))).code, "ProxyAdmin");
    }

    function assertInitCode(string memory _name, bytes memory _creationCode) internal view {
        assertEq(artifact(_name, ".initCode"), _creationCode, _name);
    }

    function artifact(string memory _name, string memory _key) internal view returns (bytes memory) {
        return vm.parseJsonBytes(vm.readFile(string.concat("artifacts/", _name, ".json")), _key);
    }
}
