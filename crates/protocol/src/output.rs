//! Output roots: the commitments to L2 state that withdrawals are proven against, and super roots,
//! which commit to the outputs of several chains. Spec: `proposals.md`, "L2 Output Commitment
//! Construction"; `fault-proof/stage-one/optimism-portal.md`, "Super Output".

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};

use crate::DepositTransaction;
use crate::deposit::DepositSource;

/// Version byte of super roots.
const SUPER_ROOT_VERSION: u8 = 1;
/// Bytes of version and timestamp.
const SUPER_ROOT_HEAD: usize = 1 + 8;
/// Bytes of one chain.
const SUPER_ROOT_CHAIN: usize = 32 + 32;
/// Sender of the deposit that names a replaced block.
const REPLACEMENT_SENDER: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0002");
/// Gas of that deposit: it only carries data.
const REPLACEMENT_GAS: u64 = 36_000;

/// Why bytes are no output or super root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Not the length of an output.
    #[error("output has {0} bytes, expected 128")]
    Length(usize),
    /// An unknown version of outputs.
    #[error("output has version {0}, expected zero")]
    Version(B256),
    /// Nothing that holds version, timestamp and a whole number of chains, at least one.
    #[error("super root has {0} bytes, expected 9 and 64 for each chain")]
    SuperLength(usize),
    /// An unknown version of super roots.
    #[error("super root has version {0}, expected 1")]
    SuperVersion(u8),
}

/// What a version 0 output root commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputV0 {
    /// State root of the L2 block.
    pub state_root: B256,
    /// Storage root of the L2ToL1MessagePasser.
    #[serde(rename = "withdrawalStorageRoot")]
    pub withdrawals_storage_root: B256,
    /// Hash of the L2 block.
    pub block_hash: B256,
}

impl OutputV0 {
    /// The output root.
    pub fn root(&self) -> B256 {
        keccak256(self.encode())
    }

    /// Version 0 and the three parts, a word each.
    pub fn encode(&self) -> [u8; 128] {
        let mut out = [0u8; 128];
        out[32..64].copy_from_slice(self.state_root.as_slice());
        out[64..96].copy_from_slice(self.withdrawals_storage_root.as_slice());
        out[96..].copy_from_slice(self.block_hash.as_slice());
        out
    }

    /// Decodes what [`OutputV0::encode`] gives.
    ///
    /// # Errors
    /// On another length or version.
    pub fn decode(data: &[u8]) -> Result<Self, OutputError> {
        let data: &[u8; 128] = data.try_into().map_err(|_| OutputError::Length(data.len()))?;
        let version = B256::from_slice(&data[..32]);
        if version != B256::ZERO {
            return Err(OutputError::Version(version));
        }
        Ok(Self {
            state_root: B256::from_slice(&data[32..64]),
            withdrawals_storage_root: B256::from_slice(&data[64..96]),
            block_hash: B256::from_slice(&data[96..]),
        })
    }

    /// The deposit that ends a block which stands in for an invalidated one, whose output this is.
    /// It does nothing but to make the output known. The written specification has no such deposit;
    /// the reference implementation does.
    pub fn replacement_deposit(&self) -> DepositTransaction {
        DepositTransaction {
            source_hash: DepositSource::InvalidatedBlock { output_root: self.root() }.hash(),
            from: REPLACEMENT_SENDER,
            to: TxKind::Call(Address::ZERO),
            mint: 0,
            value: U256::ZERO,
            gas_limit: REPLACEMENT_GAS,
            is_system_transaction: false,
            input: Bytes::copy_from_slice(&self.encode()),
        }
    }

    /// The output of the block that was replaced, from the last transaction of its replacement;
    /// `None` if the deposit is another.
    pub fn of_replacement(deposit: &DepositTransaction) -> Option<Self> {
        let output = Self::decode(&deposit.input).ok()?;
        (output.replacement_deposit() == *deposit).then_some(output)
    }
}

/// `keccak256(version 0 ++ state_root ++ withdrawals_storage_root ++ block_hash)`.
pub fn output_root_v0(state_root: B256, withdrawals_storage_root: B256, block_hash: B256) -> B256 {
    OutputV0 { state_root, withdrawals_storage_root, block_hash }.root()
}

/// What a super root commits to: the outputs of all chains of a dependency set at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuperRoot {
    /// The time, in seconds. A chain without a block at it has the output of its last block before.
    pub timestamp: u64,
    /// Chain ids and output roots. In order of the ids, unless decoded from bytes of other order.
    pub outputs: Vec<(U256, B256)>,
}

impl SuperRoot {
    /// Puts the chains in order.
    pub fn new(timestamp: u64, mut outputs: Vec<(U256, B256)>) -> Self {
        outputs.sort_by_key(|(chain_id, _)| *chain_id);
        Self { timestamp, outputs }
    }

    /// The super root.
    pub fn root(&self) -> B256 {
        keccak256(self.encode())
    }

    /// Version 1, timestamp, and two words for each chain.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUPER_ROOT_HEAD + self.outputs.len() * SUPER_ROOT_CHAIN);
        out.push(SUPER_ROOT_VERSION);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        for (chain_id, output_root) in &self.outputs {
            out.extend_from_slice(&chain_id.to_be_bytes::<32>());
            out.extend_from_slice(output_root.as_slice());
        }
        out
    }

    /// Decodes what [`SuperRoot::encode`] gives. The order of the chains is kept as it is: a root on
    /// L1 may commit to any.
    ///
    /// # Errors
    /// On another version, or when no chain or a part of one is there.
    pub fn decode(data: &[u8]) -> Result<Self, OutputError> {
        let wrong_length = OutputError::SuperLength(data.len());
        let (version, rest) = data.split_first().ok_or(wrong_length)?;
        if *version != SUPER_ROOT_VERSION {
            return Err(OutputError::SuperVersion(*version));
        }
        let (timestamp, rest) = rest.split_first_chunk::<8>().ok_or(wrong_length)?;
        let (chains, []) = rest.as_chunks::<SUPER_ROOT_CHAIN>() else {
            return Err(wrong_length);
        };
        if chains.is_empty() {
            return Err(wrong_length);
        }
        let output = |chain: &[u8; SUPER_ROOT_CHAIN]| {
            (U256::from_be_slice(&chain[..32]), B256::from_slice(&chain[32..]))
        };
        Ok(Self {
            timestamp: u64::from_be_bytes(*timestamp),
            outputs: chains.iter().map(output).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::vec;

    fn output() -> OutputV0 {
        OutputV0 {
            state_root: B256::repeat_byte(1),
            withdrawals_storage_root: B256::repeat_byte(2),
            block_hash: B256::repeat_byte(3),
        }
    }

    #[test]
    fn outputs_decode_as_they_were_encoded_and_nothing_else_does() {
        let encoded = output().encode();
        assert_eq!(OutputV0::decode(&encoded), Ok(output()));
        assert_eq!(OutputV0::decode(&encoded[..127]), Err(OutputError::Length(127)));
        assert_eq!(OutputV0::decode(&[]), Err(OutputError::Length(0)));
        let mut other = encoded;
        other[31] = 1;
        assert_eq!(OutputV0::decode(&other), Err(OutputError::Version(B256::with_last_byte(1))));
    }

    #[test]
    fn a_replacement_names_the_block_that_it_replaces() {
        let deposit = output().replacement_deposit();
        assert_eq!(OutputV0::of_replacement(&deposit), Some(output()));
        let stranger = DepositTransaction { from: Address::ZERO, ..deposit };
        assert_eq!(OutputV0::of_replacement(&stranger), None);
    }

    #[test]
    fn super_roots_hold_whole_chains_in_order_of_their_ids() {
        let (one, two) = (U256::from(1), U256::from(2));
        let super_root = SuperRoot::new(7, vec![(two, B256::ZERO), (one, B256::repeat_byte(9))]);
        assert_eq!(super_root.outputs[0].0, one);
        let encoded = super_root.encode();
        assert_eq!(SuperRoot::decode(&encoded), Ok(super_root));
        for length in 1..encoded.len() {
            let decoded = SuperRoot::decode(&encoded[..length]);
            assert_eq!(decoded.is_ok(), length == 9 + 64, "{length}");
        }
        assert_eq!(SuperRoot::decode(&[]), Err(OutputError::SuperLength(0)));
        assert_eq!(SuperRoot::decode(&[2; 73]), Err(OutputError::SuperVersion(2)));
    }
}
