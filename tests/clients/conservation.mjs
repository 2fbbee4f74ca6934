// Ether is neither made nor lost between the layers: random deposits, withdrawals, failures, replays and L1 reorgs,
// and after each the portal's balance is what L2 holds and what is on its way, to the wei.
// `node conservation.mjs DIR SEED` repeats a run.
import { createPublicClient, createWalletClient, http, parseAbi, parseAbiItem } from 'viem'
import { getWithdrawals, publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2 } from 'viem/op-stack'
import { L1_BLOCK, check, freshAddress, main, proved, receiptOf, rpc, same, until } from './lib.mjs'

const PASSER = '0x4200000000000000000000000000000000000016'
const ROUNDS = 12
const DEPOSITED = parseAbiItem('event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData)')
const FINALIZED = parseAbiItem('event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success)')
const PASSED = parseAbiItem('event MessagePassed(uint256 indexed nonce, address indexed sender, address indexed target, uint256 value, uint256 gasLimit, bytes data, bytes32 withdrawalHash)')
const sum = (values) => values.reduce((total, value) => total + value, 0n)

/** Numbers from a seed. */
function random(seed) {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

await main('conservation', async (rollup) => {
  const { endpoints, config, portal } = rollup
  const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
  const draw = random(seed)
  console.log(`      seed ${seed}`)
  const factory = await rollup.l1.readContract({ address: portal, abi: parseAbi(['function disputeGameFactory() view returns (address)']), functionName: 'disputeGameFactory' })
  const targetChain = { ...rollup.l2Chain, contracts: { ...rollup.l2Chain.contracts, disputeGameFactory: { [config.l1_chain_id]: { address: factory } } } }
  const options = { pollingInterval: 100, cacheTime: 0, batch: { multicall: { deployless: true } } }
  const l1 = createPublicClient({ chain: rollup.l1Chain, transport: http(endpoints.l1Rpc), ...options }).extend(publicActionsL1())
  const l2 = createPublicClient({ chain: targetChain, transport: http(endpoints.l2Rpc), ...options }).extend(publicActionsL2())
  const user = rollup.account(9)
  const walletL1 = createWalletClient({ account: user, chain: rollup.l1Chain, transport: http(endpoints.l1Rpc), ...options }).extend(walletActionsL1())
  // Deposits move with a reorg, and use up nonces of their sender on L2: withdrawals come from another account.
  const depositor = rollup.account(8)
  const walletL2 = createWalletClient({ account: user, chain: targetChain, transport: http(endpoints.l2Rpc), ...options }).extend(walletActionsL2())

  /** All ether of an L2 block, over every account of its state. */
  const supply = async (number) => {
    let [total, next] = [0n, '0x']
    do {
      const page = await rpc(endpoints.l2Rpc, 'debug_accountRange', [`0x${number.toString(16)}`, next, 256, true, true, true])
      total += sum(Object.values(page.accounts).map((account) => BigInt(account.balance)))
      next = page.next
    } while (next)
    return total
  }
  const genesis = { portal: await l1.getBalance({ address: portal, blockNumber: 0n }), l2: await supply(0n) }
  check(genesis.portal >= genesis.l2, 'the portal covers what L2 begins with', genesis)

  /** Both sides at a safe L2 block and its L1 origin. */
  const balanced = async (what) => {
    const report = await until(`${what}: a settled block`, async () => {
      const { number, hash, l1origin } = (await rollup.syncStatus()).safe_l2
      const [block, origin] = [BigInt(number), BigInt(l1origin.number)]
      const range = { fromBlock: 0n, toBlock: origin }
      const [deposits, finalized, passed, held, total, passer] = await Promise.all([
        l1.getLogs({ address: portal, event: DEPOSITED, ...range }),
        l1.getLogs({ address: portal, event: FINALIZED, ...range }),
        l2.getLogs({ address: PASSER, event: PASSED, fromBlock: 0n, toBlock: block }),
        l1.getBalance({ address: portal, blockNumber: origin }),
        supply(block),
        l2.getBalance({ address: PASSER, blockNumber: block }),
      ])
      // A reorg in between: look again.
      const settled = (await l1.getBlock({ blockNumber: origin })).hash === l1origin.hash && (await l2.getBlock({ blockNumber: block })).hash === hash
      return settled && { block, origin, deposits, finalized, passed, held, total, passer }
    }, 120)
    const minted = sum(report.deposits.map((log) => BigInt(log.args.opaqueData.slice(0, 66))))
    const sent = sum(report.passed.map((log) => log.args.value))
    const value = new Map(report.passed.map((log) => [log.args.withdrawalHash, log.args.value]))
    const paid = sum(report.finalized.filter((log) => log.args.success).map((log) => value.get(log.args.withdrawalHash)))
    same(report.passer, sent, `${what}: the message passer keeps what was withdrawn`)
    same(report.total, genesis.l2 + minted, `${what}: ether on L2 is what it began with and what was deposited`)
    same(report.held, genesis.portal + minted - paid, `${what}: ether at the portal is what was deposited and not paid out`)
    const bridged = report.total - report.passer
    same(report.held - (genesis.portal - genesis.l2) - bridged, sent - paid, `${what}: the portal holds L2's ether and what is on its way`)
    check(report.held >= bridged, `${what}: the portal covers L2`, report)
    return report
  }

  const withdrawals = []
  const amount = () => BigInt(1 + draw(1_000_000_000)) * 1_000_003n
  const actions = {
    deposit: async () => {
      const fails = draw(3) === 0
      const mint = amount()
      // A call that reverts on L2 leaves what was minted with its sender.
      const request = { mint, value: draw(2) ? mint : mint / 2n, gas: 100_000n, to: fails ? L1_BLOCK : freshAddress(), data: fails ? '0xdeadbeef' : '0x' }
      const hash = await walletL1.depositTransaction({ account: depositor, request, targetChain, gas: 600_000n })
      same((await receiptOf(l1, hash, 'deposit')).status, 'success', 'deposit')
      return fails ? 'a deposit whose call fails' : 'a deposit'
    },
    withdraw: async () => {
      // The SystemConfig takes no ether: the withdrawal's call fails, and its ether stays.
      const fails = draw(3) === 0
      const hash = await walletL2.initiateWithdrawal({ account: user, request: { to: fails ? rollup.systemConfig : freshAddress(), value: amount(), gas: 50_000n } })
      await receiptOf(l2, hash, 'withdrawal')
      withdrawals.push({ hash, fails, done: false })
      return fails ? 'a withdrawal whose call will fail' : 'a withdrawal'
    },
    reorg: async () => {
      const depth = 1 + draw(3)
      await rpc(endpoints.l1Rpc, 'dev_reorg', [depth])
      return `a reorg of ${depth} L1 blocks`
    },
    finish: async () => {
      const one = withdrawals.find((withdrawal) => !withdrawal.done)
      if (!one) return actions.withdraw()
      await finish(one)
      return 'a finalization, and its replay'
    },
  }
  /** Proves and finalizes, through whatever reorgs do meanwhile. */
  const finish = async (one) => {
    const receipt = () => receiptOf(l2, one.hash, 'withdrawal')
    await until('the withdrawal is finalized', async () => {
      const now = await receipt()
      const status = await l1.getWithdrawalStatus({ receipt: now, targetChain })
      const [withdrawal] = getWithdrawals(now)
      if (status === 'finalized') return true
      if (status === 'ready-to-prove') {
        const game = await l1.getGame({ targetChain, l2BlockNumber: now.blockNumber })
        const request = await l2.buildProveWithdrawal({ account: user, game, withdrawal })
        await receiptOf(l1, await walletL1.proveWithdrawal({ ...request, targetChain }), 'proof', 20)
      }
      if (status === 'ready-to-finalize') {
        await receiptOf(l1, await walletL1.finalizeWithdrawal({ account: user, targetChain, withdrawal, gas: 400_000n }), 'finalization', 20)
      }
      return false
    }, 120, 300)
    const [withdrawal] = getWithdrawals(await receipt())
    const again = await l1.estimateFinalizeWithdrawalGas({ account: user.address, targetChain, withdrawal }).then(() => undefined, (error) => error)
    check(again, 'a replay is refused')
    one.done = true
  }

  const done = []
  for (let round = 0; round < ROUNDS; round++) {
    const names = ['deposit', 'withdraw', 'withdraw', 'deposit', 'reorg', 'finish']
    const what = await actions[names[draw(names.length)]]()
    await balanced(`round ${round}, after ${what}`)
    done.push(what)
  }
  for (const one of withdrawals.filter((withdrawal) => !withdrawal.done)) await finish(one)
  const finalized = new Set()
  await until('L2 reaches the last finalization', async () => {
    const { finalized: logs } = await balanced('at the end')
    logs.forEach((log) => finalized.add(log.args.withdrawalHash))
    return finalized.size >= withdrawals.length
  }, 60)
  const counts = [...new Set(done)].map((what) => `${done.filter((other) => other === what).length} × ${what}`)
  proved(`seed ${seed}: ${counts.join(', ')}; ${withdrawals.length} withdrawals finalized; portal and L2 agree to the wei after each`)
})
