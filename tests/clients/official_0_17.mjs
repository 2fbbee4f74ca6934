// A rollup whose contracts are the OP Stack's own, from npm's `@eth-optimism/contracts-bedrock` 0.17.3, beside the rollup
// that a folder of `opal up --out` describes, on the same L1. Writes rollup.json, genesis.json and addresses.json of it.
//
//   node official_0_17.mjs FOLDER begin OUT        deploys, and writes genesis.json
//   node official_0_17.mjs FOLDER finish OUT URL   the L2 RPC of a client on that genesis: anchors it, writes the rest
//
// When it runs, with the folder of its own:
//
//   node official_0_17.mjs OUT use                 deposits, and changes of the SystemConfig
//   node official_0_17.mjs OUT settled             games, anchor and bonds after a withdrawal
//
// All contracts on L1 are official: the portal is version 3.10.0, the permissioned game 1.2.0, its machine MIPS.sol. On L2
// the message passer, L1Block, GasPriceOracle, the messenger, both bridges, the token factory and all proxies are official;
// the fee vaults, WETH, the ProxyAdmin and what is older than Bedrock are ours. The roles are the accounts that
// `opal up --mnemonic` takes for them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { concat, encodeDeployData, encodeFunctionData, getContractAddress, keccak256, numberToHex, pad, parseEther, zeroHash } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { depositTransaction, estimateDepositTransactionGas, getL2TransactionHashes } from 'viem/op-stack'
import { Failure, L1_BLOCK, freshAddress, main, proved, receiptOf, rpc, rpcBatch, same, until } from './lib.mjs'

const PACKAGE = new URL('../../contracts/node_modules/@eth-optimism/contracts-bedrock/forge-artifacts/', import.meta.url)
const L2_CHAIN_ID = 902
const BATCH_INBOX = '0xff00000000000000000000000000000000000902'
const GAME_TYPE = 1
/** Of portal, factory, game, L2's messenger and message passer. */
const VERSIONS = '3.10.0 1.0.0 1.2.0 2.1.0 1.1.0'
const PASSER = '0x4200000000000000000000000000000000000016'
/** Accounts of the roles, by their place in the mnemonic. */
const ROLES = { batcher: 10, signer: 11, systemConfigOwner: 12, proposer: 15, challenger: 16, guardian: 17 }
/** Predeploys whose code is official, by the last bytes of their addresses. */
const PREDEPLOYS = {
  '07': 'L2CrossDomainMessenger',
  '0f': 'GasPriceOracle',
  '10': 'L2StandardBridge',
  '12': 'OptimismMintableERC20Factory',
  '14': 'L2ERC721Bridge',
  '15': 'L1Block',
  '16': 'L2ToL1MessagePasser',
}

const artifacts = new Map()

/** A contract as the package has it: large files, hence kept. */
function artifact(name) {
  if (!artifacts.has(name)) {
    const file = new URL(`${name}.sol/${name}.json`, PACKAGE)
    if (!existsSync(file)) throw new Failure(`${name} is missing: npm ci --ignore-scripts --prefix contracts`)
    const { abi, bytecode, deployedBytecode, storageLayout } = JSON.parse(readFileSync(file))
    artifacts.set(name, { abi, bytecode, deployedBytecode, storageLayout })
  }
  return artifacts.get(name)
}

const call = (name, functionName, args = []) => encodeFunctionData({ abi: artifact(name).abi, functionName, args })

/** Transactions of one account, sent at once with addresses known beforehand, and mined together. */
class Burst {
  transactions = []

  constructor(rollup, account, nonce) {
    Object.assign(this, { rollup, account, nonce })
  }

  send(what, { to, data, value = 0n, gas }) {
    const nonce = this.nonce + this.transactions.length
    this.transactions.push({ what, nonce, to, data, value, gas })
    return getContractAddress({ from: this.account.address, nonce: BigInt(nonce) })
  }

  create(name, args = []) {
    const { abi, bytecode } = artifact(name)
    return this.send(`create ${name}`, { data: encodeDeployData({ abi, bytecode: bytecode.object, args }), gas: 6_500_000n })
  }

  call(name, to, functionName, args) {
    this.send(`${name}.${functionName}`, { to, data: call(name, functionName, args), gas: 1_000_000n })
  }

  async mined() {
    const { l1, config } = this.rollup
    const fees = { maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }
    const sign = ({ what, ...tx }) => this.account.signTransaction({ chainId: config.l1_chain_id, type: 'eip1559', ...fees, ...tx })
    const signed = await Promise.all(this.transactions.map(sign))
    const hashes = await rpcBatch(this.rollup.endpoints.l1Rpc, 'eth_sendRawTransaction', signed.map((raw) => [raw]))
    const receipts = []
    for (const [i, hash] of hashes.entries()) {
      const { what } = this.transactions[i]
      const receipt = await until(`${what} is mined`, () => rpc(this.rollup.endpoints.l1Rpc, 'eth_getTransactionReceipt', [hash]), 30)
      same(receipt.status, '0x1', what)
      receipts.push(receipt)
    }
    return receipts
  }
}

async function begin(rollup, out) {
  const deployer = rollup.account(0)
  const roles = Object.fromEntries(Object.entries(ROLES).map(([name, index]) => [name, role(index).address]))
  const burst = new Burst(rollup, deployer, await rollup.l1.getTransactionCount({ address: deployer.address }))
  for (const name of ['batcher', 'systemConfigOwner', 'proposer']) burst.send(`ether for ${name}`, { to: roles[name], value: parseEther('100'), gas: 21_000n })

  const admin = burst.create('ProxyAdmin', [deployer.address])
  const proxy = () => burst.create('Proxy', [admin])
  const [superchain, config, portal, factory, registry, weth, erc721, tokens] = Array.from({ length: 8 }, proxy)
  // These two have kinds of proxies of their own.
  const manager = burst.create('AddressManager')
  const messenger = burst.create('ResolvedDelegateProxy', [manager, 'OVM_L1CrossDomainMessenger'])
  const bridge = burst.create('L1ChugSplashProxy', [admin])
  burst.call('AddressManager', manager, 'transferOwnership', [admin])
  burst.call('ProxyAdmin', admin, 'setAddressManager', [manager])
  burst.call('ProxyAdmin', admin, 'setProxyType', [messenger, 2])
  burst.call('ProxyAdmin', admin, 'setImplementationName', [messenger, 'OVM_L1CrossDomainMessenger'])
  burst.call('ProxyAdmin', admin, 'setProxyType', [bridge, 1])

  const upgrade = (name, at, implementation, args) =>
    burst.call('ProxyAdmin', admin, 'upgradeAndCall', [at, implementation, call(name, 'initialize', args)])
  const proxied = (name, at, args, construction = []) => upgrade(name, at, burst.create(name, construction), args)
  proxied('SuperchainConfig', superchain, [roles.guardian, false])
  const resources = { maxResourceLimit: 20_000_000, elasticityMultiplier: 10, baseFeeMaxChangeDenominator: 8, minimumBaseFee: 1_000_000_000, systemTxMaxGas: 1_000_000, maximumBaseFee: 2n ** 128n - 1n }
  const addresses = {
    l1CrossDomainMessenger: messenger,
    l1ERC721Bridge: erc721,
    l1StandardBridge: bridge,
    disputeGameFactory: factory,
    optimismPortal: portal,
    optimismMintableERC20Factory: tokens,
    gasPayingToken: '0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE',
  }
  const { system_config: system } = rollup.config.genesis
  const [baseFeeScalar, blobBaseFeeScalar] = [BigInt(`0x${system.scalar.slice(58)}`), BigInt(`0x${system.scalar.slice(50, 58)}`)]
  const configured = burst.transactions.length + 1
  proxied('SystemConfig', config, [
    roles.systemConfigOwner, Number(baseFeeScalar), Number(blobBaseFeeScalar), pad(roles.batcher), BigInt(system.gasLimit), roles.signer, resources, BATCH_INBOX, addresses,
  ])
  proxied('OptimismPortal2', portal, [factory, config, superchain, GAME_TYPE], [1n, 1n])
  proxied('DisputeGameFactory', factory, [deployer.address])
  proxied('DelayedWETH', weth, [deployer.address, superchain], [1n])
  proxied('L1CrossDomainMessenger', messenger, [superchain, portal, config])
  proxied('L1StandardBridge', bridge, [messenger, superchain, config])
  proxied('L1ERC721Bridge', erc721, [messenger, superchain])
  proxied('OptimismMintableERC20Factory', tokens, [bridge])
  const registryCode = burst.create('AnchorStateRegistry', [factory])
  const oracle = burst.create('PreimageOracle', [0n, 0n])
  const machine = burst.create('MIPS', [oracle])
  const game = burst.create('PermissionedDisputeGame', [
    GAME_TYPE, `0x03${'42'.repeat(31)}`, 73n, 30n, 0n, 1n, machine, weth, registry, BigInt(L2_CHAIN_ID), roles.proposer, roles.challenger,
  ])
  burst.call('DisputeGameFactory', factory, 'setImplementation', [GAME_TYPE, game])
  burst.call('DisputeGameFactory', factory, 'setInitBond', [GAME_TYPE, parseEther('0.08')])
  // The portal of before the dispute games, which our tools refuse.
  const oldest = burst.create('OptimismPortal')
  const receipts = await burst.mined()

  const l1Block = await rpc(rollup.endpoints.l1Rpc, 'eth_getBlockByHash', [receipts[configured].blockHash, false])
  const genesis = l2Genesis(rollup, l1Block.timestamp, { messenger, bridge, erc721 })
  writeFileSync(join(out, 'genesis.json'), JSON.stringify(genesis))
  const names = { OptimismPortalProxy: portal, SystemConfigProxy: config, DisputeGameFactoryProxy: factory, AnchorStateRegistryProxy: registry, DelayedWETHProxy: weth, L1CrossDomainMessengerProxy: messenger, L1StandardBridgeProxy: bridge, L1ERC721BridgeProxy: erc721, OptimismMintableERC20FactoryProxy: tokens, SuperchainConfigProxy: superchain, PermissionedDisputeGame: game, AnchorStateRegistryImpl: registryCode, ProxyAdmin: admin }
  writeFileSync(join(out, 'addresses.json'), JSON.stringify(names))
  writeFileSync(join(out, 'oldest-portal'), oldest)
  const { config: base } = rollup
  const rollupConfig = {
    ...base,
    genesis: {
      l1: { hash: l1Block.hash, number: Number(l1Block.number) },
      l2: { hash: zeroHash, number: 0 },
      l2_time: Number(l1Block.timestamp),
      system_config: { ...system, batcherAddr: roles.batcher },
    },
    l2_chain_id: L2_CHAIN_ID,
    batch_inbox_address: BATCH_INBOX,
    deposit_contract_address: portal,
    l1_system_config_address: config,
  }
  writeFileSync(join(out, 'rollup.json'), JSON.stringify(rollupConfig))
  proved(`${receipts.length} transactions put the contracts of 0.17.3 on L1, in blocks ${Number(receipts[0].blockNumber)} to ${Number(receipts.at(-1).blockNumber)}`)
}

/** The L2 genesis of the rollup beside, with official code and the addresses of these contracts on L1. */
function l2Genesis(rollup, timestamp, { messenger, bridge, erc721 }) {
  const genesis = JSON.parse(readFileSync(join(rollup.dir, 'genesis.json')))
  const proxyCode = genesis.alloc[PASSER].code
  const official = artifact('Proxy').deployedBytecode.object
  for (const account of Object.values(genesis.alloc)) if (account.code === proxyCode) account.code = official
  for (const [last, name] of Object.entries(PREDEPLOYS)) {
    genesis.alloc[`0xc0d3c0d3c0d3c0d3c0d3c0d3c0d3c0d3c0d300${last}`].code = artifact(name).deployedBytecode.object
  }
  for (const [last, name, label, value] of [
    ['07', 'L2CrossDomainMessenger', 'otherMessenger', messenger],
    ['10', 'L2StandardBridge', 'otherBridge', bridge],
    ['14', 'L2ERC721Bridge', 'otherBridge', erc721],
  ]) {
    const { slot } = artifact(name).storageLayout.storage.find((item) => item.label === label)
    genesis.alloc[`0x42000000000000000000000000000000000000${last}`].storage[numberToHex(BigInt(slot), { size: 32 })] = pad(value)
  }
  genesis.config.chainId = L2_CHAIN_ID
  genesis.timestamp = timestamp
  return genesis
}

async function finish(rollup, out, url) {
  const block = await rpc(url, 'eth_getBlockByNumber', ['0x0', false])
  const { storageHash } = await rpc(url, 'eth_getProof', [PASSER, [], '0x0'])
  const root = keccak256(concat([zeroHash, block.stateRoot, storageHash, block.hash]))
  const { AnchorStateRegistryProxy: registry, AnchorStateRegistryImpl: code, ProxyAdmin: admin } = addressesOf(out)
  const deployer = rollup.account(0)
  const burst = new Burst(rollup, deployer, await rollup.l1.getTransactionCount({ address: deployer.address }))
  const anchors = [{ gameType: GAME_TYPE, outputRoot: { root, l2BlockNumber: 0n } }]
  burst.call('ProxyAdmin', admin, 'upgradeAndCall', [registry, code, call('AnchorStateRegistry', 'initialize', [anchors])])
  await burst.mined()
  const config = JSON.parse(readFileSync(join(out, 'rollup.json')))
  config.genesis.l2.hash = block.hash
  writeFileSync(join(out, 'rollup.json'), JSON.stringify(config))
  proved(`the L2 begins with ${block.hash}, which is the anchor of its games`)
}

const addressesOf = (dir) => JSON.parse(readFileSync(join(dir, 'addresses.json')))
const role = (index) => mnemonicToAccount(process.env.OPAL_ROLES, { addressIndex: index })

async function use(rollup) {
  const { l1, l2, l2Chain, verifier } = rollup
  const at = addressesOf(rollup.dir)
  const read = (client, name, address, functionName, args = []) => client.readContract({ address, abi: artifact(name).abi, functionName, args })
  const predeploy = (last) => `0x42000000000000000000000000000000000000${last}`
  const versions = await Promise.all([
    read(l1, 'OptimismPortal2', at.OptimismPortalProxy, 'version'),
    read(l1, 'DisputeGameFactory', at.DisputeGameFactoryProxy, 'version'),
    read(l1, 'PermissionedDisputeGame', at.PermissionedDisputeGame, 'version'),
    read(l2, 'L2CrossDomainMessenger', predeploy('07'), 'version'),
    read(l2, 'L2ToL1MessagePasser', PASSER, 'version'),
  ])
  same(versions, (process.env.OPAL_VERSIONS ?? VERSIONS).split(' '), 'versions of portal, factory, game, messenger and message passer')

  const user = rollup.account(9)
  const wallet = rollup.l1Wallet(user)
  const [plain, bridged] = [freshAddress(), freshAddress()]
  const request = { mint: parseEther('3'), value: parseEther('2'), gas: 100_000n, to: plain }
  const gas = ((await estimateDepositTransactionGas(l1, { account: user, request, targetChain: l2Chain })) * 3n) / 2n
  const deposit = await depositTransaction(wallet, { account: user, request, targetChain: l2Chain, gas })
  const data = call('L1StandardBridge', 'bridgeETHTo', [bridged, 200_000, '0x'])
  const message = await wallet.sendTransaction({ to: at.L1StandardBridgeProxy, data, value: parseEther('1'), gas: 2_000_000n })
  // What the SystemConfig's owner changes comes with the block that the change is in.
  const owner = rollup.l1Wallet(role(ROLES.systemConfigOwner))
  const limit = await owner.sendTransaction({ to: at.SystemConfigProxy, data: call('SystemConfig', 'setGasLimit', [45_000_000n]) })
  const scalars = await owner.sendTransaction({ to: at.SystemConfigProxy, data: call('SystemConfig', 'setGasConfigEcotone', [4321, 8765]) })
  const mined = async (hash, what) => {
    const receipt = await receiptOf(l1, hash, what)
    same(receipt.status, 'success', `${what}: status`)
    return receipt
  }
  for (const [hash, what] of [[deposit, 'deposit'], [message, 'deposit through the bridge']]) {
    for (const l2Hash of getL2TransactionHashes(await mined(hash, what))) same((await receiptOf(l2, l2Hash, `${what} on L2`)).status, 'success', `${what} on L2`)
  }
  same(await l2.getBalance({ address: plain }), parseEther('2'), 'the deposit arrived')
  same(await l2.getBalance({ address: bridged }), parseEther('1'), "the bridge's ether arrived through both messengers")
  proved("deposits through the portal, and through the bridge and its messenger, arrive")

  await mined(limit, 'setGasLimit')
  const { blockNumber } = await mined(scalars, 'setGasConfigEcotone')
  const origin = (client, functionName) => client.readContract({ address: L1_BLOCK, abi: artifact('L1Block').abi, functionName })
  await until('the change is derived', async () => (await origin(verifier, 'number')) >= blockNumber, 30)
  same([await origin(verifier, 'baseFeeScalar'), await origin(verifier, 'blobBaseFeeScalar')], [4321, 8765], 'scalars on the verifier')
  const block = await verifier.getBlock()
  same(block.gasLimit, 45_000_000n, 'gas limit on the verifier')
  same((await l2.getBlock({ blockNumber: block.number })).hash, block.hash, 'both nodes have the same block')
  proved('gas limit and fee scalars of the SystemConfig are derived, and the official L1Block has them')
}

async function settled(rollup) {
  const { l1 } = rollup
  const at = addressesOf(rollup.dir)
  const read = (name, address, functionName, args = []) => l1.readContract({ address, abi: artifact(name).abi, functionName, args })
  const proposer = role(ROLES.proposer).address
  const wethOf = (game) => read('PermissionedDisputeGame', game, 'weth')
  const games = await until('every game is resolved and its bond paid', async () => {
    const count = await read('DisputeGameFactory', at.DisputeGameFactoryProxy, 'gameCount')
    const games = []
    for (let i = 0n; i < count; i += 1n) {
      const [type, , game] = await read('DisputeGameFactory', at.DisputeGameFactoryProxy, 'gameAtIndex', [i])
      const about = (name) => read('PermissionedDisputeGame', game, name)
      games.push({ type, status: await about('status'), number: await about('l2BlockNumber'), root: await about('rootClaim') })
      if (games.at(-1).status !== 2) return undefined
      if ((await read('DelayedWETH', await wethOf(game), 'balanceOf', [game])) !== 0n) return undefined
      same(await read('PermissionedDisputeGame', game, 'credit', [proposer]), 0n, 'nothing is left to claim')
    }
    return games
  }, 60)
  const best = games.reduce((a, b) => (a.number > b.number ? a : b))
  same(await read('AnchorStateRegistry', at.AnchorStateRegistryProxy, 'anchors', [GAME_TYPE]), [best.root, best.number], 'the anchor is the newest game that was won')
  for (const { type, root, number } of games) {
    same(type, GAME_TYPE, 'type of the game')
    const output = await rpc(rollup.endpoints.rollupRpc, 'optimism_outputAtBlock', [numberToHex(number)])
    same(root, output.outputRoot, `output root of block ${number}`)
  }
  proved(`${games.length} games were won and their bonds are paid; the anchor is at L2 block ${best.number}`)
}

await main('official_0_17', async (rollup) => {
  const [step, out, url] = process.argv.slice(3)
  if (step === 'use') return use(rollup)
  if (step === 'settled') return settled(rollup)
  if (step === 'begin') return begin(rollup, out)
  if (step === 'finish') return finish(rollup, out, url)
  throw new Failure('usage: node official_0_17.mjs FOLDER begin OUT | finish OUT URL | use | settled')
})
