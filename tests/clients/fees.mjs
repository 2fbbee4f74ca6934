// The L1 and operator fees of a transaction, computed from the spec's formulas alone.
import { hexToBytes } from 'viem'

/** Length of FastLZ's level-1 compression of `bytes`, as the Fjord fee counts it. */
export function fastLzLength(bytes) {
  const table = new Uint32Array(8192)
  const three = (i) => bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16)
  const slot = (word) => (Math.imul(2654435769, word) >>> 19) & 0x1fff
  const literals = (count) => 33 * Math.floor(count / 32) + (count % 32 ? (count % 32) + 1 : 0)
  const match = (length) => 3 * Math.floor((length - 1) / 262) + ((length - 1) % 262 >= 6 ? 3 : 2)
  const limit = Math.max(bytes.length - 13, 0)
  let total = 0
  let anchor = 0
  let at = 2
  while (at < limit) {
    let found = -1
    while (at < limit) {
      const word = three(at)
      const candidate = table[slot(word)]
      table[slot(word)] = at
      // A match on the very last position does not count.
      if (at + 1 < limit && at - candidate <= 0x1fff && three(candidate) === word) {
        found = candidate
        break
      }
      at++
    }
    if (found < 0) break
    if (at > anchor) total += literals(at - anchor)
    // The matched run starts three bytes on; its length counts the byte that differs, too.
    let length = 0
    while (length < limit + 9 - (at + 3)) {
      length++
      if (bytes[found + 3 + length - 1] !== bytes[at + 3 + length - 1]) break
    }
    total += match(length)
    at += length
    table[slot(three(at))] = at
    at++
    table[slot(three(at))] = at
    at++
    anchor = at
  }
  return total + literals(bytes.length - anchor)
}

/** FastLZ estimate of a transaction's compressed size, times 1e6. */
export function estimatedSize(raw) {
  const scaled = -42_585_600n + 836_500n * BigInt(fastLzLength(hexToBytes(raw)))
  return scaled < 100_000_000n ? 100_000_000n : scaled
}

const dataGas = (raw) => hexToBytes(raw).reduce((gas, byte) => gas + (byte === 0 ? 4n : 16n), 0n)

/** The L1 fee of a raw transaction in wei under the rules of a fork; `p` as the L1Block contract holds it. */
export function l1Fee(rollup, raw, p) {
  if (!rollup.has('ecotone')) {
    const overhead = p.l1FeeOverhead + (rollup.has('regolith') ? 0n : 68n * 16n)
    return ((dataGas(raw) + overhead) * p.basefee * p.l1FeeScalar) / 1_000_000n
  }
  const weighted = 16n * p.baseFeeScalar * p.basefee + p.blobBaseFeeScalar * p.blobBaseFee
  if (!rollup.has('fjord')) return (dataGas(raw) * weighted) / 16_000_000n
  return (estimatedSize(raw) * weighted) / 1_000_000_000_000n
}

/** The operator fee in wei for an amount of gas. */
export function operatorFee(rollup, gas, p) {
  if (!rollup.has('isthmus')) return 0n
  const scaled = rollup.has('jovian') ? gas * p.operatorFeeScalar * 100n : (gas * p.operatorFeeScalar) / 1_000_000n
  return scaled + p.operatorFeeConstant
}
