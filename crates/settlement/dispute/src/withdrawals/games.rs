//! Which dispute games a withdrawal can be proven against: rules of the portal and of the
//! AnchorStateRegistry, without I/O. Spec: `fault-proof/stage-one/optimism-portal.md`,
//! `fault-proof/stage-one/anchor-state-registry.md`.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes};
use serde::Serialize;

/// Game types whose claims are about several chains.
const SUPER_TYPES: [u32; 4] = [4, 5, 7, 9];

/// What became of a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GameStatus {
    /// Not resolved.
    InProgress,
    /// The claim was refuted.
    ChallengerWins,
    /// The claim stands.
    DefenderWins,
}

impl GameStatus {
    /// Reads the contract's number; `None` if there is no such status.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::InProgress),
            1 => Some(Self::ChallengerWins),
            2 => Some(Self::DefenderWins),
            _ => None,
        }
    }
}

impl fmt::Display for GameStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProgress => "in progress",
            Self::ChallengerWins => "lost",
            Self::DefenderWins => "won",
        })
    }
}

/// A game as the factory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Game {
    /// Place in the factory's list.
    pub index: u64,
    /// The game's contract.
    pub address: Address,
    /// Type of the game.
    pub game_type: u32,
    /// When it was created, in seconds.
    pub created_at: u64,
    /// The output root that it is about.
    pub root_claim: B256,
    /// The L2 block whose output that is.
    pub l2_block: u64,
}

/// Why a game of the factory's list is none that withdrawals of one chain are proven against here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUsable {
    /// Its claim is about several chains.
    #[error("games of type {0} are about several chains, which opal bridge does not read")]
    SeveralChains(u32),
    /// Its extra data has no L2 block number.
    #[error("the game's extra data names no L2 block")]
    NoBlock,
}

impl Game {
    /// Makes a game of the factory's answer.
    ///
    /// # Errors
    /// When the claim is not the output of one L2 block.
    pub fn new(
        index: u64,
        metadata: B256,
        root_claim: B256,
        extra_data: &Bytes,
    ) -> Result<Self, NotUsable> {
        // Type (4 bytes), time (8), address (20).
        let (head, address) = metadata.split_at(12);
        let (game_type, created_at) = head.split_at(4);
        let game_type = u32::from_be_bytes(game_type.try_into().unwrap_or_default());
        if SUPER_TYPES.contains(&game_type) {
            return Err(NotUsable::SeveralChains(game_type));
        }
        let word = extra_data.get(..32).ok_or(NotUsable::NoBlock)?;
        let l2_block = alloy_primitives::U256::from_be_slice(word);
        Ok(Self {
            index,
            address: Address::from_slice(address),
            game_type,
            created_at: u64::from_be_bytes(created_at.try_into().unwrap_or_default()),
            root_claim,
            l2_block: u64::try_from(l2_block).map_err(|_| NotUsable::NoBlock)?,
        })
    }
}

/// What L1 thinks of a game now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// What became of it.
    pub status: GameStatus,
    /// When it was created, in seconds.
    pub created_at: u64,
    /// When it was resolved, in seconds; 0 before.
    pub resolved_at: u64,
    /// Whether the factory created it.
    pub registered: bool,
    /// Whether its type was the respected one when it was created; on chains whose portal judges the
    /// games, whether it is now.
    pub respected: bool,
    /// Whether the guardian struck it out.
    pub blacklisted: bool,
    /// Whether it is too old to count.
    pub retired: bool,
    /// Seconds that either side has; `None` if the game has no clocks.
    pub max_clock: Option<u64>,
}

/// Why a game does not count, and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Objection {
    /// Not of the factory.
    #[error("the factory did not create it")]
    NotRegistered,
    /// Struck out by the guardian.
    #[error("the guardian blacklisted it")]
    Blacklisted,
    /// From before the last retirement.
    #[error("it is retired")]
    Retired,
    /// Of another type.
    #[error("its type is not the respected one")]
    NotRespected,
    /// Refuted.
    #[error("its claim was refuted")]
    Lost,
    /// L2 has another output.
    #[error("its claim is not the output root of that L2 block")]
    WrongRoot,
}

impl Standing {
    /// What speaks against proving against the game, or against finalizing by such a proof.
    pub const fn objection(&self) -> Option<Objection> {
        if !self.registered {
            Some(Objection::NotRegistered)
        } else if self.blacklisted {
            Some(Objection::Blacklisted)
        } else if self.retired {
            Some(Objection::Retired)
        } else if !self.respected {
            Some(Objection::NotRespected)
        } else if matches!(self.status, GameStatus::ChallengerWins) {
            Some(Objection::Lost)
        } else {
            None
        }
    }

    /// The first second in which the game's claim counts, if its status is final or, by its clocks,
    /// could be at the earliest; `None` where nobody can say.
    pub const fn counts_from(&self, finality_delay: u64) -> Option<u64> {
        let resolved = match (self.status, self.max_clock) {
            (GameStatus::InProgress, Some(clock)) => self.created_at.saturating_add(clock),
            (GameStatus::InProgress, None) => return None,
            _ => self.resolved_at,
        };
        // More than the delay must have passed.
        Some(resolved.saturating_add(finality_delay).saturating_add(1))
    }
}

/// Games that hold the withdrawal, in the order in which they should be tried: the oldest first,
/// because its clocks are the furthest. `now` is the time of the L1 head; a game of that second can't
/// be proven against yet.
pub fn worth_trying(mut games: Vec<Game>, withdrawal_block: u64, now: u64) -> Vec<Game> {
    games.retain(|game| game.l2_block >= withdrawal_block && game.created_at < now);
    games.sort_by_key(|game| game.index);
    games
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloy_primitives::{U256, b256};

    use super::*;

    fn standing() -> Standing {
        Standing {
            status: GameStatus::InProgress,
            created_at: 100,
            resolved_at: 0,
            registered: true,
            respected: true,
            blacklisted: false,
            retired: false,
            max_clock: Some(50),
        }
    }

    #[test]
    fn each_rule_objects() {
        let good = standing();
        let won = Standing { status: GameStatus::DefenderWins, resolved_at: 160, ..good };
        for (standing, expected) in [
            (good, None),
            (won, None),
            (Standing { registered: false, ..good }, Some(Objection::NotRegistered)),
            (Standing { blacklisted: true, ..won }, Some(Objection::Blacklisted)),
            (Standing { retired: true, ..won }, Some(Objection::Retired)),
            (Standing { respected: false, ..good }, Some(Objection::NotRespected)),
            (Standing { status: GameStatus::ChallengerWins, ..good }, Some(Objection::Lost)),
        ] {
            assert_eq!(standing.objection(), expected, "{standing:?}");
        }
    }

    #[test]
    fn a_claim_counts_after_clock_and_airgap() {
        let open = standing();
        assert_eq!(open.counts_from(10), Some(161));
        assert_eq!(Standing { max_clock: None, ..open }.counts_from(10), None);
        let won = Standing { status: GameStatus::DefenderWins, resolved_at: 170, ..open };
        assert_eq!(won.counts_from(10), Some(181));
        let forever = Standing { max_clock: Some(u64::MAX), ..open };
        assert_eq!(forever.counts_from(u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn games_of_the_factory_and_what_cannot_be_used() {
        let metadata = b256!("00000001000000006a00000000000000000000000000000000000000000000aa");
        let block = |number: U256| Bytes::copy_from_slice(&number.to_be_bytes::<32>());
        let game = Game::new(3, metadata, B256::ZERO, &block(U256::from(77))).unwrap();
        assert_eq!((game.game_type, game.created_at, game.l2_block), (1, 0x6a00_0000, 77));
        assert_eq!(game.address, Address::with_last_byte(0xaa));
        let error = |metadata, data: &Bytes| Game::new(0, metadata, B256::ZERO, data).unwrap_err();
        assert_eq!(error(metadata, &Bytes::from_static(&[0; 31])), NotUsable::NoBlock);
        assert_eq!(error(metadata, &block(U256::MAX)), NotUsable::NoBlock);
        let mut of_several = metadata;
        of_several[3] = 5;
        assert_eq!(error(of_several, &block(U256::ONE)), NotUsable::SeveralChains(5));
    }

    #[test]
    fn the_oldest_game_that_holds_the_withdrawal_comes_first() {
        let game = |index, l2_block, created_at| Game {
            index,
            address: Address::ZERO,
            game_type: 1,
            created_at,
            root_claim: B256::ZERO,
            l2_block,
        };
        let games = vec![game(9, 50, 20), game(8, 39, 10), game(7, 60, 9), game(6, 40, 8)];
        let order = |block, now| -> Vec<u64> {
            worth_trying(games.clone(), block, now).iter().map(|game| game.index).collect()
        };
        assert_eq!(order(40, 30), [6, 7, 9]);
        assert_eq!(order(41, 30), [7, 9]);
        assert_eq!(order(41, 20), [7], "a game of this very second");
        assert!(order(61, 30).is_empty());
    }
}
