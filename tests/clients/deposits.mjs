// viem's op-stack actions against the portal: deposits from an account, from a contract (aliased), a contract created
// by a deposit, and deposits that fail and mint all the same.
import { encodeDeployData, encodeFunctionData, getContractAddress, parseEther } from 'viem'
import { depositTransaction, estimateDepositTransactionGas, getL2TransactionHashes } from 'viem/op-stack'
import { artifacts, check, freshAddress, main, proved, receiptOf, rpc, safeOnVerifier, same, sameChains, sendRaw } from './lib.mjs'

const ALIAS = 0x1111000000000000000000000000000000001111n
const alias = (address) => `0x${((BigInt(address) + ALIAS) & ((1n << 160n) - 1n)).toString(16).padStart(40, '0')}`
const lower = (address) => address.toLowerCase()

await main('deposits', async (rollup) => {
  const { l1, l2, l2Chain, endpoints } = rollup
  const depositor = rollup.account(8)
  const wallet = rollup.l1Wallet(depositor)
  const { abi, bytecode } = artifacts.Notebook

  /** Waits for an L1 transaction's deposits on L2: their receipts and transactions. */
  const arrive = async (hash, what) => {
    const onL1 = await receiptOf(l1, hash, `${what} on L1`)
    same(onL1.status, 'success', `${what}: status on L1`)
    const deposits = []
    for (const l2Hash of getL2TransactionHashes(onL1)) {
      const receipt = await receiptOf(l2, l2Hash, `${what} on L2`)
      const tx = await rpc(endpoints.l2Rpc, 'eth_getTransactionByHash', [l2Hash])
      same([tx.type, receipt.transactionHash], ['0x7e', l2Hash], `${what}: type and hash on L2`)
      deposits.push({ receipt, tx })
    }
    const lag = (await l1.getBlockNumber()) - onL1.blockNumber
    return { deposits, lag }
  }
  const balances = (address, blockNumber) =>
    Promise.all([blockNumber - 1n, blockNumber].map((n) => l2.getBalance({ address, blockNumber: n })))
  // The portal burns the L2 gas at its price over L1's base fee, which falls by an eighth with an empty block: what was
  // estimated is too little a block later. Half as much again is enough for three blocks.
  const deposit = async (request, what) => {
    const call = { account: depositor, request, targetChain: l2Chain }
    const gas = ((await estimateDepositTransactionGas(l1, call)) * 3n) / 2n
    const hash = await depositTransaction(wallet, { ...call, gas })
    const { deposits, lag } = await arrive(hash, what)
    same(deposits.length, 1, `${what}: number of deposits`)
    return { ...deposits[0], lag }
  }

  const target = freshAddress()
  const plain = await deposit({ mint: parseEther('2'), value: parseEther('1.5'), gas: 100_000n, to: target }, 'plain deposit')
  same(plain.receipt.status, 'success', 'status of the plain deposit')
  same([lower(plain.tx.from), BigInt(plain.tx.mint), BigInt(plain.tx.value)], [lower(depositor.address), parseEther('2'), parseEther('1.5')], 'sender, mint and value')
  same(await l2.getBalance({ address: target }), parseEther('1.5'), 'the recipient holds the value')
  const [before, after] = await balances(depositor.address, plain.receipt.blockNumber)
  same(after - before, parseEther('0.5'), 'the sender keeps the rest of the mint and pays no gas on L2')
  const bare = await rpc(endpoints.l2Rpc, 'eth_getTransactionReceipt', [plain.receipt.transactionHash])
  if (rollup.has('regolith')) same(bare.depositNonce, `0x${(await l2.getTransactionCount({ address: depositor.address, blockNumber: plain.receipt.blockNumber - 1n })).toString(16)}`, 'deposit nonce of the receipt')
  if (rollup.has('canyon')) same(bare.depositReceiptVersion, '0x1', 'deposit receipt version')
  proved(`a deposit of 2 ether arrives (L1 was ${plain.lag} blocks on when it was seen)`)

  const creation = await deposit({ mint: 9n, value: 9n, gas: 1_000_000n, isCreation: true, data: encodeDeployData({ abi, bytecode, args: [3n] }) }, 'contract creation')
  same(creation.receipt.status, 'success', 'status of the contract creation')
  const notebook = creation.receipt.contractAddress
  const nonce = await l2.getTransactionCount({ address: depositor.address, blockNumber: creation.receipt.blockNumber - 1n })
  same(lower(notebook), lower(getContractAddress({ from: depositor.address, nonce: BigInt(nonce) })), 'address of the contract created by a deposit')
  same(await l2.readContract({ address: notebook, abi, functionName: 'value' }), 3n, 'its constructor ran')
  same(await l2.getBalance({ address: notebook }), 9n, 'it holds the value')
  proved(`a deposit creates a contract at ${notebook}`)

  const contract = await deployDepositor(rollup, wallet)
  const sender = alias(contract)
  const data = encodeFunctionData({ abi, functionName: 'write', args: [77n, 'from a contract on L1'] })
  const hash = await wallet.writeContract({
    address: contract, abi: artifacts.Depositor.abi, functionName: 'depositTwice', args: [rollup.portal, notebook, 4n, 300_000n, data], value: 20n,
  })
  const { deposits: two } = await arrive(hash, "a contract's deposits")
  same(two.length, 2, 'two deposits in one L1 transaction')
  for (const one of two) {
    same([one.receipt.status, lower(one.tx.from)], ['success', sender], "status and aliased sender of a contract's deposit")
  }
  check(two[0].tx.sourceHash !== two[1].tx.sourceHash, 'two logs, two source hashes')
  same(lower(await l2.readContract({ address: notebook, abi, functionName: 'author' })), sender, 'the L2 contract sees the aliased sender')
  same([await l2.getBalance({ address: sender }), await l2.getBalance({ address: notebook })], [12n, 17n], 'aliased sender and L2 contract hold what was minted and sent')
  proved(`a contract's deposits come from its alias ${sender}`)

  const refuse = encodeFunctionData({ abi, functionName: 'refuse', args: [99n] })
  const failing = await deposit({ mint: 500n, value: 300n, gas: 200_000n, to: notebook, data: refuse }, 'failing deposit')
  same(failing.receipt.status, 'reverted', 'status of the failing deposit')
  const minted = await balances(depositor.address, failing.receipt.blockNumber)
  same(minted[1] - minted[0], 500n, 'a failing deposit mints, and its value stays with the sender')
  const counts = await Promise.all([1n, 0n].map((back) => l2.getTransactionCount({ address: depositor.address, blockNumber: failing.receipt.blockNumber - back })))
  same(counts[1] - counts[0], 1, 'a failing deposit counts the nonce')
  same(await l2.getBalance({ address: notebook }), 17n, 'its target got nothing')

  const poor = await deposit({ mint: 1n, value: 10n ** 30n, gas: 100_000n, to: target }, 'deposit of more value than there is')
  same(poor.receipt.status, 'reverted', 'status of a deposit that sends more than its sender has')
  const poorBalances = await balances(depositor.address, poor.receipt.blockNumber)
  same(poorBalances[1] - poorBalances[0], 1n, 'it mints all the same')
  proved('failing deposits mint and count the nonce')

  // A deposited account can go on with ordinary transactions.
  const spend = await sendRaw(rollup, depositor, { to: target, value: 1n })
  const spent = await receiptOf(l2, spend.hash, 'transfer after the deposits')
  same(spent.status, 'success', 'status of a transfer after the deposits')

  const status = await safeOnVerifier(rollup, spent.blockNumber)
  const safe = BigInt(status.safe_l2.number)
  for (const address of [depositor.address, target, notebook, sender]) {
    const [left, right] = await Promise.all([l2, rollup.verifier].map((client) => client.getBalance({ address, blockNumber: safe })))
    same(right, left, `balance of ${address} at safe block ${safe}, verifier against sequencer`)
  }
  proved(`both nodes hold the same balances at safe block ${safe}; ${await sameChains(rollup, 0n, safe)} block hashes are equal`)
})

async function deployDepositor(rollup, wallet) {
  const { abi, bytecode } = artifacts.Depositor
  const hash = await wallet.deployContract({ abi, bytecode })
  return (await receiptOf(rollup.l1, hash, 'the depositing contract on L1')).contractAddress
}
