// Our dispute contracts beside the OP Stack's own, on one L1: npm's `supersim` brings a chain with the official contracts of
// July 2025, ours are deployed next to them with the same settings, and every call is made to both in the same block. Results,
// errors, logs and what the contracts say of themselves must be the same.
//
// The official game there is version 1.7.0, the registry 3.5.0, the factory 1.2.0. The package is large, and thus not among
// the dependencies of the other scripts.
//
//   npm ci --ignore-scripts && npm install --no-save --ignore-scripts supersim@0.1.0-alpha.58
//   node official.mjs
import { readFileSync } from 'node:fs'
import { decodeEventLog, encodeDeployData, encodeFunctionData, encodePacked, decodeFunctionResult, keccak256, pad, toHex } from 'viem'
import { Failure, check, proved, rpc, same } from './lib.mjs'
import { start } from './supersim.mjs'

const ADMIN = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
const STRANGER = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const TYPE = 1
const artifact = (name) => JSON.parse(readFileSync(new URL(`../../contracts/artifacts/${name}.json`, import.meta.url)))
const GAME = artifact('PermissionedDisputeGame').abi
const FACTORY = artifact('DisputeGameFactory').abi
const REGISTRY = artifact('AnchorStateRegistry').abi
const WETH = artifact('DelayedWETH').abi
const PORTAL = artifact('OptimismPortal').abi
const CONFIG = artifact('SystemConfig').abi
const SUPERCHAIN = artifact('SuperchainConfig').abi

let url

/** Calls without a transaction; gives the data, of the result or of the error. */
async function attempt(to, data, from = STRANGER, value = 0n) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'eth_call',
      params: [{ from, to, data, value: toHex(value), gas: toHex(20_000_000) }, 'latest'],
    }),
  })
  const { result, error } = await response.json()
  return error === undefined ? { ok: true, data: result } : { ok: false, data: error.data ?? '0x' }
}

async function read(abi, to, functionName, args = []) {
  const { ok, data } = await attempt(to, encodeFunctionData({ abi, functionName, args }))
  check(ok, `${functionName} of ${to}`, data)
  return decodeFunctionResult({ abi, functionName, data })
}

/** Sends transactions and puts them all into one block. */
async function mine(...transactions) {
  const hashes = []
  for (const { from, to, data, value = 0n } of transactions) {
    const call = { from, data, value: toHex(value), gas: toHex(9_000_000) }
    hashes.push(await rpc(url, 'eth_sendTransaction', [to === undefined ? call : { ...call, to }]))
  }
  await rpc(url, 'evm_mine')
  const receipts = await Promise.all(hashes.map((hash) => rpc(url, 'eth_getTransactionReceipt', [hash])))
  same(new Set(receipts.map((receipt) => receipt.blockHash)).size, 1, 'one block')
  return receipts
}

async function deploy(name, args = []) {
  const { abi, initCode } = artifact(name)
  const [receipt] = await mine({ from: ADMIN, data: encodeDeployData({ abi, bytecode: initCode, args }) })
  same(receipt.status, '0x1', `${name} deploys`)
  return receipt.contractAddress
}

/** A proxy with an implementation that `initialize` has set up. */
async function deployProxied(name, args, initialization) {
  const proxy = await deploy('Proxy', [ADMIN])
  const data = encodeFunctionData({ abi: artifact(name).abi, functionName: 'initialize', args: initialization })
  const upgrade = encodeFunctionData({
    abi: artifact('Proxy').abi,
    functionName: 'upgradeToAndCall',
    args: [await deploy(name, args), data],
  })
  const [receipt] = await mine({ from: ADMIN, to: proxy, data: upgrade })
  same(receipt.status, '0x1', `${name} is initialized`)
  return proxy
}

/** The official contracts, and ours with the same settings. */
async function contracts(portal) {
  const theirs = { registry: await read(PORTAL, portal, 'anchorStateRegistry'), factory: await read(PORTAL, portal, 'disputeGameFactory') }
  const implementation = await read(FACTORY, theirs.factory, 'gameImpls', [TYPE])
  const game = (name) => read(GAME, implementation, name)
  theirs.weth = await game('weth')
  const config = await read(REGISTRY, theirs.registry, 'systemConfig')
  const [root, l2SequenceNumber] = await read(REGISTRY, theirs.registry, 'getAnchorRoot')
  const roles = { proposer: await game('proposer'), challenger: await game('challenger'), guardian: await read(CONFIG, config, 'guardian') }
  const superchain = await read(CONFIG, config, 'superchainConfig')

  const ours = { factory: await deployProxied('DisputeGameFactory', [], [ADMIN]) }
  ours.registry = await deployProxied(
    'AnchorStateRegistry',
    [await read(REGISTRY, theirs.registry, 'disputeGameFinalityDelaySeconds')],
    [config, ours.factory, { root, l2SequenceNumber }, await read(REGISTRY, theirs.registry, 'respectedGameType')],
  )
  ours.weth = await deployProxied('DelayedWETH', [await read(WETH, theirs.weth, 'delay')], [config])
  const params = {
    maxGameDepth: await game('maxGameDepth'),
    splitDepth: await game('splitDepth'),
    clockExtension: await game('clockExtension'),
    maxClockDuration: await game('maxClockDuration'),
  }
  const types = ['bytes32', 'address', 'address', 'address', 'uint256', 'address', 'address']
  const chain = await game('l2ChainId')
  const settings = [await game('absolutePrestate'), await game('vm'), ours.registry, ours.weth, chain, roles.proposer, roles.challenger]
  const own = await deploy('PermissionedDisputeGame', [params])
  const set = (functionName, args) => ({ from: ADMIN, to: ours.factory, data: encodeFunctionData({ abi: FACTORY, functionName, args }) })
  await mine(
    set('setImplementation', [TYPE, own, encodePacked(types, settings)]),
    set('setInitBond', [TYPE, await read(FACTORY, theirs.factory, 'initBonds', [TYPE])]),
  )
  // Games of the second in which a registry was set up never count.
  await wait(10)
  same(await read(REGISTRY, theirs.registry, 'respectedGameType'), TYPE, 'the permissioned game is respected')
  return { theirs, ours, roles, superchain, params, anchored: l2SequenceNumber }
}

/** Text with the addresses of one side replaced by their roles. */
function neutral(side, value) {
  let text = JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? v.toString() : v)).toLowerCase()
  for (const [role, address] of Object.entries(side)) text = text.replaceAll(address.slice(2).toLowerCase(), `<${role}>`)
  return text
}

class Pair {
  calls = 0

  constructor(theirs, ours) {
    this.theirs = theirs
    this.ours = ours
  }

  /** Makes one call to the contract of a role on both sides; gives whether it went through. */
  async call(role, abi, functionName, args = [], from = STRANGER, value = 0n) {
    this.calls += 1
    const data = (side) => encodeFunctionData({ abi, functionName, args: args.map((a) => (a === SELF ? side.game : a)) })
    const [theirs, ours] = [this.theirs, this.ours]
    const expected = await attempt(theirs[role], data(theirs), from, value)
    const actual = await attempt(ours[role], data(ours), from, value)
    same(neutral(ours, actual), neutral(theirs, expected), `${functionName}(${args.map(String)})`)
    const pure = ['view', 'pure'].includes(abi.find((item) => item.name === functionName).stateMutability)
    if (pure || !expected.ok) return expected.ok
    const send = (side) => ({ from, to: side[role], data: data(side), value })
    const [theirReceipt, ourReceipt] = await mine(send(theirs), send(ours))
    same(ourReceipt.status, theirReceipt.status, `outcome of ${functionName}`)
    const logs = (receipt) => receipt.logs.map(({ address, topics, data }) => ({ address, topics, data }))
    same(neutral(ours, logs(ourReceipt)), neutral(theirs, logs(theirReceipt)), `logs of ${functionName}`)
    return theirReceipt.status === '0x1'
  }

  async works(...call) {
    check(await this.call(...call), `${call[2]} goes through`)
  }

  async fails(...call) {
    check(!(await this.call(...call)), `${call[2]} is refused`)
  }
}

/** Stands for the game's own address among arguments. */
const SELF = Symbol('game')

/** Creates the same game on both sides. */
async function propose(setup, root, number) {
  const value = await read(FACTORY, setup.theirs.factory, 'initBonds', [TYPE])
  const create = { abi: FACTORY, functionName: 'create', args: [TYPE, root, pad(toHex(number))] }
  const send = (side) => ({ from: setup.roles.proposer, to: side.factory, data: encodeFunctionData(create), value })
  const sides = [setup.theirs, setup.ours]
  const receipts = await mine(...sides.map(send))
  const games = receipts.map((receipt) => {
    same(receipt.status, '0x1', 'a game is created')
    const log = receipt.logs.find(({ topics }) => topics[0] === keccak256(toHex('DisputeGameCreated(address,uint32,bytes32)')))
    return decodeEventLog({ abi: FACTORY, ...log }).args.disputeProxy
  })
  return new Pair({ ...setup.theirs, game: games[0] }, { ...setup.ours, game: games[1] })
}

/** All that a game, the registry and the factory say without being changed. */
async function inspect(pair, accounts) {
  // The version is another one, and a chain's root by its id is newer than what supersim has.
  const skipped = ['version', 'rootClaimByChainId']
  for (const { type, name, inputs, stateMutability } of GAME) {
    if (type !== 'function' || inputs.length > 0 || skipped.includes(name)) continue
    if (['view', 'pure'].includes(stateMutability)) await pair.call('game', GAME, name)
  }
  const count = Number(await read(GAME, pair.theirs.game, 'claimDataLen'))
  for (let i = 0; i < count; i += 1) {
    for (const name of ['claimData', 'resolvedSubgames', 'resolutionCheckpoints', 'getChallengerDuration', 'getNumToResolve']) {
      await pair.call('game', GAME, name, [BigInt(i)])
    }
  }
  for (const account of accounts) {
    for (const name of ['credit', 'normalModeCredit', 'refundModeCredit', 'hasUnlockedCredit']) {
      await pair.call('game', GAME, name, [account])
    }
  }
  const verdicts = ['Registered', 'Respected', 'Blacklisted', 'Retired', 'Resolved', 'Proper', 'Finalized', 'ClaimValid']
  for (const verdict of verdicts) await pair.call('registry', REGISTRY, `isGame${verdict}`, [SELF])
  for (const name of ['getAnchorRoot', 'paused', 'respectedGameType']) await pair.call('registry', REGISTRY, name)
  await pair.call('weth', WETH, 'balanceOf', [SELF])
}

/** Lets time pass, with a block at its end, by whose time calls are answered. */
async function wait(seconds) {
  await rpc(url, 'evm_increaseTime', [Number(seconds)])
  await rpc(url, 'evm_mine')
}

const word = (text, first = 0) => `0x${first.toString(16).padStart(2, '0')}${keccak256(toHex(text)).slice(4)}`

/** A dispute down to the deepest claim, resolved from there. */
async function playDeep(setup) {
  const { roles, params } = setup
  const accounts = Object.values(roles)
  const pair = await propose(setup, word('root'), setup.anchored + 1_000n)
  await inspect(pair, accounts)
  await pair.fails('game', GAME, 'initialize', [], roles.proposer)
  await pair.fails('game', GAME, 'attack', [word('root'), 0n, word('claim')], STRANGER)
  await pair.fails('game', GAME, 'attack', [word('other'), 0n, word('claim')], roles.challenger)
  await pair.fails('game', GAME, 'attack', [word('root'), 0n, word('claim')], roles.challenger, 1n)
  await pair.fails('game', GAME, 'defend', [word('root'), 0n, word('claim')], roles.challenger)
  await pair.fails('game', GAME, 'resolve')
  await pair.fails('game', GAME, 'resolveClaim', [0n, 0n])
  await pair.fails('game', GAME, 'closeGame')
  await pair.fails('game', GAME, 'claimCredit', [roles.proposer])

  let [position, disputed] = [1n, word('root')]
  for (let depth = 1n; depth <= params.maxGameDepth; depth += 1n) {
    // Some moves come in the last seconds, so that clocks are extended.
    const left = params.maxClockDuration - (await read(GAME, pair.theirs.game, 'getChallengerDuration', [depth - 1n]))
    await wait(depth % 9n === 4n ? left - 30n : 60n)
    const from = depth % 2n === 1n ? roles.challenger : roles.proposer
    const defends = depth > 1n && depth !== params.splitDepth + 2n && depth % 5n === 0n
    position = 2n * (defends ? position + 1n : position)
    const bond = await read(GAME, pair.theirs.game, 'getRequiredBond', [position])
    await pair.works('game', GAME, 'getRequiredBond', [position])
    await rpc(url, 'anvil_setBalance', [from, toHex(10n ** 24n)])
    const first = depth === params.splitDepth + 1n ? 1 : 0
    const claim = word(`claim ${depth}`, first)
    const move = [disputed, depth - 1n, claim, !defends]
    if (first === 1) await pair.fails('game', GAME, 'move', [disputed, depth - 1n, word('claim', 3), !defends], from, bond)
    await pair.fails('game', GAME, 'move', move, from, bond + 1n)
    await pair.works('game', GAME, 'move', move, from, bond)
    await pair.fails('game', GAME, 'move', move, from, bond)
    disputed = claim
  }
  const deepest = params.maxGameDepth
  await pair.fails('game', GAME, 'move', [disputed, deepest, word('deeper'), true], roles.challenger)
  await pair.fails('game', GAME, 'getRequiredBond', [2n * position])
  for (const isAttack of [true, false]) {
    await pair.fails('game', GAME, 'step', [deepest, isAttack, '0x01', '0x'], roles.challenger)
    await pair.fails('game', GAME, 'step', [deepest - 1n, isAttack, '0x01', '0x'], roles.challenger)
  }
  for (const ident of [0n, 1n, 2n, 3n, 4n, 5n, 6n]) await pair.call('game', GAME, 'addLocalData', [ident, deepest, 0n])
  await pair.fails('game', GAME, 'addLocalData', [1n, params.splitDepth, 0n])
  await inspect(pair, accounts)

  await wait(params.maxClockDuration)
  await pair.fails('game', GAME, 'resolveClaim', [0n, 0n])
  for (let index = deepest; index >= 0n; index -= 1n) await pair.works('game', GAME, 'resolveClaim', [index, 0n])
  await pair.fails('game', GAME, 'resolveClaim', [0n, 0n])
  await pair.works('game', GAME, 'resolve')
  await pair.fails('game', GAME, 'resolve')
  await pair.fails('game', GAME, 'closeGame')
  await inspect(pair, accounts)
  await claimAll(setup, pair)
  proved(`a dispute of ${deepest} moves, from its first call to its last payment: ${pair.calls} calls`)
}

/** Waits until the game is final, and has all credit paid. */
async function claimAll(setup, pair) {
  const accounts = [setup.roles.proposer, setup.roles.challenger]
  await wait((await read(REGISTRY, setup.theirs.registry, 'disputeGameFinalityDelaySeconds')) + 1n)
  await pair.works('game', GAME, 'closeGame')
  for (const account of accounts) await pair.works('game', GAME, 'claimCredit', [account])
  for (const account of accounts) await pair.fails('game', GAME, 'claimCredit', [account])
  await wait(await read(WETH, setup.theirs.weth, 'delay'))
  for (const account of accounts) await pair.call('game', GAME, 'claimCredit', [account])
  for (const account of accounts) await pair.fails('game', GAME, 'claimCredit', [account])
  await inspect(pair, accounts)
}

/** Games that the guardian or nobody has a word about. */
async function playShort(setup) {
  const { roles, params, superchain } = setup
  const accounts = Object.values(roles)
  let calls = 0
  for (const [index, what] of ['uncontested', 'blacklisted', 'retired', 'paused'].entries()) {
    const pair = await propose(setup, word(what), setup.anchored + 2_000n + BigInt(index))
    if (what !== 'uncontested') {
      const bond = await read(GAME, pair.theirs.game, 'getRequiredBond', [2n])
      await pair.works('game', GAME, 'attack', [word(what), 0n, word('claim')], roles.challenger, bond)
    }
    await wait(params.maxClockDuration)
    if (what !== 'uncontested') await pair.works('game', GAME, 'resolveClaim', [1n, 0n])
    await pair.works('game', GAME, 'resolveClaim', [0n, 0n])
    await pair.works('game', GAME, 'resolve')
    if (what === 'blacklisted') {
      await pair.fails('registry', REGISTRY, 'blacklistDisputeGame', [SELF])
      await pair.works('registry', REGISTRY, 'blacklistDisputeGame', [SELF], roles.guardian)
    } else if (what === 'retired') {
      await pair.fails('registry', REGISTRY, 'updateRetirementTimestamp')
      await pair.works('registry', REGISTRY, 'updateRetirementTimestamp', [], roles.guardian)
    } else if (what === 'paused') {
      const set = (functionName, args) => ({ from: roles.guardian, to: superchain, data: encodeFunctionData({ abi: SUPERCHAIN, functionName, args }) })
      const everywhere = ['0x0000000000000000000000000000000000000000']
      await wait((await read(REGISTRY, setup.theirs.registry, 'disputeGameFinalityDelaySeconds')) + 1n)
      const [paused] = await mine(set('pause', everywhere))
      same(paused.status, '0x1', 'the guardian pauses')
      await pair.fails('game', GAME, 'closeGame')
      await pair.fails('game', GAME, 'claimCredit', [roles.proposer])
      await inspect(pair, accounts)
      const [unpaused] = await mine(set('unpause', everywhere))
      same(unpaused.status, '0x1', 'the guardian ends the pause')
    }
    await inspect(pair, accounts)
    await claimAll(setup, pair)
    calls += pair.calls
  }
  proved(`games that are uncontested, blacklisted, retired and paused: ${calls} calls`)
}

const started = Date.now()
const supersim = await start()
url = supersim.url
let failure
try {
  await rpc(url, 'anvil_autoImpersonateAccount', [true])
  await rpc(url, 'evm_setAutomine', [false])
  await rpc(url, 'evm_setIntervalMining', [0])
  const setup = await contracts(supersim.portal)
  for (const account of Object.values(setup.roles)) await rpc(url, 'anvil_setBalance', [account, toHex(10n ** 24n)])
  await playDeep(setup)
  await playShort(setup)
  console.log(`official: passed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
} catch (error) {
  failure = error
}
supersim.child.removeAllListeners('exit')
supersim.child.kill('SIGINT')
if (failure !== undefined) {
  console.error(`official: FAILED: ${failure instanceof Failure ? failure.message : failure.stack}`)
  process.exit(1)
}
process.exit(0)
