//! Solidity interfaces of the contracts that Opal's Rust code talks to.

mod bridges;
mod dispute;

pub use bridges::*;
pub use dispute::*;

use alloy_sol_types::sol;

// `missing_docs` is off inside: the macro makes Rust items of the contracts' own functions and
// events, which the Solidity sources in `contracts/` describe.

sol! {
    /// L1: deposits and withdrawals.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    #[sol(all_derives)]
    interface IOptimismPortal {
        struct WithdrawalTransaction {
            uint256 nonce;
            address sender;
            address target;
            uint256 value;
            uint256 gasLimit;
            bytes data;
        }
        struct OutputRootProof {
            bytes32 version;
            bytes32 stateRoot;
            bytes32 messagePasserStorageRoot;
            bytes32 latestBlockhash;
        }
        error OptimismPortal_AlreadyFinalized();
        error OptimismPortal_BadTarget();
        error OptimismPortal_CallPaused();
        error OptimismPortal_CalldataTooLarge();
        error OptimismPortal_GasEstimation();
        error OptimismPortal_GasLimitTooLow();
        error OptimismPortal_ImproperDisputeGame();
        error OptimismPortal_InsufficientDeposit();
        error OptimismPortal_InvalidDisputeGame();
        error OptimismPortal_InvalidGasToken();
        error OptimismPortal_InvalidInteropState();
        error OptimismPortal_InvalidLockboxState();
        error OptimismPortal_InvalidMerkleProof();
        error OptimismPortal_InvalidOutputRootProof();
        error OptimismPortal_InvalidProofTimestamp();
        error OptimismPortal_InvalidRootClaim();
        error OptimismPortal_MigratingToSameRegistry();
        error OptimismPortal_NoReentrancy();
        error OptimismPortal_NotAllowedOnCGTMode();
        error OptimismPortal_NotUsingInterop();
        error OptimismPortal_OnlyCustomGasToken();
        error OptimismPortal_ProofNotOldEnough();
        error OptimismPortal_Unproven();
        error OutOfGas();
        event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
        event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
        event WithdrawalProvenExtension1(bytes32 indexed withdrawalHash, address indexed proofSubmitter);
        event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);
        function depositTransaction(address _to, uint256 _value, uint64 _gasLimit, bool _isCreation, bytes memory _data) external payable;
        function proveWithdrawalTransaction(WithdrawalTransaction memory _tx, uint256 _disputeGameIndex, OutputRootProof calldata _outputRootProof, bytes[] calldata _withdrawalProof) external;
        function finalizeWithdrawalTransaction(WithdrawalTransaction memory _tx) external;
        function finalizeWithdrawalTransactionExternalProof(WithdrawalTransaction memory _tx, address _proofSubmitter) external;
        function checkWithdrawal(bytes32 _withdrawalHash, address _proofSubmitter) external view;
        function finalizedWithdrawals(bytes32) external view returns (bool);
        function provenWithdrawals(bytes32, address) external view returns (address disputeGameProxy, uint64 timestamp);
        function numProofSubmitters(bytes32 _withdrawalHash) external view returns (uint256);
        function proofSubmitters(bytes32, uint256) external view returns (address);
        function proofMaturityDelaySeconds() external view returns (uint256);
        function disputeGameFinalityDelaySeconds() external view returns (uint256);
        function respectedGameType() external view returns (uint32);
        function respectedGameTypeUpdatedAt() external view returns (uint64);
        function disputeGameBlacklist(address) external view returns (bool);
        function anchorStateRegistry() external view returns (address);
        function disputeGameFactory() external view returns (address);
        function ethLockbox() external view returns (address);
        function systemConfig() external view returns (address);
        function paused() external view returns (bool);
        function minimumGasLimit(uint64 _byteCount) external pure returns (uint64);
        function version() external view returns (string memory);
    }

    /// L1: the chain's parameters.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    interface ISystemConfig {
        event ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data);
        function owner() external view returns (address);
        function l2ChainId() external view returns (uint256);
        function paused() external view returns (bool);
        function optimismPortal() external view returns (address);
        function disputeGameFactory() external view returns (address);
        function l1CrossDomainMessenger() external view returns (address);
        function l1StandardBridge() external view returns (address);
        function l1ERC721Bridge() external view returns (address);
        function batcherHash() external view returns (bytes32);
        function gasLimit() external view returns (uint64);
        function basefeeScalar() external view returns (uint32);
        function blobbasefeeScalar() external view returns (uint32);
        function eip1559Denominator() external view returns (uint32);
        function eip1559Elasticity() external view returns (uint32);
        function operatorFeeScalar() external view returns (uint32);
        function operatorFeeConstant() external view returns (uint64);
        function minBaseFee() external view returns (uint64);
        function daFootprintGasScalar() external view returns (uint16);
        function unsafeBlockSigner() external view returns (address);
        function setBatcherHash(bytes32 _batcherHash) external;
        function setGasLimit(uint64 _gasLimit) external;
        function setGasConfig(uint256 _overhead, uint256 _scalar) external;
        function setGasConfigEcotone(uint32 _basefeeScalar, uint32 _blobbasefeeScalar) external;
        function setEIP1559Params(uint32 _denominator, uint32 _elasticity) external;
        function setOperatorFeeScalars(uint32 _operatorFeeScalar, uint64 _operatorFeeConstant) external;
        function setMinBaseFee(uint64 _minBaseFee) external;
        function setDAFootprintGasScalar(uint16 _daFootprintGasScalar) external;
        function setUnsafeBlockSigner(address _unsafeBlockSigner) external;
    }

    /// L2: the L1 attributes.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    interface IL1Block {
        function number() external view returns (uint64);
        function timestamp() external view returns (uint64);
        function basefee() external view returns (uint256);
        function hash() external view returns (bytes32);
        function sequenceNumber() external view returns (uint64);
        function batcherHash() external view returns (bytes32);
        function l1FeeOverhead() external view returns (uint256);
        function l1FeeScalar() external view returns (uint256);
        function blobBaseFee() external view returns (uint256);
        function baseFeeScalar() external view returns (uint32);
        function blobBaseFeeScalar() external view returns (uint32);
        function operatorFeeScalar() external view returns (uint32);
        function operatorFeeConstant() external view returns (uint64);
        function daFootprintGasScalar() external view returns (uint16);
    }

    /// L2: fees as contracts and wallets ask for them.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    interface IGasPriceOracle {
        function getL1Fee(bytes memory _data) external view returns (uint256);
        function getL1FeeUpperBound(uint256 _unsignedTxSize) external view returns (uint256);
        function getL1GasUsed(bytes memory _data) external view returns (uint256);
        function getOperatorFee(uint256 _gasUsed) external view returns (uint256);
        function l1BaseFee() external view returns (uint256);
        function blobBaseFee() external view returns (uint256);
        function baseFeeScalar() external view returns (uint32);
        function blobBaseFeeScalar() external view returns (uint32);
        function isEcotone() external view returns (bool);
        function isFjord() external view returns (bool);
        function isIsthmus() external view returns (bool);
        function isJovian() external view returns (bool);
    }

    /// L2: withdrawals.
    #[allow(missing_docs, reason = "the names are the contract's, which documents them")]
    interface IL2ToL1MessagePasser {
        event MessagePassed(uint256 indexed nonce, address indexed sender, address indexed target, uint256 value, uint256 gasLimit, bytes data, bytes32 withdrawalHash);
        event WithdrawerBalanceBurnt(uint256 indexed amount);
        function initiateWithdrawal(address _target, uint256 _gasLimit, bytes memory _data) external payable;
        function messageNonce() external view returns (uint256);
        function sentMessages(bytes32) external view returns (bool);
        function burn() external;
    }
}
