// Our node, batcher, proposer and `opal bridge` on the OP Stack's contracts of July 2025, which npm's `supersim` brings: portal
// 4.6.0, registry 3.5.0, factory 1.2.0, game 1.7.0, SystemConfig 3.4.0 on L1; all predeploys on L2. The chain is supersim's own;
// its roles are handed over, and the clock of its games and the delay of its bonds are made a second. It is run by hand:
//
//   npm ci --ignore-scripts && npm install --no-save --ignore-scripts supersim@0.1.0-alpha.58
//   npm ci --ignore-scripts --prefix ../../contracts
//   opal up --fork isthmus --out FOLDER            end it again: the genesis is made of its files
//   node official_supersim.mjs FOLDER OPAL         with the path of the binary
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createPublicClient, encodeFunctionData, http, numberToHex, pad, parseAbi, parseEther, toHex } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { Failure, MNEMONIC, check, proved, rpc, until } from './lib.mjs'
import { start } from './supersim.mjs'

const WORDS = 'candy maple cake sugar pudding cream honey rich smooth crumble sweet treat'
const IMPLEMENTATION = '0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc'
const VERSIONS = '4.6.0 1.2.0 1.7.0 2.2.0 1.1.2'
const [FOLDER, OPAL] = process.argv.slice(2)
const ABI = parseAbi([
  'function anchorStateRegistry() view returns (address)',
  'function disputeGameFactory() view returns (address)',
  'function systemConfig() view returns (address)',
  'function superchainConfig() view returns (address)',
  'function gameImpls(uint32) view returns (address)',
  'function owner() view returns (address)',
  'function weth() view returns (address)',
  'function proposer() view returns (address)',
  'function challenger() view returns (address)',
  'function batchInbox() view returns (address)',
  'function l1CrossDomainMessenger() view returns (address)',
  'function l1StandardBridge() view returns (address)',
  'function l1ERC721Bridge() view returns (address)',
  'function setBatcherHash(bytes32)',
  'function setUnsafeBlockSigner(address)',
  'function transferOwnership(address)',
  'function setInitBond(uint32,uint256)',
])
const role = (index) => mnemonicToAccount(WORDS, { addressIndex: index }).address
const roles = { batcher: role(10), signer: role(11), systemConfigOwner: role(12), proposer: role(15), challenger: role(16) }
const processes = []

/** Starts opal; resolves with what `ready` finds in its output. */
function opal(args, ready) {
  const child = spawn(OPAL, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  processes.push(child)
  let output = ''
  return new Promise((resolve, reject) => {
    const read = (data) => {
      output += data
      const found = ready(output)
      if (found) resolve({ child, found })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('exit', (code) => reject(new Failure(`opal ${args[0]} ended with ${code}: ${output.slice(-2000)}`)))
  })
}

function run(program, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, OPAL_ROLES: WORDS, OPAL_VERSIONS: VERSIONS, ...env } })
  console.log(stdout.trim())
  check(status === 0, `${program} ${args[0]} succeeds`, stderr)
}

/** Hands supersim's chain over to our roles; gives the addresses of its contracts. */
async function takeOver(url, portal) {
  const l1 = createPublicClient({ transport: http(url) })
  const read = (address, functionName, args = []) => l1.readContract({ address, abi: ABI, functionName, args })
  const config = await read(portal, 'systemConfig')
  const at = {
    OptimismPortalProxy: portal,
    SystemConfigProxy: config,
    AnchorStateRegistryProxy: await read(portal, 'anchorStateRegistry'),
    DisputeGameFactoryProxy: await read(portal, 'disputeGameFactory'),
    SuperchainConfigProxy: await read(portal, 'superchainConfig'),
    L1CrossDomainMessengerProxy: await read(config, 'l1CrossDomainMessenger'),
    L1StandardBridgeProxy: await read(config, 'l1StandardBridge'),
    L1ERC721BridgeProxy: await read(config, 'l1ERC721Bridge'),
  }
  const factory = at.DisputeGameFactoryProxy
  const game = (at.PermissionedDisputeGame = await read(factory, 'gameImpls', [1]))
  const weth = (at.DelayedWETHProxy = await read(game, 'weth'))
  // Immutables are words of the code.
  const replace = async (address, words) => {
    let code = await l1.getCode({ address })
    for (const [from, to] of words) {
      const [old, other] = [from, to].map((value) => pad(typeof value === 'string' ? value.toLowerCase() : toHex(value), { size: 32 }).slice(2))
      check(code.includes(old), `${address} has the word ${old}`)
      code = code.replaceAll(old, other)
    }
    await rpc(url, 'anvil_setCode', [address, code])
  }
  await replace(game, [[302_400, 1], [10_800, 0], [await read(game, 'proposer'), roles.proposer], [await read(game, 'challenger'), roles.challenger]])
  const wethCode = await l1.getStorageAt({ address: weth, slot: IMPLEMENTATION })
  await replace(`0x${wethCode.slice(26)}`, [[302_400, 1]])

  await rpc(url, 'anvil_autoImpersonateAccount', [true])
  const call = async (to, functionName, args) => {
    const from = await read(to, 'owner')
    await rpc(url, 'anvil_setBalance', [from, toHex(parseEther('1'))])
    await rpc(url, 'eth_sendTransaction', [{ from, to, data: encodeFunctionData({ abi: ABI, functionName, args }), gas: toHex(500_000) }])
    await rpc(url, 'evm_mine')
  }
  await call(config, 'setBatcherHash', [pad(roles.batcher)])
  await call(config, 'setUnsafeBlockSigner', [roles.signer])
  await call(config, 'transferOwnership', [roles.systemConfigOwner])
  await call(factory, 'setInitBond', [1, parseEther('0.08')])
  for (const address of Object.values(roles)) await rpc(url, 'anvil_setBalance', [address, toHex(parseEther('1000'))])
  await rpc(url, 'anvil_autoImpersonateAccount', [false])
  await rpc(url, 'evm_setAutomine', [false])
  await rpc(url, 'evm_setIntervalMining', [1])
  // What nobody signed has a hash that is none: the rollup begins after it.
  const { number } = await rpc(url, 'eth_getBlockByNumber', ['latest', false])
  await until('another block', async () => BigInt(await rpc(url, 'eth_blockNumber')) > BigInt(number) + 1n, 30)
  return { at, inbox: await read(config, 'batchInbox') }
}

/** Writes the rollup's files: the genesis of the folder with the code that supersim's L2 has. */
async function write(out, url, l2, { at, inbox }) {
  const genesis = JSON.parse(readFileSync(join(FOLDER, 'genesis.json')))
  const predeploy = (last) => `0x42000000000000000000000000000000000000${last}`
  let count = 0
  for (const [address, account] of Object.entries(genesis.alloc)) {
    if (!/^0x(c0d3){9}00..$/.test(address) && address !== predeploy('06')) continue
    const code = await rpc(l2, 'eth_getCode', [address, 'latest'])
    if (code === '0x') continue
    account.code = code
    count += 1
  }
  const proxy = await rpc(l2, 'eth_getCode', [predeploy('16'), 'latest'])
  const ours = genesis.alloc[predeploy('16')].code
  for (const account of Object.values(genesis.alloc)) if (account.code === ours) account.code = proxy
  for (const [last, slot, value] of [['07', 207, at.L1CrossDomainMessengerProxy], ['10', 4, at.L1StandardBridgeProxy], ['14', 2, at.L1ERC721BridgeProxy]]) {
    genesis.alloc[predeploy(last)].storage[numberToHex(slot, { size: 32 })] = pad(value.toLowerCase())
  }
  const block = await rpc(url, 'eth_getBlockByNumber', ['latest', false])
  genesis.timestamp = block.timestamp
  writeFileSync(join(out, 'genesis.json'), JSON.stringify(genesis))
  writeFileSync(join(out, 'addresses.json'), JSON.stringify(at))
  proved(`${count} predeploys have supersim's code`)

  const { child, found } = await opal(['--log-format', 'json', 'execution', '--http.port', '0', '--authrpc.port', '0', '--genesis', join(out, 'genesis.json'), '--data-dir', join(out, 'execution')], (output) => output.match(/"rpc":"([^"]+)"/))
  const { hash } = await rpc(found[1], 'eth_getBlockByNumber', ['0x0', false])
  child.removeAllListeners('exit')
  child.kill('SIGINT')
  const config = JSON.parse(readFileSync(join(FOLDER, 'rollup.json')))
  Object.assign(config.genesis, { l1: { hash: block.hash, number: Number(block.number) }, l2: { hash, number: 0 }, l2_time: Number(block.timestamp) })
  config.genesis.system_config.batcherAddr = roles.batcher
  Object.assign(config, { batch_inbox_address: inbox, deposit_contract_address: at.OptimismPortalProxy, l1_system_config_address: at.SystemConfigProxy })
  writeFileSync(join(out, 'rollup.json'), JSON.stringify(config))
}

async function main() {
  if (!FOLDER || !OPAL) throw new Failure('usage: node official_supersim.mjs FOLDER OPAL')
  const supersim = await start()
  processes.push(supersim.child)
  const { url } = supersim
  const [out, dir] = ['deployment', 'rollup'].map((name) => mkdtempSync(join(tmpdir(), `supersim-${name}-`)))
  await write(out, url, supersim.l2, await takeOver(url, supersim.portal))

  const up = ['up', '--l1', url, '--l1-beacon', url, '--deployment', out, '--mnemonic', WORDS, '--no-proposer', '--out', dir]
  for (const port of ['l2', 'rollup', 'verifier', 'verifier-rollup']) up.push(`--${port}-port`, '0')
  await opal(up, (output) => output.includes('Ctrl-C stops'))
  const { l2Rpc, rollupRpc } = JSON.parse(readFileSync(join(dir, 'endpoints.json')))
  const proposer = ['proposer', '--game-type', '1', '--l1-eth-rpc', url, '--rollup-rpc', rollupRpc, '--allow-non-finalized', '--proposal-interval', '1h', '--withdrawal-interval', '1s', '--poll-interval', '200ms', '--num-confirmations', '1', '--mnemonic', WORDS, '--hd-path', "m/44'/60'/0'/0/15"]
  await opal(proposer, (output) => output.includes('proposer started'))

  const script = fileURLToPath(new URL('official_0_17.mjs', import.meta.url))
  run('node', [script, dir, 'use'])
  const recipient = '0x0000000000000000000000000000000000000b0b'
  run(OPAL, ['bridge', 'withdraw', '--amount', '0.25ether', '--to', recipient, '--wait', '--timeout', '120s', '--poll-interval', '200ms', '--l1-rpc', url, '--l2-rpc', l2Rpc, '--rollup-config', join(dir, 'rollup.json'), '--mnemonic', MNEMONIC])
  await until('the withdrawal pays out', async () => (await rpc(url, 'eth_getBalance', [recipient, 'latest'])) === '0x3782dace9d90000', 5)
  run('node', [script, dir, 'settled'])
}

let failure
await main().catch((error) => (failure = error))
for (const child of processes) {
  child.removeAllListeners('exit')
  child.kill('SIGINT')
}
if (failure !== undefined) console.error(`official_supersim: FAILED: ${failure instanceof Failure ? failure.message : failure.stack}`)
process.exit(failure === undefined ? 0 : 1)
