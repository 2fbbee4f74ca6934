// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Ether as an ERC-20 token, with the interface of the WETH that has stood on Ethereum since 2017: failures
///         revert without a reason, and an allowance of 2^256 - 1 is never used up.
contract WETH98 {
    mapping(address => uint256) internal _balanceOf;
    mapping(address => mapping(address => uint256)) internal _allowance;

    event Approval(address indexed src, address indexed guy, uint256 wad);
    event Transfer(address indexed src, address indexed dst, uint256 wad);
    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    receive() external payable {
        deposit();
    }

    fallback() external payable {
        deposit();
    }

    function name() external view virtual returns (string memory) {
        return "Wrapped Ether";
    }

    function symbol() external view virtual returns (string memory) {
        return "WETH";
    }

    function decimals() external view returns (uint8) {
        return 18;
    }

    /// @notice All the ether here; more than the sum of balances if some was forced in.
    function totalSupply() external view returns (uint256) {
        return address(this).balance;
    }

    function balanceOf(address src) public view returns (uint256) {
        return _balanceOf[src];
    }

    function allowance(address owner, address spender) public view returns (uint256) {
        return _allowance[owner][spender];
    }

    /// @notice Wraps the ether sent along.
    function deposit() public payable virtual {
        _balanceOf[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }

    /// @notice Unwraps ether. The caller is given the 2,300 gas that come with a value, enough to log its arrival, so that
    ///         it can't call back.
    function withdraw(uint256 _wad) public virtual {
        _take(msg.sender, _wad);
        (bool success,) = msg.sender.call{ value: _wad, gas: _wad == 0 ? 2_300 : 0 }("");
        require(success);
        emit Withdrawal(msg.sender, _wad);
    }

    function approve(address guy, uint256 wad) external returns (bool) {
        _allowance[msg.sender][guy] = wad;
        emit Approval(msg.sender, guy, wad);
        return true;
    }

    function transfer(address dst, uint256 wad) external returns (bool) {
        return transferFrom(msg.sender, dst, wad);
    }

    function transferFrom(address src, address dst, uint256 wad) public returns (bool) {
        if (msg.sender != src) _useAllowance(src, wad);
        _take(src, wad);
        _balanceOf[dst] += wad;
        emit Transfer(src, dst, wad);
        return true;
    }

    function _useAllowance(address _holder, uint256 _wad) private {
        uint256 left = _allowance[_holder][msg.sender];
        if (left == type(uint256).max) return;
        require(left >= _wad);
        _allowance[_holder][msg.sender] = left - _wad;
    }

    function _take(address _holder, uint256 _wad) private {
        uint256 balance = _balanceOf[_holder];
        require(balance >= _wad);
        _balanceOf[_holder] = balance - _wad;
    }
}
