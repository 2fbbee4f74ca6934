// Withdrawals by viem's op-stack actions, all of them as published: deposit, withdrawal, proof, both delays and
// finalization, the status at each step, and what is refused by which error. With `one` after the folder: one withdrawal.
import { createPublicClient, createWalletClient, encodeFunctionData, http, parseAbi, parseEther } from 'viem'
import { getWithdrawals, publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2, getL2TransactionHashes } from 'viem/op-stack'
import { artifacts, check, freshAddress, main, proved, receiptOf, same, until } from './lib.mjs'

const PASSER = '0x4200000000000000000000000000000000000016'

const refusal = (promise) => promise.then(() => undefined, (error) => error)
/** The name of the custom error that a call reverted with. */
const errorName = (error) => error?.walk?.((e) => e.name === 'ContractFunctionRevertedError')?.data?.errorName

const PORTAL = parseAbi([
  'error OptimismPortal_AlreadyFinalized()',
  'error OptimismPortal_CallPaused()',
  'error OptimismPortal_ImproperDisputeGame()',
  'error OptimismPortal_InvalidRootClaim()',
  'error OptimismPortal_NoReentrancy()',
  'error OptimismPortal_ProofNotOldEnough()',
  'error OptimismPortal_Unproven()',
  'struct Withdrawal { uint256 nonce; address sender; address target; uint256 value; uint256 gasLimit; bytes data; }',
  'struct Output { bytes32 version; bytes32 stateRoot; bytes32 messagePasserStorageRoot; bytes32 latestBlockhash; }',
  'function finalizeWithdrawalTransaction(Withdrawal) external',
  'function proveWithdrawalTransaction(Withdrawal, uint256, Output, bytes[]) external',
  'function checkWithdrawal(bytes32, address) view',
  'function anchorStateRegistry() view returns (address)',
  'function disputeGameFactory() view returns (address)',
  'function superchainConfig() view returns (address)',
  'function systemConfig() view returns (address)',
  'function paused() view returns (bool)',
  'function numProofSubmitters(bytes32) view returns (uint256)',
  'function provenWithdrawals(bytes32, address) view returns (address game, uint64 timestamp)',
])
const GUARD = parseAbi([
  'function blacklistDisputeGame(address) external',
  'function isGameProper(address) view returns (bool)',
  'function pause(address) external',
  'function unpause(address) external',
  'function guardian() view returns (address)',
])

await main('withdrawals', async (rollup) => {
  const { config, portal, endpoints } = rollup
  const read = (address, abi, functionName, args = []) => rollup.l1.readContract({ address, abi, functionName, args })
  const factory = await read(portal, PORTAL, 'disputeGameFactory')
  const registry = await read(portal, PORTAL, 'anchorStateRegistry')
  const l2Chain = {
    ...rollup.l2Chain,
    contracts: { ...rollup.l2Chain.contracts, disputeGameFactory: { [config.l1_chain_id]: { address: factory } } },
  }
  // The L1 has no Multicall3: viem sends the aggregator's code along.
  const options = { pollingInterval: 100, cacheTime: 0, batch: { multicall: { deployless: true } } }
  const l1 = createPublicClient({ chain: rollup.l1Chain, transport: http(endpoints.l1Rpc), ...options }).extend(publicActionsL1())
  const l2 = createPublicClient({ chain: l2Chain, transport: http(endpoints.l2Rpc), ...options }).extend(publicActionsL2())
  const user = rollup.account(9)
  const guardian = rollup.account(17)
  const walletL1 = createWalletClient({ account: user, chain: rollup.l1Chain, transport: http(endpoints.l1Rpc), ...options }).extend(walletActionsL1())
  const walletL2 = createWalletClient({ account: user, chain: l2Chain, transport: http(endpoints.l2Rpc), ...options }).extend(walletActionsL2())
  const targetChain = l2Chain
  const used = new Set()
  /** Calls an action and notes its name. */
  const act = (client, name, args) => {
    used.add(name)
    return client[name](args)
  }
  const mined = async (client, hash, what) => {
    const receipt = await receiptOf(client, hash, what)
    same(receipt.status, 'success', `${what}: status`)
    return receipt
  }

  // The portal, and games.
  same((await act(l1, 'getPortalVersion', { targetChain })).major >= 3, true, 'the portal is one of fault proofs')
  await until('the proposer makes a first game', async () => (await act(l1, 'getGames', { targetChain, limit: 5 })).length > 0, 60)
  const games = await act(l1, 'getGames', { targetChain, limit: 5 })
  for (const game of games) {
    const output = await rollup.l2.request({ method: 'eth_getBlockByNumber', params: [`0x${game.l2BlockNumber.toString(16)}`, false] })
    check(output, `a game is about L2 block ${game.l2BlockNumber}, which is there`)
  }
  proved(`getPortalVersion, getGames: ${games.length} games, the newest about L2 block ${games[0].l2BlockNumber}`)

  // A deposit.
  const recipient = freshAddress()
  const deposit = await act(l2, 'buildDepositTransaction', { account: user, mint: parseEther('1'), to: recipient })
  const gas = await act(l1, 'estimateDepositTransactionGas', { ...deposit, account: user.address, targetChain })
  // What the portal burns follows the base fee.
  const depositHash = await act(walletL1, 'depositTransaction', { ...deposit, account: user, targetChain, gas: (gas * 3n) / 2n })
  const [l2Hash] = getL2TransactionHashes(await mined(l1, depositHash, 'deposit'))
  await mined(l2, l2Hash, 'deposit on L2')
  same(await l2.getBalance({ address: recipient }), parseEther('1'), 'the deposit arrived')
  proved('buildDepositTransaction, estimateDepositTransactionGas, depositTransaction')

  // What things cost on L2.
  const transfer = { account: user.address, to: recipient, value: 1n }
  const passer = { account: user.address, address: PASSER, abi: parseAbi(['function initiateWithdrawal(address,uint256,bytes) payable']), functionName: 'initiateWithdrawal', args: [recipient, 21_000n, '0x'] }
  const costs = {}
  for (const name of ['estimateL1Fee', 'estimateL1Gas', 'estimateOperatorFee', 'estimateTotalFee', 'estimateTotalGas']) costs[name] = await act(l2, name, transfer)
  for (const name of ['estimateContractL1Fee', 'estimateContractL1Gas', 'estimateContractTotalFee', 'estimateContractTotalGas']) costs[name] = await act(l2, name, passer)
  costs.getL1BaseFee = await act(l2, 'getL1BaseFee')
  for (const [name, cost] of Object.entries(costs)) check(name === 'estimateOperatorFee' ? cost >= 0n : cost > 0n, `${name} is a price`, cost)
  const { timestamp } = await l2.getBlock()
  check(rollup.forkAt(Number(timestamp)) && costs.estimateTotalFee > costs.estimateL1Fee, 'the total fee is more than its L1 part', costs)
  proved(`fees: ${Object.keys(costs).join(', ')}`)

  const status = (receipt) => act(l1, 'getWithdrawalStatus', { receipt, targetChain })
  /** Begins a withdrawal; gives its receipt and itself. */
  const withdraw = async (to, value, data, gas = 100_000n) => {
    const request = await act(l1, 'buildInitiateWithdrawal', { account: user, to, value, data, gas })
    check((await act(l2, 'estimateInitiateWithdrawalGas', request)) > 21_000n, 'estimateInitiateWithdrawalGas')
    const hash = await act(walletL2, 'initiateWithdrawal', request)
    const receipt = await mined(l2, hash, 'withdrawal on L2')
    return { receipt, withdrawal: getWithdrawals(receipt)[0] }
  }
  /** Proves a withdrawal by the game that viem finds. */
  const prove = async ({ receipt }) => {
    // viem waits by the average distance of games; with one at hand it does not wait.
    const l2BlockNumber = receipt.blockNumber
    await until('a game holds the withdrawal', () => act(l1, 'getGame', { targetChain, l2BlockNumber }), 60)
    const { game, output, withdrawal } = await act(l1, 'waitToProve', { receipt, targetChain })
    // A proof in the second of its game is refused.
    await until('L1 is past the second of the game', async () => (await l1.getBlock()).timestamp > game.timestamp, 20)
    const request = await act(l2, 'buildProveWithdrawal', { account: user, game, output, withdrawal })
    check((await act(l1, 'estimateProveWithdrawalGas', { ...request, account: user.address, targetChain })) > 21_000n, 'estimateProveWithdrawalGas')
    const hash = await act(walletL1, 'proveWithdrawal', { ...request, targetChain })
    await mined(l1, hash, 'proof')
    return { game, request }
  }
  const ready = (receipt) => until('it is ready to finalize', async () => (await status(receipt)) === 'ready-to-finalize', 60)
  const finalize = async (withdrawal) => {
    const args = { account: user, targetChain, withdrawal }
    check((await act(l1, 'estimateFinalizeWithdrawalGas', { ...args, account: user.address })) > 21_000n, 'estimateFinalizeWithdrawalGas')
    return mined(l1, await act(walletL1, 'finalizeWithdrawal', args), 'finalization')
  }

  // One withdrawal from end to end. Its time is told and not judged: a busy machine takes longer.
  const target = freshAddress()
  const started = Date.now()
  const first = await withdraw(target, parseEther('0.4'))
  const seen = [await status(first.receipt)]
  check(['waiting-to-prove', 'ready-to-prove'].includes(seen[0]), 'status of a new withdrawal', seen)
  check((await act(l1, 'getTimeToProve', { receipt: first.receipt, targetChain })).seconds >= 0, 'getTimeToProve')
  const early = await refusal(l1.simulateContract({ account: user, address: portal, abi: PORTAL, functionName: 'finalizeWithdrawalTransaction', args: [abiForm(first.withdrawal)] }))
  same(errorName(early), 'OptimismPortal_Unproven', 'finalization without a proof')
  const { game } = await prove(first)
  check(game.l2BlockNumber >= first.receipt.blockNumber, 'the game holds the withdrawal')
  seen.push(await status(first.receipt))
  check(['waiting-to-finalize', 'ready-to-finalize'].includes(seen.at(-1)), 'status of a proven withdrawal', seen)
  const { withdrawalHash } = first.withdrawal
  const time = await act(l1, 'getTimeToFinalize', { withdrawalHash, targetChain })
  check(time.period >= 0 && time.seconds >= 0, 'getTimeToFinalize', time)
  await ready(first.receipt)
  await act(l1, 'waitToFinalize', { withdrawalHash, targetChain })
  await finalize(first.withdrawal)
  const took = (Date.now() - started) / 1000
  seen.push('ready-to-finalize', await status(first.receipt))
  same(seen.at(-1), 'finalized', 'status at the end')
  console.log(`      a withdrawal took ${took.toFixed(1)} s: ${seen.join(', ')}`)
  const paid = parseEther('0.4')
  same(await l1.getBalance({ address: target }), paid, 'the ether is on L1')
  proved(`a withdrawal from L2 to L1 in ${took.toFixed(1)} s`)

  const again = await refusal(l1.simulateContract({ account: user, address: portal, abi: PORTAL, functionName: 'finalizeWithdrawalTransaction', args: [abiForm(first.withdrawal)] }))
  same(errorName(again), 'OptimismPortal_AlreadyFinalized', 'a second finalization')
  proved('a withdrawal is not finalized twice')
  if (process.argv[3] === 'one') return

  // The rest of the actions about games and outputs.
  const l2BlockNumber = first.receipt.blockNumber
  const one = await act(l1, 'getGame', { targetChain, l2BlockNumber })
  check(one.l2BlockNumber >= l2BlockNumber, 'getGame')
  const output = await act(l1, 'getL2Output', { targetChain, l2BlockNumber })
  check(output.l2BlockNumber >= l2BlockNumber && output.outputRoot.length === 66, 'getL2Output', output)
  check((await act(l1, 'getTimeToNextGame', { targetChain, l2BlockNumber: await l2.getBlockNumber() })).seconds >= 0, 'getTimeToNextGame')
  check((await act(l1, 'waitForNextGame', { targetChain, l2BlockNumber })).l2BlockNumber >= l2BlockNumber, 'waitForNextGame')
  // These two ask an L2OutputOracle, which chains with dispute games no longer have.
  for (const name of ['getTimeToNextL2Output', 'waitForNextL2Output']) {
    check(await refusal(act(l1, name, { targetChain, l2BlockNumber, l2OutputOracleAddress: factory })), `${name} finds no L2OutputOracle`)
  }
  proved('getGame, getL2Output, getTimeToNextGame, waitForNextGame; getTimeToNextL2Output and waitForNextL2Output find no L2OutputOracle')

  // Three more by one game. The second one's call finalizes the first one from within.
  const { abi, bytecode } = artifacts.Forwarder
  const { contractAddress: forwarder } = await mined(l1, await walletL1.deployContract({ abi, bytecode, gas: 1_000_000n }), 'deployment of the forwarder')
  const second = await withdraw(target, 1n)
  const inner = encodeFunctionData({ abi: PORTAL, functionName: 'finalizeWithdrawalTransaction', args: [abiForm(second.withdrawal)] })
  const outer = await withdraw(forwarder, 0n, encodeFunctionData({ abi, functionName: 'forward', args: [portal, inner] }), 400_000n)
  const third = await withdraw(target, 2n)
  await prove(second)
  await prove(outer)
  const struck = await prove(third)
  for (const { receipt } of [second, outer]) await ready(receipt)
  await finalize(outer.withdrawal)
  same(await read(forwarder, abi, 'success'), false, 'the call from within')
  same((await read(forwarder, abi, 'answer')).slice(0, 10), selectorOf('OptimismPortal_NoReentrancy'), 'its error')
  same(await status(second.receipt), 'ready-to-finalize', 'the other withdrawal is as it was')
  await finalize(second.withdrawal)
  proved('a withdrawal that finalizes another is refused; the other one is not harmed')

  // The guardian strikes the third one's game out; another proof counts. And a pause.
  const struckGame = `0x${struck.game.metadata.slice(26)}`
  const guard = createWalletClient({ account: guardian, chain: rollup.l1Chain, transport: http(endpoints.l1Rpc), ...options })
  await mined(l1, await guard.writeContract({ address: registry, abi: GUARD, functionName: 'blacklistDisputeGame', args: [struckGame], gas: 200_000n }), 'blacklisting')
  await until('the withdrawal has to be proven again', async () => (await status(third.receipt)) === 'ready-to-prove', 30)
  await until('its maturity passes', async () => {
    const error = await refusal(l1.readContract({ address: portal, abi: PORTAL, functionName: 'checkWithdrawal', args: [third.withdrawal.withdrawalHash, user.address] }))
    return errorName(error) === 'OptimismPortal_InvalidRootClaim'
  }, 30)
  const improper = await refusal(l1.simulateContract({ account: user, address: portal, abi: PORTAL, functionName: 'proveWithdrawalTransaction', args: [abiForm(third.withdrawal), struck.request.l2OutputIndex, struck.request.outputRootProof, struck.request.withdrawalProof] }))
  same(errorName(improper), 'OptimismPortal_ImproperDisputeGame', 'a proof against the struck game')
  // viem may pick the struck game again: let the proposer make another, and give it that.
  const fourth = await withdraw(target, 3n)
  const fresh = await until('another game', async () => (await act(l1, 'getGames', { targetChain, l2BlockNumber: fourth.receipt.blockNumber })).find((game) => game.metadata !== struck.game.metadata), 60)
  await until('L1 is past the second of the game', async () => (await l1.getBlock()).timestamp > fresh.timestamp, 20)
  const request = await act(l2, 'buildProveWithdrawal', { account: user, game: fresh, withdrawal: third.withdrawal })
  await mined(l1, await act(walletL1, 'proveWithdrawal', { ...request, targetChain }), 'second proof')
  await ready(third.receipt)

  const superchain = await read(portal, PORTAL, 'superchainConfig')
  await mined(l1, await guard.writeContract({ address: superchain, abi: GUARD, functionName: 'pause', args: ['0x0000000000000000000000000000000000000000'], gas: 200_000n }), 'pause')
  same(await read(portal, PORTAL, 'paused'), true, 'the portal is paused')
  const paused = await refusal(l1.simulateContract({ account: user, address: portal, abi: PORTAL, functionName: 'finalizeWithdrawalTransaction', args: [abiForm(third.withdrawal)] }))
  same(errorName(paused), 'OptimismPortal_CallPaused', 'finalization while paused')
  await mined(l1, await guard.writeContract({ address: superchain, abi: GUARD, functionName: 'unpause', args: ['0x0000000000000000000000000000000000000000'], gas: 200_000n }), 'end of the pause')
  await ready(third.receipt)
  await finalize(third.withdrawal)
  same(await status(third.receipt), 'finalized', 'status after all')
  same(await l1.getBalance({ address: target }), paid + 3n, 'each withdrawal was paid once')
  proved('a withdrawal of a blacklisted game is refused, and proven again against another; nothing is finalized while paused')

  const actions = [publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2].flatMap((make) => Object.keys(make()(l1)))
  same([...new Set(actions)].filter((name) => !used.has(name)), [], 'actions of viem that were not called')
  proved(`${new Set(actions).size} op-stack actions of viem`)
})

/** The withdrawal as the portal's struct. */
function abiForm({ nonce, sender, target, value, gasLimit, data }) {
  return { nonce, sender, target, value, gasLimit, data }
}

function selectorOf(name) {
  return encodeFunctionData({ abi: parseAbi([`function ${name}()`]), functionName: name })
}
