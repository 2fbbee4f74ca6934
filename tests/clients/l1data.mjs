// From L1 back to L2 transactions, written from the specification and sharing nothing with the Rust code:
// batcher transactions -> blobs or calldata -> frames -> channels -> batches.
import { createHash } from 'node:crypto'
import { brotliDecompressSync, constants, inflateSync } from 'node:zlib'
import { bytesToHex, decodeAbiParameters, hexToBytes, keccak256, toBytes, toRlp } from 'viem'
import { check, Failure, rpcBatch, same } from './lib.mjs'

const MAX_DECOMPRESSED = 100_000_000

/** Bytes on L1 around a frame's data: the version byte, channel id, number, length, and whether it is the last one. */
const FRAME_OVERHEAD = 24

/** Unpacks a blob: 4096 field elements of 254 usable bits; version 0 carries a 3-byte length first. */
export function decodeBlob(blob) {
  check(blob.length === 131072, 'a blob has 131072 bytes', blob.length)
  check(blob[1] === 0, 'blob encoding version 0', blob[1])
  const length = (blob[2] << 16) | (blob[3] << 8) | blob[4]
  check(length <= 130044, 'a blob carries at most 130044 bytes', length)
  const out = new Uint8Array(130044)
  let end = 0
  for (let round = 0; round < 1024; round++) {
    const element = (i) => blob.subarray((4 * round + i) * 32, (4 * round + i + 1) * 32)
    const high = [0, 1, 2, 3].map((i) => element(i)[0])
    check(high.every((byte) => byte < 64), 'field elements leave the top two bits empty', high)
    // Four times six bits make the three bytes that stand between the elements.
    const between = [
      (high[0] & 0x3f) | ((high[1] & 0x30) << 2),
      (high[1] & 0x0f) | ((high[3] & 0x0f) << 4),
      (high[2] & 0x3f) | ((high[3] & 0x30) << 2),
    ]
    for (let i = 0; i < 4; i++) {
      const body = element(i).subarray(round === 0 && i === 0 ? 5 : 1)
      out.set(body, end)
      end += body.length
      if (i < 3) out[end++] = between[i]
    }
  }
  check(out.subarray(length).every((byte) => byte === 0), 'a blob is zero behind its content')
  return out.subarray(0, length)
}

/** The frames of one batcher transaction's data (calldata or one blob's content). */
export function decodeFrames(data) {
  check(data[0] === 0, 'derivation version 0', data[0])
  const frames = []
  let at = 1
  while (at < data.length) {
    check(at + 22 < data.length, 'a frame has a header of 22 bytes')
    const view = new DataView(data.buffer, data.byteOffset + at)
    const length = view.getUint32(18)
    const end = at + 22 + length
    check(length <= 1_000_000 && end < data.length, 'a frame lies within its transaction', length)
    check(data[end] <= 1, 'is_last is 0 or 1', data[end])
    frames.push({
      channel: bytesToHex(data.subarray(at, at + 16)),
      number: view.getUint16(16),
      data: data.subarray(at + 22, end),
      last: data[end] === 1,
    })
    at = end + 1
  }
  check(frames.length > 0, 'a batcher transaction holds a frame')
  return frames
}

/** One RLP item at `at`: `{ value: bytes or list, end }`. */
function rlp(bytes, at) {
  const first = bytes[at]
  if (first === undefined) throw new Failure('RLP ends too early')
  if (first < 0x80) return { value: bytes.subarray(at, at + 1), end: at + 1 }
  const list = first >= 0xc0
  const short = first - (list ? 0xc0 : 0x80)
  let start = at + 1
  let length = short
  if (short > 55) {
    length = 0
    for (let i = 0; i < short - 55; i++) length = length * 256 + bytes[start++]
  }
  const end = start + length
  check(end <= bytes.length, 'RLP item lies within its data')
  if (!list) return { value: bytes.subarray(start, end), end }
  const value = []
  while (start < end) {
    const item = rlp(bytes, start)
    check(item.end <= end, 'RLP list item lies within its list')
    value.push(item.value)
    start = item.end
  }
  return { value, end }
}

const number = (bytes) => bytes.reduce((n, byte) => n * 256n + BigInt(byte), 0n)

/** An integer in the fewest bytes. */
function minimal(value) {
  const hex = BigInt(value).toString(16)
  return value === 0n ? new Uint8Array() : hexToBytes(`0x${hex.padStart(hex.length + (hex.length % 2), '0')}`)
}

/** Reads the columns of a span batch one after another. */
class Columns {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }

  take(count) {
    check(this.at + count <= this.bytes.length, 'a span batch holds its columns', count)
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  varint() {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const [byte] = this.take(1)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }

  /** As many bits, the first one in the lowest place of the last byte. */
  bits(count) {
    const bytes = this.take(Math.ceil(count / 8))
    return Array.from({ length: count }, (_, i) => (bytes[bytes.length - 1 - (i >> 3)] >> (i & 7)) & 1)
  }
}

/** The batches of a span, which know only how the span begins and ends: `parentCheck` and `originCheck`, 20 bytes each. */
function decodeSpan(bytes, config) {
  const columns = new Columns(bytes)
  const time = columns.varint() + BigInt(config.genesis.l2_time)
  let epoch = columns.varint()
  const parentCheck = bytesToHex(columns.take(20))
  const originCheck = bytesToHex(columns.take(20))
  const blocks = Number(columns.varint())
  check(blocks > 0, 'a span batch holds blocks')
  const originBits = columns.bits(blocks)
  const counts = Array.from({ length: blocks }, () => Number(columns.varint()))
  const raw = decodeSpanTransactions(columns, counts.reduce((sum, count) => sum + count, 0), BigInt(config.l2_chain_id))
  same(columns.at, bytes.length, 'a span batch fills its string')
  const batches = []
  let first = 0
  for (let i = 0; i < blocks; i++) {
    const transactions = raw.slice(first, first + counts[i])
    first += counts[i]
    batches.push({ timestamp: time + BigInt(i) * BigInt(config.block_time), transactions, previous: batches[i - 1] })
  }
  batches[0].parentCheck = parentCheck
  batches[blocks - 1].originCheck = originCheck
  // Only the last block's epoch is told; a bit says that a block's epoch is another than that of the block before.
  for (let i = blocks - 1; i >= 0; i--) {
    batches[i].epochNumber = epoch
    epoch -= BigInt(originBits[i])
  }
  return batches
}

/** Puts the transactions of a span together from their columns; raw, in order. */
function decodeSpanTransactions(columns, count, chainId) {
  const each = (read) => Array.from({ length: count }, (_, i) => read(i))
  const creates = columns.bits(count)
  const parities = columns.bits(count)
  const signatures = each(() => [0, 1].map(() => minimal(number(columns.take(32)))))
  const tos = each((i) => (creates[i] ? new Uint8Array() : columns.take(20)))
  const datas = each(() => {
    const type = columns.bytes[columns.at] < 0x80 ? columns.take(1)[0] : 0
    const { value, end } = rlp(columns.bytes, columns.at)
    columns.at = end
    return { type, fields: value }
  })
  const nonces = each(() => minimal(columns.varint()))
  const gases = each(() => minimal(columns.varint()))
  const protectedBits = columns.bits(datas.filter(({ type }) => type === 0).length)
  return each((i) => {
    const { type, fields } = datas[i]
    const parity = BigInt(parities[i])
    const known = { 0: 3, 1: 4, 2: 5, 4: 6 }[type]
    same(fields.length, known, `fields of a transaction of type ${type} in a span batch`)
    const [value, ...rest] = fields
    const prices = rest.splice(0, type === 2 || type === 4 ? 2 : 1)
    const body = [nonces[i], ...prices, gases[i], tos[i], value, ...rest]
    if (type === 0) {
      const v = protectedBits.shift() ? chainId * 2n + 35n + parity : 27n + parity
      return toRlp([...body, minimal(v), ...signatures[i]])
    }
    const envelope = toRlp([minimal(chainId), ...body, minimal(parity), ...signatures[i]])
    return `0x0${type}${envelope.slice(2)}`
  })
}

/** Decompresses a whole channel and reads its batches. */
export function decodeChannel(data, config) {
  const kind = data[0] & 0x0f
  let stream
  let compression
  if (kind === 8 || kind === 15) {
    compression = 'zlib'
    stream = inflateSync(data, { maxOutputLength: MAX_DECOMPRESSED })
  } else if (data[0] === 1) {
    compression = 'brotli'
    stream = brotliDecompressSync(data.subarray(1), {
      maxOutputLength: MAX_DECOMPRESSED,
      params: { [constants.BROTLI_DECODER_PARAM_LARGE_WINDOW]: 0 },
    })
  } else {
    throw new Failure(`channel of unknown compression, first byte ${data[0]}`)
  }
  const batches = []
  for (let at = 0; at < stream.length; ) {
    const item = rlp(stream, at)
    at = item.end
    const type = item.value[0]
    if (type === 1) {
      batches.push(...decodeSpan(item.value.subarray(1), config))
      continue
    }
    same(type, 0, 'batch type')
    const { value, end } = rlp(item.value, 1)
    same(end, item.value.length, 'a batch fills its string')
    same(value.length, 5, 'fields of a singular batch')
    const [parentHash, epochNumber, epochHash, timestamp, transactions] = value
    batches.push({
      parentHash: bytesToHex(parentHash),
      epochNumber: number(epochNumber),
      epochHash: bytesToHex(epochHash),
      timestamp: number(timestamp),
      transactions: transactions.map((tx) => bytesToHex(tx)),
    })
  }
  return { compression, batches }
}

/** Reads blobs through whichever beacon API the L1 has. */
export class Beacon {
  constructor(url) {
    this.url = url
  }

  async get(path) {
    const response = await fetch(`${this.url}${path}`)
    return response.ok ? (await response.json()).data : undefined
  }

  /** The blob id of an L1 block: its slot, or its number where the API knows no slots (anvil). */
  async idOf(block) {
    if (this.genesis === undefined) {
      this.spec = await this.get('/eth/v1/config/spec')
      this.genesis = BigInt((await this.get('/eth/v1/beacon/genesis'))?.genesis_time ?? 0)
    }
    return this.spec ? (block.timestamp - this.genesis) / BigInt(this.spec.SECONDS_PER_SLOT) : block.number
  }

  /** All blobs of a block, in the order of their hashes; checked as far as hashing goes: commitment to hash. */
  async blobs(block, hashes) {
    const id = await this.idOf(block)
    // No filter: not every API takes several hashes.
    const plain = await this.get(`/eth/v1/beacon/blobs/${id}`)
    const sidecars = await this.get(`/eth/v1/beacon/blob_sidecars/${id}`)
    check(plain || sidecars, `the beacon API has the blobs of L1 block ${block.number} (id ${id})`)
    const byHash = new Map()
    for (const sidecar of sidecars ?? []) byHash.set(versionedHash(sidecar.kzg_commitment), hexToBytes(sidecar.blob))
    if (plain) {
      same(plain.length, hashes.length, `number of blobs of L1 block ${block.number}`)
      // This form gives no commitments; where both forms exist they must agree.
      hashes.forEach((hash, i) => {
        const blob = hexToBytes(plain[i])
        if (byHash.has(hash)) check(Buffer.compare(byHash.get(hash), blob) === 0, `both forms give one blob for ${hash}`)
        byHash.set(hash, blob)
      })
    }
    for (const hash of hashes) check(byHash.has(hash), `blob ${hash} of L1 block ${block.number}`)
    return byHash
  }
}

const versionedHash = (commitment) =>
  `0x01${createHash('sha256').update(hexToBytes(commitment)).digest('hex').slice(2)}`

const CONFIG_UPDATE = keccak256(toBytes('ConfigUpdate(uint256,uint8,bytes)'))

/**
 * Walks L1 blocks `from..=to` and decodes all that the batcher posted there. Gives `{ batches, channels, posts, hashes }`,
 * the last being those of the L1 blocks; a post is one batcher transaction with the bytes of payload and the bytes it takes on L1.
 */
export async function readBatches(rollup, from, to) {
  const { config, l1 } = rollup
  const inbox = config.batch_inbox_address.toLowerCase()
  const beacon = new Beacon(rollup.endpoints.l1Beacon)
  const open = new Map()
  const result = { batches: [], channels: [], posts: [], hashes: new Map() }
  const logs = await l1.getLogs({ address: rollup.systemConfig, fromBlock: BigInt(config.genesis.l1.number) + 1n, toBlock: to })
  const changes = logs
    .filter((log) => log.topics[0] === CONFIG_UPDATE && BigInt(log.topics[2]) === 0n)
    .map((log) => {
      const [inner] = decodeAbiParameters([{ type: 'bytes' }], log.data)
      return { block: log.blockNumber, batcher: `0x${inner.slice(-40)}` }
    })
  for (let n = BigInt(from); n <= BigInt(to); n++) {
    // A change counts from the L1 block on that holds it.
    const batcher = changes.filter((change) => change.block <= n).at(-1)?.batcher ?? config.genesis.system_config.batcherAddr
    const block = await l1.getBlock({ blockNumber: n, includeTransactions: true })
    result.hashes.set(n, block.hash)
    const hashes = block.transactions.flatMap((tx) => tx.blobVersionedHashes ?? [])
    const posted = block.transactions.filter(
      (tx) => tx.to?.toLowerCase() === inbox && tx.from.toLowerCase() === batcher.toLowerCase(),
    )
    const blobs = posted.some((tx) => tx.blobVersionedHashes?.length) ? await beacon.blobs(block, hashes) : new Map()
    for (const tx of posted) {
      const own = tx.blobVersionedHashes ?? []
      const parts = own.length ? own.map((hash) => decodeBlob(blobs.get(hash))) : [hexToBytes(tx.input)]
      const bytes = parts.reduce((sum, part) => sum + part.length, 0)
      result.posts.push({ block: n, hash: tx.hash, kind: own.length ? 'blobs' : 'calldata', blobs: own.length, bytes })
      for (const frame of parts.flatMap(decodeFrames)) {
        const channel = open.get(frame.channel) ?? { frames: new Map() }
        open.set(frame.channel, channel)
        // A frame that comes again, as after an L1 reorg, is ignored.
        if (!channel.frames.has(frame.number)) channel.frames.set(frame.number, frame.data)
        if (frame.last) channel.count = frame.number + 1
        if (channel.count !== channel.frames.size) continue
        open.delete(frame.channel)
        const whole = Buffer.concat([...channel.frames].sort(([a], [b]) => a - b).map(([, data]) => data))
        const decoded = decodeChannel(whole, config)
        result.channels.push({ id: frame.channel, block: n, frames: channel.count, bytes: whole.length + channel.count * FRAME_OVERHEAD, compression: decoded.compression })
        for (const batch of decoded.batches) result.batches.push(Object.assign(batch, { channel: frame.channel }))
      }
    }
  }
  return result
}

/** The L2 blocks of a range with full transactions. */
export function l2Blocks(url, from, to) {
  const numbers = []
  for (let n = BigInt(from); n <= BigInt(to); n++) numbers.push([`0x${n.toString(16)}`, true])
  return rpcBatch(url, 'eth_getBlockByNumber', numbers)
}
