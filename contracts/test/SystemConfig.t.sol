// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { SystemConfig } from "src/L1/SystemConfig.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { L1Fixture } from "test/support/L1Fixture.sol";
import { Vm } from "test/support/Vm.sol";

contract SystemConfigTest is L1Fixture {
    event ConfigUpdate(uint256 indexed version, SystemConfig.UpdateType indexed updateType, bytes data);
    event FeatureSet(bytes32 indexed feature, bool indexed enabled);

    bytes32 internal constant LOCKBOX = "ETH_LOCKBOX";

    function setUp() public {
        vm.roll(1234);
        setUpL1();
    }

    function test_initialize_values() public view {
        assertEq(config.owner(), OWNER, "owner");
        assertEq(config.overhead(), 0, "overhead");
        assertEq(config.scalar(), uint256(1) << 248 | uint256(810_949) << 32 | 1368, "scalar");
        assertEq(config.basefeeScalar(), 1368, "basefeeScalar");
        assertEq(config.blobbasefeeScalar(), 810_949, "blobbasefeeScalar");
        assertEq(config.batcherHash(), bytes32(uint256(0xBA7C)), "batcherHash");
        assertEq(config.gasLimit(), 60_000_000, "gasLimit");
        assertEq(config.minimumGasLimit(), 21_000_000, "minimumGasLimit");
        assertEq(config.maximumGasLimit(), 500_000_000, "maximumGasLimit");
        assertEq(config.unsafeBlockSigner(), address(0x516), "unsafeBlockSigner");
        assertEq(config.batchInbox(), address(0xFF00), "batchInbox");
        assertEq(config.startBlock(), 1234, "startBlock");
        assertEq(config.l2ChainId(), 901, "l2ChainId");
        assertEq(address(config.superchainConfig()), address(pause), "superchainConfig");
        assertEq(config.guardian(), pause.guardian(), "guardian");
        assertEq(abi.encode(config.getAddresses()), abi.encode(addresses()), "addresses");
        assertEq(abi.encode(config.resourceConfig()), abi.encode(defaultResourceConfig()), "resourceConfig");
        assertEq(config.initVersion(), 3, "initVersion");
        assertEq(uint256(config.eip1559Denominator()) + config.eip1559Elasticity(), 0, "eip1559");
        assertEq(uint256(config.operatorFeeScalar()) + config.operatorFeeConstant(), 0, "operator fee");
        assertEq(uint256(config.minBaseFee()) + config.daFootprintGasScalar(), 0, "Jovian");
        assertTrue(!config.isCustomGasToken(), "ether");
    }

    function test_initialize_updatesInOrder() public {
        Proxy proxy = new Proxy(address(this));
        address implementation = address(new SystemConfig());
        vm.recordLogs();
        proxy.upgradeToAndCall(implementation, initializeConfig(OWNER));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 7, "Upgraded, twice OwnershipTransferred, three updates, Initialized");
        SystemConfig.UpdateType[3] memory order =
            [SystemConfig.UpdateType.BATCHER, SystemConfig.UpdateType.FEE_SCALARS, SystemConfig.UpdateType.GAS_LIMIT];
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(logs[i + 3].topics[0], ConfigUpdate.selector, "ConfigUpdate");
            assertEq(logs[i + 3].topics[1], 0, "version");
            assertEq(uint256(logs[i + 3].topics[2]), uint256(order[i]), "type");
        }
    }

    function test_initialize_onceOnly() public {
        bytes memory call = initializeConfig(OWNER);
        assertRefused(address(this), call, "Initializable: contract is already initialized");
        address implementation = address(new SystemConfig());
        (bool success,) = implementation.call(call);
        assertTrue(!success, "the implementation is locked");
        assertEq(SystemConfig(implementation).startBlock(), type(uint256).max, "and has no start");
    }

    function test_initialize_onlyAdminOrItsOwner() public {
        ProxyAdmin admin = new ProxyAdmin(OWNER);
        address implementation = address(new SystemConfig());
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(implementation);
        proxy.changeAdmin(address(admin));
        bytes memory call = initializeConfig(OWNER);
        (bool success, bytes memory result) = address(proxy).call(call);
        assertTrue(!success, "a stranger may not");
        assertEq(
            result,
            abi.encodePacked(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector),
            "reason"
        );
        vm.prank(OWNER);
        (success,) = address(proxy).call(call);
        assertTrue(success, "the admin's owner may");

        proxy = new Proxy(address(admin));
        vm.prank(OWNER);
        admin.upgradeAndCall(payable(address(proxy)), implementation, call);
        assertEq(SystemConfig(address(proxy)).owner(), OWNER, "the admin may");
    }

    function testFuzz_setters_updateAndStore(uint256 _a, uint256 _b) public {
        set(abi.encodeWithSignature("setBatcherHash(bytes32)", _a), SystemConfig.UpdateType.BATCHER, abi.encode(_a));
        assertSlot(103, _a);

        address account = address(uint160(_a));
        set(
            abi.encodeWithSignature("setBatcherHash(address)", account),
            SystemConfig.UpdateType.BATCHER,
            abi.encode(account)
        );
        assertSlot(103, uint160(account));

        uint256 scalar = _b >> 8;
        set(
            abi.encodeCall(config.setGasConfig, (_a, scalar)),
            SystemConfig.UpdateType.FEE_SCALARS,
            abi.encode(_a, scalar)
        );
        assertSlot(101, _a);
        assertSlot(102, scalar);

        scalar = uint256(1) << 248 | uint256(uint32(_b)) << 32 | uint32(_a);
        set(
            abi.encodeCall(config.setGasConfigEcotone, (uint32(_a), uint32(_b))),
            SystemConfig.UpdateType.FEE_SCALARS,
            abi.encode(_a, scalar)
        );
        assertSlot(102, scalar);

        uint64 gasLimit = uint64(bound(_a, 21_000_000, 500_000_000));
        set(abi.encodeCall(config.setGasLimit, (gasLimit)), SystemConfig.UpdateType.GAS_LIMIT, abi.encode(gasLimit));
        assertSlot(104, uint256(uint32(_b)) << 96 | uint256(uint32(_a)) << 64 | gasLimit);

        set(
            abi.encodeCall(config.setUnsafeBlockSigner, (account)),
            SystemConfig.UpdateType.UNSAFE_BLOCK_SIGNER,
            abi.encode(account)
        );
        assertSlot(uint256(keccak256("systemconfig.unsafeblocksigner")), uint160(account));

        set(
            abi.encodeCall(config.setMinBaseFee, (uint64(_b))),
            SystemConfig.UpdateType.MIN_BASE_FEE,
            abi.encode(uint64(_b))
        );
        assertSlot(108, uint256(uint64(_b)) << 160 | uint160(address(pause)));
    }

    function testFuzz_setters_slot106(
        uint32 _denominator,
        uint32 _elasticity,
        uint32 _operatorScalar,
        uint64 _operatorConstant,
        uint16 _daFootprint
    )
        public
    {
        _denominator = uint32(bound(_denominator, 1, type(uint32).max));
        _elasticity = uint32(bound(_elasticity, 1, type(uint32).max));
        set(
            abi.encodeCall(config.setEIP1559Params, (_denominator, _elasticity)),
            SystemConfig.UpdateType.EIP_1559_PARAMS,
            abi.encodePacked(bytes24(0), _denominator, _elasticity)
        );
        set(
            abi.encodeCall(config.setOperatorFeeScalars, (_operatorScalar, _operatorConstant)),
            SystemConfig.UpdateType.OPERATOR_FEE_PARAMS,
            abi.encodePacked(bytes20(0), _operatorScalar, _operatorConstant)
        );
        set(
            abi.encodeCall(config.setDAFootprintGasScalar, (_daFootprint)),
            SystemConfig.UpdateType.DA_FOOTPRINT_GAS_SCALAR,
            abi.encode(_daFootprint)
        );
        assertEq(
            vm.load(address(config), bytes32(uint256(106))),
            bytes32(
                abi.encodePacked(
                    bytes10(0), _daFootprint, _operatorConstant, _operatorScalar, _elasticity, _denominator
                )
            ),
            "slot 106"
        );
    }

    function test_updateTypes_areNumbered() public pure {
        assertEq(uint256(SystemConfig.UpdateType.BATCHER), 0, "BATCHER");
        assertEq(uint256(SystemConfig.UpdateType.FEE_SCALARS), 1, "FEE_SCALARS");
        assertEq(uint256(SystemConfig.UpdateType.GAS_LIMIT), 2, "GAS_LIMIT");
        assertEq(uint256(SystemConfig.UpdateType.UNSAFE_BLOCK_SIGNER), 3, "UNSAFE_BLOCK_SIGNER");
        assertEq(uint256(SystemConfig.UpdateType.EIP_1559_PARAMS), 4, "EIP_1559_PARAMS");
        assertEq(uint256(SystemConfig.UpdateType.OPERATOR_FEE_PARAMS), 5, "OPERATOR_FEE_PARAMS");
        assertEq(uint256(SystemConfig.UpdateType.MIN_BASE_FEE), 6, "MIN_BASE_FEE");
        assertEq(uint256(SystemConfig.UpdateType.DA_FOOTPRINT_GAS_SCALAR), 7, "DA_FOOTPRINT_GAS_SCALAR");
    }

    function test_setters_bounds() public {
        assertRefused(OWNER, abi.encodeCall(config.setGasLimit, (20_999_999)), "SystemConfig: gas limit too low");
        assertRefused(OWNER, abi.encodeCall(config.setGasLimit, (500_000_001)), "SystemConfig: gas limit too high");
        assertRefused(
            OWNER, abi.encodeCall(config.setGasConfig, (0, uint256(1) << 248)), "SystemConfig: scalar exceeds max."
        );
        assertRefused(OWNER, abi.encodeCall(config.setEIP1559Params, (0, 1)), "SystemConfig: denominator must be >= 1");
        assertRefused(OWNER, abi.encodeCall(config.setEIP1559Params, (1, 0)), "SystemConfig: elasticity must be >= 1");
    }

    function testFuzz_setters_onlyOwner(address _stranger) public {
        vm.assume(_stranger != OWNER && _stranger != address(this) && _stranger != address(0));
        bytes[11] memory calls = [
            abi.encodeWithSignature("setBatcherHash(bytes32)", 1),
            abi.encodeWithSignature("setBatcherHash(address)", 1),
            abi.encodeCall(config.setGasConfig, (1, 1)),
            abi.encodeCall(config.setGasConfigEcotone, (1, 1)),
            abi.encodeCall(config.setGasLimit, (30_000_000)),
            abi.encodeCall(config.setUnsafeBlockSigner, (address(1))),
            abi.encodeCall(config.setEIP1559Params, (1, 1)),
            abi.encodeCall(config.setMinBaseFee, (1)),
            abi.encodeCall(config.setOperatorFeeScalars, (1, 1)),
            abi.encodeCall(config.setDAFootprintGasScalar, (1)),
            abi.encodeCall(config.transferOwnership, (_stranger))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            assertRefused(_stranger, calls[i], "Ownable: caller is not the owner");
        }
    }

    function test_resourceConfig_refusals() public {
        IResourceMetering.ResourceConfig memory r = defaultResourceConfig();
        r.maximumBaseFee = r.minimumBaseFee - 1;
        assertInitializeRefused(60_000_000, r, "SystemConfig: min base fee must be less than max base");
        r = defaultResourceConfig();
        r.baseFeeMaxChangeDenominator = 1;
        assertInitializeRefused(60_000_000, r, "SystemConfig: denominator must be larger than 1");
        assertInitializeRefused(20_999_999, defaultResourceConfig(), "SystemConfig: gas limit too low");
        r = defaultResourceConfig();
        r.elasticityMultiplier = 0;
        assertInitializeRefused(60_000_000, r, "SystemConfig: elasticity multiplier cannot be 0");
        r.elasticityMultiplier = 3;
        assertInitializeRefused(60_000_000, r, "SystemConfig: precision loss with target resource limit");
    }

    function test_paused_allOrThisChain() public {
        assertTrue(!config.paused(), "running");
        pause.set(address(0x999), true);
        assertTrue(!config.paused(), "another chain's pause");
        pause.set(config.optimismPortal(), true);
        assertTrue(config.paused(), "this chain's pause");
        pause.set(config.optimismPortal(), false);
        pause.set(address(0), true);
        assertTrue(config.paused(), "everybody's pause");
    }

    function testFuzz_setFeature(bytes32 _feature, address _stranger) public {
        vm.assume(_feature != LOCKBOX && _stranger != address(this) && _stranger != address(0));
        ProxyAdmin admin = new ProxyAdmin(OWNER);
        Proxy(payable(address(config))).changeAdmin(address(admin));
        vm.assume(_stranger != OWNER && _stranger != address(admin));
        vm.prank(_stranger);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector);
        config.setFeature(_feature, true);

        vm.startPrank(OWNER);
        vm.expectRevert(SystemConfig.SystemConfig_InvalidFeatureState.selector);
        config.setFeature(_feature, false);
        vm.expectEmit(address(config));
        emit FeatureSet(_feature, true);
        config.setFeature(_feature, true);
        assertTrue(config.isFeatureEnabled(_feature), "on");
        assertEq(config.isCustomGasToken() ? 1 : 0, _feature == "CUSTOM_GAS_TOKEN" ? 1 : 0, "gas token");
        config.setFeature(_feature, false);
        assertTrue(!config.isFeatureEnabled(_feature), "off");
    }

    function test_setFeature_lockbox() public {
        Proxy(payable(address(config))).changeAdmin(address(new ProxyAdmin(OWNER)));
        address lockbox = address(0x10C);
        vm.mockCall(
            config.optimismPortal(), abi.encodeCall(IOptimismPortal2.ethLockbox, ()), abi.encode(address(lockbox))
        );
        vm.startPrank(OWNER);
        pause.set(address(0), true);
        vm.expectRevert(SystemConfig.SystemConfig_InvalidFeatureState.selector);
        config.setFeature(LOCKBOX, true);
        pause.set(address(0), false);
        config.setFeature(LOCKBOX, true);

        vm.expectRevert(SystemConfig.SystemConfig_InvalidFeatureState.selector);
        config.setFeature(LOCKBOX, false);
        pause.set(lockbox, true);
        assertTrue(config.paused(), "the lockbox's pause counts now");
        pause.set(lockbox, false);
        vm.mockCall(config.optimismPortal(), abi.encodeCall(IOptimismPortal2.ethLockbox, ()), abi.encode(address(0)));
        config.setFeature(LOCKBOX, false);
    }

    /// @dev The setters that 0.17.3 has, on values that both versions allow.
    function testFuzz_official_sameSetters(address _sender, uint256 _a, uint256 _b, uint64 _gasLimit) public {
        // Initialized in its own form, with seven addresses of which the last is the gas token.
        address official = address(new Proxy(address(this)));
        Proxy(payable(official))
            .upgradeToAndCall(
                deployOfficial("SystemConfig", ""),
                abi.encodePacked(
                    bytes4(
                        keccak256(
                            "initialize(address,uint32,uint32,bytes32,uint64,address,(uint32,uint8,uint8,uint32,uint32,uint128),address,(address,address,address,address,address,address,address))"
                        )
                    ),
                    abi.encode(OWNER, 1368, 810_949, 0xBA7C, 60_000_000, 0x516),
                    abi.encode(defaultResourceConfig()),
                    abi.encode(0xFF00, 0x101, 0x102, 0x103, 0xD1, 0x104, 0x105, address(0))
                )
            );
        vm.assume(_sender != address(this) && _sender != address(0));
        bytes[8] memory calls = [
            abi.encodeWithSignature("setBatcherHash(bytes32)", _a),
            abi.encodeCall(config.setGasConfig, (_a, _b)),
            abi.encodeCall(config.setGasConfigEcotone, (uint32(_a), uint32(_b))),
            abi.encodeCall(config.setGasLimit, (outsideNewRange(_gasLimit))),
            abi.encodeCall(config.setGasLimit, (uint64(bound(_gasLimit, 20_999_000, 200_000_000)))),
            abi.encodeCall(config.setUnsafeBlockSigner, (address(uint160(_a)))),
            abi.encodeCall(config.transferOwnership, (address(uint160(_b)))),
            abi.encodeCall(config.renounceOwnership, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            assertSame(address(config), official, _sender, 0, calls[i]);
            assertSame(address(config), official, OWNER, 0, calls[i]);
            assertSameGetters(official);
        }
        // Slot 0 holds the version of the initialization.
        for (uint256 slot = 1; slot <= 105; ++slot) {
            assertEq(vm.load(address(config), bytes32(slot)), vm.load(official, bytes32(slot)), "slot");
        }
    }

    /// @dev Not one of the gas limits that are above the cap of 0.17.3 and not above ours.
    function outsideNewRange(uint64 _gasLimit) internal pure returns (uint64) {
        return _gasLimit > 200_000_000 && _gasLimit <= 500_000_000 ? 0 : _gasLimit;
    }

    function assertSameGetters(address _official) internal {
        bytes4[24] memory getters = [
            config.VERSION.selector,
            config.UNSAFE_BLOCK_SIGNER_SLOT.selector,
            config.L1_CROSS_DOMAIN_MESSENGER_SLOT.selector,
            config.L1_ERC_721_BRIDGE_SLOT.selector,
            config.L1_STANDARD_BRIDGE_SLOT.selector,
            config.OPTIMISM_PORTAL_SLOT.selector,
            config.OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT.selector,
            config.BATCH_INBOX_SLOT.selector,
            config.START_BLOCK_SLOT.selector,
            config.overhead.selector,
            config.scalar.selector,
            config.batcherHash.selector,
            config.gasLimit.selector,
            config.basefeeScalar.selector,
            config.blobbasefeeScalar.selector,
            config.minimumGasLimit.selector,
            config.unsafeBlockSigner.selector,
            config.l1CrossDomainMessenger.selector,
            config.l1ERC721Bridge.selector,
            config.l1StandardBridge.selector,
            config.optimismPortal.selector,
            config.optimismMintableERC20Factory.selector,
            config.resourceConfig.selector,
            config.owner.selector
        ];
        for (uint256 i = 0; i < getters.length; ++i) {
            assertTrue(assertSame(address(config), _official, abi.encodePacked(getters[i])), "getter");
        }
        assertTrue(assertSame(address(config), _official, abi.encodeCall(config.startBlock, ())), "startBlock");
        assertTrue(assertSame(address(config), _official, abi.encodeCall(config.batchInbox, ())), "batchInbox");
    }

    function set(bytes memory _call, SystemConfig.UpdateType _type, bytes memory _data) internal {
        vm.expectEmit(address(config));
        emit ConfigUpdate(0, _type, _data);
        vm.prank(OWNER);
        (bool success,) = address(config).call(_call);
        assertTrue(success, "set");
    }

    function assertSlot(uint256 _slot, uint256 _expected) internal view {
        assertEq(uint256(vm.load(address(config), bytes32(_slot))), _expected, "slot");
    }

    function assertRefused(address _sender, bytes memory _call, string memory _reason) internal {
        vm.prank(_sender);
        (bool success, bytes memory result) = address(config).call(_call);
        assertTrue(!success, "refused");
        assertEq(result, abi.encodeWithSignature("Error(string)", _reason), "reason");
    }

    function assertInitializeRefused(
        uint64 _gasLimit,
        IResourceMetering.ResourceConfig memory _resourceConfig,
        string memory _reason
    )
        internal
    {
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(address(new SystemConfig()));
        proxy.changeAdmin(address(new ProxyAdmin(OWNER)));
        vm.prank(OWNER);
        (bool success, bytes memory result) = address(proxy).call(initializeConfig(OWNER, _gasLimit, _resourceConfig));
        assertTrue(!success, "refused");
        assertEq(result, abi.encodeWithSignature("Error(string)", _reason), "reason");
    }
}
