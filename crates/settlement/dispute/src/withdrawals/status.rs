//! Where a withdrawal is, and what comes next: pure rules over what L1 says.
//!
//! ```text
//!  waiting-to-prove ── a valid game reaches the withdrawal's L2 block ──► ready-to-prove
//!                                   ▲                                          │ prove
//!                       the game is lost, blacklisted, retired                 ▼
//!                                   └───────────────────────────── waiting-to-finalize
//!                                                     proof maturity │ and │ game clock, airgap
//!                                                                    ▼     ▼
//!  finalized ◄── finalize ──────────────────────────────────── ready-to-finalize
//! ```

use std::fmt;

use alloy_primitives::Address;
use serde::Serialize;

use super::games::{GameStatus, Objection, Standing};

/// The five statuses, by the names that client libraries use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// No valid game reaches the withdrawal's L2 block yet.
    WaitingToProve,
    /// There is such a game, and no proof that counts.
    ReadyToProve,
    /// Proven; a delay has not passed yet.
    WaitingToFinalize,
    /// All delays are over.
    ReadyToFinalize,
    /// Done. A call that failed then is done, too.
    Finalized,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WaitingToProve => "waiting-to-prove",
            Self::ReadyToProve => "ready-to-prove",
            Self::WaitingToFinalize => "waiting-to-finalize",
            Self::ReadyToFinalize => "ready-to-finalize",
            Self::Finalized => "finalized",
        })
    }
}

/// The chain's two delays, in seconds. More than each must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delays {
    /// From the proof on.
    pub proof_maturity: u64,
    /// The airgap, from the game's resolution on.
    pub game_finality: u64,
}

/// A proof that somebody submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Who.
    pub submitter: Address,
    /// When, in seconds.
    pub proven_at: u64,
    /// Against which game.
    pub game: Address,
    /// What L1 thinks of that game.
    pub standing: Standing,
}

/// One of the two clocks that a proven withdrawal waits for. Times in seconds of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// When it began.
    pub from: u64,
    /// The first second in which it is over; `None` while nobody can say.
    pub until: Option<u64>,
    /// Seconds left; 0 if it is over.
    pub left: Option<u64>,
}

impl Clock {
    const fn new(from: u64, until: Option<u64>, now: u64) -> Self {
        let left = match until {
            Some(until) => Some(until.saturating_sub(now)),
            None => None,
        };
        Self { from, until, left }
    }

    /// Whether it is over.
    pub fn over(&self) -> bool {
        self.left == Some(0)
    }
}

/// The two clocks of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clocks {
    /// From the proof on.
    pub proof_maturity: Clock,
    /// The game's: its players' time and then the airgap. While the game is not resolved, `until` is
    /// when it can be at the earliest, if nobody moves.
    pub game: Clock,
}

impl Proof {
    /// The clocks at time `now`.
    pub fn clocks(&self, delays: &Delays, now: u64) -> Clocks {
        let matures = self.proven_at.saturating_add(delays.proof_maturity).saturating_add(1);
        let standing = &self.standing;
        let resolved = standing.status != GameStatus::InProgress;
        let from = if resolved { standing.resolved_at } else { standing.created_at };
        let mut game = Clock::new(from, standing.counts_from(delays.game_finality), now);
        if !resolved {
            // However long its clock has run out: somebody has to resolve it, and the airgap follows.
            let least = delays.game_finality.saturating_add(1);
            game.left = game.left.map(|left| left.max(least));
        }
        Clocks { proof_maturity: Clock::new(self.proven_at, Some(matures), now), game }
    }

    /// Seconds until it can be finalized; `None` if nobody can say.
    fn wait(&self, delays: &Delays, now: u64) -> Option<u64> {
        let clocks = self.clocks(delays, now);
        Some(clocks.proof_maturity.left?.max(clocks.game.left?))
    }
}

/// What L1 says of a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Time of the L1 head, in seconds.
    pub now: u64,
    /// Whether the portal has made the withdrawal's call.
    pub finalized: bool,
    /// The chain's delays.
    pub delays: Delays,
    /// The proofs that count as candidates, in any order.
    pub proofs: Vec<Proof>,
}

/// What the facts amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// Done.
    Finalized,
    /// By this proof the withdrawal can be finalized now, unless the chain is paused.
    Ready(Proof, Clocks),
    /// This proof is the first that will be good.
    Waiting(Proof, Clocks),
    /// No proof counts; the last that was struck out, if there was one.
    Unproven(Option<(Proof, Objection)>),
}

impl Facts {
    /// Finds the best proof. A game that lost, or that the guardian struck out, takes its proofs
    /// with it: the withdrawal has to be proven again.
    pub fn assess(&self) -> Assessment {
        if self.finalized {
            return Assessment::Finalized;
        }
        let (struck, good): (Vec<&Proof>, Vec<&Proof>) =
            self.proofs.iter().partition(|proof| proof.standing.objection().is_some());
        // An unknown wait is the longest.
        let best = good
            .into_iter()
            .min_by_key(|proof| proof.wait(&self.delays, self.now).unwrap_or(u64::MAX));
        if let Some(proof) = best {
            let clocks = proof.clocks(&self.delays, self.now);
            let ready = clocks.proof_maturity.over() && clocks.game.over();
            let make = if ready { Assessment::Ready } else { Assessment::Waiting };
            return make(*proof, clocks);
        }
        let last = struck.into_iter().max_by_key(|proof| proof.proven_at);
        Assessment::Unproven(last.and_then(|proof| Some((*proof, proof.standing.objection()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays { proof_maturity: 100, game_finality: 40 };

    fn proof(submitter: u8, proven_at: u64, status: GameStatus, resolved_at: u64) -> Proof {
        Proof {
            submitter: Address::repeat_byte(submitter),
            proven_at,
            game: Address::repeat_byte(9),
            standing: Standing {
                status,
                created_at: 900,
                resolved_at,
                registered: true,
                respected: true,
                blacklisted: false,
                retired: false,
                max_clock: Some(60),
            },
        }
    }

    fn assess(now: u64, proofs: &[Proof]) -> Assessment {
        Facts { now, finalized: false, delays: DELAYS, proofs: proofs.to_vec() }.assess()
    }

    #[test]
    fn both_delays_are_strict() {
        let won = proof(1, 1000, GameStatus::DefenderWins, 960);
        for (now, ready) in [(1099, false), (1100, false), (1101, true)] {
            assert_eq!(matches!(assess(now, &[won]), Assessment::Ready(..)), ready, "{now}");
        }
        let late = proof(1, 1000, GameStatus::DefenderWins, 1090);
        for (now, ready) in [(1129, false), (1130, false), (1131, true)] {
            assert_eq!(matches!(assess(now, &[late]), Assessment::Ready(..)), ready, "{now}");
        }
    }

    #[test]
    fn clocks_say_from_when_to_when() {
        let open = proof(1, 1000, GameStatus::InProgress, 0);
        let Assessment::Waiting(_, clocks) = assess(910, &[open]) else { panic!("not waiting") };
        assert_eq!(clocks.proof_maturity, Clock { from: 1000, until: Some(1101), left: Some(191) });
        assert_eq!(clocks.game, Clock { from: 900, until: Some(1001), left: Some(91) });
        // Its clock has run out long ago, but nobody resolved it.
        let Assessment::Waiting(_, clocks) = assess(9999, &[open]) else { panic!("not waiting") };
        assert!(clocks.proof_maturity.over());
        assert_eq!(clocks.game.left, Some(41));
        let mut clockless = open;
        clockless.standing.max_clock = None;
        let Assessment::Waiting(_, clocks) = assess(9999, &[clockless]) else {
            panic!("not waiting")
        };
        assert_eq!((clocks.game.until, clocks.game.left), (None, None));
    }

    #[test]
    fn the_proof_that_is_good_first_counts() {
        let slow = proof(1, 1000, GameStatus::InProgress, 0);
        let fast = proof(2, 1010, GameStatus::DefenderWins, 960);
        let Assessment::Waiting(best, _) = assess(1105, &[slow, fast]) else {
            panic!("not waiting")
        };
        assert_eq!(best.submitter, fast.submitter);
        let Assessment::Ready(best, _) = assess(1111, &[slow, fast]) else { panic!("not ready") };
        assert_eq!(best.submitter, fast.submitter);
    }

    #[test]
    fn an_invalidated_game_makes_the_withdrawal_unproven() {
        let lost = proof(1, 1000, GameStatus::ChallengerWins, 990);
        let mut struck = proof(2, 1001, GameStatus::DefenderWins, 960);
        struck.standing.blacklisted = true;
        assert_eq!(assess(2000, &[]), Assessment::Unproven(None));
        assert_eq!(assess(2000, &[lost]), Assessment::Unproven(Some((lost, Objection::Lost))));
        assert_eq!(
            assess(2000, &[struck, lost]),
            Assessment::Unproven(Some((struck, Objection::Blacklisted)))
        );
        // Another's good proof is enough.
        let good = proof(3, 1002, GameStatus::DefenderWins, 960);
        assert!(
            matches!(assess(2000, &[struck, good]), Assessment::Ready(best, _) if best == good)
        );
    }

    #[test]
    fn finalized_is_the_end() {
        let lost = proof(1, 1000, GameStatus::ChallengerWins, 990);
        let facts = Facts { now: 1, finalized: true, delays: DELAYS, proofs: vec![lost] };
        assert_eq!(facts.assess(), Assessment::Finalized);
    }
}
