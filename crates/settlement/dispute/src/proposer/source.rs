//! What the proposer reads from L1, and the transactions that it makes of it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use futures::{StreamExt, TryStreamExt, stream};
use opal_protocol::contracts::{IAnchorStateRegistry, IDisputeGameFactory, IFaultDisputeGame};
use opal_service::TxCandidate;

use super::client::Output;
use super::ledger::{Ledger, Tracked};
use crate::games::{self, Action, OwnGame, View};
use crate::l1::{ContractError, L1, L1Head, where_known};

/// Entries of the factory's list, or games, asked about at the same time.
const CONCURRENT: usize = 8;
/// Claims against one claim that a transaction resolves at most.
const CLAIMS_PER_TRANSACTION: u64 = 256;
/// Gas for a transaction that can't be tried out beforehand.
const BLIND_GAS: u64 = 1_000_000;
/// The same for `resolve`, which notes the outcome: about 40,000.
const RESOLVE_GAS: u64 = 200_000;

/// An entry of the factory's list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub index: u64,
    /// L1 time, in seconds.
    pub created_at: u64,
    /// The game, if it is ours, of whichever type.
    pub own: Option<OwnGame>,
}

/// The contracts on L1, and our account there.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub l1: L1,
    pub factory: Address,
    /// The registry whose anchor new games begin at.
    pub registry: Address,
    pub game_type: u32,
    pub account: Address,
    /// Whether games get their transactions a block before the time has come, without a dry run.
    pub ahead: bool,
}

impl Source {
    /// Reads the state of this block.
    pub(crate) fn at(&self, block: &L1Head) -> Self {
        Self { l1: self.l1.at(block), ..self.clone() }
    }

    /// Length of the factory's list.
    pub(crate) async fn count(&self) -> Result<u64, ContractError> {
        let call = IDisputeGameFactory::gameCountCall {};
        Ok(self.l1.call(self.factory, call).await?.saturating_to())
    }

    /// Whether the newest game of a ledger is still where it was, in a list of this length.
    pub(crate) async fn holds(&self, ledger: &Ledger, count: u64) -> Result<bool, ContractError> {
        if ledger.unread(count).is_none() {
            return Ok(false);
        }
        let Some(newest) = ledger.newest() else { return Ok(true) };
        let call = IDisputeGameFactory::gameAtIndexCall { _index: U256::from(newest.index) };
        match self.l1.call(self.factory, call).await {
            Ok(entry) => Ok(entry.proxy_ == newest.address),
            // There is no such index.
            Err(ContractError::Reverted { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entries at these indices, in the same order.
    pub(crate) async fn entries(&self, indices: Vec<u64>) -> Result<Vec<Entry>, ContractError> {
        let entries = stream::iter(indices).map(|index| self.entry(index));
        entries.buffered(CONCURRENT).try_collect().await
    }

    async fn entry(&self, index: u64) -> Result<Entry, ContractError> {
        let call = IDisputeGameFactory::gameAtIndexCall { _index: U256::from(index) };
        let entry = self.l1.call(self.factory, call).await?;
        let (created_at, address) = (entry.timestamp_, entry.proxy_);
        let other = Entry { index, created_at, own: None };
        let creator = self.l1.call(address, IFaultDisputeGame::gameCreatorCall {}).await;
        if where_known(creator)? != Some(self.account) {
            return Ok(other);
        }
        let block = self.l1.call(address, IFaultDisputeGame::l2BlockNumberCall {}).await;
        let own = where_known(block)?.map(|block| OwnGame {
            index,
            address,
            created_at,
            l2_block: block.saturating_to(),
            current: entry.gameType_ == self.game_type,
        });
        Ok(Entry { own, ..other })
    }

    /// What L1 says of these games.
    pub(crate) async fn views(
        &self,
        games: Vec<Tracked>,
    ) -> Vec<(Tracked, Result<View, ContractError>)> {
        let read = |tracked: Tracked| async move {
            let Tracked { game, resolved_from, .. } = tracked;
            (tracked, games::read(&self.l1, &game, self.account, resolved_from).await)
        };
        stream::iter(games).map(read).buffered(CONCURRENT).collect().await
    }

    /// The L2 block that new games must come after.
    pub(crate) async fn anchor(&self) -> Result<u64, ContractError> {
        let call = IAnchorStateRegistry::anchorsCall(self.game_type);
        Ok(self.l1.call(self.registry, call).await?._1.saturating_to())
    }

    /// The transaction that creates a game about this output; `None` if there is a game with the
    /// same claim.
    pub(crate) async fn creation(
        &self,
        block: u64,
        output: &Output,
    ) -> Result<Option<TxCandidate>, ContractError> {
        let extra_data: Bytes = U256::from(block).abi_encode().into();
        let same = IDisputeGameFactory::gamesCall {
            _gameType: self.game_type,
            _rootClaim: output.root,
            _extraData: extra_data.clone(),
        };
        let (same, bond) = futures::try_join!(
            self.l1.call(self.factory, same),
            self.l1.call(self.factory, IDisputeGameFactory::initBondsCall(self.game_type)),
        )?;
        if !same.proxy_.is_zero() {
            return Ok(None);
        }
        let create = IDisputeGameFactory::createCall {
            _gameType: self.game_type,
            _rootClaim: output.root,
            _extraData: extra_data,
        };
        let gas = self.l1.estimate(self.account, self.factory, bond, &create).await?;
        let blind = blind(self.factory, &create);
        Ok(Some(TxCandidate { value: bond, gas_limit: Some(with_margin(gas)), ..blind }))
    }

    /// The transactions of an action, in order. The first one is tried out, unless its time comes
    /// only with the next block.
    pub(crate) async fn transactions(
        &self,
        tracked: &Tracked,
        action: Action,
    ) -> Result<Vec<TxCandidate>, ContractError> {
        let claim = |index| IFaultDisputeGame::resolveClaimCall {
            _claimIndex: U256::from(index),
            _numToResolve: U256::from(CLAIMS_PER_TRANSACTION),
        };
        let resolve = IFaultDisputeGame::resolveCall {};
        let first = match action {
            Action::ResolveClaim(index) => self.candidate(tracked, &claim(index)).await?,
            Action::ResolveWhole => self.candidate(tracked, &claim(0)).await?,
            Action::Resolve => self.candidate(tracked, &resolve).await?,
            Action::Close => self.candidate(tracked, &IFaultDisputeGame::closeGameCall {}).await?,
            Action::Unlock(_) | Action::Withdraw(_) => {
                let call = IFaultDisputeGame::claimCreditCall { _recipient: self.account };
                self.candidate(tracked, &call).await?
            }
        };
        Ok(match action {
            // At the tip it would be refused, for the claim is not resolved there.
            Action::ResolveWhole => {
                let resolve = blind(tracked.game.address, &resolve);
                vec![first, TxCandidate { gas_limit: Some(RESOLVE_GAS), ..resolve }]
            }
            _ => vec![first],
        })
    }

    async fn candidate<C: SolCall>(
        &self,
        tracked: &Tracked,
        call: &C,
    ) -> Result<TxCandidate, ContractError> {
        let game = tracked.game.address;
        if self.ahead && tracked.failures == 0 {
            return Ok(blind(game, call));
        }
        let gas = self.l1.estimate(self.account, game, U256::ZERO, call).await?;
        Ok(TxCandidate { gas_limit: Some(with_margin(gas)), ..blind(game, call) })
    }
}

/// A transaction that is not tried out.
fn blind<C: SolCall>(to: Address, call: &C) -> TxCandidate {
    TxCandidate {
        to: Some(to),
        data: call.abi_encode().into(),
        gas_limit: Some(BLIND_GAS),
        ..TxCandidate::default()
    }
}

/// The state may be another when the transaction is mined.
const fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas / 4)
}
