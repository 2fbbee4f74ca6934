//! The blob base fee of an L1 block, as the L1 attributes deposit reports it.

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

/// L1 chain id, times of the first and the second blob-parameter-only fork.
const BPO_FORKS: [(u64, u64, u64); 4] = [
    (1, 1_765_290_071, 1_767_747_671),
    (11_155_111, 1_761_017_184, 1_761_607_008),
    (17_000, 1_759_800_000, 1_760_389_824),
    (560_048, 1_762_365_720, 1_762_955_544),
];

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
