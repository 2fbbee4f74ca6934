//! The checksum of a zlib stream.

/// The checksum of a zlib stream.
pub(super) fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    /// Sums kept side by side, so that the compiler computes them at once.
    const LANES: usize = 32;
    /// As many rounds as no sum of sums overflows 16 bits in: 255 · 22 · 23 / 2.
    const ROUNDS: usize = 22;

    let (mut a, mut b) = (1u32, 0u32);
    for block in data.chunks(LANES * ROUNDS) {
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        b += a * (block.len() - rest.len()) as u32;
        let (mut sums, mut sums_of_sums) = ([0u16; LANES], [0u16; LANES]);
        for chunk in chunks {
            for (i, byte) in chunk.iter().enumerate() {
                sums_of_sums[i] += sums[i];
                sums[i] += u16::from(*byte);
            }
        }
        // Each byte counts as often in b as there are bytes from it to the end.
        for (i, (sum, of_sums)) in sums.iter().zip(&sums_of_sums).enumerate() {
            b += u32::from(*of_sums) * LANES as u32 + u32::from(*sum) * (LANES - i) as u32;
            a += u32::from(*sum);
        }
        for byte in rest {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % MODULUS, b % MODULUS);
    }
    b << 16 | a
}
