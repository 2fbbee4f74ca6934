// What the client scripts share: the rollup under test as `opal up --out DIR` describes it, viem clients, and a few
// ways to wait and to fail.
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPublicClient, createWalletClient, defineChain, http, keccak256, webSocket } from 'viem'
import { generatePrivateKey, mnemonicToAccount, privateKeyToAddress } from 'viem/accounts'
import { chainConfig } from 'viem/op-stack'

export const MNEMONIC = process.env.OPAL_MNEMONIC ?? 'test test test test test test test test test test test junk'
export const L1_BLOCK = '0x4200000000000000000000000000000000000015'
export const GAS_PRICE_ORACLE = '0x420000000000000000000000000000000000000F'

const FORKS = ['regolith', 'canyon', 'delta', 'ecotone', 'fjord', 'granite', 'holocene', 'isthmus', 'jovian', 'karst', 'interop']

const accounts = new Map()

/** An account of the mnemonic; deriving one takes many milliseconds, hence kept. */
function account(index) {
  if (!accounts.has(index)) accounts.set(index, mnemonicToAccount(MNEMONIC, { addressIndex: index }))
  return accounts.get(index)
}

/** An address that no chain knows yet. */
export const freshAddress = () => privateKeyToAddress(generatePrivateKey())

/** Ends the script as failed. */
export class Failure extends Error {}

/** Demands a fact; `detail` is shown when it does not hold. */
export function check(fact, what, detail) {
  if (!fact) throw new Failure(detail === undefined ? what : `${what}: ${show(detail)}`)
}

/** Demands equality of two values (JSON values, bigints). */
export function same(actual, expected, what) {
  if (show(actual) !== show(expected)) throw new Failure(`${what}: got ${show(actual)}, expected ${show(expected)}`)
}

export const show = (value) =>
  typeof value === 'string' ? value : JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? v.toString() : v))

/** Says what was shown to hold. */
export const proved = (what) => console.log(`  ok  ${what}`)

/** Runs a script's body; the exit code tells the outcome. */
export async function main(name, body) {
  const started = Date.now()
  console.log(name)
  try {
    const rollup = await open(process.argv[2])
    await body(rollup)
    console.log(`${name}: passed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
    process.exit(0)
  } catch (error) {
    console.error(`${name}: FAILED: ${error instanceof Failure ? error.message : (error.stack ?? error)}`)
    process.exit(1)
  }
}

/** Repeats `probe` until it gives something other than undefined, null or false; fails at the deadline. */
export async function until(what, probe, seconds = 60, every = 100) {
  const deadline = Date.now() + seconds * 1000
  let last
  for (;;) {
    try {
      const found = await probe()
      if (found !== undefined && found !== null && found !== false) return found
      last = undefined
    } catch (error) {
      if (error instanceof Failure) throw error
      last = error.shortMessage ?? error.message
    }
    if (Date.now() > deadline) throw new Failure(`${what}: not within ${seconds} s${last ? ` (last error: ${last})` : ''}`)
    await new Promise((resolve) => setTimeout(resolve, every))
  }
}

/** A bare JSON-RPC call: what no client library wraps. */
export async function rpc(url, method, params = []) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const answer = await response.json()
  if (answer.error) throw new Error(`${method}: ${answer.error.message} (${answer.error.code})`)
  return answer.result
}

/** JSON-RPC calls of one method in HTTP requests of up to 100 calls; results in the order of `paramsList`. */
export async function rpcBatch(url, method, paramsList) {
  const results = []
  for (let from = 0; from < paramsList.length; from += 100) {
    const part = paramsList.slice(from, from + 100)
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(part.map((params, i) => ({ jsonrpc: '2.0', id: from + i, method, params }))),
    })
    const answers = await response.json()
    if (!Array.isArray(answers)) throw new Error(`${method}: a batch was answered by ${show(answers)}`)
    for (const answer of answers) {
      if (answer.error) throw new Error(`${method}: ${answer.error.message} (${answer.error.code})`)
      results[answer.id] = answer.result
    }
  }
  return results
}

/** Reads the folder that `opal up --out DIR` wrote and connects to everything in it. */
async function open(dir) {
  if (!dir) throw new Failure('usage: node <script>.mjs <the folder that `opal up --out` wrote>')
  const read = (name) => JSON.parse(readFileSync(join(dir, name), 'utf8'))
  const endpoints = read('endpoints.json')
  const config = read('rollup.json')
  const forkAt = (time) => {
    const active = FORKS.filter((fork) => config[`${fork}_time`] !== undefined && config[`${fork}_time`] <= time)
    return active.at(-1) ?? 'bedrock'
  }
  const fork = forkAt(config.genesis.l2_time)
  const ether = { name: 'Ether', symbol: 'ETH', decimals: 18 }
  const l1Chain = defineChain({
    id: config.l1_chain_id,
    name: 'L1',
    nativeCurrency: ether,
    rpcUrls: { default: { http: [endpoints.l1Rpc] } },
  })
  const l2Chain = defineChain({
    ...chainConfig,
    id: config.l2_chain_id,
    name: 'L2',
    nativeCurrency: ether,
    sourceId: config.l1_chain_id,
    rpcUrls: { default: { http: [endpoints.l2Rpc] } },
    contracts: {
      ...chainConfig.contracts,
      portal: { [config.l1_chain_id]: { address: config.deposit_contract_address } },
    },
  })
  const client = (chain, url) => createPublicClient({ chain, transport: http(url), pollingInterval: 200, cacheTime: 0 })
  const rollup = {
    dir,
    endpoints,
    config,
    fork,
    forkAt,
    /** Whether a fork is active from genesis on. */
    has: (name) => FORKS.indexOf(fork) >= FORKS.indexOf(name),
    /** The contracts on L1 by their names. */
    addresses: () => read('addresses.json'),
    portal: config.deposit_contract_address,
    systemConfig: config.l1_system_config_address,
    l1Chain,
    l2Chain,
    l1: client(l1Chain, endpoints.l1Rpc),
    l2: client(l2Chain, endpoints.l2Rpc),
    verifier: client(l2Chain, endpoints.verifierRpc),
    l2Socket: () => createPublicClient({ chain: l2Chain, transport: webSocket(endpoints.l2Ws) }),
    account,
    l1Wallet: (account) => createWalletClient({ account, chain: l1Chain, transport: http(), pollingInterval: 200, cacheTime: 0 }),
    l2Wallet: (account) => createWalletClient({ account, chain: l2Chain, transport: http(), pollingInterval: 200, cacheTime: 0 }),
    syncStatus: () => rpc(endpoints.rollupRpc, 'optimism_syncStatus'),
    verifierStatus: () => rpc(endpoints.verifierRollupRpc, 'optimism_syncStatus'),
  }
  same(await rollup.l1.getChainId(), config.l1_chain_id, 'chain id of the L1')
  same(await rollup.l2.getChainId(), config.l2_chain_id, 'chain id of the L2')
  if (endpoints.verifierRpc) same(await rollup.verifier.getChainId(), config.l2_chain_id, "chain id of the verifier's L2")
  return rollup
}

/** Notes a raw transaction that a user sent to the L2, for decode.mjs to find on L1. */
export const noteSent = (rollup, raws) =>
  appendFileSync(join(rollup.dir, 'sent.txt'), [raws].flat().map((raw) => `${raw}\n`).join(''))

/** The raw L2 transactions that earlier scripts sent, by hash. */
export function sentTransactions(rollup) {
  const file = join(rollup.dir, 'sent.txt')
  const raws = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  return new Map(raws.map((raw) => [keccak256(raw), raw]))
}

/** Signs a transaction with a local key, sends its bytes to the L2 and gives them back with the hash. */
export async function sendRaw(rollup, account, request) {
  const wallet = rollup.l2Wallet(account)
  const prepared = await wallet.prepareTransactionRequest({ ...request, account })
  const raw = await account.signTransaction(prepared)
  const hash = await rollup.l2.sendRawTransaction({ serializedTransaction: raw })
  same(hash, keccak256(raw), 'eth_sendRawTransaction answers with the hash of the bytes')
  noteSent(rollup, raw)
  return { hash, raw }
}

export const receiptOf = (client, hash, what, seconds = 60) =>
  until(`${what}: receipt of ${hash}`, () => client.getTransactionReceipt({ hash }).catch(ignoreNotFound), seconds)

const ignoreNotFound = (error) => {
  if (error.name === 'TransactionReceiptNotFoundError' || error.name === 'BlockNotFoundError') return undefined
  throw error
}

/** Waits until the verifier calls L2 block `number` safe; gives the verifier's sync status. */
export const safeOnVerifier = (rollup, number, seconds = 120) =>
  until(`block ${number} becomes safe on the verifier`, async () => {
    const status = await rollup.verifierStatus()
    return BigInt(status.safe_l2.number) >= BigInt(number) && status
  }, seconds, 200)

/** Demands that sequencer and verifier have the same block hash at every height of a range. */
export async function sameChains(rollup, from, to) {
  const numbers = []
  for (let n = BigInt(from); n <= BigInt(to); n++) numbers.push(`0x${n.toString(16)}`)
  const [left, right] = await Promise.all(
    [rollup.endpoints.l2Rpc, rollup.endpoints.verifierRpc].map((url) =>
      rpcBatch(url, 'eth_getBlockByNumber', numbers.map((n) => [n, false])),
    ),
  )
  for (const [i, n] of numbers.entries()) {
    check(left[i] && right[i], `block ${BigInt(n)} is missing on the ${left[i] ? 'verifier' : 'sequencer'}`)
    same(right[i].hash, left[i].hash, `hash of block ${BigInt(n)}, verifier against sequencer`)
  }
  return numbers.length
}

/** Whichever of the mnemonic's accounts has this address. */
export function accountOf(rollup, address) {
  for (let i = 0; i < 20; i++) {
    const candidate = rollup.account(i)
    if (candidate.address.toLowerCase() === address.toLowerCase()) return candidate
  }
  throw new Failure(`${address} is none of the mnemonic's first 20 accounts`)
}

export const artifacts = JSON.parse(readFileSync(new URL('contracts/artifacts.json', import.meta.url), 'utf8'))
