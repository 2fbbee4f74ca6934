// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { GasPriceOracle } from "src/L2/GasPriceOracle.sol";
import { L1Block } from "src/L2/L1Block.sol";
import { L2ToL1MessagePasser } from "src/L2/L2ToL1MessagePasser.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { Test } from "test/support/Test.sol";
import { Vm } from "test/support/Vm.sol";

/// @notice The committed artifacts hold the code that these tests ran.
contract ArtifactsTest is Test {
    function test_artifacts_areWhatWasTested_andChainsTakeThem() public view {
        Vm.DirEntry[] memory files = vm.readDir("artifacts");
        assertTrue(files.length > 0, "there are artifacts");
        for (uint256 i = 0; i < files.length; ++i) {
            string memory json = vm.readFile(files[i].path);
            string memory name = vm.parseJsonString(json, ".contractName");
            bytes memory initCode = vm.parseJsonBytes(json, ".initCode");
            assertEq(initCode, vm.getCode(string.concat(name, ".sol:", name)), name);
            assertTrue(initCode.length <= 49_152, string.concat("EIP-3860: ", name));
            assertTrue(vm.parseJsonBytes(json, ".runtimeCode").length <= 24_576, string.concat("EIP-170: ", name));
        }
    }

    function test_runtimeCode_isWhatIsDeployed() public {
        assertEq(artifact("GasPriceOracle", ".runtimeCode"), address(new GasPriceOracle()).code, "GasPriceOracle");
        assertEq(artifact("L1Block", ".runtimeCode"), address(new L1Block()).code, "L1Block");
        assertEq(artifact("L2ToL1MessagePasser", ".runtimeCode"), address(new L2ToL1MessagePasser()).code, "passer");
        assertEq(artifact("Proxy", ".runtimeCode"), address(new Proxy(address(this))).code, "Proxy");
        assertEq(artifact("ProxyAdmin", ".runtimeCode"), address(new ProxyAdmin(address(this))).code, "ProxyAdmin");
    }

    function artifact(string memory _name, string memory _key) internal view returns (bytes memory) {
        return vm.parseJsonBytes(vm.readFile(string.concat("artifacts/", _name, ".json")), _key);
    }
}
