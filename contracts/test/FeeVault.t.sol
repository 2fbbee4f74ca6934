// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { BaseFeeVault } from "src/L2/BaseFeeVault.sol";
import { FeeVault, WithdrawalNetwork } from "src/L2/FeeVault.sol";
import { L1FeeVault } from "src/L2/L1FeeVault.sol";
import { L2ToL1MessagePasser } from "src/L2/L2ToL1MessagePasser.sol";
import { OperatorFeeVault } from "src/L2/OperatorFeeVault.sol";
import { SequencerFeeVault } from "src/L2/SequencerFeeVault.sol";
import { L2_TO_L1_MESSAGE_PASSER } from "src/libraries/Constants.sol";
import { NamespacedInitializable } from "src/universal/NamespacedInitializable.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { ProxyAdmin } from "src/universal/ProxyAdmin.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { Recorder, Refusing } from "test/support/Coins.sol";
import { Test } from "test/support/Test.sol";

contract FeeVaultTest is Test {
    event Withdrawal(uint256 value, address to, address from);
    event Withdrawal(uint256 value, address to, address from, WithdrawalNetwork withdrawalNetwork);
    event MinWithdrawalAmountUpdated(uint256 oldWithdrawalAmount, uint256 newWithdrawalAmount);
    event RecipientUpdated(address oldRecipient, address newRecipient);
    event WithdrawalNetworkUpdated(WithdrawalNetwork oldWithdrawalNetwork, WithdrawalNetwork newWithdrawalNetwork);
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );

    address internal constant OWNER = address(0xA11CE);
    address internal constant RECIPIENT = address(0xFEE);

    SequencerFeeVault internal vault;

    function setUp() public {
        vm.etch(L2_TO_L1_MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        vault = SequencerFeeVault(payable(deploy(address(new SequencerFeeVault()), WithdrawalNetwork.L2)));
    }

    /// @dev A vault behind a proxy whose admin is OWNER's.
    function deploy(address _implementation, WithdrawalNetwork _network) internal returns (address) {
        Proxy proxy = new Proxy(address(this));
        proxy.upgradeTo(_implementation);
        proxy.changeAdmin(address(new ProxyAdmin(OWNER)));
        vm.prank(OWNER);
        FeeVault(payable(address(proxy))).initialize(RECIPIENT, 10 ether, _network);
        return address(proxy);
    }

    function test_initialize_onceAndByTheAdmin() public {
        assertEq(vault.recipient(), RECIPIENT, "recipient");
        assertEq(vault.RECIPIENT(), RECIPIENT, "RECIPIENT");
        assertEq(vault.l1FeeWallet(), RECIPIENT, "l1FeeWallet");
        assertEq(vault.minWithdrawalAmount(), 10 ether, "minimum");
        assertEq(vault.MIN_WITHDRAWAL_AMOUNT(), 10 ether, "MIN_WITHDRAWAL_AMOUNT");
        assertTrue(vault.withdrawalNetwork() == WithdrawalNetwork.L2, "network");
        assertTrue(vault.WITHDRAWAL_NETWORK() == WithdrawalNetwork.L2, "WITHDRAWAL_NETWORK");
        // ERC-7201 of "openzeppelin.storage.Initializable".
        bytes32 slot = 0xf0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00;
        assertEq(vm.load(address(vault), slot), bytes32(uint256(1)), "initialized");
        vm.prank(OWNER);
        vm.expectRevert(NamespacedInitializable.InvalidInitialization.selector);
        vault.initialize(OWNER, 0, WithdrawalNetwork.L1);
        vm.store(address(vault), slot, 0);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOrProxyAdminOwner.selector);
        vault.initialize(OWNER, 0, WithdrawalNetwork.L1);
        // Without a proxy there is no admin.
        SequencerFeeVault implementation = new SequencerFeeVault();
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotResolvedDelegateProxy.selector);
        implementation.initialize(OWNER, 0, WithdrawalNetwork.L1);
    }

    function testFuzz_withdraw_onL2(uint96 _value) public {
        vm.deal(address(vault), _value);
        if (_value < 10 ether) {
            vm.expectRevert("FeeVault: withdrawal amount must be greater than minimum withdrawal amount");
            vault.withdraw();
            return;
        }
        vm.expectEmit(address(vault));
        emit Withdrawal(_value, RECIPIENT, address(this));
        vm.expectEmit(address(vault));
        emit Withdrawal(_value, RECIPIENT, address(this), WithdrawalNetwork.L2);
        assertEq(vault.withdraw(), _value, "value");
        assertEq(RECIPIENT.balance, _value, "paid");
        assertEq(address(vault).balance, 0, "nothing left");
        assertEq(vault.totalProcessed(), _value, "total");
    }

    function testFuzz_withdraw_toL1(uint96 _value) public {
        vault = SequencerFeeVault(payable(deploy(address(new SequencerFeeVault()), WithdrawalNetwork.L1)));
        uint256 value = bound(_value, 10 ether, type(uint96).max);
        vm.deal(address(vault), value);
        uint256 nonce = uint256(1) << 240;
        bytes32 hash = keccak256(abi.encode(nonce, vault, RECIPIENT, value, uint256(400_000), bytes("")));
        vm.expectEmit(L2_TO_L1_MESSAGE_PASSER);
        emit MessagePassed(nonce, address(vault), RECIPIENT, value, 400_000, "", hash);
        assertEq(vault.withdraw(), value, "value");
        assertEq(L2_TO_L1_MESSAGE_PASSER.balance, value, "on its way");
    }

    function test_withdraw_refusedOrReentered() public {
        Refusing refusing = new Refusing();
        vm.deal(address(vault), 10 ether);
        vm.prank(OWNER);
        vault.setRecipient(address(refusing));
        vm.expectRevert("FeeVault: failed to send ETH to L2 fee recipient");
        vault.withdraw();
        assertEq(vault.totalProcessed(), 0, "nothing paid");
        Recorder recorder = new Recorder();
        recorder.set(address(vault), abi.encodeCall(vault.withdraw, ()));
        vm.startPrank(OWNER);
        vault.setRecipient(address(recorder));
        vault.setMinWithdrawalAmount(1);
        vm.stopPrank();
        vault.withdraw();
        assertTrue(!recorder.success(), "there is nothing to have twice");
        assertEq(vault.totalProcessed(), 10 ether, "once");
    }

    function testFuzz_setters_ofTheOwner(address _recipient, uint256 _minimum) public {
        vm.startPrank(OWNER);
        vm.expectEmit(address(vault));
        emit RecipientUpdated(RECIPIENT, _recipient);
        vault.setRecipient(_recipient);
        vm.expectEmit(address(vault));
        emit MinWithdrawalAmountUpdated(10 ether, _minimum);
        vault.setMinWithdrawalAmount(_minimum);
        vm.expectEmit(address(vault));
        emit WithdrawalNetworkUpdated(WithdrawalNetwork.L2, WithdrawalNetwork.L1);
        vault.setWithdrawalNetwork(WithdrawalNetwork.L1);
        vm.stopPrank();
        assertEq(vault.recipient(), _recipient, "recipient");
        assertEq(vault.minWithdrawalAmount(), _minimum, "minimum");
        assertTrue(vault.withdrawalNetwork() == WithdrawalNetwork.L1, "network");
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        vault.setRecipient(_recipient);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        vault.setMinWithdrawalAmount(0);
        vm.expectRevert(ProxyAdminOwnedBase.ProxyAdminOwnedBase_NotProxyAdminOwner.selector);
        vault.setWithdrawalNetwork(WithdrawalNetwork.L2);
    }

    /// @dev The older vaults hold their parameters in their code, and return nothing. (To L1 they pay by the bridge.)
    /// forge-config: default.fuzz.runs = 16
    function testFuzz_official_withdrawSame(uint96 _value) public {
        WithdrawalNetwork network = WithdrawalNetwork.L2;
        string[3] memory names = ["SequencerFeeVault", "BaseFeeVault", "L1FeeVault"];
        address[3] memory ours = [
            deploy(address(new SequencerFeeVault()), network),
            deploy(address(new BaseFeeVault()), network),
            deploy(address(new L1FeeVault()), network)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            address official = deployOfficial(names[i], abi.encode(RECIPIENT, 10 ether, network));
            vm.deal(ours[i], _value);
            vm.deal(official, _value);
            (bool success,) = ours[i].call(abi.encodeCall(vault.withdraw, ()));
            (bool same,) = official.call(abi.encodeCall(vault.withdraw, ()));
            assertTrue(success == same, "success");
            assertEq(ours[i].balance, official.balance, "balance");
            assertEq(vm.load(ours[i], 0), vm.load(official, 0), "total");
        }
        assertEq(OperatorFeeVault(payable(address(new OperatorFeeVault()))).version(), "1.1.1", "operator's vault");
    }
}
