//! What to offer for a transaction, as pure rules.

/// Fees of one attempt, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Priority fee.
    pub tip: u128,
    /// Most that is paid for gas, priority fee included.
    pub max_fee: u128,
    /// Most that is paid for blob gas; `None` on a transaction without blobs.
    pub max_blob_fee: Option<u128>,
}

/// Prices that L1 shows at a moment, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// Suggested priority fee.
    pub tip: u128,
    /// Base fee of the newest block.
    pub base_fee: u128,
    /// Blob base fee.
    pub blob_base_fee: u128,
}

/// Floors and ceilings, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeLimits {
    /// Lowest priority fee offered.
    pub min_tip: u128,
    /// Highest priority fee offered, whatever L1 suggests: unlike the base fee, which blocks set,
    /// all of it is paid, and an endpoint that errs or lies could name any.
    pub max_tip: u128,
    /// Base fee assumed when L1 shows a lower one.
    pub min_base_fee: u128,
    /// Lowest blob fee cap offered.
    pub min_blob_fee: u128,
    /// Fees below this are never held back.
    pub threshold: u128,
    /// Above the threshold, how many times the market's price may be offered.
    pub multiplier: u128,
}

impl Fees {
    /// First offer: the market's tip, and caps at twice the base fees so that six full blocks in a
    /// row do not price the transaction out.
    pub fn suggest(market: &Market, limits: &FeeLimits, blobs: bool) -> Self {
        let tip = market.tip.min(limits.max_tip).max(limits.min_tip);
        let base_fee = market.base_fee.max(limits.min_base_fee);
        Self {
            tip,
            max_fee: base_fee.saturating_mul(2).saturating_add(tip),
            max_blob_fee: blobs
                .then(|| market.blob_base_fee.saturating_mul(2).max(limits.min_blob_fee)),
        }
    }

    /// The least that replaces this offer in a mempool, or the market's price where that is more.
    /// Pools ask 10 % more of an ordinary transaction and twice the price of one with blobs.
    pub fn bumped(&self, market: &Market, limits: &FeeLimits) -> Self {
        let percent = if self.max_blob_fee.is_some() { 100 } else { 10 };
        let bump = |fee: u128| {
            // One wei more, because pools round the other way.
            fee.saturating_add(fee.saturating_mul(percent) / 100).saturating_add(1)
        };
        let fresh = Self::suggest(market, limits, self.max_blob_fee.is_some());
        let tip = bump(self.tip).max(fresh.tip);
        Self {
            tip,
            max_fee: bump(self.max_fee).max(fresh.max_fee).max(tip),
            max_blob_fee: self
                .max_blob_fee
                .map(|fee| bump(fee).max(fresh.max_blob_fee.unwrap_or_default())),
        }
    }

    /// Whether the offer stays within what the operator is ready to pay.
    pub fn allowed(&self, market: &Market, limits: &FeeLimits) -> bool {
        let fresh = Self::suggest(market, limits, self.max_blob_fee.is_some());
        let within = |fee: u128, fresh: u128| {
            fee <= limits.threshold.max(fresh.saturating_mul(limits.multiplier))
        };
        self.tip <= limits.max_tip.max(limits.min_tip)
            && within(self.tip, fresh.tip)
            && within(self.max_fee, fresh.max_fee)
            && within(self.max_blob_fee.unwrap_or(0), fresh.max_blob_fee.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FeeLimits = FeeLimits {
        min_tip: 10,
        max_tip: 450,
        min_base_fee: 0,
        min_blob_fee: 7,
        threshold: 500,
        multiplier: 5,
    };
    const MARKET: Market = Market { tip: 2, base_fee: 100, blob_base_fee: 1 };

    #[test]
    fn first_offer_respects_floors() {
        let fees = Fees::suggest(&MARKET, &LIMITS, true);
        assert_eq!(fees, Fees { tip: 10, max_fee: 210, max_blob_fee: Some(7) });
        assert_eq!(Fees::suggest(&MARKET, &LIMITS, false).max_blob_fee, None);
    }

    #[test]
    fn no_tip_is_above_the_highest_one_whatever_l1_suggests() {
        let greedy = Market { tip: u128::MAX, ..MARKET };
        let fees = Fees::suggest(&greedy, &LIMITS, false);
        assert_eq!(fees, Fees { tip: 450, max_fee: 650, max_blob_fee: None });
        assert!(fees.allowed(&greedy, &LIMITS));
        let bumped = fees.bumped(&greedy, &LIMITS);
        assert_eq!(bumped.tip, 496);
        assert!(!bumped.allowed(&greedy, &LIMITS));
    }

    #[test]
    fn bumps_are_enough_for_a_pool_and_follow_the_market() {
        let plain = Fees::suggest(&MARKET, &LIMITS, false).bumped(&MARKET, &LIMITS);
        assert_eq!(plain, Fees { tip: 12, max_fee: 232, max_blob_fee: None });
        let blob = Fees::suggest(&MARKET, &LIMITS, true).bumped(&MARKET, &LIMITS);
        assert_eq!(blob, Fees { tip: 21, max_fee: 421, max_blob_fee: Some(15) });
        let dear = Market { base_fee: 10_000, ..MARKET };
        assert_eq!(blob.bumped(&dear, &LIMITS).max_fee, 20_010);
    }

    #[test]
    fn limit_applies_only_above_the_threshold() {
        let fees = Fees { tip: 400, max_fee: 500, max_blob_fee: None };
        assert!(fees.allowed(&MARKET, &LIMITS));
        assert!(Fees { max_fee: 1050, ..fees }.allowed(&MARKET, &LIMITS));
        assert!(!Fees { max_fee: 1051, ..fees }.allowed(&MARKET, &LIMITS));
        assert!(!Fees { max_blob_fee: Some(501), ..fees }.allowed(&MARKET, &LIMITS));
    }
}
