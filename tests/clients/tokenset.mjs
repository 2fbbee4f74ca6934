// Tokens of both layers, what stands for them on the other, and a contract on each that hears messages.
import { optimismMintableERC20FactoryAbi } from '@eth-optimism/viem/abis'
import { contracts } from '@eth-optimism/viem'
import { getContractAddress, parseAbi, parseEventLogs } from 'viem'
import { artifacts, receiptOf, same } from './lib.mjs'

const ERC721_FACTORY = '0x4200000000000000000000000000000000000017'
const FACTORY = parseAbi([
  'function createOptimismMintableERC721(address remoteToken, string name, string symbol) returns (address)',
  'event OptimismMintableERC721Created(address indexed localToken, address indexed remoteToken, address deployer)',
])
const { Coin, Stamp, Listener } = artifacts

/**
 * Makes, as `account`: on L1 a coin (1,000,000,000 units), a collection of stamps (ids 0 to 7) and a listener; on L2 a
 * coin (500 units) and a listener; and by the factories the other side of each token. With `approve` the bridges may
 * take the coins and stamp 7.
 */
export async function makeTokens(rollup, account, { approve = false } = {}) {
  const { l1, l2 } = rollup
  const [onL1, onL2] = [rollup.l1Wallet(account), rollup.l2Wallet(account)]
  const addresses = rollup.addresses()
  // All addresses are known before, so that nothing waits for anything else.
  const counts = await Promise.all([l1, l2].map((client) => client.getTransactionCount({ address: account.address })))
  const [l1Next, l2Next] = counts.map((count) => (place) => getContractAddress({ from: account.address, nonce: BigInt(count + place) }))
  const [coin, stamp, l1Listener] = [0, 1, 2].map(l1Next)
  const [l2Coin, l2Listener] = [0, 1].map(l2Next)
  const deploy = (wallet, { abi, bytecode }, ...args) => wallet.deployContract({ abi, bytecode, args, gas: 2_000_000n })
  const write = (wallet, abi, address, functionName, args, gas) => wallet.writeContract({ abi, address, functionName, args, gas })
  const create = (wallet, factory, remote, name) =>
    write(wallet, optimismMintableERC20FactoryAbi, factory, 'createOptimismMintableERC20WithDecimals', [remote, name, 'COIN', 6], 3_000_000n)

  const setup = [
    await deploy(onL1, Coin, 1_000_000_000n),
    await deploy(onL1, Stamp, 8n),
    await deploy(onL1, Listener),
    await create(onL1, addresses.OptimismMintableERC20FactoryProxy, l2Coin, 'Coin of L2'),
  ]
  const setupL2 = [
    await deploy(onL2, Coin, 500n),
    await deploy(onL2, Listener),
    await create(onL2, contracts.optimismMintableERC20Factory.address, coin, 'Coin of L1'),
    await write(onL2, FACTORY, ERC721_FACTORY, 'createOptimismMintableERC721', [stamp, 'Stamp of L1', 'STMP'], 5_000_000n),
  ]
  if (approve) {
    const all = 10n ** 30n
    setup.push(await write(onL1, Coin.abi, coin, 'approve', [addresses.L1StandardBridgeProxy, all], 100_000n))
    setup.push(await write(onL1, Stamp.abi, stamp, 'approve', [addresses.L1ERC721BridgeProxy, 7n], 100_000n))
    setupL2.push(await write(onL2, Coin.abi, l2Coin, 'approve', [contracts.l2StandardBridge.address, all], 100_000n))
  }
  const mined = async (client, hashes) => {
    const receipts = []
    for (const hash of hashes) {
      receipts.push(await receiptOf(client, hash, 'making tokens'))
      same(receipts.at(-1).status, 'success', `making tokens: status of ${hash}`)
    }
    return receipts
  }
  const [made, madeL2] = [await mined(l1, setup), await mined(l2, setupL2)]
  const created = (abi, eventName, { logs }) => parseEventLogs({ abi, eventName, logs })[0].args.localToken
  return {
    coin,
    stamp,
    l1Listener,
    l2Coin,
    l2Listener,
    l1OfL2Coin: created(optimismMintableERC20FactoryAbi, 'OptimismMintableERC20Created', made[3]),
    coinOnL2: created(optimismMintableERC20FactoryAbi, 'OptimismMintableERC20Created', madeL2[2]),
    stampOnL2: created(FACTORY, 'OptimismMintableERC721Created', madeL2[3]),
  }
}
