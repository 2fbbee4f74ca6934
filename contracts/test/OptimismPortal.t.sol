// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { OptimismPortal } from "src/L1/OptimismPortal.sol";
import { ResourceMetering } from "src/L1/ResourceMetering.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { GameType, IAnchorStateRegistry, IDisputeGame } from "src/interfaces/IDispute.sol";
import { IETHLockbox } from "src/interfaces/IETHLockbox.sol";
import { ISystemConfig } from "src/interfaces/ISystemConfig.sol";
import { L1Fixture, Lockbox } from "test/support/L1Fixture.sol";

contract OptimismPortalTest is L1Fixture {
    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);

    address internal constant USER = address(0xB0B);
    bytes32 internal constant LOCKBOX = "ETH_LOCKBOX";

    function setUp() public {
        vm.roll(1000);
        // Well above the deposits' base fee, so that little gas is burnt.
        vm.fee(100 gwei);
        setUpL1();
    }

    function test_initialize_values() public view {
        assertEq(address(portal.systemConfig()), address(config), "systemConfig");
        assertEq(address(portal.anchorStateRegistry()), address(0x456), "anchorStateRegistry");
        assertEq(address(portal.ethLockbox()), address(0), "ethLockbox");
        assertEq(portal.l2Sender(), 0x000000000000000000000000000000000000dEaD, "l2Sender");
        assertEq(portal.proofMaturityDelaySeconds(), 604_800, "delay");
        assertEq(portal.initVersion(), 3, "initVersion");
        assertEq(portal.guardian(), pause.guardian(), "guardian");
        assertEq(address(portal.superchainConfig()), address(pause), "superchainConfig");
        assertTrue(!portal.paused(), "running");
        assertParams(1 gwei, 0, 1000);
        assertEq(vm.load(address(portal), bytes32(uint256(0))), bytes32(uint256(3)), "slot 0");
        assertEq(vm.load(address(portal), bytes32(uint256(50))), bytes32(uint256(0xdEaD)), "slot 50");
        assertEq(vm.load(address(portal), bytes32(uint256(55))), bytes32(uint256(uint160(address(config)))), "slot 55");
        assertEq(vm.load(address(portal), bytes32(uint256(62))), bytes32(uint256(0x456)), "slot 62");
        assertEq(vm.load(address(portal), bytes32(uint256(63))), bytes32(0), "slot 63");
    }

    function test_registry_isAsked() public {
        address registry = address(portal.anchorStateRegistry());
        vm.mockCall(registry, abi.encodeCall(IAnchorStateRegistry.disputeGameFactory, ()), abi.encode(1));
        vm.mockCall(registry, abi.encodeCall(IAnchorStateRegistry.disputeGameFinalityDelaySeconds, ()), abi.encode(2));
        vm.mockCall(registry, abi.encodeCall(IAnchorStateRegistry.respectedGameType, ()), abi.encode(3));
        vm.mockCall(registry, abi.encodeCall(IAnchorStateRegistry.retirementTimestamp, ()), abi.encode(4));
        IDisputeGame game = IDisputeGame(address(5));
        vm.mockCall(registry, abi.encodeCall(IAnchorStateRegistry.disputeGameBlacklist, (game)), abi.encode(true));
        assertEq(address(portal.disputeGameFactory()), address(1), "disputeGameFactory");
        assertEq(portal.disputeGameFinalityDelaySeconds(), 2, "disputeGameFinalityDelaySeconds");
        assertEq(GameType.unwrap(portal.respectedGameType()), 3, "respectedGameType");
        assertEq(portal.respectedGameTypeUpdatedAt(), 4, "respectedGameTypeUpdatedAt");
        assertTrue(portal.disputeGameBlacklist(game), "disputeGameBlacklist");
    }

    /// @dev Tools tell portals with dispute games from older ones by the major version.
    function test_version_isBareAndAtLeastThree() public view {
        bytes memory version = bytes(portal.version());
        assertEq(version.length, 5, "major.minor.patch");
        assertTrue(version[0] >= "3" && version[1] == "." && version[3] == ".", "semver");
    }

    function test_initialize_onceOnly() public {
        (bool success,) = address(portal).call(initializePortal());
        assertTrue(!success, "initialized already");
        OptimismPortal implementation = new OptimismPortal(0);
        (success,) = address(implementation).call(initializePortal());
        assertTrue(!success, "the implementation is locked");
    }

    function test_initialize_onlyAdminOrItsOwner() public {
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(address(new OptimismPortal(0)));
        proxy.changeAdmin(address(new ProxyAdmin(OWNER)));
        bytes memory call = initializePortal();
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
    }

    function test_initialize_lockboxMatchesFeature() public {
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(address(new OptimismPortal(0)));
        proxy.changeAdmin(address(new ProxyAdmin(OWNER)));
        OptimismPortal fresh = OptimismPortal(payable(address(proxy)));
        IAnchorStateRegistry none = IAnchorStateRegistry(address(0));
        IETHLockbox lockbox = new Lockbox();
        ISystemConfig systemConfig = ISystemConfig(address(config));

        vm.startPrank(OWNER);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidLockboxState.selector);
        fresh.initialize(systemConfig, none, lockbox);
        feature("INTEROP", true);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidInteropState.selector);
        fresh.initialize(systemConfig, none, lockbox);
        feature(LOCKBOX, true);
        vm.expectRevert(OptimismPortal.OptimismPortal_InvalidLockboxState.selector);
        fresh.initialize(systemConfig, none, IETHLockbox(address(0)));
        fresh.initialize(systemConfig, none, lockbox);
        assertEq(address(fresh.ethLockbox()), address(lockbox), "lockbox");
    }

    function testFuzz_deposit_byAccount(
        address _to,
        uint128 _mint,
        uint256 _value,
        uint64 _gasLimit,
        bool _isCreation,
        bytes memory _data
    )
        public
    {
        if (_isCreation) _to = address(0);
        _gasLimit = uint64(bound(_gasLimit, portal.minimumGasLimit(uint64(_data.length)), 20_000_000));
        vm.deal(USER, _mint);
        uint256 before = address(portal).balance;
        vm.expectEmit(address(portal));
        emit TransactionDeposited(USER, _to, 0, abi.encodePacked(uint256(_mint), _value, _gasLimit, _isCreation, _data));
        vm.prank(USER, USER);
        portal.depositTransaction{ value: _mint }(_to, _value, _gasLimit, _isCreation, _data);
        assertEq(address(portal).balance, before + _mint, "ether is kept");
        assertParams(1 gwei, _gasLimit, 1000);
    }

    function testFuzz_deposit_aliasesContracts(address _sender, bytes memory _code) public {
        vm.assume(_sender != USER && _sender != address(this) && _sender != address(portal));
        vm.assume(_sender != address(vm) && _sender.code.length == 0 && uint160(_sender) > 0xffff);
        // No account holds code that starts with this byte, but for delegations.
        if (_code.length > 0) _code[0] = 0x60;
        vm.etch(_sender, _code);
        expectFrom(aliased(_sender));
        vm.prank(_sender, USER);
        portal.depositTransaction(USER, 0, 100_000, false, "");
    }

    function test_deposit_aliasWraps() public {
        address sender = address(type(uint160).max);
        expectFrom(address(uint160(0x1111000000000000000000000000000000001110)));
        vm.prank(sender, USER);
        portal.depositTransaction(USER, 0, 100_000, false, "");
    }

    function testFuzz_deposit_delegatedAccountIsNoContract(address _sender, address _delegate) public {
        vm.setEvmVersion("prague");
        vm.assume(_sender != address(this) && _sender != address(portal) && _sender != address(vm));
        vm.assume(_sender.code.length == 0 && uint160(_sender) > 0xffff);
        vm.etch(_sender, abi.encodePacked(hex"ef0100", _delegate));
        // Sent by another one's transaction, as a bundler does.
        expectFrom(_sender);
        vm.prank(_sender, USER);
        portal.depositTransaction(USER, 0, 100_000, false, "");
    }

    function test_deposit_delegationNeedsLengthAndPrefix() public {
        address sender = address(0xC0DE00);
        // No account has longer code with the prefix: EIP-3541 and EIP-7702 keep it for delegations.
        bytes[3] memory codes =
            [abi.encodePacked(hex"600100", USER), abi.encodePacked(hex"ff0100", USER), new bytes(23)];
        for (uint256 i = 0; i < codes.length; ++i) {
            vm.etch(sender, codes[i]);
            expectFrom(aliased(sender));
            vm.prank(sender, USER);
            portal.depositTransaction(USER, 0, 100_000, false, "");
        }
    }

    function test_receive_depositsForSender() public {
        vm.deal(USER, 5);
        vm.expectEmit(address(portal));
        emit TransactionDeposited(USER, USER, 0, abi.encodePacked(uint256(5), uint256(5), uint64(100_000), false));
        vm.prank(USER, USER);
        (bool success,) = address(portal).call{ value: 5 }("");
        assertTrue(success, "received");
    }

    function test_donateETH_makesNoDeposit() public {
        vm.deal(USER, 5);
        vm.recordLogs();
        vm.prank(USER, USER);
        portal.donateETH{ value: 5 }();
        assertEq(vm.getRecordedLogs().length, 0, "no log");
        assertEq(address(portal).balance, 5, "kept");
    }

    function testFuzz_deposit_creationHasNoTarget(address _to) public {
        vm.assume(_to != address(0));
        vm.expectRevert(OptimismPortal.OptimismPortal_BadTarget.selector);
        portal.depositTransaction(_to, 0, 100_000, true, "");
    }

    function testFuzz_deposit_minimumGas(uint256 _length, uint64 _gasLimit) public {
        bytes memory data = new bytes(bound(_length, 0, 120_000));
        uint64 minimum = uint64(21_000 + 40 * data.length);
        assertEq(portal.minimumGasLimit(uint64(data.length)), minimum, "minimum");
        _gasLimit = uint64(bound(_gasLimit, 0, minimum - 1));
        vm.expectRevert(OptimismPortal.OptimismPortal_GasLimitTooLow.selector);
        portal.depositTransaction(USER, 0, _gasLimit, false, data);
        portal.depositTransaction(USER, 0, minimum, false, data);
    }

    function test_deposit_maximumData() public {
        portal.depositTransaction(USER, 0, 10_000_000, false, new bytes(120_000));
        vm.expectRevert(OptimismPortal.OptimismPortal_CalldataTooLarge.selector);
        portal.depositTransaction(USER, 0, 10_000_000, false, new bytes(120_001));
    }

    function test_deposit_customGasTokenTakesNoEther() public {
        feature("CUSTOM_GAS_TOKEN", true);
        vm.deal(USER, 1);
        vm.prank(USER, USER);
        vm.expectRevert(OptimismPortal.OptimismPortal_NotAllowedOnCGTMode.selector);
        portal.depositTransaction{ value: 1 }(USER, 0, 100_000, false, "");
        portal.depositTransaction(USER, 1, 100_000, false, "");
    }

    function test_deposit_locksEtherInLockbox() public {
        feature(LOCKBOX, true);
        Lockbox lockbox = new Lockbox();
        vm.store(address(portal), bytes32(uint256(63)), bytes32(uint256(uint160(address(lockbox)))));
        vm.deal(USER, 7);
        vm.prank(USER, USER);
        portal.depositTransaction{ value: 7 }(USER, 7, 100_000, false, "");
        assertEq(address(lockbox).balance, 7, "locked");
        assertEq(address(portal).balance, 0, "not kept");
    }

    function test_metering_blockIsSoldOut() public {
        portal.depositTransaction(USER, 0, 19_900_000, false, "");
        portal.depositTransaction(USER, 0, 100_000, false, "");
        assertParams(1 gwei, 20_000_000, 1000);
        vm.expectRevert(ResourceMetering.OutOfGas.selector);
        portal.depositTransaction(USER, 0, 21_000, false, "");
        vm.roll(1001);
        portal.depositTransaction(USER, 0, 21_000, false, "");
        // Ten times the target: (20 M - 2 M) / 2 M / 8 of the base fee more.
        assertParams(1 gwei + 1 gwei * 9 / 8, 21_000, 1001);
    }

    function test_metering_feeFallsWithoutDeposits() public {
        setBaseFee(1000 gwei);
        vm.fee(1000 gwei);
        vm.roll(1001);
        portal.depositTransaction(USER, 0, 2_000_000, false, "");
        assertParams(875 gwei, 2_000_000, 1001);
        // The target was met, so that the first block keeps the fee and the two empty ones lower it.
        vm.roll(1004);
        portal.depositTransaction(USER, 0, 21_000, false, "");
        assertParams(uint128(875 gwei * 49) / 64, 21_000, 1004);
        vm.roll(1_000_000_000);
        portal.depositTransaction(USER, 0, 21_000, false, "");
        assertParams(1 gwei, 21_000, 1_000_000_000);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_metering_burnsThePrice(uint64 _gasLimit, uint64 _l1BaseFee) public {
        _gasLimit = uint64(bound(_gasLimit, 200_000, 2_000_000));
        vm.fee(bound(_l1BaseFee, 0, 20 gwei));
        _l1BaseFee = uint64(block.basefee);
        setBaseFee(3 gwei);
        uint256 price = uint256(_gasLimit) * 3 gwei / (_l1BaseFee > 1 gwei ? _l1BaseFee : 1 gwei);
        uint256 start = gasleft();
        portal.depositTransaction(USER, 0, _gasLimit, false, "");
        uint256 used = start - gasleft();
        assertTrue(used >= price, "at least the price");
        // Beside the price: the proxy's call and the refund of what the deposit used anyway.
        assertTrue(used < price + 100_000, "not much more than the price");
    }

    /// @dev Deposits beside the official portal, in the same block or the next: the same market to the wei.
    function testFuzz_official_sameDeposits(
        address _sender,
        address _to,
        uint128 _mint,
        uint256 _value,
        bool _isCreation,
        bytes memory _data,
        uint24[6] memory _gas
    )
        public
    {
        address official = deployOfficialPortal();
        vm.assume(_sender != address(this) && _sender != address(vm) && _sender != official);
        vm.assume(_sender != address(portal) && uint160(_sender) > 0xffff);
        uint256 number = 1000;
        for (uint256 i = 0; i < _gas.length; ++i) {
            if (_gas[i] & 1 == 1) vm.roll(++number);
            uint64 gasLimit = uint64(bound(_gas[i], portal.minimumGasLimit(uint64(_data.length)), 16_777_215));
            if (_isCreation) _to = address(0);
            bytes memory call = abi.encodeCall(portal.depositTransaction, (_to, _value, gasLimit, _isCreation, _data));
            assertSame(address(portal), official, _sender, _mint, call);
            assertSame(address(portal), official, abi.encodeCall(portal.params, ()));
        }
        assertSame(address(portal), official, _sender, _mint, "");
        assertSame(address(portal), official, _sender, _mint, abi.encodeCall(portal.donateETH, ()));
        assertSame(address(portal), official, abi.encodeCall(portal.l2Sender, ()));
        assertEq(address(portal).balance, official.balance, "balance");
    }

    /// @dev After empty blocks the two differ in rounding only.
    function testFuzz_official_sameDecay(uint128 _baseFee, uint16 _blocks) public {
        address official = deployOfficialPortal();
        _baseFee = uint128(bound(_baseFee, 1 gwei, 1e21));
        setBaseFee(_baseFee);
        vm.store(official, bytes32(uint256(1)), vm.load(address(portal), bytes32(uint256(1))));
        vm.roll(1001 + uint256(_blocks));
        vm.fee(type(uint64).max);
        portal.depositTransaction(USER, 0, 21_000, false, "");
        OptimismPortal(payable(official)).depositTransaction(USER, 0, 21_000, false, "");
        (uint128 ours,,) = portal.params();
        (uint128 theirs,,) = OptimismPortal(payable(official)).params();
        uint256 difference = ours > theirs ? ours - theirs : theirs - ours;
        // The official one rounds at 1e-18 of the original fee.
        assertTrue(difference <= uint256(_baseFee) / 1e15 + 1, "close");
    }

    function deployOfficialPortal() internal returns (address) {
        return deployProxied(
            deployOfficial("OptimismPortal2", abi.encode(604_800, 302_400)),
            abi.encodeWithSignature(
                "initialize(address,address,address,uint32)", address(0), address(config), address(pause), 0
            )
        );
    }

    /// @dev Sets a feature's flag in storage: this test is the admin of the proxy, which the setter can't be reached by.
    function feature(bytes32 _name, bool _enabled) internal {
        bytes32 slot = keccak256(abi.encode(_name, 109));
        vm.store(address(config), slot, bytes32(uint256(_enabled ? 1 : 0)));
        assertEq(config.isFeatureEnabled(_name) ? 1 : 0, _enabled ? 1 : 0, "feature");
    }

    function setBaseFee(uint128 _baseFee) internal {
        vm.store(address(portal), bytes32(uint256(1)), bytes32(uint256(1000) << 192 | _baseFee));
    }

    function assertParams(uint128 _baseFee, uint64 _bought, uint256 _number) internal view {
        (uint128 prevBaseFee, uint64 prevBoughtGas, uint64 prevBlockNum) = portal.params();
        assertEq(prevBaseFee, _baseFee, "prevBaseFee");
        assertEq(prevBoughtGas, _bought, "prevBoughtGas");
        assertEq(prevBlockNum, _number, "prevBlockNum");
        assertEq(
            vm.load(address(portal), bytes32(uint256(1))),
            bytes32(_number << 192 | uint256(_bought) << 128 | _baseFee),
            "slot 1"
        );
    }

    function aliased(address _account) internal pure returns (address) {
        unchecked {
            return address(uint160(_account) + uint160(0x1111000000000000000000000000000000001111));
        }
    }

    function expectFrom(address _from) internal {
        vm.expectEmit(address(portal));
        emit TransactionDeposited(_from, USER, 0, abi.encodePacked(uint256(0), uint256(0), uint64(100_000), false));
    }
}
