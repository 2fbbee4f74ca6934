//! Why a transaction is not accepted. The texts are those that clients know from geth and match on.

use alloy_primitives::U256;

/// Why the pool refuses a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The bytes are no transaction.
    #[error("rlp: {0}")]
    Decode(String),
    /// The signature does not recover, or is for another chain.
    #[error("invalid sender: {0}")]
    InvalidSender(String),
    /// The chain's rules don't know the type, or it can't be sent by users.
    #[error("transaction type not supported")]
    TypeNotSupported,
    /// The same transaction is in the pool.
    #[error("already known")]
    AlreadyKnown,
    /// The account has used this nonce.
    #[error("nonce too low: next nonce {state}, tx nonce {tx}")]
    NonceTooLow {
        /// The account's next nonce.
        state: u64,
        /// The transaction's nonce.
        tx: u64,
    },
    /// The nonce leaves a gap that the pool does not hold for this kind of transaction.
    #[error("nonce too high: tx nonce {tx}, gapped nonce {next}")]
    NonceTooHigh {
        /// The next nonce that the pool waits for.
        next: u64,
        /// The transaction's nonce.
        tx: u64,
    },
    /// The nonce cannot be incremented (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The fee is below what the pool takes.
    #[error("transaction gas price below minimum: gas tip cap {tip}, minimum needed {minimum}")]
    TipTooLow {
        /// The transaction's tip cap, in wei per gas.
        tip: u128,
        /// The pool's limit, in wei per gas.
        minimum: u128,
    },
    /// The pool is full of transactions that pay more.
    #[error("transaction underpriced")]
    Underpriced,
    /// A transaction with the same nonce stands in the pool and this one does not pay enough more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The pool is full, and a transaction that can't run yet drives out none that can.
    #[error("future transaction tries to replace pending")]
    FutureReplacePending,
    /// The sender holds as many transactions as one account may.
    #[error("account limit exceeded")]
    AccountLimit,
    /// The sender has transactions of the other kind, with or without blobs, in the pool.
    #[error("address already reserved")]
    AlreadyReserved,
    /// Code is to be set for an account that has several transactions in the pool, or some with
    /// blobs.
    #[error("authority already reserved")]
    AuthorityReserved,
    /// An account whose code is, or is about to be, delegated may have one executable transaction.
    #[error("in-flight transaction limit reached for delegated accounts")]
    InflightLimit,
    /// An account whose code is, or is about to be, delegated may not leave a nonce gap.
    #[error("gapped-nonce tx from delegated accounts")]
    GappedDelegated,
    /// The pool is full.
    #[error("txpool is full")]
    Full,
    /// More gas than a block has.
    #[error("exceeds block gas limit")]
    GasLimit,
    /// More gas than a transaction may have (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {tx})")]
    GasLimitTooHigh {
        /// The cap.
        cap: u64,
        /// The transaction's gas limit.
        tx: u64,
    },
    /// Gas below what the transaction costs before execution.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {minimum}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        gas: u64,
        /// What it needs.
        minimum: u64,
    },
    /// Gas below the floor that calldata costs (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {minimum}")]
    FloorDataGas {
        /// The transaction's gas limit.
        gas: u64,
        /// What it needs.
        minimum: u64,
    },
    /// The tip is higher than the whole fee.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFeeCap,
    /// The sender can't pay.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
        .cost.saturating_sub(*.balance)
    )]
    InsufficientFunds {
        /// The sender's balance.
        balance: U256,
        /// The most that the transaction can cost.
        cost: U256,
    },
    /// The sender can't pay for all that it has in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx \
         cost {cost}, overshot {}",
        .cost.saturating_add(*.queued).saturating_sub(*.balance)
    )]
    InsufficientFundsQueued {
        /// The sender's balance.
        balance: U256,
        /// Cost of its other transactions in the pool.
        queued: U256,
        /// The most that the transaction can cost.
        cost: U256,
    },
    /// The sender can't pay for the more that a replacement costs.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx \
         bumped {bump}, overshot {}",
        .bump.saturating_add(*.queued).saturating_sub(*.balance)
    )]
    InsufficientFundsBumped {
        /// The sender's balance.
        balance: U256,
        /// Cost of its transactions in the pool, the replaced one included.
        queued: U256,
        /// What the replacement costs more.
        bump: U256,
    },
    /// The transaction is too long.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Bytes of the encoded transaction.
        size: usize,
        /// The pool's limit.
        limit: usize,
    },
    /// Init code beyond EIP-3860.
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCodeSize {
        /// Bytes of init code.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The sender has contract code (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(alloy_primitives::Address),
    /// A legacy transaction without a chain id.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    NotReplayProtected,
    /// A set-code transaction that sets nothing.
    #[error("set code tx must have at least one authorization tuple")]
    EmptyAuthorizationList,
    /// A blob transaction in its block form.
    #[error("missing sidecar in blob transaction")]
    MissingSidecar,
    /// A blob transaction without blobs.
    #[error("blobless blob transaction")]
    Blobless,
    /// More blobs than allowed.
    #[error("too many blobs in transaction: have {have}, permitted {limit}")]
    TooManyBlobs {
        /// Blobs of the transaction.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// A blob transaction creates a contract.
    #[error("blob transaction of type create")]
    BlobCreate,
    /// Blob fee cap below the protocol's minimum.
    #[error("transaction gas price below minimum: blob fee cap 0, minimum needed 1")]
    BlobFeeTooLow,
    /// Proofs, commitments or hashes of the blobs are wrong.
    #[error("invalid blob sidecar: {0}")]
    InvalidSidecar(String),
    /// The form of the proofs is of another fork.
    #[error("unexpected sidecar version, want: {want}, got: {got}")]
    SidecarVersion {
        /// 0: one proof a blob; 1: cell proofs (from Osaka on).
        want: u8,
        /// What the transaction brought.
        got: u8,
    },
    /// The condition costs too much to check (code -32005).
    #[error("conditional cost, {cost}, exceeded max: {max}")]
    ConditionCost {
        /// What it costs.
        cost: usize,
        /// The limit.
        max: usize,
    },
    /// The condition can't hold, or does not hold now (code -32003).
    #[error("{0}")]
    Condition(String),
    /// State could not be read.
    #[error("state is not available: {0}")]
    State(String),
}

impl PoolError {
    /// The JSON-RPC error code that goes with it.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Condition(_) => -32003,
            Self::ConditionCost { .. } => -32005,
            _ => -32000,
        }
    }

    /// The kind of reason, for counting.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "known",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } | Self::GappedDelegated => "nonce_gap",
            Self::TipTooLow { .. } | Self::BlobFeeTooLow | Self::Underpriced => "underpriced",
            Self::ReplacementUnderpriced => "replacement_underpriced",
            Self::AccountLimit | Self::InflightLimit => "account_limit",
            Self::AlreadyReserved | Self::AuthorityReserved => "reserved",
            Self::Full | Self::FutureReplacePending => "full",
            Self::InsufficientFunds { .. }
            | Self::InsufficientFundsQueued { .. }
            | Self::InsufficientFundsBumped { .. } => "funds",
            Self::GasLimit | Self::GasLimitTooHigh { .. } => "gas_limit",
            Self::IntrinsicGas { .. } | Self::FloorDataGas { .. } => "intrinsic_gas",
            Self::Oversized { .. } | Self::InitCodeSize { .. } => "size",
            Self::TypeNotSupported | Self::NotReplayProtected => "type",
            Self::Decode(_) | Self::InvalidSender(_) => "malformed",
            Self::MissingSidecar
            | Self::Blobless
            | Self::TooManyBlobs { .. }
            | Self::BlobCreate
            | Self::InvalidSidecar(_)
            | Self::SidecarVersion { .. } => "blobs",
            Self::ConditionCost { .. } | Self::Condition(_) => "condition",
            Self::NonceMax
            | Self::TipAboveFeeCap
            | Self::SenderNotEoa(_)
            | Self::EmptyAuthorizationList => "invalid",
            Self::State(_) => "state",
        }
    }
}
