//! The compiled contracts, embedded from `contracts/artifacts`.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256};
use serde::Deserialize;

/// Declares the contracts, each by the name that its source, its artifact's file and the enum share.
macro_rules! contracts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A contract whose artifact is embedded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Contract {
            $($(#[$doc])* $name,)*
        }

        impl Contract {
            /// Every embedded contract.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The contract's name in its source.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The artifact as JSON, with the ABI and the storage layout.
            pub const fn json(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!(
                        "../../../contracts/artifacts/",
                        stringify!($name),
                        ".json"
                    )),)*
                }
            }
        }
    };
}

contracts! {
    /// Transparent EIP-1967 proxy, on both layers.
    Proxy,
    /// Admin of the proxies, on both layers.
    ProxyAdmin,
    /// Who may pause the chain, on L1.
    SuperchainConfig,
    /// Parameters of the L2 chain, on L1.
    SystemConfig,
    /// Deposits and withdrawals, on L1.
    OptimismPortal,
    /// The ether of portals that share it, on L1.
    ETHLockbox,
    /// Creates dispute games, on L1.
    DisputeGameFactory,
    /// Which dispute games count, on L1.
    AnchorStateRegistry,
    /// Bonds of dispute games, on L1.
    DelayedWETH,
    /// Messages between the chains, on L1.
    L1CrossDomainMessenger,
    /// Ether and ERC-20 tokens between the chains, on L1.
    L1StandardBridge,
    /// ERC-721 tokens between the chains, on L1.
    L1ERC721Bridge,
    /// Which version of the protocol nodes need, on L1.
    ProtocolVersions,
    /// Dispute games between a proposer and a challenger, on L1.
    PermissionedDisputeGame,
    /// In place of a fault-proof virtual machine, on L1.
    NoVM,
    /// L1 attributes, on L2.
    L1Block,
    /// Fee oracle, on L2.
    GasPriceOracle,
    /// Withdrawals, on L2.
    L2ToL1MessagePasser,
    /// Messages between the chains, on L2.
    L2CrossDomainMessenger,
    /// Ether and ERC-20 tokens between the chains, on L2.
    L2StandardBridge,
    /// ERC-721 tokens between the chains, on L2.
    L2ERC721Bridge,
    /// Creates tokens that stand for those of the other layer, on both.
    OptimismMintableERC20Factory,
    /// Creates ERC-721 tokens that stand for those of L1, on L2.
    OptimismMintableERC721Factory,
    /// Tips, on L2.
    SequencerFeeVault,
    /// Base fees, on L2.
    BaseFeeVault,
    /// Fees for data on L1, on L2.
    L1FeeVault,
    /// The operator's fees, on L2.
    OperatorFeeVault,
    /// Ether as an ERC-20 token, on L2.
    WETH,
    /// Recorded withdrawals before Bedrock, on L2.
    LegacyMessagePasser,
    /// Said who may create contracts before Bedrock, on L2.
    DeployerWhitelist,
    /// The number of the L1 block that L2 knows, by a call of any kind, on L2.
    L1BlockNumber,
}

impl Contract {
    /// Parses the artifact's bytecode. Nothing is cached: a genesis needs each contract once.
    ///
    /// # Errors
    /// If the committed file is damaged.
    pub fn artifact(self) -> Result<Artifact, ArtifactError> {
        let json: ArtifactJson = serde_json::from_str(self.json())
            .map_err(|e| ArtifactError::Json { contract: self.name(), reason: e.to_string() })?;
        Ok(Artifact {
            contract: self,
            init_code: json.init_code,
            runtime_code: json.runtime_code,
            immutables: json.immutable_references,
            storage: json.storage_layout,
        })
    }
}

/// Why the bytecode of an embedded contract cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The committed file is damaged.
    #[error("artifact {contract}.json: {reason}")]
    Json {
        /// The contract.
        contract: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// The values given are not those that the runtime code has places for.
    #[error("artifact {contract}.json has the immutables {expected}, not {given}")]
    Immutables {
        /// The contract.
        contract: &'static str,
        /// Names that the code has.
        expected: String,
        /// Names that were given.
        given: String,
    },
}

/// Bytecode of a contract.
#[derive(Clone, Debug)]
pub struct Artifact {
    contract: Contract,
    init_code: Bytes,
    runtime_code: Bytes,
    immutables: BTreeMap<String, Vec<Range>>,
    storage: Vec<Variable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactJson {
    storage_layout: Vec<Variable>,
    init_code: Bytes,
    runtime_code: Bytes,
    immutable_references: BTreeMap<String, Vec<Range>>,
}

/// A variable of the contract's storage.
#[derive(Clone, Debug, Deserialize)]
struct Variable {
    label: String,
    slot: U256,
    /// Bytes to the right of it in its slot.
    offset: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Range {
    start: usize,
    length: usize,
}

impl Artifact {
    /// Init code followed by the ABI-encoded constructor arguments.
    pub fn init_code(&self, arguments: &[u8]) -> Bytes {
        [&self.init_code, arguments].concat().into()
    }

    /// Whether the code has a place for this immutable.
    pub fn has_immutable(&self, name: &str) -> bool {
        self.immutables.contains_key(name)
    }

    /// The byte that says which version was initialized, 255 in an implementation that is locked: its
    /// slot, and the bytes to the right of it there.
    ///
    /// # Errors
    /// If the contract has no initializer.
    pub fn initialized_version(&self) -> Result<(B256, usize), ArtifactError> {
        let found = self.storage.iter().find(|variable| variable.label == "_initialized");
        let found = found.ok_or_else(|| ArtifactError::Json {
            contract: self.contract.name(),
            reason: "no variable _initialized in its storage layout".to_owned(),
        })?;
        Ok((found.slot.into(), found.offset))
    }

    /// The code that stands on chain, with every immutable filled in, each one a word.
    ///
    /// # Errors
    /// If `values` does not name exactly the immutables that the code has.
    pub fn runtime_code(&self, values: &[(&str, B256)]) -> Result<Bytes, ArtifactError> {
        if self.immutables.is_empty() && values.is_empty() {
            return Ok(self.runtime_code.clone());
        }
        let mismatch = || ArtifactError::Immutables {
            contract: self.contract.name(),
            expected: format!("{:?}", self.immutables.keys().collect::<Vec<_>>()),
            given: format!("{:?}", values.iter().map(|(name, _)| name).collect::<Vec<_>>()),
        };
        if self.immutables.len() != values.len() {
            return Err(mismatch());
        }
        let mut code = self.runtime_code.to_vec();
        for (name, value) in values {
            for range in self.immutables.get(*name).ok_or_else(mismatch)? {
                let place = code
                    .get_mut(range.start..range.start.saturating_add(range.length))
                    .filter(|place| place.len() == 32)
                    .ok_or_else(|| ArtifactError::Json {
                        contract: self.contract.name(),
                        reason: format!("{name} at byte {} is not a word of the code", range.start),
                    })?;
                place.copy_from_slice(value.as_slice());
            }
        }
        Ok(code.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_artifact_has_code_under_its_own_name() {
        for &contract in Contract::ALL {
            let value: serde_json::Value = serde_json::from_str(contract.json()).unwrap();
            assert_eq!(value["contractName"], contract.name());
            let artifact = contract.artifact().unwrap();
            assert!(!artifact.init_code.is_empty() && !artifact.runtime_code.is_empty());
            // EIP-170 and EIP-3860.
            assert!(artifact.runtime_code.len() <= 24_576, "{}", contract.name());
            assert!(artifact.init_code.len() <= 49_152, "{}", contract.name());
        }
    }

    #[test]
    fn immutables_are_filled_in_or_refused() {
        let portal = Contract::OptimismPortal.artifact().unwrap();
        let word = |n: u64| B256::from(U256::from(n));
        let names = [("INIT_VERSION", word(3)), ("PROOF_MATURITY_DELAY_SECONDS", word(0x1234567))];
        let code = portal.runtime_code(&names).unwrap();
        assert_ne!(code, portal.runtime_code);
        assert!(code.windows(32).any(|window| window == word(0x1234567).as_slice()));
        assert!(matches!(portal.runtime_code(&names[..1]), Err(ArtifactError::Immutables { .. })));
        assert!(matches!(
            portal.runtime_code(&[names[0], ("OTHER", word(1))]),
            Err(ArtifactError::Immutables { .. })
        ));
    }
}
