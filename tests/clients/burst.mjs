// A burst of transfers through JSON-RPC: all mined, all safe; transactions per second and L1 bytes per transaction.
import { keccak256 } from 'viem'
import { l2Blocks, readBatches } from './l1data.mjs'
import { check, freshAddress, main, noteSent, proved, rpcBatch, safeOnVerifier, same, sameChains, until } from './lib.mjs'

const COUNT = Number(process.env.OPAL_BURST ?? 1000)
const SENDERS = 10
const PER_REQUEST = 50

await main('burst', async (rollup) => {
  const { l2, endpoints, config } = rollup
  const recipient = freshAddress()
  const { baseFeePerGas } = await l2.getBlock()
  const maxFeePerGas = baseFeePerGas * 4n + 2_000_000_000n
  const raws = []
  // An account with delegated code may have one transaction in the pool, as with geth.
  const candidates = await Promise.all(
    Array.from({ length: SENDERS }, async (_, i) => {
      const account = rollup.account(i)
      const [code, nonce] = await Promise.all([
        l2.getCode({ address: account.address }),
        l2.getTransactionCount({ address: account.address, blockTag: 'pending' }),
      ])
      return { account, nonce, code }
    }),
  )
  const accounts = candidates.filter(({ code }) => code === undefined)
  check(accounts.length > 0, 'an account without code')
  for (let i = 0; i < COUNT; i++) {
    const sender = accounts[i % accounts.length]
    raws.push(await sender.account.signTransaction({
      type: 'eip1559', chainId: config.l2_chain_id, nonce: sender.nonce++, to: recipient, value: 1n, gas: 21_000n,
      maxFeePerGas, maxPriorityFeePerGas: 1_000_000n,
    }))
  }
  const firstBlock = (await l2.getBlockNumber()) + 1n
  const firstL1 = (await rollup.l1.getBlockNumber()) + 1n

  const started = Date.now()
  for (let i = 0; i < raws.length; i += PER_REQUEST) {
    const part = raws.slice(i, i + PER_REQUEST)
    const hashes = await rpcBatch(endpoints.l2Rpc, 'eth_sendRawTransaction', part.map((raw) => [raw]))
    same(hashes, part.map((raw) => keccak256(raw)), 'hashes of the sent transactions')
    noteSent(rollup, part)
  }
  const accepted = Date.now()
  await until('all transfers are mined', async () => (await l2.getBalance({ address: recipient })) === BigInt(COUNT), 120, 20)
  const mined = Date.now()

  const lastBlock = await l2.getBlockNumber()
  const blocks = await l2Blocks(endpoints.l2Rpc, firstBlock, lastBlock)
  const wanted = new Set(raws.map((raw) => keccak256(raw)))
  const holding = blocks.map((block) => block.transactions.filter((tx) => wanted.has(tx.hash)).length).filter((count) => count > 0)
  same(holding.reduce((sum, count) => sum + count, 0), COUNT, 'transfers in blocks')
  proved(`${COUNT} transfers mined in ${holding.length} blocks (${holding.join(', ')})`)

  const status = await safeOnVerifier(rollup, lastBlock)
  same(await rollup.verifier.getBalance({ address: recipient, blockNumber: lastBlock }), BigInt(COUNT), 'balance of the recipient on the verifier')
  await sameChains(rollup, firstBlock, lastBlock)
  const safe = Date.now()

  // The bytes that the batches with these transfers take: whole channels, empty blocks included.
  const { batches, channels, posts } = await readBatches(rollup, firstL1, BigInt(status.current_l1.number))
  const ours = batches.filter((batch) => batch.transactions.some((raw) => wanted.has(keccak256(raw))))
  same(ours.reduce((sum, batch) => sum + batch.transactions.filter((raw) => wanted.has(keccak256(raw))).length, 0), COUNT, 'transfers on L1')
  const used = new Set(ours.map((batch) => batch.channel))
  const bytes = channels.filter((channel) => used.has(channel.id)).reduce((sum, channel) => sum + channel.bytes, 0)
  check(bytes > 0 && channels.length > 0, 'the transfers take bytes on L1')

  const seconds = (from, to) => ((to - from) / 1000).toFixed(2)
  const perSecond = (COUNT / ((mined - started) / 1000)).toFixed(0)
  console.log(`  accepted after ${seconds(started, accepted)} s, mined after ${seconds(started, mined)} s, safe on the verifier after ${seconds(started, safe)} s`)
  console.log(`  ${perSecond} transactions per second from the first request to the last one mined`)
  console.log(`  ${(bytes / COUNT).toFixed(1)} bytes on L1 per transaction (${posts[0].kind}; a signed transfer has ${(raws[0].length - 2) / 2} bytes)`)
  proved(`all ${COUNT} transfers are safe`)
})
