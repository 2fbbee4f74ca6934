//! Keccak-256 of several messages at once: where the processor has AVX2, four share each round,
//! which takes little longer than one alone.

use alloc::vec::Vec;

use alloy_primitives::{B256, keccak256};

/// Bytes that one permutation takes in.
const RATE: usize = 136;

/// Permutations that a message of this length takes.
pub(crate) const fn permutations(length: usize) -> usize {
    length / RATE + 1
}

/// The hashes of four messages; it is fast if all take as many permutations.
pub(crate) fn hash4(messages: [&[u8]; 4]) -> [B256; 4] {
    #[cfg(all(feature = "std", target_arch = "x86_64", not(miri)))]
    {
        let alike = |message: &&[u8]| message.len() / RATE == messages[0].len() / RATE;
        if messages.iter().all(alike) && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the instructions that the function is compiled to.
            #[allow(unsafe_code, reason = "what needs AVX2 can be called no other way")]
            return unsafe { avx2::hash4(messages) };
        }
    }
    messages.map(keccak256)
}

/// The hashes of short messages, in order.
pub(crate) fn hash_all(messages: &[&[u8]]) -> Vec<B256> {
    let (fours, rest) = messages.as_chunks::<4>();
    fours.iter().flat_map(|four| hash4(*four)).chain(rest.iter().map(keccak256)).collect()
}

#[cfg(all(feature = "std", target_arch = "x86_64", not(miri)))]
mod avx2 {
    use core::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_extract_epi64, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64,
        _mm256_xor_si256,
    };

    use alloy_primitives::B256;

    use super::RATE;

    /// Word `i` of four states.
    type States = [__m256i; 25];

    const ROUND_CONSTANTS: [u64; 24] = [
        0x0000_0000_0000_0001,
        0x0000_0000_0000_8082,
        0x8000_0000_0000_808a,
        0x8000_0000_8000_8000,
        0x0000_0000_0000_808b,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8009,
        0x0000_0000_0000_008a,
        0x0000_0000_0000_0088,
        0x0000_0000_8000_8009,
        0x0000_0000_8000_000a,
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b,
        0x8000_0000_0000_8089,
        0x8000_0000_0000_8003,
        0x8000_0000_0000_8002,
        0x8000_0000_0000_0080,
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8080,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008,
    ];

    macro_rules! rotated {
        ($word:expr, 0) => {
            $word
        };
        ($word:expr, $bits:literal) => {{
            let word = $word;
            _mm256_or_si256(
                _mm256_slli_epi64::<$bits>(word),
                _mm256_srli_epi64::<{ 64 - $bits }>(word),
            )
        }};
    }

    /// One row of the next states: words of the old ones mixed with their columns (theta), rotated
    /// (rho) and moved to this row (pi), then combined (chi).
    macro_rules! row {
        ($old:ident, $columns:ident, $next:ident, $start:literal,
         $(($x:literal, $word:literal, $bits:tt)),*) => {
            let b = [$(rotated!(_mm256_xor_si256($old[$word], $columns[$x]), $bits)),*];
            $next[$start] = chi(b[0], b[1], b[2]);
            $next[$start + 1] = chi(b[1], b[2], b[3]);
            $next[$start + 2] = chi(b[2], b[3], b[4]);
            $next[$start + 3] = chi(b[3], b[4], b[0]);
            $next[$start + 4] = chi(b[4], b[0], b[1]);
        };
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        _mm256_xor_si256(a, _mm256_andnot_si256(b, c))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn column(old: &States, x: usize) -> __m256i {
        let upper = _mm256_xor_si256(old[x], old[x + 5]);
        let lower = _mm256_xor_si256(old[x + 10], old[x + 15]);
        _mm256_xor_si256(_mm256_xor_si256(upper, lower), old[x + 20])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn round(old: &States, next: &mut States, constant: u64) {
        let c = [column(old, 0), column(old, 1), column(old, 2), column(old, 3), column(old, 4)];
        let d = [
            _mm256_xor_si256(c[4], rotated!(c[1], 1)),
            _mm256_xor_si256(c[0], rotated!(c[2], 1)),
            _mm256_xor_si256(c[1], rotated!(c[3], 1)),
            _mm256_xor_si256(c[2], rotated!(c[4], 1)),
            _mm256_xor_si256(c[3], rotated!(c[0], 1)),
        ];
        row!(old, d, next, 0, (0, 0, 0), (1, 6, 44), (2, 12, 43), (3, 18, 21), (4, 24, 14));
        row!(old, d, next, 5, (3, 3, 28), (4, 9, 20), (0, 10, 3), (1, 16, 45), (2, 22, 61));
        row!(old, d, next, 10, (1, 1, 1), (2, 7, 6), (3, 13, 25), (4, 19, 8), (0, 20, 18));
        row!(old, d, next, 15, (4, 4, 27), (0, 5, 36), (1, 11, 10), (2, 17, 15), (3, 23, 56));
        row!(old, d, next, 20, (2, 2, 62), (3, 8, 55), (4, 14, 39), (0, 15, 41), (1, 21, 2));
        next[0] = _mm256_xor_si256(next[0], _mm256_set1_epi64x(constant.cast_signed()));
    }

    /// Takes in a block of each message.
    #[target_feature(enable = "avx2")]
    fn absorb(states: &mut States, blocks: [&[u8; RATE]; 4]) {
        let words = blocks.map(|block| block.as_chunks::<8>().0);
        for (i, state) in states.iter_mut().take(RATE / 8).enumerate() {
            let [a, b, c, d] = words.map(|words| i64::from_le_bytes(words[i]));
            *state = _mm256_xor_si256(*state, _mm256_set_epi64x(d, c, b, a));
        }
        let mut between = *states;
        for [even, odd] in ROUND_CONSTANTS.as_chunks::<2>().0 {
            round(states, &mut between, *even);
            round(&between, states, *odd);
        }
    }

    /// The hashes of four messages of equally many blocks.
    #[target_feature(enable = "avx2")]
    pub(super) fn hash4(messages: [&[u8]; 4]) -> [B256; 4] {
        let mut states = [_mm256_setzero_si256(); 25];
        let [a, b, c, d] = messages.map(|message| message.as_chunks::<RATE>());
        for (((a, b), c), d) in a.0.iter().zip(b.0).zip(c.0).zip(d.0) {
            absorb(&mut states, [a, b, c, d]);
        }
        let [a, b, c, d] = [a, b, c, d].map(|(_, rest)| {
            let mut block = [0; RATE];
            block[..rest.len()].copy_from_slice(rest);
            // Both bits of the padding may meet in one byte.
            block[rest.len()] = 0x01;
            block[RATE - 1] |= 0x80;
            block
        });
        absorb(&mut states, [&a, &b, &c, &d]);
        let mut hashes = [B256::ZERO; 4];
        for (word, state) in states.iter().take(4).enumerate() {
            let lanes = [
                _mm256_extract_epi64::<0>(*state),
                _mm256_extract_epi64::<1>(*state),
                _mm256_extract_epi64::<2>(*state),
                _mm256_extract_epi64::<3>(*state),
            ];
            for (hash, lane) in hashes.iter_mut().zip(lanes) {
                hash[8 * word..8 * (word + 1)].copy_from_slice(&lane.to_le_bytes());
            }
        }
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_at_once_are_hashed_as_one_by_one() {
        let bytes: Vec<u8> = (0..1_000u32).map(|n| ((n * n) >> 3) as u8).collect();
        for length in (0..=300).chain([407, 408, 409, 532, 543, 544, 545]) {
            let messages = [0, 1, 7, 100].map(|start| &bytes[start..start + length]);
            assert_eq!(hash4(messages), messages.map(keccak256), "{length}");
        }
        // Of different lengths, with as many permutations and with not as many.
        let messages = [3, 135, 100, 0].map(|length| &bytes[..length]);
        assert_eq!(hash4(messages), messages.map(keccak256));
        let messages = [136, 135, 500, 0].map(|length| &bytes[..length]);
        assert_eq!(hash4(messages), messages.map(keccak256));
        for count in 0..10 {
            let messages: Vec<&[u8]> = (0..count).map(|n| &bytes[n..n + 32]).collect();
            let expected: Vec<B256> = messages.iter().map(keccak256).collect();
            assert_eq!(hash_all(&messages), expected);
        }
    }
}
