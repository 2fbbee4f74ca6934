// Tokens and messages between the layers, by viem and @eth-optimism/viem as published: an ERC-20 of L1 and one of L2,
// an ERC-721, and messages that arrive, fail, and are relayed again with more gas. Both ways, in one go each.
import * as actions from '@eth-optimism/viem/actions'
import { crossDomainMessengerAbi, optimismMintableERC20Abi, standardBridgeAbi } from '@eth-optimism/viem/abis'
import { contracts } from '@eth-optimism/viem'
import { createPublicClient, createWalletClient, encodeFunctionData, http, keccak256, parseAbi, parseEventLogs } from 'viem'
import { getL2TransactionHashes, getWithdrawals, publicActionsL1, publicActionsL2, walletActionsL1 } from 'viem/op-stack'
import { artifacts, check, freshAddress, main, proved, receiptOf, same, until } from './lib.mjs'
import { makeTokens } from './tokenset.mjs'

const ERC721_BRIDGE = '0x4200000000000000000000000000000000000014'
const NFT = parseAbi([
  'function bridgeERC721(address localToken, address remoteToken, uint256 id, uint32 minGasLimit, bytes extraData)',
  'function ownerOf(uint256) view returns (address)',
  'function remoteToken() view returns (address)',
])
const { Coin, Listener } = artifacts
const L2_MESSENGER = contracts.l2CrossDomainMessenger.address
/** Gas that no message gets by itself. */
const MUCH = 1_500_000n

await main('tokens', async (rollup) => {
  const { config, endpoints } = rollup
  const addresses = rollup.addresses()
  const at = (name) => ({ [config.l1_chain_id]: { address: addresses[name] } })
  const targetChain = {
    ...rollup.l2Chain,
    contracts: {
      ...rollup.l2Chain.contracts,
      disputeGameFactory: at('DisputeGameFactoryProxy'),
      l1StandardBridge: at('L1StandardBridgeProxy'),
      l1CrossDomainMessenger: at('L1CrossDomainMessengerProxy'),
    },
  }
  const { L1StandardBridgeProxy: L1_BRIDGE, L1ERC721BridgeProxy: L1_ERC721_BRIDGE, L1CrossDomainMessengerProxy: L1_MESSENGER } = addresses
  const account = rollup.account(6)
  const options = { pollingInterval: 100, cacheTime: 0, batch: { multicall: { deployless: true } } }
  const l1 = createPublicClient({ chain: rollup.l1Chain, transport: http(), ...options }).extend(publicActionsL1())
  const l2 = createPublicClient({ chain: targetChain, transport: http(), ...options }).extend(publicActionsL2())
  const onL1 = createWalletClient({ account, chain: rollup.l1Chain, transport: http(), ...options }).extend(walletActionsL1())
  const onL2 = createWalletClient({ account, chain: targetChain, transport: http(), ...options })

  const used = new Set()
  /** Calls an action of @eth-optimism/viem and notes its name. */
  const act = (name, client, args) => {
    used.add(name)
    return actions[name](client, { account, ...args })
  }
  /** Demands that transactions of one layer succeed; their receipts, by the same names. */
  const mined = async (client, hashes) => {
    const receipts = {}
    for (const [what, hash] of Object.entries(hashes)) {
      receipts[what] = await receiptOf(client, hash, what)
      same(receipts[what].status, 'success', `${what}: status`)
    }
    return receipts
  }
  /** The deposits that transactions of L1 become on L2, each of which succeeds there. */
  const arrived = async (receipts) => {
    const deposits = {}
    for (const [what, receipt] of Object.entries(receipts)) [deposits[what]] = getL2TransactionHashes(receipt)
    return mined(l2, deposits)
  }
  const read = (client, abi, address, functionName, ...args) => client.readContract({ abi, address, functionName, args })
  const write = (wallet, abi, address, functionName, args, more = {}) =>
    wallet.writeContract({ abi, address, functionName, args, gas: 1_000_000n, ...more })
  const event = (abi, name, receipt) => parseEventLogs({ abi, eventName: name, logs: receipt.logs })[0]?.args

  const { coin, stamp, l1Listener, coinOnL2, stampOnL2, l2Coin, l2Listener, l1OfL2Coin } = await makeTokens(rollup, account, { approve: true })
  same(await read(l2, optimismMintableERC20Abi, coinOnL2, 'remoteToken'), coin, 'the L1 token of the one on L2')
  same(await read(l1, optimismMintableERC20Abi, l1OfL2Coin, 'remoteToken'), l2Coin, 'the L2 token of the one on L1')
  same(await read(l2, NFT, stampOnL2, 'remoteToken'), stamp, 'the L1 collection of the one on L2')
  proved('the factories of both layers make tokens that know their other side')

  // To L2, all at once.
  const say = (words, gas = 0n) => encodeFunctionData({ abi: Listener.abi, functionName: 'hear', args: [words, gas] })
  const holder = freshAddress()
  const gas = 2_000_000n
  const erc20Deposit = { tokenAddress: coin, remoteTokenAddress: coinOnL2, to: holder, amount: 700n, targetChain, minGasLimit: 100_000, remoteClient: l2 }
  check((await act('estimateDepositERC20Gas', l1, erc20Deposit)) > 21_000n, 'estimateDepositERC20Gas')
  await act('simulateDepositERC20', l1, erc20Deposit)
  const message = { target: l2Listener, message: say('from L1'), targetChain, minGasLimit: 150_000, value: 5n }
  check((await act('estimateDepositCrossDomainMessageGas', l1, message)) > 21_000n, 'estimateDepositCrossDomainMessageGas')
  await act('simulateDepositCrossDomainMessage', l1, message)
  const sent = await mined(l1, {
    'deposit of the ERC-20': await act('depositERC20', onL1, { ...erc20Deposit, gas }),
    'deposit for the sender': await act('depositERC20', onL1, { ...erc20Deposit, to: undefined, amount: 300n, gas }),
    'deposit of the ERC-721': await write(onL1, NFT, L1_ERC721_BRIDGE, 'bridgeERC721', [stamp, stampOnL2, 7n, 300_000, '0x']),
    'message to L2': await act('depositCrossDomainMessage', onL1, { ...message, gas }),
    'greedy message to L2': await act('depositCrossDomainMessage', onL1, { ...message, message: say('from L1, with much gas', MUCH), value: 6n, gas }),
  })
  const onArrival = await arrived(sent)
  same(await read(l2, Coin.abi, coinOnL2, 'balanceOf', holder), 700n, 'the ERC-20 is on L2')
  same(await read(l2, Coin.abi, coinOnL2, 'balanceOf', account.address), 300n, 'and the part for the sender')
  same(await read(l1, Coin.abi, coin, 'balanceOf', L1_BRIDGE), 1_000n, 'the bridge on L1 holds it')
  same(await read(l2, NFT, stampOnL2, 'ownerOf', 7n), account.address, 'the ERC-721 is on L2')
  same((await read(l1, NFT, stamp, 'ownerOf', 7n)).toLowerCase(), L1_ERC721_BRIDGE, 'the bridge on L1 holds it')
  proved('depositERC20 and the ERC-721 bridge bring tokens to L2')

  /** What the sender's messenger tells of a message: its call on the other side, and its hash. */
  const messageOf = (receipt) => {
    const { target, sender, message, messageNonce, gasLimit } = event(crossDomainMessengerAbi, 'SentMessage', receipt)
    const { value } = event(crossDomainMessengerAbi, 'SentMessageExtension1', receipt)
    const args = [messageNonce, sender, target, value, gasLimit, message]
    return { args, hash: keccak256(encodeFunctionData({ abi: crossDomainMessengerAbi, functionName: 'relayMessage', args })) }
  }
  const heard = async (client, listener, words, count, balance) => {
    const got = await Promise.all(['heard', 'sender', 'count'].map((name) => read(client, Listener.abi, listener, name)))
    same(got, [words, account.address, count], 'what the listener heard, from whom, how often')
    same(await client.getBalance({ address: listener }), balance, 'the ether that came along')
  }
  /** A message that failed goes through when somebody relays it with more gas, and only once. */
  const relayAgain = async (client, wallet, messenger, listener, receipt, words, balance) => {
    const { args, hash } = messageOf(receipt)
    same(await read(client, crossDomainMessengerAbi, messenger, 'failedMessages', hash), true, 'the message failed')
    const relayed = await write(wallet, crossDomainMessengerAbi, messenger, 'relayMessage', args, { account: rollup.account(5), gas: 3_000_000n })
    await mined(client, { 'relayed once more': relayed })
    same(await read(client, crossDomainMessengerAbi, messenger, 'successfulMessages', hash), true, 'the message is through')
    await heard(client, listener, words, 2n, balance)
    const call = { account, address: messenger, abi: crossDomainMessengerAbi, functionName: 'relayMessage', args, gas: 3_000_000n }
    const twice = await client.simulateContract(call).then(() => '', (error) => error.shortMessage)
    check(/already been relayed/.test(twice), 'a message is relayed once', twice)
  }
  await heard(l2, l2Listener, 'from L1', 1n, 5n)
  check(event(crossDomainMessengerAbi, 'FailedRelayedMessage', onArrival['greedy message to L2']), 'the greedy message fails on L2')
  await relayAgain(l2, onL2, L2_MESSENGER, l2Listener, sent['greedy message to L2'], 'from L1, with much gas', 11n)
  proved('depositCrossDomainMessage: a message arrives with its ether; one that fails is relayed again with more gas')

  // To L1, all at once.
  const withdrawal = { tokenAddress: coinOnL2, amount: 300n, to: holder, minGasLimit: 200_000 }
  check((await act('estimateWithdrawOptimismERC20Gas', l2, withdrawal)) > 21_000n, 'estimateWithdrawOptimismERC20Gas')
  await act('simulateWithdrawOptimismERC20', l2, withdrawal)
  const back = { target: l1Listener, message: say('from L2'), minGasLimit: 150_000, value: 7n }
  check((await act('estimateWithdrawCrossDomainMessageGas', l2, back)) > 21_000n, 'estimateWithdrawCrossDomainMessageGas')
  await act('simulateWithdrawCrossDomainMessage', l2, back)
  const left = await mined(l2, {
    'withdrawal of the ERC-20': await act('withdrawOptimismERC20', onL2, withdrawal),
    'withdrawal of the L2 token': await write(onL2, standardBridgeAbi, contracts.l2StandardBridge.address, 'bridgeERC20', [l2Coin, l1OfL2Coin, 500n, 200_000, '0x']),
    'withdrawal of the ERC-721': await write(onL2, NFT, ERC721_BRIDGE, 'bridgeERC721', [stampOnL2, stamp, 7n, 200_000, '0x']),
    'message to L1': await act('withdrawCrossDomainMessage', onL2, back),
    'greedy message to L1': await act('withdrawCrossDomainMessage', onL2, { ...back, message: say('from L2, with much gas', MUCH), value: 8n }),
  })
  const l2BlockNumber = Object.values(left).at(-1).blockNumber
  const game = await until('a game holds the withdrawals', () => l1.getGame({ targetChain, l2BlockNumber }), 60)
  await until('L1 is past the second of the game', async () => (await l1.getBlock()).timestamp > game.timestamp, 20)
  const proofs = {}
  for (const [what, receipt] of Object.entries(left)) {
    const request = await l2.buildProveWithdrawal({ account, game, withdrawal: getWithdrawals(receipt)[0] })
    proofs[what] = await onL1.proveWithdrawal({ ...request, targetChain, gas: 1_000_000n })
  }
  await mined(l1, proofs)
  const ended = {}
  for (const [what, receipt] of Object.entries(left)) {
    await until(`${what} is ready`, async () => (await l1.getWithdrawalStatus({ receipt, targetChain })) === 'ready-to-finalize', 60)
    ended[what] = await onL1.finalizeWithdrawal({ withdrawal: getWithdrawals(receipt)[0], targetChain, gas: 900_000n })
  }
  const finalized = await mined(l1, ended)
  same(await read(l1, Coin.abi, coin, 'balanceOf', holder), 300n, 'the ERC-20 is back on L1')
  same(await read(l2, Coin.abi, coinOnL2, 'totalSupply'), 700n, 'and gone from L2')
  same(await read(l1, Coin.abi, l1OfL2Coin, 'balanceOf', account.address), 500n, 'the L2 token is on L1')
  same(await read(l2, Coin.abi, l2Coin, 'balanceOf', contracts.l2StandardBridge.address), 500n, 'the bridge on L2 holds it')
  same(await read(l1, NFT, stamp, 'ownerOf', 7n), account.address, 'the ERC-721 is back on L1')
  check(await read(l2, NFT, stampOnL2, 'ownerOf', 7n).then(() => false, () => true), 'and gone from L2')
  proved('withdrawOptimismERC20, the ERC-721 bridge, and a token of L2: proven, finalized, on L1')

  // The token of L2 goes home. What is deposited is a mintable token of L1: it is burnt there, and unlocked on L2.
  const home = await act('depositERC20', onL1, { tokenAddress: l1OfL2Coin, remoteTokenAddress: l2Coin, to: holder, amount: 200n, targetChain, minGasLimit: 100_000, unsafe: true, gas })
  await heard(l1, l1Listener, 'from L2', 1n, 7n)
  check(event(crossDomainMessengerAbi, 'FailedRelayedMessage', finalized['greedy message to L1']), 'the greedy message fails on L1')
  await relayAgain(l1, onL1, L1_MESSENGER, l1Listener, left['greedy message to L1'], 'from L2, with much gas', 15n)
  proved('withdrawCrossDomainMessage: a message arrives with its ether; one that fails is relayed again with more gas')

  await arrived(await mined(l1, { 'the L2 token goes home': home }))
  same(await read(l2, Coin.abi, l2Coin, 'balanceOf', holder), 200n, 'the token of L2 is home')
  same(await read(l1, Coin.abi, l1OfL2Coin, 'totalSupply'), 300n, 'and gone from L1')
  proved('a token of L2 comes back from L1')

  same(Object.keys(actions).filter((name) => !used.has(name)), [], 'actions of @eth-optimism/viem that were not called')
  proved(`${used.size} actions of @eth-optimism/viem; those about interop need a chain with interop`)
})
