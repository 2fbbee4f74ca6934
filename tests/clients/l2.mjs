// viem against the L2: every kind of user transaction with its exact cost, a contract, logs, fee history,
// subscriptions over WebSocket, refusals, and the same state on the verifier.
import { encodeDeployData, encodeFunctionData, getContractAddress, hexToBytes, parseAbi, parseEther, parseGwei } from 'viem'
import { estimateL1Fee } from 'viem/op-stack'
import { estimatedSize, fastLzLength, l1Fee, operatorFee } from './fees.mjs'
import {
  GAS_PRICE_ORACLE, L1_BLOCK, artifacts, check, freshAddress, main, proved, receiptOf, rpc, safeOnVerifier, same, sameChains, sendRaw, until,
} from './lib.mjs'

const L1_BLOCK_ABI = parseAbi([
  'function basefee() view returns (uint256)',
  'function l1FeeOverhead() view returns (uint256)',
  'function l1FeeScalar() view returns (uint256)',
  'function baseFeeScalar() view returns (uint32)',
  'function blobBaseFee() view returns (uint256)',
  'function blobBaseFeeScalar() view returns (uint32)',
  'function operatorFeeScalar() view returns (uint32)',
  'function operatorFeeConstant() view returns (uint64)',
])
const ORACLE_ABI = parseAbi(['function getL1Fee(bytes) view returns (uint256)'])
const VAULTS = ['11', '19', '1A', '1B'].map((low) => `0x42000000000000000000000000000000000000${low}`)

/** What the L1Block contract of a block says, as bigints. */
async function l1Parameters(rollup, blockNumber) {
  const names = ['basefee', ...(rollup.has('ecotone') ? ['baseFeeScalar', 'blobBaseFee', 'blobBaseFeeScalar'] : ['l1FeeOverhead', 'l1FeeScalar'])]
  if (rollup.has('isthmus')) names.push('operatorFeeScalar', 'operatorFeeConstant')
  const values = await Promise.all(
    names.map((functionName) => rollup.l2.readContract({ address: L1_BLOCK, abi: L1_BLOCK_ABI, functionName, blockNumber })),
  )
  return Object.fromEntries(names.map((name, i) => [name, BigInt(values[i])]))
}

/** Demands that a transaction cost its sender exactly value, gas, L1 fee and operator fee, and that the receipt says so. */
async function checkCost(rollup, { sender, value = 0n, raw, receipt, what }) {
  const { blockNumber } = receipt
  const p = await l1Parameters(rollup, blockNumber)
  const fee = l1Fee(rollup, raw, p)
  same(receipt.l1Fee, fee, `${what}: l1Fee of the receipt`)
  same(receipt.l1GasPrice, p.basefee, `${what}: l1GasPrice of the receipt`)
  if (rollup.has('fjord')) same(receipt.l1GasUsed, (estimatedSize(raw) * 16n) / 1_000_000n, `${what}: l1GasUsed`)
  if (rollup.has('ecotone')) {
    same(BigInt(receipt.l1BaseFeeScalar), p.baseFeeScalar, `${what}: l1BaseFeeScalar`)
    same(BigInt(receipt.l1BlobBaseFee), p.blobBaseFee, `${what}: l1BlobBaseFee`)
    same(BigInt(receipt.l1BlobBaseFeeScalar), p.blobBaseFeeScalar, `${what}: l1BlobBaseFeeScalar`)
  }
  if (rollup.has('jovian')) {
    const footprint = (estimatedSize(raw) / 1_000_000n) * BigInt(receipt.daFootprintGasScalar)
    same(BigInt(receipt.blobGasUsed), footprint, `${what}: DA footprint in blobGasUsed`)
  }
  const spent = value + receipt.gasUsed * receipt.effectiveGasPrice + fee + operatorFee(rollup, receipt.gasUsed, p)
  const [before, after] = await Promise.all(
    [blockNumber - 1n, blockNumber].map((number) => rollup.l2.getBalance({ address: sender, blockNumber: number })),
  )
  same(before - after, spent, `${what}: what the sender paid`)
  return p
}

await main('l2', async (rollup) => {
  const { l2, verifier } = rollup
  const [payer, sponsor, authority] = [5, 6, 7].map(rollup.account)
  const fresh = freshAddress()
  check((await l2.getBalance({ address: payer.address })) > parseEther('10'), 'the well-known accounts hold ether on L2')

  const socket = rollup.l2Socket()
  const heads = []
  const subscription = await socket.transport.subscribe({
    params: ['newHeads'],
    onData: (message) => heads.push(message.result),
    onError: (error) => console.error(`  newHeads: ${error}`),
  })

  // A contract, by a 1559 transaction.
  const { abi, bytecode } = artifacts.Notebook
  const nonce = await l2.getTransactionCount({ address: payer.address })
  const creation = await sendRaw(rollup, payer, { type: 'eip1559', data: encodeDeployData({ abi, bytecode, args: [7n] }), value: 5n })
  const created = await receiptOf(l2, creation.hash, 'deployment')
  same(created.status, 'success', 'status of the deployment')
  const notebook = getContractAddress({ from: payer.address, nonce: BigInt(nonce) })
  same(created.contractAddress.toLowerCase(), notebook.toLowerCase(), 'address of the new contract')
  check((await l2.getCode({ address: notebook })).length > 100, 'the new contract has code')
  same(await l2.readContract({ address: notebook, abi, functionName: 'value' }), 7n, 'a call reads what the constructor wrote')
  same(await l2.getStorageAt({ address: notebook, slot: '0x0' }), `0x${'7'.padStart(64, '0')}`, 'slot 0 of the contract')
  await checkCost(rollup, { sender: payer.address, value: 5n, raw: creation.raw, receipt: created, what: 'deployment' })
  proved(`a contract is deployed at ${notebook} and answers calls`)

  const written = []
  const unwatch = socket.watchContractEvent({ address: notebook, abi, eventName: 'Written', onLogs: (logs) => written.push(...logs) })
  const polled = []
  const unpoll = l2.watchContractEvent({ address: notebook, abi, eventName: 'Written', onLogs: (logs) => polled.push(...logs) })

  // One transaction of each kind, each calling the contract with value.
  const note = 'the same words again and again and again and again and again and again and again'
  const call = (value) => ({ to: notebook, value: 3n, data: encodeFunctionData({ abi, functionName: 'write', args: [value, note] }) })
  const kinds = [
    { type: 'legacy', number: '0x0' },
    { type: 'eip2930', number: '0x1', accessList: [{ address: notebook, storageKeys: [`0x${'0'.repeat(64)}`] }] },
    { type: 'eip1559', number: '0x2', maxPriorityFeePerGas: parseGwei('0.001') },
  ]
  let parameters
  for (const [i, { number, ...kind }] of kinds.entries()) {
    const request = { ...kind, ...call(BigInt(i) + 10n) }
    const sent = await sendRaw(rollup, payer, request)
    const receipt = await receiptOf(l2, sent.hash, kind.type)
    same([receipt.status, receipt.type], ['success', kind.type], `${kind.type}: status and type`)
    parameters = await checkCost(rollup, { sender: payer.address, value: 3n, raw: sent.raw, receipt, what: kind.type })
    const onChain = await rpc(rollup.endpoints.l2Rpc, 'eth_getTransactionByHash', [sent.hash])
    same([onChain.type, onChain.blockHash], [number, receipt.blockHash], `${kind.type}: the transaction by hash`)
    same(await l2.readContract({ address: notebook, abi, functionName: 'value' }), BigInt(i) + 10n, `${kind.type}: effect`)
    if (i === 2) {
      // The oracle contract on L2 must agree with the fee formula (it adds 68 bytes for the signature from Fjord on).
      const quoted = await l2.readContract({ address: GAS_PRICE_ORACLE, abi: ORACLE_ABI, functionName: 'getL1Fee', args: [sent.raw], blockNumber: receipt.blockNumber })
      if (rollup.has('fjord')) {
        const size = -42_585_600n + 836_500n * BigInt(fastLzLength(hexToBytes(sent.raw)) + 68)
        const weighted = 16n * parameters.baseFeeScalar * parameters.basefee + parameters.blobBaseFeeScalar * parameters.blobBaseFee
        same(quoted, ((size < 100_000_000n ? 100_000_000n : size) * weighted) / 1_000_000_000_000n, 'GasPriceOracle.getL1Fee')
      } else check(quoted > 0n, 'GasPriceOracle.getL1Fee is not zero', quoted)
      check((await estimateL1Fee(l2, { account: payer.address, ...call(9n) })) > 0n, "viem's estimateL1Fee is not zero")
    }
  }
  proved('legacy, 2930 and 1559 transactions cost exactly value + gas + L1 fee + operator fee, as the receipts say')

  if (rollup.has('isthmus')) {
    const { abi: delegateAbi, bytecode: delegateCode } = artifacts.Delegate
    const deployment = await sendRaw(rollup, sponsor, { data: encodeDeployData({ abi: delegateAbi, bytecode: delegateCode }) })
    const { contractAddress: delegate } = await receiptOf(l2, deployment.hash, 'deployment of the delegate')
    const authorization = await rollup.l2Wallet(authority).signAuthorization({ contractAddress: delegate })
    const sent = await sendRaw(rollup, sponsor, {
      type: 'eip7702',
      to: authority.address,
      value: 2n,
      authorizationList: [authorization],
      // Estimation by the node would need the authorization's state; 200,000 gas is ample.
      gas: 200_000n,
      data: encodeFunctionData({ abi: delegateAbi, functionName: 'run', args: [[fresh, fresh], 21n] }),
    })
    const receipt = await receiptOf(l2, sent.hash, '7702')
    same([receipt.status, receipt.type], ['success', 'eip7702'], '7702: status and type')
    await checkCost(rollup, { sender: sponsor.address, value: 2n, raw: sent.raw, receipt, what: '7702' })
    same(await l2.getCode({ address: authority.address }), `0xef0100${delegate.slice(2).toLowerCase()}`, '7702: code of the account')
    same(await l2.getBalance({ address: fresh }), 42n, '7702: the account paid twice by its new code')
    same(receipt.logs[0]?.address.toLowerCase(), authority.address.toLowerCase(), '7702: the account emitted the log')
    proved('a 7702 transaction gives an account code, which runs')
  } else {
    const authorization = await rollup.l2Wallet(authority).signAuthorization({ contractAddress: notebook })
    const raw = await sponsor.signTransaction({
      type: 'eip7702', chainId: rollup.config.l2_chain_id, nonce: await l2.getTransactionCount({ address: sponsor.address }),
      to: authority.address, gas: 200_000n, maxFeePerGas: parseGwei('10'), maxPriorityFeePerGas: 0n, authorizationList: [authorization],
    })
    const refusal = await l2.sendRawTransaction({ serializedTransaction: raw }).then(() => undefined, (error) => error)
    check(refusal, `a 7702 transaction is refused before Isthmus (${rollup.fork})`)
    proved(`a 7702 transaction is refused in ${rollup.fork}`)
  }

  // Reading back.
  const head = await l2.getBlockNumber()
  const logs = await l2.getContractEvents({ address: notebook, abi, eventName: 'Written', args: { value: 11n }, fromBlock: 0n, toBlock: head })
  same(logs.map((log) => [log.args.author, log.args.value, log.args.note]), [[payer.address, 11n, note]], 'eth_getLogs by an indexed value')
  same((await l2.getContractEvents({ address: notebook, abi, fromBlock: 0n })).length, 3, 'eth_getLogs by address')
  same((await l2.getContractEvents({ address: notebook, abi, args: { author: sponsor.address }, fromBlock: 0n })).length, 0, 'eth_getLogs that match nothing')
  const failed = await l2.simulateContract({ account: payer, address: notebook, abi, functionName: 'refuse', args: [50n] }).then(() => undefined, (error) => error)
  same(failed?.walk((e) => e.name === 'ContractFunctionRevertedError')?.data?.errorName, 'TooLarge', "a call's custom error reaches the caller")
  const refused = await l2.estimateContractGas({ account: payer, address: notebook, abi, functionName: 'refuse', args: [50n] }).then(() => undefined, (error) => error)
  check(refused, 'gas estimation of a failing call fails')
  proved('eth_getLogs filters by address and topics; a revert carries its data')

  const history = await l2.getFeeHistory({ blockCount: 4, rewardPercentiles: [10, 90] })
  same([history.baseFeePerGas.length, history.gasUsedRatio.length, history.reward.length, history.reward[0].length], [5, 4, 4, 2], 'eth_feeHistory: sizes')
  const oldest = await l2.getBlock({ blockNumber: history.oldestBlock })
  same(history.baseFeePerGas[0], oldest.baseFeePerGas, 'eth_feeHistory: base fee of the oldest block')
  check((await l2.getGasPrice()) > 0n, 'eth_gasPrice is not zero')
  const block = await l2.getBlock({ blockNumber: created.blockNumber, includeTransactions: true })
  same(block.transactions[0].typeHex, '0x7e', 'every block opens with the L1 attributes deposit')
  const receipts = await rpc(rollup.endpoints.l2Rpc, 'eth_getBlockReceipts', [block.hash])
  same(receipts.map((one) => one.transactionHash), block.transactions.map((tx) => tx.hash), 'eth_getBlockReceipts')
  if (rollup.has('jovian')) {
    const footprint = receipts.reduce((sum, one) => sum + BigInt(one.blobGasUsed ?? 0), 0n)
    same(block.blobGasUsed, footprint, "the header's blobGasUsed is the sum of the DA footprints")
  }
  proved('fee history, gas price, blocks and block receipts')

  // What an L2 must not take.
  const base = { to: fresh, value: 1n, gas: 21_000n, maxFeePerGas: parseGwei('10'), maxPriorityFeePerGas: 0n }
  const next = await l2.getTransactionCount({ address: payer.address })
  const bad = {
    'the wrong chain id': await payer.signTransaction({ ...base, type: 'eip1559', chainId: 1, nonce: next }),
    'a used nonce': await payer.signTransaction({ ...base, type: 'eip1559', chainId: rollup.config.l2_chain_id, nonce: 0 }),
    'a deposit': `0x7e${block.transactions[0].hash.slice(2)}`,
    'more value than the sender has': await payer.signTransaction({ ...base, value: 10n ** 30n, type: 'eip1559', chainId: rollup.config.l2_chain_id, nonce: next }),
    'too little gas': await payer.signTransaction({ ...base, gas: 20_999n, type: 'eip1559', chainId: rollup.config.l2_chain_id, nonce: next }),
    'a blob': await payer.signTransaction({
      ...base, type: 'eip4844', chainId: rollup.config.l2_chain_id, nonce: next, maxFeePerBlobGas: 10n, blobVersionedHashes: [`0x01${'0'.repeat(62)}`], sidecars: undefined,
    }),
  }
  for (const [what, serializedTransaction] of Object.entries(bad)) {
    const error = await l2.sendRawTransaction({ serializedTransaction }).then(() => undefined, (e) => e)
    check(error, `a transaction with ${what} is refused`)
    check(error.details || error.shortMessage, `the refusal of ${what} says why`)
  }
  proved(`refused: transactions with ${Object.keys(bad).join(', ')}`)

  // Subscriptions.
  await until('the log subscription shows the three logs', () => written.length >= 3, 10)
  await until('log polling shows the three logs', () => polled.length >= 3, 10)
  same(written.map((log) => log.args.value), [10n, 11n, 12n], 'logs by eth_subscribe')
  const seen = heads.length
  await until('two more heads over WebSocket', () => heads.length >= seen + 2, 30)
  unwatch()
  unpoll()
  await subscription.unsubscribe()
  for (let i = 1; i < heads.length; i++) same(heads[i].parentHash, heads[i - 1].hash, 'parent of a subscribed head')
  const some = heads.at(-1)
  same((await l2.getBlock({ blockNumber: BigInt(some.number) })).hash, some.hash, 'a subscribed head is on the chain')
  proved(`${heads.length} heads in sequence and ${written.length} logs over WebSocket`)

  // The verifier has the same.
  const target = heads.at(-1).number
  const status = await safeOnVerifier(rollup, target)
  const safe = BigInt(status.safe_l2.number)
  const label = await verifier.getBlock({ blockTag: 'safe' })
  check(label.number >= safe, "the verifier's safe tag is where its rollup RPC says", [label.number, safe])
  const addresses = [payer.address, sponsor.address, authority.address, fresh, notebook, ...VAULTS, L1_BLOCK]
  for (const address of addresses) {
    const [left, right] = await Promise.all([l2, verifier].map((client) => client.getBalance({ address, blockNumber: safe })))
    same(right, left, `balance of ${address} at safe block ${safe}, verifier against sequencer`)
  }
  same(await verifier.readContract({ address: notebook, abi, functionName: 'value', blockNumber: safe }), 12n, 'contract state on the verifier')
  const compared = await sameChains(rollup, 0n, safe)
  proved(`at safe block ${safe} ${addresses.length} balances agree, and ${compared} block hashes are equal`)
})
