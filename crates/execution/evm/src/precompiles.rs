//! Precompiles of each fork. OP chains bound the input of those whose cost a fault proof cannot
//! otherwise bear. Spec: `fjord/`, `granite/`, `isthmus/`, `jovian/` and `karst/exec-engine.md`.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use alloy_primitives::Address;
use alloy_primitives::map::{AddressMap, AddressSet};
use opal_protocol::Hardfork;
use revm::context::{Cfg, ContextTr, JournalTr, LocalContextTr};
use revm::handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result};
use revm::interpreter::{CallInputs, InterpreterResult};
use revm::precompile::bls12_381_const::{G1_MSM_ADDRESS, G2_MSM_ADDRESS, PAIRING_ADDRESS};
use revm::precompile::{
    EthPrecompileResult, Precompile, PrecompileHalt, PrecompileId, PrecompileResult, Precompiles,
    bls12_381, bn254, call_eth_precompile, secp256r1,
};
use revm::primitives::OnceLock;
use revm::primitives::hardfork::SpecId;

use crate::ChainSpec;

/// The precompiles of a block; those of a simulation may have been moved.
#[derive(Clone, Debug)]
pub(crate) struct OpalPrecompiles {
    set: &'static Precompiles,
    /// All of them by where they are now, if any was moved.
    moved: Option<Box<Moved>>,
}

#[derive(Clone, Debug, Default)]
struct Moved {
    by_address: AddressMap<Precompile>,
    addresses: AddressSet,
}

/// The precompiles of a block: Ethereum's by EVM fork, or an OP chain's by its own fork.
pub(crate) fn precompiles(fork: Option<Hardfork>, spec: SpecId) -> OpalPrecompiles {
    let set = match fork {
        None => EthPrecompiles::new(spec).precompiles,
        Some(fork) if fork < Hardfork::Fjord => EthPrecompiles::new(spec).precompiles,
        Some(Hardfork::Fjord) => fjord(),
        Some(fork) if fork < Hardfork::Isthmus => granite(),
        Some(Hardfork::Isthmus) => isthmus(),
        Some(Hardfork::Jovian) => jovian(),
        Some(_) => karst(),
    };
    OpalPrecompiles { set, moved: None }
}

/// Names (those of EIP-7910) and addresses of the precompiles of a block at this time.
pub fn precompile_addresses(spec: &ChainSpec, timestamp: u64) -> Vec<(String, Address)> {
    let set = precompiles(spec.hardfork(timestamp), spec.evm_spec(timestamp)).set;
    let named = set.addresses().filter_map(|address| set.get(address));
    named.map(|precompile| (precompile.id().name().to_string(), *precompile.address())).collect()
}

impl OpalPrecompiles {
    /// The precompile at an address.
    pub(crate) fn get(&self, address: &Address) -> Option<&Precompile> {
        match &self.moved {
            None => self.set.get(address),
            Some(moved) => moved.by_address.get(address),
        }
    }

    /// Addresses that cost nothing to look at: where the fork has its precompiles, wherever they
    /// were moved.
    pub(crate) fn warm(&self) -> &AddressSet {
        self.set.addresses_set()
    }

    /// Addresses of all of them.
    fn addresses(&self) -> &AddressSet {
        self.moved.as_ref().map_or(self.set.addresses_set(), |moved| &moved.addresses)
    }

    fn moved(&mut self) -> &mut Moved {
        let set = self.set;
        self.moved.get_or_insert_with(|| {
            let all = set.addresses().filter_map(|address| Some((*address, set.get(address)?)));
            let by_address: AddressMap<_> = all.map(|(address, p)| (address, p.clone())).collect();
            Box::new(Moved { by_address, addresses: set.addresses_set().clone() })
        })
    }

    /// Puts a precompile at an address.
    pub(crate) fn insert(&mut self, address: Address, precompile: Precompile) {
        let moved = self.moved();
        moved.by_address.insert(address, precompile);
        moved.addresses.insert(address);
    }

    /// Takes the precompile of an address away.
    pub(crate) fn remove(&mut self, address: &Address) -> Option<Precompile> {
        if !self.addresses().contains(address) {
            return None;
        }
        let moved = self.moved();
        moved.addresses.remove(address);
        moved.by_address.remove(address)
    }
}

impl<C: ContextTr> PrecompileProvider<C> for OpalPrecompiles {
    type Output = InterpreterResult;

    /// Chosen by the block's fork once; the EVM's fork decides nothing here.
    fn set_spec(&mut self, _: <C::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut C,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(precompile) = self.get(&inputs.bytecode_address) else { return Ok(None) };
        let input = inputs.input.as_bytes(context);
        let output = precompile.execute(&input, inputs.gas_limit, inputs.reservoir);
        drop(input);
        let output = output.map_err(|error| error.to_string())?;
        // A call that goes to a precompile directly says why it failed.
        if let Some(reason) = output.halt_reason()
            && !reason.is_oog()
            && context.journal().depth() == 1
        {
            let reason = reason.to_string();
            context.local_mut().set_precompile_error_context(reason);
        }
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.warm()
    }
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
    use alloy_primitives::address;

    use super::*;

    const P256: Address = address!("0000000000000000000000000000000000000100");

    fn set(fork: Hardfork, spec: SpecId) -> &'static Precompiles {
        precompiles(Some(fork), spec).set
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
