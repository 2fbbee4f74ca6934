//! Precompiles of each fork. OP chains bound the input of those whose cost a fault proof cannot
//! otherwise bear. Spec: `fjord/`, `granite/`, `isthmus/`, `jovian/` and `karst/exec-engine.md`.

use opal_protocol::Hardfork;
use revm::handler::EthPrecompiles;
use revm::precompile::bls12_381_const::{G1_MSM_ADDRESS, G2_MSM_ADDRESS, PAIRING_ADDRESS};
use revm::precompile::{
    EthPrecompileResult, Precompile, PrecompileHalt, PrecompileId, PrecompileResult, Precompiles,
    bls12_381, bn254, call_eth_precompile, secp256r1,
};
use revm::primitives::OnceLock;
use revm::primitives::hardfork::SpecId;

/// The precompiles of a block: Ethereum's by EVM fork, or an OP chain's by its own fork.
pub(crate) fn precompiles(fork: Option<Hardfork>, spec: SpecId) -> EthPrecompiles {
    let precompiles = match fork {
        None => return EthPrecompiles::new(spec),
        Some(fork) if fork < Hardfork::Fjord => return EthPrecompiles::new(spec),
        Some(Hardfork::Fjord) => fjord(),
        Some(fork) if fork < Hardfork::Isthmus => granite(),
        Some(Hardfork::Isthmus) => isthmus(),
        Some(Hardfork::Jovian) => jovian(),
        Some(_) => karst(),
    };
    EthPrecompiles { precompiles, spec }
}

/// Ethereum's set `$base` with the precompiles of the list added or replaced.
macro_rules! set {
    ($name:ident, $base:ident, [$($precompile:expr),* $(,)?]) => {
        fn $name() -> &'static Precompiles {
            static SET: OnceLock<Precompiles> = OnceLock::new();
            SET.get_or_init(|| {
                let mut set = Precompiles::$base().clone();
                set.extend([$($precompile),*]);
                set
            })
        }
    };
}

set!(fjord, cancun, [secp256r1::P256VERIFY]);
set!(granite, cancun, [secp256r1::P256VERIFY, pairing(bn254_pairing::<112_687>)]);
set!(
    isthmus,
    prague,
    [
        secp256r1::P256VERIFY,
        pairing(bn254_pairing::<112_687>),
        g1_msm(bls_g1_msm::<513_760>),
        g2_msm(bls_g2_msm::<488_448>),
        bls_pairing(bls_pairing_bounded::<235_008>),
    ]
);
set!(
    jovian,
    prague,
    [
        secp256r1::P256VERIFY,
        pairing(bn254_pairing::<81_984>),
        g1_msm(bls_g1_msm::<288_960>),
        g2_msm(bls_g2_msm::<278_784>),
        bls_pairing(bls_pairing_bounded::<156_672>),
    ]
);
// Osaka brings its own P256VERIFY (EIP-7951, 6,900 gas) and modexp (EIP-7823, EIP-7883).
set!(
    karst,
    osaka,
    [
        pairing(bn254_pairing::<57_600>),
        g1_msm(bls_g1_msm::<288_960>),
        g2_msm(bls_g2_msm::<278_784>),
        bls_pairing(bls_pairing_bounded::<156_672>),
    ]
);

type Function = fn(&[u8], u64, u64) -> PrecompileResult;

const fn pairing(function: Function) -> Precompile {
    Precompile::new(PrecompileId::Bn254Pairing, bn254::pair::ADDRESS, function)
}

const fn g1_msm(function: Function) -> Precompile {
    Precompile::new(PrecompileId::Bls12G1Msm, G1_MSM_ADDRESS, function)
}

const fn g2_msm(function: Function) -> Precompile {
    Precompile::new(PrecompileId::Bls12G2Msm, G2_MSM_ADDRESS, function)
}

const fn bls_pairing(function: Function) -> Precompile {
    Precompile::new(PrecompileId::Bls12Pairing, PAIRING_ADDRESS, function)
}

/// Runs `function` unless the input is longer than `max` bytes; too long consumes all gas.
fn bounded(
    function: fn(&[u8], u64) -> EthPrecompileResult,
    max: usize,
    input: &[u8],
) -> fn(&[u8], u64) -> EthPrecompileResult {
    if input.len() > max {
        |_, _| Err(PrecompileHalt::other_static("input is longer than the OP Stack allows"))
    } else {
        function
    }
}

fn bn254_pairing<const MAX: usize>(input: &[u8], gas: u64, reservoir: u64) -> PrecompileResult {
    fn run(input: &[u8], gas: u64) -> EthPrecompileResult {
        bn254::run_pair(
            input,
            bn254::pair::ISTANBUL_PAIR_PER_POINT,
            bn254::pair::ISTANBUL_PAIR_BASE,
            gas,
        )
    }
    Ok(call_eth_precompile(bounded(run, MAX, input), input, gas, reservoir))
}

fn bls_g1_msm<const MAX: usize>(input: &[u8], gas: u64, reservoir: u64) -> PrecompileResult {
    Ok(call_eth_precompile(bounded(bls12_381::g1_msm::g1_msm, MAX, input), input, gas, reservoir))
}

fn bls_g2_msm<const MAX: usize>(input: &[u8], gas: u64, reservoir: u64) -> PrecompileResult {
    Ok(call_eth_precompile(bounded(bls12_381::g2_msm::g2_msm, MAX, input), input, gas, reservoir))
}

fn bls_pairing_bounded<const MAX: usize>(
    input: &[u8],
    gas: u64,
    reservoir: u64,
) -> PrecompileResult {
    Ok(call_eth_precompile(bounded(bls12_381::pairing::pairing, MAX, input), input, gas, reservoir))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use alloy_primitives::{Address, address};

    use super::*;

    const P256: Address = address!("0000000000000000000000000000000000000100");

    fn set(fork: Hardfork, spec: SpecId) -> &'static Precompiles {
        precompiles(Some(fork), spec).precompiles
    }

    /// Whether a precompile takes zeros of this length.
    fn takes(set: &Precompiles, address: Address, length: usize) -> bool {
        let input = alloc::vec![0; length];
        set.get(&address).unwrap().execute(&input, u64::MAX / 2, 0).unwrap().is_success()
    }

    #[test]
    fn p256_comes_with_fjord_and_is_dearer_from_karst() {
        assert!(!set(Hardfork::Ecotone, SpecId::CANCUN).contains(&P256));
        for (fork, spec, price) in [
            (Hardfork::Fjord, SpecId::CANCUN, 3450),
            (Hardfork::Jovian, SpecId::PRAGUE, 3450),
            (Hardfork::Karst, SpecId::OSAKA, 6900),
        ] {
            let p256 = set(fork, spec).get(&P256).unwrap();
            assert_eq!(p256.execute(&[], 10_000, 0).unwrap().gas_used, price, "{fork}");
            assert!(p256.execute(&[], price - 1, 0).unwrap().is_halt(), "{fork}");
        }
    }

    #[test]
    fn pairing_input_is_bounded() {
        let pair = bn254::pair::ADDRESS;
        for (fork, spec, pairs) in [
            (Hardfork::Granite, SpecId::CANCUN, 586),
            (Hardfork::Isthmus, SpecId::PRAGUE, 586),
            (Hardfork::Jovian, SpecId::PRAGUE, 427),
            (Hardfork::Karst, SpecId::OSAKA, 300),
        ] {
            assert!(takes(set(fork, spec), pair, pairs * 192), "{fork}");
            assert!(!takes(set(fork, spec), pair, (pairs + 1) * 192), "{fork}");
        }
        assert!(takes(set(Hardfork::Fjord, SpecId::CANCUN), pair, 587 * 192));
    }

    #[test]
    fn bls_inputs_are_bounded() {
        for (fork, spec, g1, g2, pairs) in [
            (Hardfork::Isthmus, SpecId::PRAGUE, 513_760, 488_448, 235_008),
            (Hardfork::Jovian, SpecId::PRAGUE, 288_960, 278_784, 156_672),
            (Hardfork::Karst, SpecId::OSAKA, 288_960, 278_784, 156_672),
        ] {
            let set = set(fork, spec);
            for (address, max, unit) in [
                (G1_MSM_ADDRESS, g1, 160),
                (G2_MSM_ADDRESS, g2, 288),
                (PAIRING_ADDRESS, pairs, 384),
            ] {
                assert!(takes(set, address, max / unit * unit), "{fork} {address}");
                assert!(!takes(set, address, (max / unit + 1) * unit), "{fork} {address}");
            }
        }
    }
}
