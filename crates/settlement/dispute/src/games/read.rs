//! Reads what L1 says of a game.

use alloy_primitives::{Address, U256};
use futures::{StreamExt, TryStreamExt, stream};
use opal_protocol::contracts::{
    IAnchorStateRegistry, IDelayedWETH, IFaultDisputeGame, ISuperchainConfig,
};

use super::{BondMode, InProgress, Open, OwnGame, Resolved, View};
use crate::l1::{ContractError, L1};

/// Claims asked about at the same time.
const CONCURRENT_CLAIMS: usize = 16;
/// Claims asked about in one look at a game.
const MAX_CLAIMS: u64 = 512;

/// `GameStatus.IN_PROGRESS`.
const IN_PROGRESS: u8 = 0;
/// `GameStatus.DEFENDER_WINS`.
const DEFENDER_WINS: u8 = 2;
/// `BondDistributionMode.NORMAL`.
const NORMAL: u8 = 1;
/// `BondDistributionMode.REFUND`.
const REFUND: u8 = 2;

/// What L1 says of a game at its tip, for the account that claims the bond. `resolved_from` is an
/// index from which on all claims were found resolved before; claims are looked at below it.
pub(crate) async fn read(
    l1: &L1,
    game: &OwnGame,
    account: Address,
    resolved_from: Option<u64>,
) -> Result<View, ContractError> {
    match l1.call(game.address, IFaultDisputeGame::statusCall {}).await? {
        IN_PROGRESS => Ok(View::InProgress(in_progress(l1, game, resolved_from).await?)),
        status => Ok(View::Resolved(resolved(l1, game, account, status == DEFENDER_WINS).await?)),
    }
}

async fn in_progress(
    l1: &L1,
    game: &OwnGame,
    resolved_from: Option<u64>,
) -> Result<InProgress, ContractError> {
    let address = game.address;
    let (max_clock_duration, claims) = futures::try_join!(
        l1.call(address, IFaultDisputeGame::maxClockDurationCall {}),
        l1.call(address, IFaultDisputeGame::claimDataLenCall {}),
    )?;
    let claims = claims.saturating_to::<u64>();
    let open = open_claim(l1, address, resolved_from.unwrap_or(claims).min(claims)).await?;
    Ok(InProgress { created_at: game.created_at, max_clock_duration, claims, open })
}

/// The last claim before `end` that is not resolved.
async fn open_claim(l1: &L1, game: Address, end: u64) -> Result<Open, ContractError> {
    let start = end.saturating_sub(MAX_CLAIMS);
    let is_resolved = |index: u64| async move {
        let call = IFaultDisputeGame::resolvedSubgamesCall(U256::from(index));
        l1.call(game, call).await.map(|resolved| (index, resolved))
    };
    let mut answers = stream::iter((start..end).rev()).map(is_resolved).buffered(CONCURRENT_CLAIMS);
    while let Some((index, resolved)) = answers.try_next().await? {
        if !resolved {
            let call =
                IFaultDisputeGame::getChallengerDurationCall { _claimIndex: U256::from(index) };
            let challenger_duration = l1.call(game, call).await?;
            return Ok(Open::Claim { index, challenger_duration });
        }
    }
    Ok(if start == 0 { Open::None } else { Open::Before(start) })
}

async fn resolved(
    l1: &L1,
    game: &OwnGame,
    account: Address,
    defender_won: bool,
) -> Result<Resolved, ContractError> {
    let address = game.address;
    let mode = match l1.call(address, IFaultDisputeGame::bondDistributionModeCall {}).await {
        Ok(mode) => mode,
        Err(ContractError::Reverted { .. } | ContractError::NotThere { .. }) => {
            return resolved_without_closing(l1, address, account, defender_won).await;
        }
        Err(error) => return Err(error),
    };
    let (resolved_at, registry, weth, won, refund, unlocked) = futures::try_join!(
        l1.call(address, IFaultDisputeGame::resolvedAtCall {}),
        l1.call(address, IFaultDisputeGame::anchorStateRegistryCall {}),
        l1.call(address, IFaultDisputeGame::wethCall {}),
        l1.call(address, IFaultDisputeGame::normalModeCreditCall(account)),
        l1.call(address, IFaultDisputeGame::refundModeCreditCall(account)),
        l1.call(address, IFaultDisputeGame::hasUnlockedCreditCall(account)),
    )?;
    let (finality_delay, paused, proper, announced, payment_delay) = futures::try_join!(
        l1.call(registry, IAnchorStateRegistry::disputeGameFinalityDelaySecondsCall {}),
        l1.call(registry, IAnchorStateRegistry::pausedCall {}),
        l1.call(registry, IAnchorStateRegistry::isGameProperCall { _game: address }),
        l1.call(weth, IDelayedWETH::withdrawalsCall { _0: address, _1: account }),
        l1.call(weth, IDelayedWETH::delayCall {}),
    )?;
    Ok(Resolved {
        defender_won,
        resolved_at,
        finality_delay: finality_delay.saturating_to(),
        paused,
        proper,
        mode: match mode {
            NORMAL => BondMode::Normal,
            REFUND => BondMode::Refund,
            _ => BondMode::Undecided,
        },
        won,
        refund,
        unlocked,
        unlocked_at: announced.timestamp.saturating_to(),
        payment_delay: payment_delay.saturating_to(),
    })
}

/// A game of before games were closed: resolving a claim announces the payment of its bond, to the
/// winner whatever the guardian says of the game. One is paid when the delay is over.
async fn resolved_without_closing(
    l1: &L1,
    game: Address,
    account: Address,
    defender_won: bool,
) -> Result<Resolved, ContractError> {
    let (resolved_at, weth, won) = futures::try_join!(
        l1.call(game, IFaultDisputeGame::resolvedAtCall {}),
        l1.call(game, IFaultDisputeGame::wethCall {}),
        l1.call(game, IFaultDisputeGame::creditCall { _recipient: account }),
    )?;
    let (announced, payment_delay, superchain) = futures::try_join!(
        l1.call(weth, IDelayedWETH::withdrawalsCall { _0: game, _1: account }),
        l1.call(weth, IDelayedWETH::delayCall {}),
        l1.call(weth, IDelayedWETH::configCall {}),
    )?;
    Ok(Resolved {
        defender_won,
        resolved_at,
        finality_delay: 0,
        paused: l1.call(superchain, ISuperchainConfig::pausedCall {}).await?,
        proper: true,
        mode: BondMode::Normal,
        won,
        refund: U256::ZERO,
        unlocked: !announced.timestamp.is_zero(),
        unlocked_at: announced.timestamp.saturating_to(),
        payment_delay: payment_delay.saturating_to(),
    })
}
