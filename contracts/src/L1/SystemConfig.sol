// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { FEATURE_CUSTOM_GAS_TOKEN, FEATURE_ETH_LOCKBOX } from "src/libraries/Constants.sol";
import { Storage } from "src/libraries/Storage.sol";
import { OwnableUpgradeable } from "src/universal/Ownable.sol";
import { ProxyAdminOwnedBase } from "src/universal/ProxyAdminOwnedBase.sol";
import { ReinitializableBase } from "src/universal/ReinitializableBase.sol";
import { IOptimismPortal2 } from "src/interfaces/IOptimismPortal2.sol";
import { IResourceMetering } from "src/interfaces/IResourceMetering.sol";
import { ISemver } from "src/interfaces/ISemver.sol";
import { ISuperchainConfig } from "src/interfaces/ISuperchainConfig.sol";

/// @notice The parameters of one L2 chain that its owner may change. Derivation follows the ConfigUpdate logs, so that a
///         change takes effect with the L2 block whose L1 origin holds the log. Also the chain's address book on L1.
contract SystemConfig is ProxyAdminOwnedBase, OwnableUpgradeable, ReinitializableBase, ISemver {
    /// @notice What a ConfigUpdate changes; the numbers are part of the derivation rules.
    enum UpdateType {
        BATCHER,
        FEE_SCALARS,
        GAS_LIMIT,
        UNSAFE_BLOCK_SIGNER,
        EIP_1559_PARAMS,
        OPERATOR_FEE_PARAMS,
        MIN_BASE_FEE,
        DA_FOOTPRINT_GAS_SCALAR
    }

    /// @notice The chain's contracts on L1.
    struct Addresses {
        address l1CrossDomainMessenger;
        address l1ERC721Bridge;
        address l1StandardBridge;
        address optimismPortal;
        address optimismMintableERC20Factory;
        address delayedWETH;
        address opcm;
    }

    error SystemConfig_InvalidFeatureState();

    /// @param version    The form of `data`; 0.
    /// @param updateType What changes.
    /// @param data       The new value, ABI-encoded.
    event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data);
    event FeatureSet(bytes32 indexed feature, bool indexed enabled);

    uint256 public constant VERSION = 0;

    /// @notice Hashed slots of values that have no place in the layout.
    bytes32 public constant UNSAFE_BLOCK_SIGNER_SLOT = keccak256("systemconfig.unsafeblocksigner");
    bytes32 public constant L1_CROSS_DOMAIN_MESSENGER_SLOT =
        bytes32(uint256(keccak256("systemconfig.l1crossdomainmessenger")) - 1);
    bytes32 public constant L1_ERC_721_BRIDGE_SLOT = bytes32(uint256(keccak256("systemconfig.l1erc721bridge")) - 1);
    bytes32 public constant L1_STANDARD_BRIDGE_SLOT = bytes32(uint256(keccak256("systemconfig.l1standardbridge")) - 1);
    bytes32 public constant OPTIMISM_PORTAL_SLOT = bytes32(uint256(keccak256("systemconfig.optimismportal")) - 1);
    bytes32 public constant OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT =
        bytes32(uint256(keccak256("systemconfig.optimismmintableerc20factory")) - 1);
    bytes32 public constant DELAYED_WETH_SLOT = bytes32(uint256(keccak256("systemconfig.delayedweth")) - 1);
    bytes32 public constant OPCM_SLOT = bytes32(uint256(keccak256("systemconfig.opcm")) - 1);
    bytes32 public constant BATCH_INBOX_SLOT = bytes32(uint256(keccak256("systemconfig.batchinbox")) - 1);
    bytes32 public constant START_BLOCK_SLOT = bytes32(uint256(keccak256("systemconfig.startBlock")) - 1);

    /// @dev The largest L2 gas limit that a chain may set.
    uint64 internal constant MAX_GAS_LIMIT = 500_000_000;

    /// @notice Fee parameters before Ecotone. From Ecotone on `scalar` holds version byte 1 and both scalars, packed.
    uint256 public overhead;
    uint256 public scalar;
    /// @notice The address of the batcher, left-padded.
    bytes32 public batcherHash;
    /// @notice Gas limit of L2 blocks.
    uint64 public gasLimit;
    /// @notice Fee scalars from Ecotone on, in millionths.
    uint32 public basefeeScalar;
    uint32 public blobbasefeeScalar;
    IResourceMetering.ResourceConfig internal _resourceConfig;
    /// @notice From Holocene on; while both are 0 the chain's own defaults hold.
    uint32 public eip1559Denominator;
    uint32 public eip1559Elasticity;
    /// @notice From Isthmus on.
    uint32 public operatorFeeScalar;
    uint64 public operatorFeeConstant;
    /// @notice From Jovian on; 0 stands for the default.
    uint16 public daFootprintGasScalar;
    uint256 public l2ChainId;
    ISuperchainConfig public superchainConfig;
    /// @notice From Jovian on: the floor of the L2 base fee, in wei.
    uint64 public minBaseFee;
    mapping(bytes32 => bool) public isFeatureEnabled;

    constructor() ReinitializableBase(3) {
        Storage.setUint(START_BLOCK_SLOT, type(uint256).max);
        _disableInitializers();
    }

    /// @notice Sets the chain up; only for the proxy's admin or the admin's owner.
    /// @param _owner             Who may change the parameters.
    /// @param _basefeeScalar     Ecotone's fee scalars, in millionths.
    /// @param _blobbasefeeScalar Likewise.
    /// @param _batcherHash       The batcher's address, left-padded.
    /// @param _gasLimit          Gas limit of L2 blocks.
    /// @param _unsafeBlockSigner Whose signature blocks on the P2P network carry.
    /// @param _config            The market of deposits.
    /// @param _batchInbox        Where batches are sent to.
    /// @param _addresses         The chain's contracts.
    /// @param _l2ChainId         The chain's id.
    /// @param _superchainConfig  Who may pause the chain.
    function initialize(
        address _owner,
        uint32 _basefeeScalar,
        uint32 _blobbasefeeScalar,
        bytes32 _batcherHash,
        uint64 _gasLimit,
        address _unsafeBlockSigner,
        IResourceMetering.ResourceConfig memory _config,
        address _batchInbox,
        SystemConfig.Addresses memory _addresses,
        uint256 _l2ChainId,
        ISuperchainConfig _superchainConfig
    )
        public
        reinitializer(initVersion())
    {
        _assertOnlyProxyAdminOrProxyAdminOwner();

        // Ownership passes through the caller, for the sake of those who follow the two events.
        _transferOwnership(msg.sender);
        transferOwnership(_owner);

        _setBatcherHash(_batcherHash);
        _setGasConfigEcotone(_basefeeScalar, _blobbasefeeScalar);
        _setGasLimit(_gasLimit);

        Storage.setAddress(UNSAFE_BLOCK_SIGNER_SLOT, _unsafeBlockSigner);
        Storage.setAddress(BATCH_INBOX_SLOT, _batchInbox);
        Storage.setAddress(L1_CROSS_DOMAIN_MESSENGER_SLOT, _addresses.l1CrossDomainMessenger);
        Storage.setAddress(L1_ERC_721_BRIDGE_SLOT, _addresses.l1ERC721Bridge);
        Storage.setAddress(L1_STANDARD_BRIDGE_SLOT, _addresses.l1StandardBridge);
        Storage.setAddress(OPTIMISM_PORTAL_SLOT, _addresses.optimismPortal);
        Storage.setAddress(OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT, _addresses.optimismMintableERC20Factory);
        Storage.setAddress(DELAYED_WETH_SLOT, _addresses.delayedWETH);
        Storage.setAddress(OPCM_SLOT, _addresses.opcm);
        if (Storage.getUint(START_BLOCK_SLOT) == 0) Storage.setUint(START_BLOCK_SLOT, block.number);

        _setResourceConfig(_config);
        l2ChainId = _l2ChainId;
        superchainConfig = _superchainConfig;
    }

    function version() public pure returns (string memory) {
        return "3.14.2";
    }

    /// @notice The bounds of the L2 gas limit. A block must hold all deposits that one L1 block can carry.
    function minimumGasLimit() public view returns (uint64) {
        return uint64(_resourceConfig.maxResourceLimit) + uint64(_resourceConfig.systemTxMaxGas);
    }

    function maximumGasLimit() public pure returns (uint64) {
        return MAX_GAS_LIMIT;
    }

    function unsafeBlockSigner() public view returns (address addr_) {
        addr_ = Storage.getAddress(UNSAFE_BLOCK_SIGNER_SLOT);
    }

    function l1CrossDomainMessenger() public view returns (address addr_) {
        addr_ = Storage.getAddress(L1_CROSS_DOMAIN_MESSENGER_SLOT);
    }

    function l1ERC721Bridge() public view returns (address addr_) {
        addr_ = Storage.getAddress(L1_ERC_721_BRIDGE_SLOT);
    }

    function l1StandardBridge() public view returns (address addr_) {
        addr_ = Storage.getAddress(L1_STANDARD_BRIDGE_SLOT);
    }

    function disputeGameFactory() public view returns (address addr_) {
        addr_ = address(IOptimismPortal2(optimismPortal()).disputeGameFactory());
    }

    function optimismPortal() public view returns (address addr_) {
        addr_ = Storage.getAddress(OPTIMISM_PORTAL_SLOT);
    }

    function optimismMintableERC20Factory() public view returns (address addr_) {
        addr_ = Storage.getAddress(OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT);
    }

    function delayedWETH() public view returns (address addr_) {
        addr_ = Storage.getAddress(DELAYED_WETH_SLOT);
    }

    /// @notice The contract manager that deployed or last upgraded the chain.
    function lastUsedOPCM() public view returns (address addr_) {
        addr_ = Storage.getAddress(OPCM_SLOT);
    }

    function lastUsedOPCMVersion() public view returns (string memory version_) {
        version_ = ISemver(lastUsedOPCM()).version();
    }

    function getAddresses() external view returns (Addresses memory) {
        return Addresses({
            l1CrossDomainMessenger: l1CrossDomainMessenger(),
            l1ERC721Bridge: l1ERC721Bridge(),
            l1StandardBridge: l1StandardBridge(),
            optimismPortal: optimismPortal(),
            optimismMintableERC20Factory: optimismMintableERC20Factory(),
            delayedWETH: delayedWETH(),
            opcm: lastUsedOPCM()
        });
    }

    function batchInbox() external view returns (address addr_) {
        addr_ = Storage.getAddress(BATCH_INBOX_SLOT);
    }

    /// @notice The L1 block of the first initialization: no log of this chain is older.
    function startBlock() external view returns (uint256 startBlock_) {
        startBlock_ = Storage.getUint(START_BLOCK_SLOT);
    }

    function resourceConfig() external view returns (IResourceMetering.ResourceConfig memory) {
        return _resourceConfig;
    }

    function setUnsafeBlockSigner(address _unsafeBlockSigner) external onlyOwner {
        Storage.setAddress(UNSAFE_BLOCK_SIGNER_SLOT, _unsafeBlockSigner);
        emit ConfigUpdate(VERSION, UpdateType.UNSAFE_BLOCK_SIGNER, abi.encode(_unsafeBlockSigner));
    }

    function setBatcherHash(address _batcher) external onlyOwner {
        _setBatcherHash(bytes32(uint256(uint160(_batcher))));
    }

    function setBatcherHash(bytes32 _batcherHash) external onlyOwner {
        _setBatcherHash(_batcherHash);
    }

    /// @notice Sets the fee parameters of before Ecotone.
    /// @param _scalar The top byte must be 0: it marks Ecotone's form.
    function setGasConfig(uint256 _overhead, uint256 _scalar) external onlyOwner {
        require(_scalar >> 248 == 0, "SystemConfig: scalar exceeds max.");
        overhead = _overhead;
        scalar = _scalar;
        emit ConfigUpdate(VERSION, UpdateType.FEE_SCALARS, abi.encode(_overhead, _scalar));
    }

    function setGasConfigEcotone(uint32 _basefeeScalar, uint32 _blobbasefeeScalar) external onlyOwner {
        _setGasConfigEcotone(_basefeeScalar, _blobbasefeeScalar);
    }

    function setGasLimit(uint64 _gasLimit) external onlyOwner {
        _setGasLimit(_gasLimit);
    }

    function setEIP1559Params(uint32 _denominator, uint32 _elasticity) external onlyOwner {
        require(_denominator >= 1, "SystemConfig: denominator must be >= 1");
        require(_elasticity >= 1, "SystemConfig: elasticity must be >= 1");
        eip1559Denominator = _denominator;
        eip1559Elasticity = _elasticity;
        bytes memory data = abi.encode(uint256(_denominator) << 32 | _elasticity);
        emit ConfigUpdate(VERSION, UpdateType.EIP_1559_PARAMS, data);
    }

    function setMinBaseFee(uint64 _minBaseFee) external onlyOwner {
        minBaseFee = _minBaseFee;
        emit ConfigUpdate(VERSION, UpdateType.MIN_BASE_FEE, abi.encode(_minBaseFee));
    }

    function setOperatorFeeScalars(uint32 _operatorFeeScalar, uint64 _operatorFeeConstant) external onlyOwner {
        operatorFeeScalar = _operatorFeeScalar;
        operatorFeeConstant = _operatorFeeConstant;
        bytes memory data = abi.encode(uint256(_operatorFeeScalar) << 64 | _operatorFeeConstant);
        emit ConfigUpdate(VERSION, UpdateType.OPERATOR_FEE_PARAMS, data);
    }

    function setDAFootprintGasScalar(uint16 _daFootprintGasScalar) external onlyOwner {
        daFootprintGasScalar = _daFootprintGasScalar;
        emit ConfigUpdate(VERSION, UpdateType.DA_FOOTPRINT_GAS_SCALAR, abi.encode(_daFootprintGasScalar));
    }

    /// @notice Switches a feature; only for the proxy's admin or the admin's owner. The lockbox can't be left while the
    ///         portal uses it, and not be switched during a pause, since it decides whose pause counts.
    function setFeature(bytes32 _feature, bool _enabled) external {
        _assertOnlyProxyAdminOrProxyAdminOwner();
        if (_enabled == isFeatureEnabled[_feature]) revert SystemConfig_InvalidFeatureState();
        if (_feature == FEATURE_ETH_LOCKBOX) {
            if (!_enabled && _portalLockbox() != address(0)) revert SystemConfig_InvalidFeatureState();
            if (paused()) revert SystemConfig_InvalidFeatureState();
        }
        isFeatureEnabled[_feature] = _enabled;
        emit FeatureSet(_feature, _enabled);
    }

    /// @notice Whether this chain, by its portal or its lockbox, or every chain is paused.
    function paused() public view returns (bool) {
        address identifier = isFeatureEnabled[FEATURE_ETH_LOCKBOX] ? _portalLockbox() : optimismPortal();
        return superchainConfig.paused(address(0)) || superchainConfig.paused(identifier);
    }

    function guardian() public view returns (address) {
        return superchainConfig.guardian();
    }

    function isCustomGasToken() public view returns (bool) {
        return isFeatureEnabled[FEATURE_CUSTOM_GAS_TOKEN];
    }

    function _portalLockbox() internal view returns (address) {
        return address(IOptimismPortal2(optimismPortal()).ethLockbox());
    }

    function _setBatcherHash(bytes32 _batcherHash) internal {
        batcherHash = _batcherHash;
        emit ConfigUpdate(VERSION, UpdateType.BATCHER, abi.encode(_batcherHash));
    }

    function _setGasConfigEcotone(uint32 _basefeeScalar, uint32 _blobbasefeeScalar) internal {
        basefeeScalar = _basefeeScalar;
        blobbasefeeScalar = _blobbasefeeScalar;
        scalar = uint256(1) << 248 | uint256(_blobbasefeeScalar) << 32 | _basefeeScalar;
        emit ConfigUpdate(VERSION, UpdateType.FEE_SCALARS, abi.encode(overhead, scalar));
    }

    function _setGasLimit(uint64 _gasLimit) internal {
        require(_gasLimit >= minimumGasLimit(), "SystemConfig: gas limit too low");
        require(_gasLimit <= maximumGasLimit(), "SystemConfig: gas limit too high");
        gasLimit = _gasLimit;
        emit ConfigUpdate(VERSION, UpdateType.GAS_LIMIT, abi.encode(_gasLimit));
    }

    function _setResourceConfig(IResourceMetering.ResourceConfig memory _config) internal {
        require(
            _config.minimumBaseFee <= _config.maximumBaseFee, "SystemConfig: min base fee must be less than max base"
        );
        require(_config.baseFeeMaxChangeDenominator > 1, "SystemConfig: denominator must be larger than 1");
        require(_config.maxResourceLimit + _config.systemTxMaxGas <= gasLimit, "SystemConfig: gas limit too low");
        require(_config.elasticityMultiplier > 0, "SystemConfig: elasticity multiplier cannot be 0");
        require(
            _config.maxResourceLimit % _config.elasticityMultiplier == 0,
            "SystemConfig: precision loss with target resource limit"
        );
        _resourceConfig = _config;
    }
}
