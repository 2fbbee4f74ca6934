//! The settlement contracts of the test's L1, as far as the proposer meets them.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolError, SolInterface, SolValue};
use opal_protocol::contracts::IAnchorStateRegistry::{
    self as registry, IAnchorStateRegistryCalls as Registry,
};
use opal_protocol::contracts::IDelayedWETH::{self as weth, IDelayedWETHCalls as Weth};
use opal_protocol::contracts::IDisputeGameFactory::{
    self as factory, IDisputeGameFactoryCalls as Factory,
};
use opal_protocol::contracts::IFaultDisputeGame::{
    self as game, IFaultDisputeGameCalls as GameCalls,
};
use opal_protocol::contracts::IOptimismPortal::{self as portal, IOptimismPortalCalls as Portal};
use opal_protocol::contracts::ISuperchainConfig as superchain;

use super::world::{BOND, FACTORY, Game, PORTAL, World};

/// Seconds that each side of a game has.
const MAX_CLOCK: u64 = 10;
const FINALITY_DELAY: u64 = 6;
const PAYMENT_DELAY: u64 = 4;

const REGISTRY: Address = Address::repeat_byte(0xa3);
const WETH: Address = Address::repeat_byte(0xa4);
const SUPERCHAIN: Address = Address::repeat_byte(0xa6);
/// What the games are clones of.
pub(super) const IMPLEMENTATION: Address = Address::repeat_byte(0xa5);

/// The data of a revert.
type Reverted = Vec<u8>;

fn ok<C: SolCall>(value: C::Return) -> Result<Vec<u8>, Reverted> {
    Ok(C::abi_encode_returns(&value))
}

impl World {
    /// A game as the factory creates it; the bond of other accounts does not matter here.
    pub(super) fn create(&mut self, creator: Address, l2_block: u64, root: B256) {
        let id = [l2_block.to_be_bytes(), self.fork.to_be_bytes()].concat();
        self.chain.games.push(Game {
            address: Address::from_word(keccak256([id.as_slice(), creator.as_slice()].concat())),
            creator,
            created_at: self.chain.time,
            game_type: 1,
            root,
            l2_block,
            claims: vec![false],
            countered: false,
            status: 0,
            resolved_at: 0,
            mode: 0,
            won: U256::ZERO,
            refund: U256::from(BOND),
            unlocked_at: None,
        });
    }

    /// Runs a call; what it changes is kept in `self.chain`.
    pub(super) fn execute(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: &[u8],
    ) -> Result<Vec<u8>, Reverted> {
        match to {
            PORTAL => self.portal(data),
            REGISTRY => self.registry(data),
            WETH => self.weth(data),
            SUPERCHAIN => ok::<superchain::pausedCall>(self.paused),
            to if to == self.factory => self.factory_call(from, value, data),
            IMPLEMENTATION => match GameCalls::abi_decode(data).map_err(|_| Vec::new())? {
                GameCalls::anchorStateRegistry(_) => ok::<game::anchorStateRegistryCall>(REGISTRY),
                GameCalls::proposer(_) if !self.permitted.is_zero() => {
                    ok::<game::proposerCall>(self.permitted)
                }
                _ => Err(Vec::new()),
            },
            to => match self.chain.games.iter().position(|game| game.address == to) {
                Some(index) => self.game(index, data),
                // No code.
                None => Ok(Vec::new()),
            },
        }
    }

    fn portal(&self, data: &[u8]) -> Result<Vec<u8>, Reverted> {
        match Portal::abi_decode(data).map_err(|_| Vec::new())? {
            Portal::disputeGameFactory(_) => ok::<portal::disputeGameFactoryCall>(FACTORY),
            Portal::respectedGameType(_) => ok::<portal::respectedGameTypeCall>(1),
            _ => Err(Vec::new()),
        }
    }

    fn registry(&self, data: &[u8]) -> Result<Vec<u8>, Reverted> {
        match Registry::abi_decode(data).map_err(|_| Vec::new())? {
            Registry::anchors(_) => {
                ok::<registry::anchorsCall>((B256::repeat_byte(9), U256::from(self.anchor)).into())
            }
            Registry::paused(_) => ok::<registry::pausedCall>(self.paused),
            Registry::isGameProper(_) => {
                ok::<registry::isGameProperCall>(!self.paused && !self.blacklisted)
            }
            Registry::disputeGameFinalityDelaySeconds(_) => {
                ok::<registry::disputeGameFinalityDelaySecondsCall>(U256::from(FINALITY_DELAY))
            }
            _ => Err(Vec::new()),
        }
    }

    fn weth(&self, data: &[u8]) -> Result<Vec<u8>, Reverted> {
        match Weth::abi_decode(data).map_err(|_| Vec::new())? {
            Weth::config(_) if !self.closing => ok::<weth::configCall>(SUPERCHAIN),
            Weth::delay(_) => ok::<weth::delayCall>(U256::from(PAYMENT_DELAY)),
            Weth::withdrawals(call) => {
                let game = self.chain.games.iter().find(|game| game.address == call._0);
                let timestamp = game.and_then(|game| game.unlocked_at).unwrap_or(0);
                ok::<weth::withdrawalsCall>(weth::withdrawalsReturn {
                    amount: U256::from(BOND),
                    timestamp: U256::from(timestamp),
                })
            }
            _ => Err(Vec::new()),
        }
    }

    fn factory_call(
        &mut self,
        from: Address,
        value: U256,
        data: &[u8],
    ) -> Result<Vec<u8>, Reverted> {
        let games = &self.chain.games;
        match Factory::abi_decode(data).map_err(|_| Vec::new())? {
            Factory::gameCount(_) => ok::<factory::gameCountCall>(U256::from(games.len())),
            Factory::gameImpls(call) => {
                let known = call.0 == 1;
                let address = if known { self.implementation } else { Address::ZERO };
                ok::<factory::gameImplsCall>(address)
            }
            Factory::gameArgs(_) if self.arguments => {
                let mut arguments = vec![1; 52];
                arguments.extend(REGISTRY);
                arguments.extend(WETH);
                arguments.extend(U256::from(self.l2_chain_id).to_be_bytes::<32>());
                if !self.permitted.is_zero() {
                    arguments.extend(self.permitted);
                    arguments.extend([5; 20]);
                }
                ok::<factory::gameArgsCall>(arguments.into())
            }
            Factory::initBonds(_) => ok::<factory::initBondsCall>(U256::from(BOND)),
            Factory::gameAtIndex(call) => {
                let index = call._index.saturating_to::<usize>();
                let game = games.get(index).ok_or_else(Vec::new)?;
                ok::<factory::gameAtIndexCall>(factory::gameAtIndexReturn {
                    gameType_: game.game_type,
                    timestamp_: game.created_at,
                    proxy_: game.address,
                })
            }
            Factory::games(call) => {
                let block = U256::abi_decode(&call._extraData).unwrap();
                let same = games.iter().find(|game| {
                    game.root == call._rootClaim && U256::from(game.l2_block) == block
                });
                ok::<factory::gamesCall>(factory::gamesReturn {
                    proxy_: same.map_or(Address::ZERO, |game| game.address),
                    timestamp_: same.map_or(0, |game| game.created_at),
                })
            }
            Factory::create(call) => {
                assert_eq!((call._gameType, value), (1, U256::from(BOND)));
                if from != self.permitted {
                    return Err(game::BadAuth {}.abi_encode());
                }
                let block = U256::abi_decode(&call._extraData).unwrap().to::<u64>();
                if block <= self.anchor {
                    let error = game::UnexpectedRootClaim { rootClaim: call._rootClaim };
                    return Err(error.abi_encode());
                }
                self.create(from, block, call._rootClaim);
                let address = self.chain.games.last().unwrap().address;
                ok::<factory::createCall>(address)
            }
            _ => Err(Vec::new()),
        }
    }

    fn game(&mut self, index: usize, data: &[u8]) -> Result<Vec<u8>, Reverted> {
        let (now, paused) = (self.chain.time, self.paused);
        let proper = !self.paused && !self.blacklisted;
        let closing = self.closing;
        let this = &mut self.chain.games[index];
        match GameCalls::abi_decode(data).map_err(|_| Vec::new())? {
            GameCalls::status(_) => ok::<game::statusCall>(this.status),
            GameCalls::gameCreator(_) => ok::<game::gameCreatorCall>(this.creator),
            GameCalls::l2BlockNumber(_) => ok::<game::l2BlockNumberCall>(U256::from(this.l2_block)),
            GameCalls::maxClockDuration(_) => ok::<game::maxClockDurationCall>(MAX_CLOCK),
            GameCalls::claimDataLen(_) => {
                ok::<game::claimDataLenCall>(U256::from(this.claims.len()))
            }
            GameCalls::resolvedSubgames(call) => {
                let index = call.0.to::<usize>();
                ok::<game::resolvedSubgamesCall>(this.claims[index])
            }
            GameCalls::getChallengerDuration(_) => {
                let used = (now - this.created_at).min(MAX_CLOCK);
                ok::<game::getChallengerDurationCall>(used)
            }
            GameCalls::resolvedAt(_) => ok::<game::resolvedAtCall>(this.resolved_at),
            // What the games of before did not have yet.
            GameCalls::bondDistributionMode(_)
            | GameCalls::normalModeCredit(_)
            | GameCalls::refundModeCredit(_)
            | GameCalls::hasUnlockedCredit(_)
            | GameCalls::closeGame(_)
                if !closing =>
            {
                Err(Vec::new())
            }
            GameCalls::credit(_) if !closing => ok::<game::creditCall>(this.won),
            GameCalls::bondDistributionMode(_) => ok::<game::bondDistributionModeCall>(this.mode),
            GameCalls::anchorStateRegistry(_) => ok::<game::anchorStateRegistryCall>(REGISTRY),
            GameCalls::weth(_) => ok::<game::wethCall>(WETH),
            GameCalls::normalModeCredit(_) => ok::<game::normalModeCreditCall>(this.won),
            GameCalls::refundModeCredit(_) => ok::<game::refundModeCreditCall>(this.refund),
            GameCalls::hasUnlockedCredit(_) => {
                ok::<game::hasUnlockedCreditCall>(this.unlocked_at.is_some())
            }
            GameCalls::resolveClaim(call) => {
                let index = call._claimIndex.to::<usize>();
                if now - this.created_at < MAX_CLOCK {
                    return Err(game::ClockNotExpired {}.abi_encode());
                }
                if this.claims[index] {
                    return Err(game::ClaimAlreadyResolved {}.abi_encode());
                }
                if this.claims[index + 1..].contains(&false) {
                    return Err(game::OutOfOrderResolution {}.abi_encode());
                }
                this.claims[index] = true;
                if index == 0 && !this.countered {
                    this.won = U256::from(BOND);
                    this.unlocked_at = (!closing).then_some(now);
                }
                ok::<game::resolveClaimCall>(game::resolveClaimReturn {})
            }
            GameCalls::resolve(_) => {
                if this.status != 0 {
                    return Err(game::GameNotInProgress {}.abi_encode());
                }
                if !this.claims[0] {
                    return Err(game::OutOfOrderResolution {}.abi_encode());
                }
                this.status = if this.countered { 1 } else { 2 };
                this.resolved_at = now;
                ok::<game::resolveCall>(this.status)
            }
            GameCalls::claimCredit(call) => {
                assert_eq!(call._recipient, this.creator);
                if paused {
                    return Err(game::GamePaused {}.abi_encode());
                }
                if this.mode == 0 && !closing {
                    this.mode = 1;
                }
                if this.mode == 0 {
                    if this.status == 0 || now - this.resolved_at <= FINALITY_DELAY {
                        return Err(game::GameNotFinalized {}.abi_encode());
                    }
                    this.mode = if proper { 1 } else { 2 };
                }
                let credit = if this.mode == 1 { this.won } else { this.refund };
                match this.unlocked_at {
                    None => this.unlocked_at = Some(now),
                    Some(_) if credit.is_zero() => {
                        return Err(game::NoCreditToClaim {}.abi_encode());
                    }
                    Some(at) if now < at + PAYMENT_DELAY => {
                        let text = "DelayedWETH: withdrawal delay not met";
                        return Err(alloy_sol_types::Revert::from(text).abi_encode());
                    }
                    Some(_) => {
                        (this.won, this.refund) = (U256::ZERO, U256::ZERO);
                        self.chain.paid += credit;
                    }
                }
                ok::<game::claimCreditCall>(game::claimCreditReturn {})
            }
            _ => Err(Vec::new()),
        }
    }
}
