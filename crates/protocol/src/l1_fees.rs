//! The blob base fee of an L1 block, as the L1 attributes deposit reports it.

use alloc::vec::Vec;

use alloy_consensus::Header;
use alloy_primitives::U256;

/// EIP-4844's price of a blob's gas when there is no demand, in wei.
pub const MIN_BLOB_BASE_FEE: U256 = U256::ONE;

/// `BLOB_BASE_FEE_UPDATE_FRACTION` of Cancun (EIP-4844).
const CANCUN_FRACTION: u64 = 3_338_477;
/// The same of Prague (EIP-7691), unchanged by Osaka.
const PRAGUE_FRACTION: u64 = 5_007_716;
/// The first two blob-parameter-only forks (EIP-7892).
const BPO1_FRACTION: u64 = 8_346_193;
const BPO2_FRACTION: u64 = 11_684_671;

/// L1 chain id, times of the first and the second blob-parameter-only fork. As in go-ethereum's
/// `params/config.go` at 02b73d4ea718 (August 2026), `BPO1Time` and `BPO2Time` of
/// `MainnetChainConfig`, `SepoliaChainConfig`, `HoleskyChainConfig` and `HoodiChainConfig`, none of
/// which schedules a third one; the fractions are its `DefaultBPO1BlobConfig` and
/// `DefaultBPO2BlobConfig`.
const BPO_FORKS: [(u64, u64, u64); 4] = [
    (1, 1_765_290_071, 1_767_747_671),
    (11_155_111, 1_761_017_184, 1_761_607_008),
    (17_000, 1_759_800_000, 1_760_389_824),
    (560_048, 1_762_365_720, 1_762_955_544),
];

/// L1 chain id and time of Prague on the testnets where the chains of that time went on with
/// Cancun's blob parameters. Spec: `pectra-blob-schedule/overview.md`.
pub(crate) const PRAGUE_TIMES: [(u64, u64); 2] =
    [(17_000, 1_740_434_112), (11_155_111, 1_741_159_776)];

/// Blob parameters of an L1 as its genesis gives them: pairs of the time from which one holds, in
/// seconds, and the `baseFeeUpdateFraction`. Before the first there are no blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1BlobSchedule {
    entries: Vec<(u64, u64)>,
}

impl L1BlobSchedule {
    /// Of two entries with one time the later one holds. Fractions of zero are left out.
    pub fn new(entries: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut entries: Vec<_> =
            entries.into_iter().filter(|(_, fraction)| *fraction != 0).collect();
        entries.sort_by_key(|(time, _)| *time);
        Self { entries }
    }

    /// The pairs, in order of their times.
    pub fn entries(&self) -> &[(u64, u64)] {
        &self.entries
    }

    /// Blob base fee of an L1 block in wei; `None` before Cancun.
    pub fn blob_base_fee(&self, header: &Header) -> Option<U256> {
        let excess = header.excess_blob_gas?;
        let (_, fraction) =
            self.entries.iter().rev().find(|(time, _)| header.timestamp >= *time)?;
        Some(fake_exponential(excess, *fraction))
    }
}

/// Whether the blob parameters of this L1 are known here: of Ethereum and its testnets they are.
pub fn is_known_l1(l1_chain_id: u64) -> bool {
    BPO_FORKS.iter().any(|(id, _, _)| *id == l1_chain_id)
}

/// The update fraction that an L1 block's blob base fee is computed with. Chains outside the table
/// have Prague's parameters once their headers carry a requests hash, Cancun's before.
fn update_fraction(l1_chain_id: u64, header: &Header) -> u64 {
    if let Some((_, bpo1, bpo2)) = BPO_FORKS.iter().find(|(id, _, _)| *id == l1_chain_id) {
        if header.timestamp >= *bpo2 {
            return BPO2_FRACTION;
        }
        if header.timestamp >= *bpo1 {
            return BPO1_FRACTION;
        }
    }
    if header.requests_hash.is_some() { PRAGUE_FRACTION } else { CANCUN_FRACTION }
}

/// Blob base fee of an L1 block in wei; `None` before Cancun.
pub fn blob_base_fee(l1_chain_id: u64, header: &Header) -> Option<U256> {
    let excess = header.excess_blob_gas?;
    Some(fake_exponential(excess, update_fraction(l1_chain_id, header)))
}

/// Blob base fee by Cancun's parameters, whatever fork the L1 has; `None` before Cancun.
pub fn blob_base_fee_cancun(header: &Header) -> Option<U256> {
    header.excess_blob_gas.map(|excess| fake_exponential(excess, CANCUN_FRACTION))
}

/// EIP-4844's Taylor series for `e^(numerator / denominator)`; the largest number where the result
/// has no room in 256 bits, which no L1 reaches.
fn fake_exponential(numerator: u64, denominator: u64) -> U256 {
    fake_exponential_128(numerator, denominator)
        .map_or_else(|| fake_exponential_256(numerator, denominator), U256::from)
}

/// The same where no step needs more than 128 bits, which holds for any price below 2^64 wei. Every
/// L2 block asks for it, and 256-bit division is many times slower.
fn fake_exponential_128(numerator: u64, denominator: u64) -> Option<u128> {
    let (n, d) = (u128::from(numerator), u128::from(denominator));
    let mut sum = 0u128;
    let mut term = d;
    let mut i = 1;
    while term != 0 {
        sum = sum.checked_add(term)?;
        term = term.checked_mul(n)? / (d * i);
        i += 1;
    }
    Some(sum / d)
}

fn fake_exponential_256(numerator: u64, denominator: u64) -> U256 {
    let (n, d) = (U256::from(numerator), U256::from(denominator));
    let mut sum = U256::ZERO;
    let mut term = d;
    let mut i = U256::ONE;
    while !term.is_zero() {
        let (Some(next_sum), Some(product)) = (sum.checked_add(term), term.checked_mul(n)) else {
            return U256::MAX;
        };
        sum = next_sum;
        term = product / (d * i);
        i += U256::ONE;
    }
    sum / d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_numbers_give_what_the_long_ones_give() {
        for fraction in [CANCUN_FRACTION, PRAGUE_FRACTION, BPO1_FRACTION, BPO2_FRACTION] {
            for step in 0..200 {
                // Up to about e^44, which is 2^64.
                let excess = fraction * 44 * step / 200 + step;
                let short = fake_exponential_128(excess, fraction).map(U256::from);
                assert_eq!(short, Some(fake_exponential_256(excess, fraction)), "{excess}");
            }
            let beyond = fraction * 90;
            assert_eq!(fake_exponential_128(beyond, fraction), None);
            assert_eq!(fake_exponential(beyond, fraction), fake_exponential_256(beyond, fraction));
        }
    }

    fn header(timestamp: u64, requests: bool) -> Header {
        Header {
            timestamp,
            excess_blob_gas: Some(60_000_000),
            requests_hash: requests.then(Default::default),
            ..Header::default()
        }
    }

    #[test]
    fn public_networks_change_their_parameters_at_known_times() {
        let [cancun, prague, bpo1, bpo2] =
            [CANCUN_FRACTION, PRAGUE_FRACTION, BPO1_FRACTION, BPO2_FRACTION]
                .map(|fraction| Some(fake_exponential(60_000_000, fraction)));
        for (chain, first, second) in BPO_FORKS {
            let fee = |time| blob_base_fee(chain, &header(time, true));
            assert_eq!((fee(first - 1), fee(first)), (prague, bpo1), "{chain}");
            assert_eq!((fee(second - 1), fee(second)), (bpo1, bpo2), "{chain}");
            assert!(is_known_l1(chain));
        }
        assert!(!is_known_l1(900));
        assert_eq!(blob_base_fee(900, &header(u64::MAX, true)), prague);
        assert_eq!(blob_base_fee(900, &header(u64::MAX, false)), cancun);
        assert_eq!(blob_base_fee(1, &Header::default()), None);
        assert_eq!(blob_base_fee_cancun(&header(u64::MAX, true)), cancun);
    }

    #[test]
    fn a_schedule_holds_from_its_times_on() {
        let schedule = L1BlobSchedule::new([(20, 2), (10, 1_000_000), (20, 2_000_000), (30, 0)]);
        let fee = |time| schedule.blob_base_fee(&header(time, false));
        assert_eq!(fee(9), None);
        assert_eq!(fee(10), Some(fake_exponential(60_000_000, 1_000_000)));
        assert_eq!(fee(20), Some(fake_exponential(60_000_000, 2_000_000)));
        assert_eq!(fee(31), fee(20));
        assert_eq!(schedule.blob_base_fee(&Header { timestamp: 10, ..Header::default() }), None);
    }
}
