// The owner changes the SystemConfig on L1, and the change takes effect on L2 by derivation: in the first block of the
// epoch of the L1 block that holds it, on both nodes. `node systemconfig.mjs DIR batcher` changes the batcher key instead.
import { parseAbi, parseEther } from 'viem'
import { estimatedSize, l1Fee } from './fees.mjs'
import { L1_BLOCK, accountOf, check, main, proved, receiptOf, rpc, safeOnVerifier, same, sameChains, sendRaw, until } from './lib.mjs'

const ABI = parseAbi([
  'function owner() view returns (address)',
  'function gasLimit() view returns (uint64)',
  'function batcherHash() view returns (bytes32)',
  'function setGasLimit(uint64)',
  'function setGasConfig(uint256 overhead, uint256 scalar)',
  'function setGasConfigEcotone(uint32 baseFeeScalar, uint32 blobBaseFeeScalar)',
  'function setEIP1559Params(uint32 denominator, uint32 elasticity)',
  'function setOperatorFeeScalars(uint32 operatorFeeScalar, uint64 operatorFeeConstant)',
  'function setMinBaseFee(uint64)',
  'function setDAFootprintGasScalar(uint16)',
  'function setBatcherHash(address)',
])
const uint = (type) => (functionName) => parseAbi([`function ${functionName}() view returns (${type})`])

await main('systemconfig', async (rollup) => {
  const { l1, l2, verifier } = rollup
  const address = rollup.systemConfig
  const owner = accountOf(rollup, await l1.readContract({ address, abi: ABI, functionName: 'owner' }))
  const wallet = rollup.l1Wallet(owner)
  const stranger = rollup.l1Wallet(rollup.account(8))

  const change = async (functionName, ...args) => {
    const hash = await wallet.writeContract({ address, abi: ABI, functionName, args })
    const receipt = await receiptOf(l1, hash, functionName)
    same(receipt.status, 'success', `${functionName} on L1`)
    return receipt.blockNumber
  }
  /** The first L2 block whose L1 origin is `l1Number` or later, and the one before it. */
  const epochOf = async (l1Number) => {
    await until(`L2 follows L1 block ${l1Number}`, async () => BigInt((await rollup.syncStatus()).unsafe_l2.l1origin.number) >= l1Number, 60)
    let number = await l2.getBlockNumber()
    const origin = async (n) =>
      l2.readContract({ address: L1_BLOCK, abi: uint('uint64')('number'), functionName: 'number', blockNumber: n })
    while (number > 1n && (await origin(number - 1n)) >= l1Number) number--
    return number
  }
  const l1Block = (functionName, blockNumber, type = 'uint256') =>
    l2.readContract({ address: L1_BLOCK, abi: uint(type)(functionName), functionName, blockNumber })

  const refused = await stranger.writeContract({ address, abi: ABI, functionName: 'setGasLimit', args: [30_000_000n] }).then(() => undefined, (e) => e)
  check(refused, 'only the owner may change the SystemConfig')

  if (process.argv[3] === 'batcher') {
    const former = `0x${(await l1.readContract({ address, abi: ABI, functionName: 'batcherHash' })).slice(-40)}`
    const next = rollup.account(9).address
    await safeOnVerifier(rollup, 2n)
    const at = await change('setBatcherHash', next)
    const block = await epochOf(at)
    same(BigInt(await l1Block('batcherHash', block, 'bytes32')), BigInt(next), 'batcher hash in the L1Block contract')
    proved(`the batcher key changes on L2 in block ${block}, the first one of the epoch of L1 block ${at}`)

    // Whatever the former key posts from that L1 block on does not count.
    const reading = (l1Number) => until(`the verifier has read L1 block ${l1Number}`, async () => {
      const status = await rollup.verifierStatus()
      return BigInt(status.current_l1.number) >= l1Number && status
    }, 60)
    const { safe_l2: standing } = await reading(at + 1n)
    const { safe_l2: later } = await reading(at + 5n)
    same(later.number, standing.number, 'safe head while nobody has the key')
    proved(`the safe head stays at ${later.number} while nobody posts with the new key`)

    const back = await change('setBatcherHash', former)
    const restored = await epochOf(back)
    const { safe_l2: safe } = await safeOnVerifier(rollup, restored)
    proved(`with the former key back, ${await sameChains(rollup, 0n, safe.number)} blocks are safe with equal hashes`)
    return
  }

  // Gas limit.
  const limit = (await l2.getBlock()).gasLimit === 40_000_000n ? 41_000_000n : 40_000_000n
  const limitAt = await change('setGasLimit', limit)
  const limited = await epochOf(limitAt)
  const [old, now] = await Promise.all([limited - 1n, limited].map((blockNumber) => l2.getBlock({ blockNumber })))
  check(old.gasLimit !== limit && now.gasLimit === limit, 'gas limit before and in the first block of the epoch', [old.gasLimit, now.gasLimit])
  proved(`the gas limit changes from ${old.gasLimit} to ${limit} in L2 block ${limited}, the first one of L1 block ${limitAt}`)

  // Fee scalars.
  const scalars = rollup.has('ecotone') ? [4321, 87654] : [1234n, 765_432n]
  const scalarsAt = rollup.has('ecotone')
    ? await change('setGasConfigEcotone', ...scalars)
    : await change('setGasConfig', ...scalars)
  const scaled = await epochOf(scalarsAt)
  const names = rollup.has('ecotone') ? ['baseFeeScalar', 'blobBaseFeeScalar'] : ['l1FeeOverhead', 'l1FeeScalar']
  const inL2 = await Promise.all(names.map((name) => l1Block(name, scaled)))
  same(inL2.map(BigInt), scalars.map(BigInt), 'fee scalars in the L1Block contract')
  const sender = rollup.account(6)
  const sent = await sendRaw(rollup, sender, { to: rollup.account(5).address, value: parseEther('0.001') })
  const receipt = await receiptOf(l2, sent.hash, 'transfer at the new scalars')
  const p = { basefee: await l1Block('basefee', receipt.blockNumber) }
  if (rollup.has('ecotone')) p.blobBaseFee = await l1Block('blobBaseFee', receipt.blockNumber)
  names.forEach((name, i) => (p[name] = BigInt(scalars[i])))
  same(receipt.l1Fee, l1Fee(rollup, sent.raw, p), 'L1 fee at the new scalars')
  proved(`fee scalars ${scalars.join(' and ')} take effect in L2 block ${scaled}: a transfer pays ${receipt.l1Fee} wei of L1 fee`)

  // What later forks added.
  let last = scaled
  if (rollup.has('holocene')) {
    const at = await change('setEIP1559Params', 100, 4)
    last = await epochOf(at)
    const { extraData } = await l2.getBlock({ blockNumber: last })
    same(extraData.slice(4, 20), '0000006400000004', 'denominator and elasticity in the extra data')
    proved(`EIP-1559 parameters 100 and 4 stand in the header of L2 block ${last}`)
  }
  if (rollup.has('isthmus')) {
    const at = await change('setOperatorFeeScalars', 2_000_000, 777n)
    last = await epochOf(at)
    same([await l1Block('operatorFeeScalar', last), await l1Block('operatorFeeConstant', last)].map(BigInt), [2_000_000n, 777n], 'operator fee in the L1Block contract')
    const paying = await sendRaw(rollup, sender, { to: rollup.account(5).address, value: 1n })
    const paid = await receiptOf(l2, paying.hash, 'transfer with operator fee')
    const scale = rollup.has('jovian') ? 2_000_000n * 100n : 2n
    const vault = '0x420000000000000000000000000000000000001B'
    const [before, after] = await Promise.all([1n, 0n].map((back) => l2.getBalance({ address: vault, blockNumber: paid.blockNumber - back })))
    same(after - before, paid.gasUsed * scale + 777n, 'what the operator fee vault received')
    proved(`a transfer pays the operator fee of ${after - before} wei into its vault`)
    last = paid.blockNumber
  }
  if (rollup.has('jovian')) {
    const at = await change('setMinBaseFee', 1_000_000_007n)
    const from = await epochOf(at)
    const { extraData } = await l2.getBlock({ blockNumber: from })
    same(BigInt(`0x${extraData.slice(20)}`), 1_000_000_007n, 'lowest base fee in the extra data')
    await until('the next block', async () => (await l2.getBlockNumber()) > from, 30)
    const { baseFeePerGas } = await l2.getBlock({ blockNumber: from + 1n })
    check(baseFeePerGas >= 1_000_000_007n, 'base fee of the block after', baseFeePerGas)
    proved(`the lowest base fee holds from L2 block ${from + 1n} on`)

    const footprintAt = await change('setDAFootprintGasScalar', 555)
    last = await epochOf(footprintAt)
    const paying = await sendRaw(rollup, sender, { to: rollup.account(5).address, value: 1n })
    const paid = await receiptOf(l2, paying.hash, 'transfer at the new DA footprint scalar')
    const { blobGasUsed } = await l2.getBlock({ blockNumber: paid.blockNumber })
    check(blobGasUsed % 555n === 0n && blobGasUsed >= (estimatedSize(paying.raw) / 1_000_000n) * 555n, 'DA footprint of the block', blobGasUsed)
    proved(`the DA footprint scalar 555 makes a block's footprint ${blobGasUsed}`)
    last = paid.blockNumber
  }

  const status = await safeOnVerifier(rollup, last)
  const safe = BigInt(status.safe_l2.number)
  same((await verifier.getBlock({ blockNumber: limited })).gasLimit, limit, 'gas limit on the verifier')
  proved(`the verifier derived the same: ${await sameChains(rollup, 0n, safe)} block hashes are equal`)
  const after = await rpc(rollup.endpoints.verifierRollupRpc, 'optimism_rollupConfig')
  same(after.genesis.system_config.gasLimit, rollup.config.genesis.system_config.gasLimit, 'the rollup config keeps its genesis values')
})
