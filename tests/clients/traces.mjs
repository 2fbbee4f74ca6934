// Traces by viem and cast; anvil is the oracle: the same transactions there must give the same traces.
import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { createPublicClient, createWalletClient, defineChain, encodeDeployData, encodeFunctionData, getContractAddress, http, parseEther, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { tool } from './foundry.mjs'
import { artifacts, check, main, proved, receiptOf, rpc, same, until } from './lib.mjs'

/** Starts anvil on a free port; gives its URL. It ends with this script. */
async function oracle() {
  const anvil = spawn(tool('anvil'), ['--port', '0', '--chain-id', '31337', '--steps-tracing'], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => anvil.kill())
  let output = ''
  anvil.stdout.on('data', (data) => { output += data })
  const address = await until('anvil listens', () => output.match(/Listening on (\S+)/)?.[1], 30)
  return `http://${address}`
}

/** Keys in order, so that two objects with the same content have the same text. */
const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
}

/** A flat trace without its place in the chain. */
const unplaced = ({ blockHash, blockNumber, transactionHash, transactionPosition, ...trace }) => trace

/** Geth, and Opal, leave out what a step has none of; anvil writes zeros and empty lists. */
const asGeth = ({ structLogs, ...frame }) => {
  const empty = ([key, value]) =>
    (key === 'refund' && value === 0) || (key === 'memory' && value.length === 0) || (key === 'returnData' && value === '0x')
  const step = (log) => Object.fromEntries(Object.entries(log).filter((field) => !empty(field)))
  return { ...frame, structLogs: structLogs.map(step) }
}

await main('traces', async (rollup) => {
  const url = rollup.endpoints.l2Rpc
  const anvil = await oracle()
  const user = privateKeyToAccount(generatePrivateKey())
  const funded = await rollup.l2Wallet(rollup.account(8)).sendTransaction({ to: user.address, value: parseEther('1') })
  await receiptOf(rollup.l2, funded, 'funds of the user')
  await rpc(anvil, 'anvil_setBalance', [user.address, toHex(parseEther('1'))])

  const { abi, bytecode } = artifacts.Notebook
  const notebook = getContractAddress({ from: user.address, nonce: 0n })
  const requests = [
    { data: encodeDeployData({ abi, bytecode, args: [5n] }), gas: 1_500_000n },
    { to: notebook, data: encodeFunctionData({ abi, functionName: 'write', args: [6n, 'traced'] }), gas: 200_000n },
    { to: notebook, data: encodeFunctionData({ abi, functionName: 'refuse', args: [9n] }), gas: 100_000n },
    // Runs out of gas.
    { to: notebook, data: encodeFunctionData({ abi, functionName: 'write', args: [7n, 'x'] }), gas: 23_000n },
    { to: notebook, data: '0x12345678', gas: 50_000n },
  ]
  const local = defineChain({ id: 31337, name: 'anvil', nativeCurrency: rollup.l2Chain.nativeCurrency, rpcUrls: { default: { http: [anvil] } } })
  const chains = [
    { client: rollup.l2, wallet: rollup.l2Wallet(user), url },
    {
      client: createPublicClient({ chain: local, transport: http(), pollingInterval: 100 }),
      wallet: createWalletClient({ account: user, chain: local, transport: http() }),
      url: anvil,
    },
  ]
  const hashes = [[], []]
  for (const [nonce, request] of requests.entries()) {
    for (const [i, { client, wallet }] of chains.entries()) {
      const hash = await wallet.sendTransaction({ ...request, nonce, value: 0n })
      hashes[i].push(hash)
      await receiptOf(client, hash, `transaction ${nonce}`)
    }
  }
  const both = (method, nonce, ...options) =>
    Promise.all(chains.map(({ url }, i) => rpc(url, method, [hashes[i][nonce], ...options])))
  for (const nonce of requests.keys()) {
    const receipt = await rollup.l2.getTransactionReceipt({ hash: hashes[0][nonce] })
    const [frame, expected] = await both('debug_traceTransaction', nonce, { tracer: 'callTracer', tracerConfig: { withLog: true } })
    // Geth, and Opal, give the outermost call the transaction's gas; anvil takes the intrinsic gas off.
    same(BigInt(frame.gas), requests[nonce].gas, `gas limit of transaction ${nonce}`)
    same(sorted({ ...frame, gas: undefined }), sorted({ ...expected, gas: undefined }), `callTracer of transaction ${nonce}`)
    same(BigInt(frame.gasUsed), receipt.gasUsed, `gas of transaction ${nonce}`)
    same('error' in frame, receipt.status === 'reverted', `outcome of transaction ${nonce}`)
    const [steps, expectedSteps] = await both('debug_traceTransaction', nonce, { enableMemory: true })
    same(sorted(steps), sorted(asGeth(expectedSteps)), `struct log of transaction ${nonce}`)
    const [four, expectedFour] = await both('debug_traceTransaction', nonce, { tracer: '4byteTracer' })
    same(sorted(four), sorted(expectedFour), `4byteTracer of transaction ${nonce}`)
    const [flat, expectedFlat] = await both('trace_transaction', nonce)
    same(sorted(flat.map(unplaced)), sorted(expectedFlat.map(unplaced)), `flat traces of transaction ${nonce}`)
  }
  proved(`${requests.length} transactions have the traces that anvil gives: calls, struct logs with memory, selectors, flat`)

  const call = { from: user.address, to: notebook, data: requests[1].data }
  const traced = await rollup.l2.request({ method: 'debug_traceCall', params: [call, 'latest', { tracer: 'callTracer' }] })
  same([traced.type, traced.to], ['CALL', notebook.toLowerCase()], 'viem traces a call')
  const diff = await rollup.l2.request({
    method: 'debug_traceTransaction',
    params: [hashes[0][1], { tracer: 'prestateTracer', tracerConfig: { diffMode: true } }],
  })
  const wei = (account) => BigInt(account?.balance ?? 0)
  const sender = user.address.toLowerCase()
  const lost = wei(diff.pre[sender]) - wei(diff.post[sender])
  const vaults = Object.keys(diff.post).filter((address) => address.startsWith('0x42000000000000000000000000000000000000'))
  const gained = vaults.reduce((sum, vault) => sum + wei(diff.post[vault]) - wei(diff.pre[vault]), 0n)
  same(gained, lost, 'the fee vaults gain what the sender loses')
  proved('viem traces a call and reads a state difference with the fee vaults')

  const cast = async (...args) => {
    const { stdout } = await promisify(execFile)(tool('cast'), ['rpc', '--rpc-url', url, ...args], { env: { PATH: process.env.PATH, HOME: '/nonexistent' } })
    return JSON.parse(stdout)
  }
  const block = await cast('debug_traceBlockByNumber', '0x1', JSON.stringify({ tracer: 'callTracer' }))
  same(block[0].result.from, '0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001', 'the L1 attributes deposit is traced')
  check(!('error' in block[0].result), 'the L1 attributes deposit succeeds', block[0].result)
  const witness = await cast('debug_executionWitness', '0x1')
  same(Object.keys(witness).sort(), ['codes', 'headers', 'keys', 'state'], 'shape of a witness')
  check(witness.state.length > 0 && witness.codes.length > 0 && witness.headers.length > 0, 'a witness has nodes, codes and headers')
  proved('cast traces the first block and reads its witness')
})
