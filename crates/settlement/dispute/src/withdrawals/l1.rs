//! What L1's contracts say, read at one block at a time.

use alloy_primitives::{Address, B256, U256};
use alloy_provider::{DynProvider, Provider};
use alloy_rpc_types_eth::{BlockId, BlockNumberOrTag, TransactionReceipt, TransactionRequest};
use alloy_sol_types::SolCall;
use futures::future::try_join_all;
use futures::try_join;
use opal_protocol::contracts::ICrossDomainMessenger::{failedMessagesCall, successfulMessagesCall};
use opal_protocol::contracts::{
    IAnchorStateRegistry as Registry, IDisputeGameFactory as Factory, IFaultDisputeGame as Fault,
    IOptimismPortal as Portal, ISystemConfig,
};
use serde::Serialize;

use super::games::{Game, GameStatus, NotUsable, Standing};
use super::reverts::describe;
use super::status::{Delays, Proof};
use super::transfers::Bridges;
use super::{BridgeError, Layer};
use crate::revert::revert_data;

/// Proofs of one withdrawal that are looked at, from the newest. Whoever wants can add proofs; the
/// caller's own is always looked at.
const MAX_PROOFS: u64 = 32;

/// The newest block of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its time, in seconds.
    pub timestamp: u64,
}

impl Head {
    const fn id(&self) -> BlockId {
        BlockId::Number(BlockNumberOrTag::Number(self.number))
    }
}

/// The chain's contracts on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contracts {
    /// OptimismPortal.
    pub portal: Address,
    /// AnchorStateRegistry, which says which games count; `None` where the portal itself says it,
    /// as older ones do.
    pub registry: Option<Address>,
    /// DisputeGameFactory.
    pub factory: Address,
    /// Messenger and bridges.
    #[serde(flatten)]
    pub bridges: Bridges,
    /// Chain id of the L2; `None` on chains whose SystemConfig does not say.
    pub l2_chain_id: Option<u64>,
}

/// What the registry, or the portal, says of a game.
struct Verdict {
    registered: bool,
    respected: bool,
    blacklisted: bool,
    retired: bool,
}

/// Why a contract gave no answer.
enum ReadError {
    /// The node failed.
    Node(BridgeError),
    /// The call reverted, or its answer is of another form.
    Answer(BridgeError),
}

impl From<ReadError> for BridgeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Node(error) | ReadError::Answer(error) => error,
        }
    }
}

/// A portal and what belongs to it.
#[derive(Clone, Debug)]
pub struct L1 {
    provider: DynProvider,
    contracts: Contracts,
}

impl L1 {
    /// Finds the chain's contracts from its portal.
    ///
    /// # Errors
    /// When L1 does not answer, or the address is not a portal of the supported line.
    pub async fn connect(provider: DynProvider, portal: Address) -> Result<Self, BridgeError> {
        let at = BlockId::latest();
        let version = read(&provider, portal, Portal::versionCall {}, at).await?;
        let registry = read(&provider, portal, Portal::anchorStateRegistryCall {}, at).await;
        let registry = where_known(registry)?;
        let factory = match registry {
            Some(at_registry) => {
                read(&provider, at_registry, Registry::disputeGameFactoryCall {}, at).await?
            }
            None => match read(&provider, portal, Portal::disputeGameFactoryCall {}, at).await {
                Err(ReadError::Answer(_)) => {
                    return Err(BridgeError::OldPortal { portal, version });
                }
                other => other?,
            },
        };
        let config = read(&provider, portal, Portal::systemConfigCall {}, at).await?;
        let (messenger, standard, erc721) = try_join!(
            read(&provider, config, ISystemConfig::l1CrossDomainMessengerCall {}, at),
            read(&provider, config, ISystemConfig::l1StandardBridgeCall {}, at),
            read(&provider, config, ISystemConfig::l1ERC721BridgeCall {}, at),
        )?;
        let l2_chain_id = read(&provider, config, ISystemConfig::l2ChainIdCall {}, at).await;
        let l2_chain_id = where_known(l2_chain_id)?.and_then(|id| u64::try_from(id).ok());
        let bridges = Bridges { messenger, standard, erc721 };
        let contracts = Contracts { portal, registry, factory, bridges, l2_chain_id };
        Ok(Self { provider, contracts })
    }

    /// The chain's contracts.
    pub const fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// The node.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The newest block.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn head(&self) -> Result<Head, BridgeError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        let block = block.map_err(|error| BridgeError::rpc(Layer::L1, METHOD, &error))?;
        let block = block.ok_or_else(|| BridgeError::Rpc {
            layer: Layer::L1,
            method: METHOD,
            reason: "no latest block".to_owned(),
        })?;
        Ok(Head { number: block.header.number, timestamp: block.header.timestamp })
    }

    /// The receipt of a transaction; `None` if it is not mined.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, BridgeError> {
        self.provider
            .get_transaction_receipt(hash)
            .await
            .map_err(|error| BridgeError::rpc(Layer::L1, "eth_getTransactionReceipt", &error))
    }

    async fn portal<C: SolCall>(&self, call: C, at: Head) -> Result<C::Return, BridgeError> {
        Ok(read(&self.provider, self.contracts.portal, call, at.id()).await?)
    }

    /// Whether withdrawals are stopped.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn paused(&self, at: Head) -> Result<bool, BridgeError> {
        self.portal(Portal::pausedCall {}, at).await
    }

    /// Whether the portal has made the withdrawal's call.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn finalized(&self, withdrawal: B256, at: Head) -> Result<bool, BridgeError> {
        self.portal(Portal::finalizedWithdrawalsCall(withdrawal), at).await
    }

    /// The chain's delays.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn delays(&self, at: Head) -> Result<Delays, BridgeError> {
        let (maturity, finality) = try_join!(
            self.portal(Portal::proofMaturityDelaySecondsCall {}, at),
            self.portal(Portal::disputeGameFinalityDelaySecondsCall {}, at),
        )?;
        let seconds = |delay| u64::try_from(delay).unwrap_or(u64::MAX);
        Ok(Delays { proof_maturity: seconds(maturity), game_finality: seconds(finality) })
    }

    /// The proofs of a withdrawal: those of `submitters` and the newest of all others.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn proofs(
        &self,
        withdrawal: B256,
        submitters: &[Address],
        at: Head,
    ) -> Result<Vec<Proof>, BridgeError> {
        let count =
            self.portal(Portal::numProofSubmittersCall { _withdrawalHash: withdrawal }, at).await?;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let newest = count.saturating_sub(MAX_PROOFS)..count;
        let others = newest.map(|index| {
            let call = Portal::proofSubmittersCall { _0: withdrawal, _1: U256::from(index) };
            self.portal(call, at)
        });
        let mut all = try_join_all(others).await?;
        all.extend(submitters);
        all.sort();
        all.dedup();
        let proofs = all.into_iter().map(|submitter| async move {
            let call = Portal::provenWithdrawalsCall { _0: withdrawal, _1: submitter };
            let proven = self.portal(call, at).await?;
            if proven.timestamp == 0 {
                return Ok::<_, BridgeError>(None);
            }
            let (game, proven_at) = (proven.disputeGameProxy, proven.timestamp);
            let standing = self.standing(game, at).await?;
            Ok(Some(Proof { submitter, proven_at, game, standing }))
        });
        Ok(try_join_all(proofs).await?.into_iter().flatten().collect())
    }

    /// What L1 thinks of a game.
    ///
    /// # Errors
    /// When L1 does not answer, or the address is no game.
    pub async fn standing(&self, game: Address, at: Head) -> Result<Standing, BridgeError> {
        let (provider, id) = (&self.provider, at.id());
        let clock = async {
            // Some games have none.
            where_known(read(provider, game, Fault::maxClockDurationCall {}, id).await)
        };
        let (status, created_at, resolved_at, max_clock) = try_join!(
            read(provider, game, Fault::statusCall {}, id),
            read(provider, game, Fault::createdAtCall {}, id),
            read(provider, game, Fault::resolvedAtCall {}, id),
            clock,
        )?;
        let status = GameStatus::from_number(status).ok_or_else(|| BridgeError::Contract {
            address: game,
            call: Fault::statusCall::SIGNATURE,
            reason: format!("status {status} is unknown"),
        })?;
        let verdict = match self.contracts.registry {
            Some(registry) => self.verdict_of_registry(registry, game, id).await?,
            None => self.verdict_of_portal(game, created_at, id).await?,
        };
        let Verdict { registered, respected, blacklisted, retired } = verdict;
        Ok(Standing {
            status,
            created_at,
            resolved_at,
            registered,
            respected,
            blacklisted,
            retired,
            max_clock,
        })
    }

    async fn verdict_of_registry(
        &self,
        registry: Address,
        game: Address,
        id: BlockId,
    ) -> Result<Verdict, ReadError> {
        let provider = &self.provider;
        let (registered, respected, blacklisted, retired) = try_join!(
            read(provider, registry, Registry::isGameRegisteredCall { _game: game }, id),
            read(provider, registry, Registry::isGameRespectedCall { _game: game }, id),
            read(provider, registry, Registry::isGameBlacklistedCall { _game: game }, id),
            read(provider, registry, Registry::isGameRetiredCall { _game: game }, id),
        )?;
        Ok(Verdict { registered, respected, blacklisted, retired })
    }

    /// The rules of portals that keep the verdicts themselves: the type that is respected now
    /// decides, and games from before it was set are retired.
    async fn verdict_of_portal(
        &self,
        game: Address,
        created_at: u64,
        id: BlockId,
    ) -> Result<Verdict, ReadError> {
        let (provider, Contracts { portal, factory, .. }) = (&self.provider, self.contracts);
        let (data, respected_type, updated_at, blacklisted) = try_join!(
            read(provider, game, Fault::gameDataCall {}, id),
            read(provider, portal, Portal::respectedGameTypeCall {}, id),
            read(provider, portal, Portal::respectedGameTypeUpdatedAtCall {}, id),
            read(provider, portal, Portal::disputeGameBlacklistCall(game), id),
        )?;
        let entry = Factory::gamesCall {
            _gameType: data.gameType_,
            _rootClaim: data.rootClaim_,
            _extraData: data.extraData_,
        };
        Ok(Verdict {
            registered: read(provider, factory, entry, id).await?.proxy_ == game,
            respected: data.gameType_ == respected_type,
            blacklisted,
            retired: created_at < updated_at,
        })
    }

    /// A place at the end of the factory's list of games, and the type that counts; `None` if there
    /// is no game at all.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn games_end(&self, at: Head) -> Result<Option<(U256, u32)>, BridgeError> {
        let Contracts { portal, factory, registry, .. } = self.contracts;
        let judge = registry.unwrap_or(portal);
        let (count, game_type) = try_join!(
            read(&self.provider, factory, Factory::gameCountCall {}, at.id()),
            // Portal and registry have the same getter.
            read(&self.provider, judge, Registry::respectedGameTypeCall {}, at.id()),
        )?;
        Ok(count.checked_sub(U256::ONE).map(|last| (last, game_type)))
    }

    /// Up to `count` games of a type, from place `start` of the list backwards.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn games(
        &self,
        game_type: u32,
        start: U256,
        count: u64,
        at: Head,
    ) -> Result<Vec<Result<Game, NotUsable>>, BridgeError> {
        let _n = U256::from(count);
        let call = Factory::findLatestGamesCall { _gameType: game_type, _start: start, _n };
        let found = read(&self.provider, self.contracts.factory, call, at.id()).await?;
        let game = |found: Factory::GameSearchResult| {
            let index = u64::try_from(found.index).unwrap_or(u64::MAX);
            Game::new(index, found.metadata, found.rootClaim, &found.extraData)
        };
        Ok(found.into_iter().map(game).collect())
    }

    /// Whether L1's messenger made a message's call: `Some(true)` if it did, `Some(false)` if the
    /// call failed, `None` if the message has not come yet.
    ///
    /// # Errors
    /// When L1 does not answer.
    pub async fn message(&self, hash: B256, at: Head) -> Result<Option<bool>, BridgeError> {
        let messenger = self.contracts.bridges.messenger;
        let (done, failed) = try_join!(
            read(&self.provider, messenger, successfulMessagesCall(hash), at.id()),
            read(&self.provider, messenger, failedMessagesCall(hash), at.id()),
        )?;
        Ok(if done { Some(true) } else { failed.then_some(false) })
    }
}

/// The answer of a contract that may not know the question.
fn where_known<T>(answer: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ReadError::Answer(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks a contract on L1.
async fn read<C: SolCall>(
    provider: &DynProvider,
    address: Address,
    call: C,
    at: BlockId,
) -> Result<C::Return, ReadError> {
    let wrong =
        |reason| ReadError::Answer(BridgeError::Contract { address, call: C::SIGNATURE, reason });
    let request = TransactionRequest::default().to(address).input(call.abi_encode().into());
    let answer = match provider.call(request).block(at).await {
        Ok(answer) => answer,
        Err(error) => match revert_data(&error) {
            Some(data) => return Err(wrong(format!("it reverts: {}", describe(&data)))),
            None => {
                return Err(ReadError::Node(BridgeError::rpc(Layer::L1, "eth_call", &error)));
            }
        },
    };
    if answer.is_empty() {
        return Err(wrong("no answer".to_owned()));
    }
    C::abi_decode_returns(&answer).map_err(|error| wrong(error.to_string()))
}
