// L1 reorgs of depth 1 to 8 while users send: both nodes follow to the new canonical chain, and every transaction is
// mined again. `node reorg.mjs DIR 1,4,8` picks the depths.
import { parseEther, parseGwei } from 'viem'
import { depositTransaction } from 'viem/op-stack'
import { check, freshAddress, main, noteSent, proved, receiptOf, rpc, rpcBatch, same, sameChains, until } from './lib.mjs'

await main('reorg', async (rollup) => {
  const { l1, l2, verifier, endpoints, config } = rollup
  const depths = (process.argv[3] ?? '1,2,3,4,5,6,7,8').split(',').map(Number)
  const sender = rollup.account(4)
  const recipient = freshAddress()
  let nonce = await l2.getTransactionCount({ address: sender.address, blockTag: 'pending' })
  const sent = []
  const send = async () => {
    const raw = await sender.signTransaction({
      type: 'eip1559', chainId: config.l2_chain_id, nonce: nonce++, to: recipient, value: 1n, gas: 21_000n,
      maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: 1n,
    })
    const hash = await l2.sendRawTransaction({ serializedTransaction: raw })
    noteSent(rollup, raw)
    sent.push(hash)
    return hash
  }
  /** Sends one transfer every 250 ms until told to stop. */
  const sendAlong = () => {
    let going = true
    const done = (async () => {
      while (going) {
        await send()
        await new Promise((resolve) => setTimeout(resolve, 250))
      }
    })()
    return async () => {
      going = false
      await done
    }
  }
  const hashAt = async (n) => (await l1.getBlock({ blockNumber: n })).hash
  /** The L2 block of each transfer that is mined. */
  const placesOf = async (hashes) => {
    const receipts = await rpcBatch(endpoints.l2Rpc, 'eth_getTransactionReceipt', hashes.map((hash) => [hash]))
    return new Map(receipts.filter((receipt) => receipt).map((receipt) => [receipt.transactionHash, receipt.blockHash]))
  }
  /** Hashes of the newest twelve L1 blocks by number. */
  const blocksByNumber = async () => {
    const head = await l1.getBlockNumber()
    const numbers = Array.from({ length: 12 }, (_, i) => head - BigInt(i)).filter((n) => n >= 0n)
    return new Map(await Promise.all(numbers.map(async (n) => [n, await hashAt(n)])))
  }
  await until('L1 has ten blocks', async () => (await l1.getBlockNumber()) > 10n, 60)

  for (const depth of depths) {
    const stop = sendAlong()
    // A deposit shortly before the reorg lies in a block that the reorg drops, or in one that it keeps.
    const target = freshAddress()
    const wallet = rollup.l1Wallet(rollup.account(8))
    const depositHash = await depositTransaction(wallet, {
      account: wallet.account, request: { mint: parseEther('1'), gas: 100_000n, to: target }, targetChain: rollup.l2Chain,
    })
    const first = await receiptOf(l1, depositHash, 'deposit before the reorg')
    await until('L2 reaches the epoch of the deposit', async () => BigInt((await rollup.syncStatus()).unsafe_l2.l1origin.number) >= first.blockNumber, 60)

    const before = await blocksByNumber()
    const places = await placesOf(sent)
    const safeBefore = (await rollup.verifierStatus()).safe_l2
    const unsafeBefore = (await rollup.syncStatus()).unsafe_l2
    const { commonAncestor, oldHead, newHead } = await rpc(endpoints.l1Rpc, 'dev_reorg', [depth])
    const fork = BigInt(commonAncestor.number)
    same([oldHead.number, newHead.number], [commonAncestor.number + depth, commonAncestor.number + depth], `heights around a reorg of depth ${depth}`)
    same(await hashAt(fork), before.get(fork), 'the newest common block')
    for (const [n, hash] of before) {
      if (n > fork) check((await hashAt(n)) !== hash, `L1 block ${n} is another one after a reorg of depth ${depth}`)
    }

    await new Promise((resolve) => setTimeout(resolve, 500))
    await stop()
    const started = Date.now()
    // Both nodes come to stand on the new chain, beyond where they were.
    const beyond = BigInt(Math.max(safeBefore.number, unsafeBefore.number)) + 1n
    const onChain = async (ref) => (await hashAt(BigInt(ref.l1origin.number))) === ref.l1origin.hash
    await until(`the sequencer stands on the new chain after a reorg of depth ${depth}`, async () => {
      const { unsafe_l2: unsafe, safe_l2: safe } = await rollup.syncStatus()
      return BigInt(unsafe.number) >= beyond && (await onChain(unsafe)) && (await onChain(safe))
    }, 120)
    const settled = await until(`the verifier follows after a reorg of depth ${depth}`, async () => {
      const { safe_l2: safe } = await rollup.verifierStatus()
      return BigInt(safe.number) >= beyond && (await onChain(safe)) && safe
    }, 180)
    const count = await sameChains(rollup, 0n, settled.number)

    for (const hash of sent) {
      const receipt = await receiptOf(l2, hash, `transfer after a reorg of depth ${depth}`, 60)
      same(receipt.status, 'success', `status of transfer ${hash} after the reorg`)
    }
    const moved = [...(await placesOf([...places.keys()]))].filter(([hash, block]) => block !== places.get(hash)).length
    // The L2 may not yet have reached the newest two L1 blocks.
    check(moved > 0 || depth < 3, `a reorg of depth ${depth} drops L2 blocks with transfers, which are mined again`)

    // The deposit is in the L1 chain again and arrives once.
    const again = await receiptOf(l1, depositHash, 'deposit after the reorg')
    await until('the deposit arrives on the new chain', async () => (await l2.getBalance({ address: target })) === parseEther('1'), 60)
    check(again.status === 'success', 'the deposit succeeded on the new L1 chain')
    proved(`depth ${depth}: both nodes on the new chain after ${((Date.now() - started) / 1000).toFixed(1)} s; ${sent.length} transfers and the deposit mined, ${moved} transfers anew (deposit in L1 block ${first.blockNumber}, then ${again.blockNumber}; fork at ${fork}); ${count} block hashes equal`)
  }

  same(await until('every transfer counts once', async () => {
    const balance = await l2.getBalance({ address: recipient })
    return balance >= BigInt(sent.length) && balance
  }, 60), BigInt(sent.length), 'balance of the recipient: each transfer once')
  const last = Math.max(...(await Promise.all(sent.slice(-5).map(async (hash) => Number((await l2.getTransactionReceipt({ hash })).blockNumber)))))
  await until('every transfer is safe on the verifier', async () => (await rollup.verifierStatus()).safe_l2.number >= last, 120)
  same(await verifier.getBalance({ address: recipient, blockNumber: BigInt(last) }), BigInt(sent.length), 'balance of the recipient on the verifier')
  proved(`${sent.length} transfers in all, each mined once and safe`)
})
