// Decodes what the batcher posted on L1 back to the L2 transactions that users sent, byte for byte.
import { keccak256 } from 'viem'
import { l2Blocks, readBatches } from './l1data.mjs'
import { check, main, proved, rpcBatch, same, safeOnVerifier, sentTransactions, show } from './lib.mjs'

/** Whether a batch names the hash that L1 has at its epoch, as far as it names one and L1 was read. */
function epochFits(batch, l1Hashes) {
  return l1Hashes.get(batch.epochNumber)?.startsWith(batch.epochHash ?? batch.originCheck ?? '') ?? true
}

/** The batch of a block. After an L1 reorg L1 may hold batches of dropped blocks, too; their parent or content differs. */
function chosen(candidates, block, before, hashes, l1Hashes) {
  const builds = (batch) =>
    batch.parentHash === block.parentHash ||
    (batch.parentCheck && block.parentHash.startsWith(batch.parentCheck)) ||
    before.has(batch.previous)
  const onParent = candidates.filter(builds)
  check(onParent.length > 0, `a batch on L1 for L2 block ${BigInt(block.number)}`)
  const fits = (batch) =>
    epochFits(batch, l1Hashes) && show(batch.transactions.map((raw) => keccak256(raw))) === show(hashes)
  const fitting = onParent.filter(fits)
  return { batch: fitting[0] ?? onParent[0], fitting: new Set(fitting) }
}

await main('decode', async (rollup) => {
  const { config, endpoints } = rollup
  const genesis = config.genesis
  const sent = sentTransactions(rollup)

  // Up to what is safe now, and at least up to the newest transaction that the scripts sent before.
  let target = BigInt((await rollup.verifierStatus()).safe_l2.number)
  const receipts = await rpcBatch(endpoints.l2Rpc, 'eth_getTransactionReceipt', [...sent.keys()].map((hash) => [hash]))
  check(receipts.every((receipt) => receipt), 'every transaction that was sent is mined')
  for (const receipt of receipts) if (BigInt(receipt.blockNumber) > target) target = BigInt(receipt.blockNumber)
  if (target < 3n) target = 3n
  const status = await safeOnVerifier(rollup, target)
  const safe = BigInt(status.safe_l2.number)
  const { batches, channels, posts, hashes: l1Hashes } = await readBatches(rollup, BigInt(genesis.l1.number) + 1n, BigInt(status.current_l1.number))
  check(posts.length > 0, 'the batcher posted something')
  const expectedKind = process.env.OPAL_DA ?? posts[0].kind
  check(posts.every((post) => post.kind === expectedKind), `every batcher transaction uses ${expectedKind}`, posts)
  const compression = rollup.has('fjord') ? 'brotli' : 'zlib'
  check(channels.every((channel) => channel.compression === compression), `every channel uses ${compression}`, channels)
  proved(`${posts.length} batcher transactions (${expectedKind}), ${channels.length} channels (${compression}), ${batches.length} batches, ${batches.filter((batch) => batch.parentHash === undefined).length} of them in spans`)

  const byTime = new Map()
  for (const batch of batches) {
    const known = byTime.get(batch.timestamp) ?? []
    byTime.set(batch.timestamp, [...known, batch])
  }
  const blocks = await l2Blocks(endpoints.verifierRpc, BigInt(genesis.l2.number) + 1n, safe)
  let parent = genesis.l2.hash
  // The batches that fit the block before: those of a span name no parent, but follow each other.
  let before = new Set()
  let userTransactions = 0
  let found = 0
  for (const block of blocks) {
    const number = BigInt(block.number)
    same(block.parentHash, parent, `parent of block ${number}`)
    check(block.transactions.length > 0 && block.transactions[0].type === '0x7e', `block ${number} opens with a deposit`)
    const users = block.transactions.filter((tx) => tx.type !== '0x7e')
    const deposits = block.transactions.length - users.length
    check(block.transactions.slice(0, deposits).every((tx) => tx.type === '0x7e'), `deposits come first in block ${number}`)
    const hashes = users.map((tx) => tx.hash)
    const { batch, fitting } = chosen(byTime.get(BigInt(block.timestamp)) ?? [], block, before, hashes, l1Hashes)
    before = fitting
    same(batch.transactions.map((raw) => keccak256(raw)), hashes, `transactions of block ${number}`)
    check(epochFits(batch, l1Hashes), `epoch of the batch of block ${number}`, batch.epochNumber)
    for (const raw of batch.transactions) {
      const bytes = sent.get(keccak256(raw))
      if (bytes === undefined) continue
      same(raw, bytes, 'bytes on L1 against the bytes that a user sent')
      sent.delete(keccak256(raw))
      found++
    }
    userTransactions += users.length
    parent = block.hash
  }
  proved(`${blocks.length} safe L2 blocks hold exactly the ${userTransactions} transactions of their batches`)
  same([...sent.keys()], [], 'sent transactions that are nowhere on L1')
  proved(`${found} transactions sent by these scripts are on L1 byte for byte`)

  const l1Bytes = posts.reduce((sum, post) => sum + post.bytes, 0)
  console.log(`  ${l1Bytes} payload bytes on L1 for ${blocks.length} blocks and ${userTransactions} user transactions`)
})
