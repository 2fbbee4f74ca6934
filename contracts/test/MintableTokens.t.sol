// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { OptimismMintableERC721 } from "src/L2/OptimismMintableERC721.sol";
import { OptimismMintableERC721Factory } from "src/L2/OptimismMintableERC721Factory.sol";
import { ERC721 } from "src/universal/ERC721.sol";
import { OptimismMintableERC20 } from "src/universal/OptimismMintableERC20.sol";
import { OptimismMintableERC20Factory } from "src/universal/OptimismMintableERC20Factory.sol";
import { Proxy } from "src/universal/Proxy.sol";
import { Test } from "test/support/Test.sol";

/// @notice Refuses pieces in all ways.
contract Receiver {
    uint256 private immutable WAY;

    constructor(uint256 _way) {
        WAY = _way;
    }

    function onERC721Received(address, address, uint256, bytes calldata) external view returns (bytes4) {
        require(WAY != 1, "Receiver: no");
        require(WAY != 2);
        return WAY == 3 ? bytes4(0) : this.onERC721Received.selector;
    }
}

contract MintableTokensTest is Test {
    event StandardL2TokenCreated(address indexed remoteToken, address indexed localToken);
    event OptimismMintableERC20Created(address indexed localToken, address indexed remoteToken, address deployer);
    event OptimismMintableERC721Created(address indexed localToken, address indexed remoteToken, address deployer);

    address internal constant BRIDGE = address(0xB1D);
    address internal constant REMOTE = 0xABcdEFABcdEFabcdEfAbCdefabcdeFABcDEFabCD;
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);
    address internal constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    bytes32 internal constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    OptimismMintableERC20 internal coin;
    OptimismMintableERC721 internal piece;
    OptimismMintableERC20Factory internal coins;
    OptimismMintableERC721Factory internal pieces;
    address internal officialCoin;
    address internal officialPiece;

    function setUp() public {
        coin = new OptimismMintableERC20(BRIDGE, REMOTE, "A coin whose name is longer than one word", "C", 6);
        piece = new OptimismMintableERC721(BRIDGE, 10, REMOTE, "Piece", "P");
        coins = OptimismMintableERC20Factory(
            deployProxied(
                address(new OptimismMintableERC20Factory()),
                abi.encodeCall(OptimismMintableERC20Factory.initialize, (BRIDGE))
            )
        );
        pieces = OptimismMintableERC721Factory(
            deployProxied(
                address(new OptimismMintableERC721Factory()),
                abi.encodeCall(OptimismMintableERC721Factory.initialize, (BRIDGE, 10))
            )
        );
        officialCoin = deployOfficial(
            "OptimismMintableERC20",
            abi.encode(BRIDGE, REMOTE, "A coin whose name is longer than one word", "C", uint8(6))
        );
        officialPiece = deployOfficial("OptimismMintableERC721", abi.encode(BRIDGE, uint256(10), REMOTE, "Piece", "P"));
    }

    // ERC-20.

    /// forge-config: default.fuzz.runs = 128
    function testFuzz_official_coinSame(uint256 _steps, uint256[8] memory _amounts) public {
        address[4] memory who = [ALICE, BOB, BRIDGE, address(0)];
        for (uint256 i = 0; i < 8; ++i) {
            // Amounts of which some fit, and some are too large.
            uint256 amount = _amounts[i] % 4 == 0 ? _amounts[i] : bound(_amounts[i], 0, 1e20);
            address from = who[(_steps >> 3) % 4];
            address to = who[(_steps >> 5) % 4];
            uint256 step = _steps % 8;
            _steps = uint256(keccak256(abi.encode(_steps)));
            bytes memory call = abi.encodeCall(coin.mint, (to, amount));
            address sender = i < 2 || amount % 8 < 5 ? BRIDGE : from;
            if (i >= 2 && step > 0) {
                sender = from;
                if (step == 1) (sender, call) = (BRIDGE, abi.encodeCall(coin.burn, (to, amount)));
                if (step == 2 || step == 3) call = abi.encodeCall(coin.transfer, (to, amount));
                if (step == 4) call = abi.encodeCall(coin.approve, (to, amount));
                if (step == 5) call = abi.encodeCall(coin.increaseAllowance, (to, amount));
                if (step == 6) call = abi.encodeCall(coin.decreaseAllowance, (to, amount));
                if (step == 7) (sender, call) = (to, abi.encodeCall(coin.transferFrom, (from, to, amount)));
            }
            assertSame(address(coin), officialCoin, sender, 0, call);
        }
        for (uint256 i = 0; i < 3; ++i) {
            assertSame(address(coin), officialCoin, abi.encodeCall(coin.balanceOf, (who[i])));
            assertSame(address(coin), officialCoin, abi.encodeCall(coin.allowance, (who[i], who[(i + 1) % 3])));
        }
        assertSame(address(coin), officialCoin, abi.encodeCall(coin.totalSupply, ()));
    }

    function test_official_coinGetters() public {
        bytes4[9] memory getters = [
            coin.name.selector,
            coin.symbol.selector,
            coin.decimals.selector,
            coin.REMOTE_TOKEN.selector,
            coin.BRIDGE.selector,
            coin.remoteToken.selector,
            coin.bridge.selector,
            coin.l1Token.selector,
            coin.l2Bridge.selector
        ];
        for (uint256 i = 0; i < 9; ++i) {
            assertTrue(assertSame(address(coin), officialCoin, abi.encodePacked(getters[i])), "getter");
        }
        bytes4[4] memory ids = [bytes4(0x01ffc9a7), 0x1d1d8b63, 0xec4fc8e3, 0xffffffff];
        for (uint256 i = 0; i < 4; ++i) {
            assertSame(address(coin), officialCoin, abi.encodeCall(coin.supportsInterface, (ids[i])));
        }
        assertTrue(coin.supportsInterface(0x1d1d8b63) && coin.supportsInterface(0xec4fc8e3), "mintable");
    }

    /// forge-config: default.fuzz.runs = 96
    function testFuzz_permit(uint256 _key, address _spender, uint256 _value, uint256 _deadline) public {
        vm.assume(_spender != address(0) && _spender != PERMIT2);
        _key = bound(_key, 1, 1 << 250);
        _deadline = bound(_deadline, block.timestamp, type(uint256).max);
        address owner = vm.addr(_key);
        (uint8 v, bytes32 r, bytes32 s) = sign(_key, owner, _spender, _value, 0, _deadline);
        // Its mirror image signs the same, and is refused.
        bytes32 mirror = bytes32(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141 - uint256(s));
        vm.expectRevert("ECDSA: invalid signature 's' value");
        coin.permit(owner, _spender, _value, _deadline, v == 27 ? 28 : 27, r, mirror);
        vm.expectRevert("ECDSA: invalid signature 'v' value");
        coin.permit(owner, _spender, _value, _deadline, v - 27, r, s);
        vm.expectRevert("ERC20Permit: invalid signature");
        coin.permit(BOB, _spender, _value, _deadline, v, r, s);
        coin.permit(owner, _spender, _value, _deadline, v, r, s);
        assertEq(coin.allowance(owner, _spender), _value, "allowance");
        assertEq(coin.nonces(owner), 1, "nonce");
        vm.expectRevert("ERC20Permit: invalid signature");
        coin.permit(owner, _spender, _value, _deadline, v, r, s);
    }

    function test_permit_expiredOrEmpty() public {
        vm.warp(1000);
        (uint8 v, bytes32 r, bytes32 s) = sign(1, vm.addr(1), BOB, 5, 0, 999);
        vm.expectRevert("ERC20Permit: expired deadline");
        coin.permit(vm.addr(1), BOB, 5, 999, v, r, s);
        vm.expectRevert("ECDSA: invalid signature");
        coin.permit(address(0), BOB, 5, 1000, 27, 0, 0);
    }

    /// @dev Permit2 may spend without an approval, and by its own rules only.
    function testFuzz_permit2(uint256 _amount) public {
        vm.prank(BRIDGE);
        coin.mint(ALICE, _amount);
        assertEq(coin.allowance(ALICE, PERMIT2), type(uint256).max, "allowance");
        vm.prank(PERMIT2);
        coin.transferFrom(ALICE, BOB, _amount);
        assertEq(coin.balanceOf(BOB), _amount, "moved");
        assertEq(coin.allowance(ALICE, PERMIT2), type(uint256).max, "not used up");
        vm.expectRevert("ERC20: insufficient allowance");
        coin.transferFrom(BOB, ALICE, _amount == 0 ? 1 : _amount);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_coinFactory(address _remote, uint8 _decimals, string memory _name) public {
        vm.assume(_remote != address(0));
        address token = create2(
            abi.encodePacked(
                type(OptimismMintableERC20).creationCode, abi.encode(BRIDGE, _remote, _name, "S", _decimals)
            ),
            keccak256(abi.encode(_remote, _name, "S", _decimals)),
            address(coins)
        );
        vm.expectEmit(address(coins));
        emit StandardL2TokenCreated(_remote, token);
        vm.expectEmit(address(coins));
        emit OptimismMintableERC20Created(token, _remote, ALICE);
        vm.prank(ALICE);
        address made = coins.createOptimismMintableERC20WithDecimals(_remote, _name, "S", _decimals);
        assertEq(made, token, "address");
        assertEq(coins.deployments(token), _remote, "record");
        OptimismMintableERC20 created = OptimismMintableERC20(token);
        assertEq(created.name(), _name, "name");
        assertEq(created.symbol(), "S", "symbol");
        assertEq(created.decimals(), _decimals, "decimals");
        assertEq(created.REMOTE_TOKEN(), _remote, "remote token");
        assertEq(created.BRIDGE(), BRIDGE, "bridge");
        vm.expectRevert();
        coins.createOptimismMintableERC20WithDecimals(_remote, _name, "S", _decimals);
    }

    function test_coinFactory_byAllNames() public {
        OptimismMintableERC20 made = OptimismMintableERC20(coins.createStandardL2Token(REMOTE, "A", "B"));
        assertEq(made.decimals(), 18, "18 decimals");
        vm.expectRevert();
        coins.createOptimismMintableERC20(REMOTE, "A", "B");
        vm.expectRevert("OptimismMintableERC20Factory: must provide remote token address");
        coins.createOptimismMintableERC20(address(0), "A", "B");
        assertEq(coins.BRIDGE(), BRIDGE, "BRIDGE");
        vm.expectRevert("Initializable: contract is already initialized");
        coins.initialize(ALICE);
        Proxy(payable(address(coins))).upgradeTo(address(new OptimismMintableERC20Factory()));
        assertEq(coins.deployments(address(made)), REMOTE, "an upgrade keeps the record");
    }

    // ERC-721.

    /// forge-config: default.fuzz.runs = 96
    function testFuzz_official_pieceSame(uint256 _steps) public {
        address[5] memory who = [ALICE, BOB, BRIDGE, address(0), address(new Receiver((_steps >> 250) % 5))];
        for (uint256 i = 0; i < 12; ++i) {
            address from = who[(_steps >> 8) % 5];
            address to = who[(_steps >> 16) % 5];
            uint256 id = (_steps >> 24) % 3;
            uint256 step = i < 4 ? 0 : _steps % 8;
            _steps = uint256(keccak256(abi.encode(_steps)));
            // Most calls come from who may make them.
            address sender = from;
            try piece.ownerOf(id) returns (address owner) {
                if (_steps % 4 > 0) (from, sender) = (owner, owner);
            } catch { }
            bytes memory call = abi.encodeCall(piece.safeMint, (to, id));
            if (step <= 1) sender = BRIDGE;
            if (step == 1) call = abi.encodeCall(piece.burn, (from, id));
            if (step == 2) call = abi.encodeCall(piece.transferFrom, (from, to, id));
            if (step == 3) call = abi.encodeWithSelector(0x42842e0e, from, to, id);
            if (step == 4) call = abi.encodeCall(piece.approve, (to, id));
            if (step == 5) call = abi.encodeCall(piece.setApprovalForAll, (to, _steps % 3 > 0));
            if (step == 6) (sender, call) = (to, abi.encodeCall(piece.transferFrom, (from, ALICE, id)));
            if (step == 7) call = abi.encodeWithSelector(0xb88d4fde, from, to, id, hex"1234");
            assertSame(address(piece), officialPiece, sender, 0, call);
        }
        for (uint256 i = 0; i < 5; ++i) {
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.balanceOf, (who[i])));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.tokenOfOwnerByIndex, (who[i], 0)));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.tokenOfOwnerByIndex, (who[i], 1)));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.tokenByIndex, (i)));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.ownerOf, (i)));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.getApproved, (i)));
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.tokenURI, (i)));
        }
        assertSame(address(piece), officialPiece, abi.encodeCall(piece.totalSupply, ()));
    }

    function test_official_pieceGetters() public {
        bytes4[9] memory getters = [
            piece.name.selector,
            piece.symbol.selector,
            piece.baseTokenURI.selector,
            piece.REMOTE_TOKEN.selector,
            piece.REMOTE_CHAIN_ID.selector,
            piece.BRIDGE.selector,
            piece.remoteToken.selector,
            piece.remoteChainId.selector,
            piece.bridge.selector
        ];
        for (uint256 i = 0; i < 9; ++i) {
            assertTrue(assertSame(address(piece), officialPiece, abi.encodePacked(getters[i])), "getter");
        }
        bytes4[6] memory ids = [bytes4(0x01ffc9a7), 0x80ac58cd, 0x5b5e139f, 0x780e9d63, 0xe49bc7f8, 0xffffffff];
        for (uint256 i = 0; i < 6; ++i) {
            assertSame(address(piece), officialPiece, abi.encodeCall(piece.supportsInterface, (ids[i])));
        }
        assertEq(
            piece.baseTokenURI(),
            "ethereum:0xabcdefabcdefabcdefabcdefabcdefabcdefabcd@10/tokenURI?uint256=",
            "base of the URIs"
        );
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_official_pieceURI(address _remote, uint256 _chainId, uint256 _id) public {
        vm.assume(_remote != address(0) && _chainId != 0);
        ERC721 ours = new OptimismMintableERC721(BRIDGE, _chainId, _remote, "", "");
        address official = deployOfficial("OptimismMintableERC721", abi.encode(BRIDGE, _chainId, _remote, "", ""));
        assertTrue(
            assertSame(address(ours), official, BRIDGE, 0, abi.encodeCall(piece.safeMint, (ALICE, _id))), "minted"
        );
        assertTrue(assertSame(address(ours), official, abi.encodeCall(ours.tokenURI, (_id))), "URI");
    }

    function test_piece_constructorRefusesZeros() public {
        vm.expectRevert("OptimismMintableERC721: bridge cannot be address(0)");
        new OptimismMintableERC721(address(0), 1, REMOTE, "", "");
        vm.expectRevert("OptimismMintableERC721: remote chain id cannot be zero");
        new OptimismMintableERC721(BRIDGE, 0, REMOTE, "", "");
        vm.expectRevert("OptimismMintableERC721: remote token cannot be address(0)");
        new OptimismMintableERC721(BRIDGE, 1, address(0), "", "");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_pieceFactory(address _remote, string memory _name) public {
        vm.assume(_remote != address(0));
        address token = create2(
            abi.encodePacked(
                type(OptimismMintableERC721).creationCode, abi.encode(BRIDGE, uint256(10), _remote, _name, "S")
            ),
            keccak256(abi.encode(_remote, _name, "S")),
            address(pieces)
        );
        vm.expectEmit(address(pieces));
        emit OptimismMintableERC721Created(token, _remote, ALICE);
        vm.prank(ALICE);
        assertEq(pieces.createOptimismMintableERC721(_remote, _name, "S"), token, "address");
        assertTrue(pieces.isOptimismMintableERC721(token), "record");
        assertEq(OptimismMintableERC721(token).REMOTE_CHAIN_ID(), 10, "remote chain");
        vm.expectRevert();
        pieces.createOptimismMintableERC721(_remote, _name, "S");
    }

    function test_pieceFactory_values() public {
        assertEq(pieces.BRIDGE(), BRIDGE, "BRIDGE");
        assertEq(pieces.REMOTE_CHAIN_ID(), 10, "REMOTE_CHAIN_ID");
        vm.expectRevert("OptimismMintableERC721Factory: L1 token address cannot be address(0)");
        pieces.createOptimismMintableERC721(address(0), "", "");
        vm.expectRevert("Initializable: contract is already initialized");
        pieces.initialize(ALICE, 1);
    }

    function sign(
        uint256 _key,
        address _owner,
        address _spender,
        uint256 _value,
        uint256 _nonce,
        uint256 _deadline
    )
        internal
        view
        returns (uint8, bytes32, bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("A coin whose name is longer than one word"),
                keccak256("1"),
                block.chainid,
                address(coin)
            )
        );
        assertEq(coin.DOMAIN_SEPARATOR(), domain, "domain");
        bytes32 content = keccak256(abi.encode(PERMIT, _owner, _spender, _value, _nonce, _deadline));
        return vm.sign(_key, keccak256(abi.encodePacked(hex"1901", domain, content)));
    }

    function create2(bytes memory _initCode, bytes32 _salt, address _creator) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", _creator, _salt, keccak256(_initCode))))));
    }
}
