// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { ERC20 } from "src/universal/ERC20.sol";
import { IERC165, ILegacyMintableERC20, IOptimismMintableERC20 } from "src/interfaces/ITokens.sol";
import { ISemver } from "src/interfaces/ISemver.sol";

/// @notice Stands for a token of the other chain. The bridge of this chain mints what is kept there and burns what goes
///         back.
contract OptimismMintableERC20 is ERC20, ISemver {
    event Mint(address indexed account, uint256 amount);
    event Burn(address indexed account, uint256 amount);

    /// @notice The token of the other chain.
    address public immutable REMOTE_TOKEN;
    /// @notice Who mints and burns.
    address public immutable BRIDGE;
    uint8 private immutable DECIMALS;

    modifier byBridge() {
        require(msg.sender == BRIDGE, "OptimismMintableERC20: only bridge can mint and burn");
        _;
    }

    constructor(
        address _bridge,
        address _remoteToken,
        string memory _name,
        string memory _symbol,
        uint8 _decimals
    )
        ERC20(_name, _symbol)
    {
        REMOTE_TOKEN = _remoteToken;
        BRIDGE = _bridge;
        DECIMALS = _decimals;
    }

    function mint(address _to, uint256 _amount) external byBridge {
        _mint(_to, _amount);
        emit Mint(_to, _amount);
    }

    function burn(address _from, uint256 _amount) external byBridge {
        _burn(_from, _amount);
        emit Burn(_from, _amount);
    }

    /// @notice The bridge tells mintable tokens by these.
    function supportsInterface(bytes4 _interfaceId) external pure returns (bool) {
        return _interfaceId == type(IERC165).interfaceId || _interfaceId == type(ILegacyMintableERC20).interfaceId
            || _interfaceId == type(IOptimismMintableERC20).interfaceId;
    }

    function remoteToken() external view returns (address) {
        return REMOTE_TOKEN;
    }

    function bridge() external view returns (address) {
        return BRIDGE;
    }

    /// @notice `remoteToken` by its older name.
    function l1Token() external view returns (address) {
        return REMOTE_TOKEN;
    }

    /// @notice `bridge` by its older name.
    function l2Bridge() external view returns (address) {
        return BRIDGE;
    }

    /// @notice The contract, at the same address on all chains, that users give signatures of limited use to. It may
    ///         spend any balance without an approval.
    function PERMIT2() public pure returns (address) {
        return 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    }

    function decimals() external view returns (uint8) {
        return DECIMALS;
    }

    function version() external view returns (string memory) {
        return "1.4.1";
    }

    function allowance(address _owner, address _spender) public view override returns (uint256) {
        return _spender == PERMIT2() ? type(uint256).max : super.allowance(_owner, _spender);
    }
}
