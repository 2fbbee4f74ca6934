//! The start: finds out whether endpoints, factory, game type and key belong together.

use alloy_primitives::{Address, B256, U256, b256};
use opal_protocol::RollupConfig;
use opal_protocol::contracts::{IDisputeGameFactory, IFaultDisputeGame, IOptimismPortal};
use opal_service::TxManager;
use opal_service::endpoint::{ConnectError, Endpoint};
use tracing::warn;

use super::config::ProposerConfig;
use super::source::Source;
use super::{ProposerError, TARGET};
use crate::l1::{ContractError, L1, where_known};

/// EIP-1967: where a proxy keeps the address of its implementation.
const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// The configuration and its endpoints, not yet known to be the right ones.
pub(crate) struct Connector {
    pub config: ProposerConfig,
    l1: L1,
    pub rollup: Endpoint,
}

/// All that was found to belong together.
pub(crate) struct Session {
    pub source: Source,
    pub tx_manager: TxManager,
}

impl From<ContractError> for ConnectError<ProposerError> {
    fn from(error: ContractError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// What the factory tells of a type of games.
struct GameType {
    registry: Address,
    /// The only account that may create games, where there is one.
    permitted: Option<Address>,
    /// The L2 chain, where the type's arguments or its code name it.
    l2_chain_id: Option<U256>,
}

impl Connector {
    pub(crate) fn new(config: ProposerConfig) -> Result<Self, ProposerError> {
        let endpoint = |flag, url| {
            Endpoint::new(flag, url).map_err(|source| ProposerError::Http { flag, source })
        };
        Ok(Self {
            l1: L1::new(endpoint("--l1-eth-rpc", &config.l1_rpc)?),
            rollup: endpoint("--rollup-rpc", &config.rollup_rpc)?,
            config,
        })
    }

    /// Asks both endpoints who they are, and L1 for the contracts.
    pub(crate) async fn connect(&self) -> Result<Session, ConnectError<ProposerError>> {
        let wrong = ConnectError::Wrong;
        let rollup = self.rollup.rollup_config().await?.map_err(|error| wrong(error.into()))?;
        let (found, expected) = (self.l1.endpoint.chain_id().await?, rollup.l1_chain_id);
        if found != expected {
            return Err(wrong(ProposerError::WrongL1 { found, expected }));
        }
        let factory = self.factory(&rollup).await?;
        let game_type = self.game_type(factory).await?;
        let number = self.config.game_type;
        if let Some(found) = game_type.l2_chain_id
            && found != U256::from(rollup.l2_chain_id)
        {
            let expected = rollup.l2_chain_id;
            let game_type = number;
            return Err(wrong(ProposerError::OtherChain { game_type, factory, found, expected }));
        }
        let own = self.config.key.address();
        if let Some(permitted) = game_type.permitted
            && permitted != own
        {
            let game_type = number;
            return Err(wrong(ProposerError::NotPermitted { game_type, permitted, own }));
        }
        self.compare_with_portal(&rollup).await?;
        let provider = self.l1.endpoint.provider.clone();
        let (key, config) = (self.config.key.clone(), self.config.tx_manager.clone());
        let tx_manager = TxManager::new(provider, key, config).await;
        let tx_manager = tx_manager.map_err(|e| ConnectError::Unavailable(e.to_string()))?;
        let source = Source {
            l1: self.l1.clone(),
            factory,
            registry: game_type.registry,
            game_type: number,
            account: own,
            ahead: self.config.lookahead > 0,
        };
        Ok(Session { source, tx_manager })
    }

    /// The factory: the given one, or the one that the portal names; both must be the same.
    async fn factory(&self, rollup: &RollupConfig) -> Result<Address, ConnectError<ProposerError>> {
        let portal = rollup.deposit_contract_address;
        let call = IOptimismPortal::disputeGameFactoryCall {};
        // A portal of before the dispute games names none.
        let named = where_known(self.l1.call(portal, call).await)?;
        let named = named.filter(|named| !named.is_zero());
        let factory = match (self.config.factory, named) {
            (Some(given), Some(named)) if given != named => {
                let error = ProposerError::OtherFactory { given, named, portal };
                return Err(ConnectError::Wrong(error));
            }
            (Some(factory), _) | (None, Some(factory)) => factory,
            (None, None) => return Err(ConnectError::Wrong(ProposerError::NoFactory { portal })),
        };
        let refused = |reason: &str| {
            let reason = reason.to_owned();
            ConnectError::Wrong(ProposerError::NotAFactory { address: factory, reason })
        };
        if self.l1.storage(factory, IMPLEMENTATION_SLOT).await?.is_zero() {
            return Err(refused("it has no implementation behind it (EIP-1967)"));
        }
        match self.l1.call(factory, IDisputeGameFactory::gameCountCall {}).await {
            Ok(_) => Ok(factory),
            Err(ContractError::Unavailable(error)) => Err(error.into()),
            Err(error) => Err(refused(&error.to_string())),
        }
    }

    /// The configured type of games.
    async fn game_type(&self, factory: Address) -> Result<GameType, ConnectError<ProposerError>> {
        let number = self.config.game_type;
        let l1 = &self.l1;
        let implementation = l1.call(factory, IDisputeGameFactory::gameImplsCall(number)).await?;
        if implementation.is_zero() {
            let error = ProposerError::NoImplementation { game_type: number, factory };
            return Err(ConnectError::Wrong(error));
        }
        // With a factory of before there were such arguments the implementation knows them itself.
        let arguments = l1.call(factory, IDisputeGameFactory::gameArgsCall(number)).await;
        let arguments = where_known(arguments)?.unwrap_or_default();
        if let Some(game_type) = GameType::from_arguments(&arguments) {
            return Ok(game_type);
        }
        let registry = l1.call(implementation, IFaultDisputeGame::anchorStateRegistryCall {});
        let permitted = l1.call(implementation, IFaultDisputeGame::proposerCall {}).await;
        let l2_chain_id = l1.call(implementation, IFaultDisputeGame::l2ChainIdCall {}).await;
        Ok(GameType {
            registry: registry.await?,
            permitted: where_known(permitted)?,
            l2_chain_id: where_known(l2_chain_id)?,
        })
    }

    /// Says so when games of the type serve no withdrawals.
    async fn compare_with_portal(
        &self,
        rollup: &RollupConfig,
    ) -> Result<(), ConnectError<ProposerError>> {
        let portal = rollup.deposit_contract_address;
        let game_type = self.config.game_type;
        match self.l1.call(portal, IOptimismPortal::respectedGameTypeCall {}).await {
            Ok(respected) if respected != game_type => {
                warn!(target: TARGET, game_type, respected,
                    "withdrawals can't be proven against games of this type: the chain respects another");
                Ok(())
            }
            Err(ContractError::Unavailable(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl GameType {
    /// The arguments that the factory gives to each game, packed: absolute prestate (32 bytes),
    /// VM, anchor state registry and WETH (20 each), L2 chain id (32), and for permissioned games
    /// proposer and challenger (20 each). `None` for other lengths.
    fn from_arguments(arguments: &[u8]) -> Option<Self> {
        const COMMON: usize = 32 + 3 * 20 + 32;
        let address = |at: usize| arguments.get(at..at + 20).map(Address::from_slice);
        let permitted = match arguments.len() {
            COMMON => None,
            length if length == COMMON + 40 => Some(address(COMMON)?),
            _ => return None,
        };
        let l2_chain_id = arguments.get(92..COMMON).map(U256::from_be_slice);
        Some(Self { registry: address(52)?, permitted, l2_chain_id })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_of_a_game_type_are_read_by_their_length() {
        let mut arguments = vec![1; 32];
        for byte in [2, 3, 4] {
            arguments.extend([byte; 20]);
        }
        arguments.extend(U256::from(901).to_be_bytes::<32>());
        let open = GameType::from_arguments(&arguments).unwrap();
        assert_eq!(open.registry, Address::repeat_byte(3));
        assert_eq!((open.permitted, open.l2_chain_id), (None, Some(U256::from(901))));
        arguments.extend([5; 20]);
        assert!(GameType::from_arguments(&arguments).is_none());
        arguments.extend([6; 20]);
        let permissioned = GameType::from_arguments(&arguments).unwrap();
        assert_eq!(permissioned.permitted, Some(Address::repeat_byte(5)));
        assert!(GameType::from_arguments(&[]).is_none());
    }
}
