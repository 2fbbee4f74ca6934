// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A plain token that anyone may mint.
contract Coin {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address _to, uint256 _amount) public virtual {
        balanceOf[_to] += _amount;
    }

    function approve(address _spender, uint256 _amount) external {
        allowance[msg.sender][_spender] = _amount;
    }

    function transfer(address _to, uint256 _amount) external returns (bool) {
        move(msg.sender, _to, _amount);
        return true;
    }

    function transferFrom(address _from, address _to, uint256 _amount) external returns (bool) {
        require(allowance[_from][msg.sender] >= _amount, "Coin: balance");
        allowance[_from][msg.sender] -= _amount;
        move(_from, _to, _amount);
        return true;
    }

    function move(address _from, address _to, uint256 _amount) internal {
        require(balanceOf[_from] >= _amount, "Coin: balance");
        balanceOf[_from] -= _amount;
        balanceOf[_to] += _amount;
    }
}

/// @notice A token that the bridge mints by the interface of before Bedrock.
contract Legacy is Coin {
    address public immutable l1Token;

    constructor(address _l1Token) {
        l1Token = _l1Token;
    }

    function burn(address _from, uint256 _amount) external {
        require(balanceOf[_from] >= _amount, "Coin: balance");
        balanceOf[_from] -= _amount;
    }

    /// @dev l1Token() ^ mint(address,uint256) ^ burn(address,uint256).
    function supportsInterface(bytes4 _id) external pure returns (bool) {
        return _id == 0x01ffc9a7 || _id == 0x1d1d8b63;
    }
}

/// @notice A token whose transfers return nothing.
contract NoReturn {
    mapping(address => uint256) public balanceOf;

    function mint(address _to, uint256 _amount) external {
        balanceOf[_to] += _amount;
    }

    function approve(address, uint256) external { }

    function transfer(address _to, uint256 _amount) external {
        balanceOf[msg.sender] -= _amount;
        balanceOf[_to] += _amount;
    }

    function transferFrom(address _from, address _to, uint256 _amount) external {
        balanceOf[_from] -= _amount;
        balanceOf[_to] += _amount;
    }
}

/// @notice A token that answers `false` instead of reverting.
contract Liar {
    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }
}

/// @notice Refuses ether until told otherwise.
contract Refusing {
    bool private accepts;

    function accept() external {
        accepts = true;
    }

    receive() external payable {
        require(accepts, "Refusing: no");
    }
}

/// @notice Calls somebody when it is given ether; and, in a messenger's place, takes every message.
contract Recorder {
    event Message(address target, uint256 value, bytes message, uint32 minGasLimit);

    address public xDomainMessageSender;
    address private target;
    bytes private data;
    bool public success;

    function set(address _target, bytes calldata _data) external {
        (target, data) = (_target, _data);
    }

    function setSender(address _sender) external {
        xDomainMessageSender = _sender;
    }

    function owner() external pure returns (address) {
        return address(0xdEaD);
    }

    function sendMessage(address _target, bytes calldata _message, uint32 _minGasLimit) external payable {
        emit Message(_target, msg.value, _message, _minGasLimit);
    }

    receive() external payable {
        if (target != address(0)) (success,) = target.call(data);
    }
}
