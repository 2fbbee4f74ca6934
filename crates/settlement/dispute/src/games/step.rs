//! What to do next about a game: a pure function of what L1 says of it.

use std::fmt;

use alloy_primitives::U256;

use super::{BondMode, InProgress, Open, Resolved, View};

/// Seconds until a game is looked at again for what no clock tells: claims of others, a pause.
const LOOK_AGAIN: u64 = 3600;
/// The same while the chain is paused.
const PAUSED_LOOK_AGAIN: u64 = 60;

/// A transaction to a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Resolves a claim whose clock has run out.
    ResolveClaim(u64),
    /// Resolves the root claim, against which nobody has moved, and the game with it: two
    /// transactions.
    ResolveWhole,
    /// Declares the winner after all claims are resolved.
    Resolve,
    /// Closes the game, which may make its claim the anchor, where there is nothing to be claimed.
    Close,
    /// Closes the game where it is not closed, and announces the payment.
    Unlock(U256),
    /// Pays these wei.
    Withdraw(U256),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResolveClaim(index) => write!(f, "resolve claim {index}"),
            Self::ResolveWhole => f.write_str("resolve"),
            Self::Resolve => f.write_str("resolve after its claims"),
            Self::Close => f.write_str("close"),
            Self::Unlock(_) => f.write_str("announce the payment of the bond"),
            Self::Withdraw(_) => f.write_str("claim the bond"),
        }
    }
}

/// How a game ended for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The bond is paid.
    Paid,
    /// The challenger won, and has the bond.
    Lost,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this.
    Act(Action),
    /// Nothing before this L1 time, in seconds.
    Wait(u64),
    /// Go on looking among the claims before this index.
    Search(u64),
    /// Nothing is left to do.
    Done(Outcome),
}

/// The next step for a game at this L1 time, which may be that of the next block.
pub(crate) fn next_step(view: &View, now: u64) -> Step {
    match view {
        View::InProgress(game) => in_progress(game, now),
        View::Resolved(game) => resolved(game, now),
    }
}

fn in_progress(game: &InProgress, now: u64) -> Step {
    let (index, used) = match game.open {
        Open::None => return Step::Act(Action::Resolve),
        Open::Before(index) => return Step::Search(index),
        // The clock of the root claim's challengers starts with the game.
        Open::Claim { index: 0, .. } => (0, now.saturating_sub(game.created_at)),
        Open::Claim { index, challenger_duration } => (index, challenger_duration),
    };
    match game.max_clock_duration.saturating_sub(used) {
        0 if game.claims == 1 => Step::Act(Action::ResolveWhole),
        0 => Step::Act(Action::ResolveClaim(index)),
        left => Step::Wait(now.saturating_add(left.min(LOOK_AGAIN))),
    }
}

fn resolved(game: &Resolved, now: u64) -> Step {
    let closed = game.mode != BondMode::Undecided;
    let amount = match game.mode {
        BondMode::Normal => game.won,
        BondMode::Refund => game.refund,
        BondMode::Undecided if game.proper => game.won,
        BondMode::Undecided => game.refund,
    };
    if amount.is_zero() && closed {
        return Step::Done(if game.defender_won { Outcome::Paid } else { Outcome::Lost });
    }
    if !closed {
        let last = game.resolved_at.saturating_add(game.finality_delay);
        if now <= last {
            return Step::Wait(last.saturating_add(1));
        }
    }
    if game.paused {
        return Step::Wait(now.saturating_add(PAUSED_LOOK_AGAIN));
    }
    match (amount.is_zero(), game.unlocked) {
        (true, _) if game.defender_won => Step::Act(Action::Close),
        (true, _) => Step::Done(Outcome::Lost),
        (false, false) => Step::Act(Action::Unlock(amount)),
        (false, true) => {
            let due = game.unlocked_at.saturating_add(game.payment_delay);
            if now < due { Step::Wait(due) } else { Step::Act(Action::Withdraw(amount)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOND: U256 = U256::from_limbs([80, 0, 0, 0]);

    fn open(open: Open, claims: u64) -> View {
        View::InProgress(InProgress { created_at: 1000, max_clock_duration: 300, claims, open })
    }

    const fn won() -> Resolved {
        Resolved {
            defender_won: true,
            resolved_at: 2000,
            finality_delay: 100,
            paused: false,
            proper: true,
            mode: BondMode::Undecided,
            won: BOND,
            refund: BOND,
            unlocked: false,
            unlocked_at: 0,
            payment_delay: 50,
        }
    }

    fn step(game: Resolved, now: u64) -> Step {
        next_step(&View::Resolved(game), now)
    }

    #[test]
    fn a_game_that_nobody_disputes_is_resolved_when_its_clock_is_over() {
        let view = open(Open::Claim { index: 0, challenger_duration: 0 }, 1);
        assert_eq!(next_step(&view, 1299), Step::Wait(1300));
        assert_eq!(next_step(&view, 1300), Step::Act(Action::ResolveWhole));
        // An L1 clock before the game's start is no reason to act.
        assert_eq!(next_step(&view, 0), Step::Wait(300));
    }

    #[test]
    fn long_clocks_are_looked_at_every_hour() {
        let game = InProgress {
            created_at: 1000,
            max_clock_duration: 302_400,
            claims: 1,
            open: Open::Claim { index: 0, challenger_duration: 0 },
        };
        assert_eq!(next_step(&View::InProgress(game), 1000), Step::Wait(4600));
    }

    #[test]
    fn disputed_games_are_resolved_from_the_last_claim_on() {
        let view = |index, used| open(Open::Claim { index, challenger_duration: used }, 3);
        assert_eq!(next_step(&view(2, 299), 1400), Step::Wait(1401));
        assert_eq!(next_step(&view(2, 300), 1400), Step::Act(Action::ResolveClaim(2)));
        assert_eq!(next_step(&view(0, 0), 1300), Step::Act(Action::ResolveClaim(0)));
        assert_eq!(next_step(&open(Open::Before(7), 600), 1400), Step::Search(7));
        assert_eq!(next_step(&open(Open::None, 3), 1400), Step::Act(Action::Resolve));
    }

    #[test]
    fn the_airgap_must_be_exceeded() {
        assert_eq!(step(won(), 2000), Step::Wait(2101));
        assert_eq!(step(won(), 2100), Step::Wait(2101));
        assert_eq!(step(won(), 2101), Step::Act(Action::Unlock(BOND)));
    }

    #[test]
    fn payment_comes_after_the_delay() {
        let unlocked =
            Resolved { mode: BondMode::Normal, unlocked: true, unlocked_at: 2200, ..won() };
        assert_eq!(step(unlocked, 2249), Step::Wait(2250));
        assert_eq!(step(unlocked, 2250), Step::Act(Action::Withdraw(BOND)));
        let paid = Resolved { won: U256::ZERO, refund: U256::ZERO, ..unlocked };
        assert_eq!(step(paid, 2250), Step::Done(Outcome::Paid));
        // Somebody else closed it.
        let closed = Resolved { mode: BondMode::Normal, ..won() };
        assert_eq!(step(closed, 2300), Step::Act(Action::Unlock(BOND)));
    }

    #[test]
    fn nothing_is_sent_while_the_chain_is_paused() {
        let paused = Resolved { paused: true, proper: false, ..won() };
        assert_eq!(step(paused, 2050), Step::Wait(2101));
        assert_eq!(step(paused, 2200), Step::Wait(2260));
        let unlocked = Resolved { mode: BondMode::Normal, unlocked: true, ..paused };
        assert_eq!(step(unlocked, 9000), Step::Wait(9060));
    }

    #[test]
    fn a_lost_bond_is_left_alone_unless_the_game_is_improper() {
        let lost = Resolved { defender_won: false, won: U256::ZERO, ..won() };
        assert_eq!(step(lost, 2101), Step::Done(Outcome::Lost));
        let struck_out = Resolved { proper: false, ..lost };
        assert_eq!(step(struck_out, 2101), Step::Act(Action::Unlock(BOND)));
        let closed = Resolved { mode: BondMode::Normal, ..lost };
        assert_eq!(step(closed, 2101), Step::Done(Outcome::Lost));
        let refunded = Resolved { mode: BondMode::Refund, unlocked: true, ..lost };
        assert_eq!(step(refunded, 2101), Step::Act(Action::Withdraw(BOND)));
    }

    #[test]
    fn a_won_game_without_a_bond_is_closed_for_its_anchor() {
        let free = Resolved { won: U256::ZERO, refund: U256::ZERO, ..won() };
        assert_eq!(step(free, 2101), Step::Act(Action::Close));
        let closed = Resolved { mode: BondMode::Normal, ..free };
        assert_eq!(step(closed, 2101), Step::Done(Outcome::Paid));
    }
}
