// The JSON-RPC by three more pairs of eyes: ethers reads and sends, viem simulates, creates access lists and overrides
// state, and bare calls check what no library wraps.
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther as ether } from 'ethers'
import { bytesToHex, encodeFunctionData, parseEther, parseGwei } from 'viem'
import { artifacts, check, freshAddress, main, noteSent, proved, rpc, rpcBatch, same, until } from './lib.mjs'

/** The error of a bare call. */
async function refused(url, method, params) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const { error } = await response.json()
  check(error, `${method} must be refused`)
  return error
}

await main('rpc.mjs', async (rollup) => {
  const url = rollup.endpoints.l2Rpc
  const provider = new JsonRpcProvider(url, rollup.config.l2_chain_id, { staticNetwork: true, polling: true, pollingInterval: 200, cacheTimeout: -1 })
  const sender = rollup.account(7)
  const wallet = new Wallet(bytesToHex(sender.getHdKey().privateKey), provider)

  // ethers
  const socket = new WebSocketProvider(rollup.endpoints.l2Ws, rollup.config.l2_chain_id)
  const heads = []
  await socket.on('block', (number) => heads.push(number))
  const { abi, bytecode } = artifacts.Notebook
  const notebook = await new ContractFactory(abi, bytecode, wallet).deploy(5n)
  await notebook.waitForDeployment()
  const address = await notebook.getAddress()
  same(await notebook.value(), 5n, 'ethers call')
  const written = await (await notebook.write(6n, 'by ethers')).wait()
  same([written.status, written.logs.length], [1, 1], 'receipt of the call')
  const found = await notebook.queryFilter('Written', 0)
  same(found.map((log) => log.transactionHash), [written.hash], 'ethers finds the log')
  const receipts = await rpc(url, 'eth_getBlockReceipts', [`0x${written.blockNumber.toString(16)}`])
  check(receipts.some((receipt) => receipt.transactionHash === written.hash), 'the block lists the receipt')
  const block = await provider.getBlock(written.blockNumber, true)
  check(block.prefetchedTransactions.some((tx) => tx.hash === written.hash), 'ethers reads whole transactions')
  const fees = await provider.getFeeData()
  check(fees.maxFeePerGas > 0n && fees.gasPrice > 0n, 'fee data', fees)
  const reason = await notebook.refuse.staticCall(9n).then(() => undefined, (error) => error.code)
  same(reason, 'CALL_EXCEPTION', 'ethers decodes a revert')
  const poor = Wallet.createRandom().connect(provider)
  const broke = await poor.sendTransaction({ to: address, value: 1n, gasLimit: 21_000n }).then(() => undefined, (error) => error.code)
  same(broke, 'INSUFFICIENT_FUNDS', 'ethers knows the text of missing funds')
  const low = await wallet.sendTransaction({ to: freshAddress(), nonce: 0, gasLimit: 21_000n }).then(() => undefined, (error) => error.code)
  same(low, 'NONCE_EXPIRED', 'ethers knows the text of a used nonce')
  await until('ethers hears of new heads', () => heads.length > 0)
  await socket.destroy()
  for (const hash of [notebook.deploymentTransaction().hash, written.hash]) noteSent(rollup, await rpc(url, 'eth_getRawTransactionByHash', [hash]))
  proved('ethers deploys, calls, sends, finds logs, hears heads and knows each refusal')

  // viem
  const target = freshAddress()
  const [first, second] = await rollup.l2.simulateBlocks({
    blocks: [
      { calls: [{ account: sender.address, to: target, value: parseEther('1') }] },
      {
        blockOverrides: { baseFeePerGas: parseGwei('3') },
        stateOverrides: [{ address: target, balance: parseEther('7') }],
        calls: [{ account: target, to: freshAddress(), value: parseEther('6') }, { to: address, abi, functionName: 'refuse', args: [9n] }],
      },
    ],
    traceTransfers: true,
  })
  same([first.calls[0].status, first.calls[0].gasUsed], ['success', 21_000n], 'viem simulates a transfer')
  same(first.calls[0].logs.length, 1, 'with its transfer as a log')
  same([second.calls[0].status, second.calls[1].status], ['success', 'failure'], 'the second block sees overrides and reverts')
  same([second.number - first.number, second.baseFeePerGas], [1n, parseGwei('3')], 'number and base fee of the second block')
  const { accessList, gasUsed } = await rollup.l2.createAccessList({
    account: sender.address, to: address, data: encodeFunctionData({ abi, functionName: 'write', args: [1n, 'x'] }),
  })
  check(accessList.some((item) => item.address.toLowerCase() === address.toLowerCase() && item.storageKeys.length > 0), 'access list', accessList)
  check(gasUsed > 21_000n, 'gas with the access list')
  const overridden = await rollup.l2.call({ to: target, data: '0x', stateOverride: [{ address: target, code: '0x602a5f5260205ff3' }] })
  same(BigInt(overridden.data), 42n, 'viem call with code overridden')
  const proof = await rollup.l2.getProof({ address, storageKeys: [`0x${'00'.repeat(32)}`] })
  check(proof.accountProof.length > 0 && proof.storageProof.length === 1, 'viem proof')
  const filter = await rollup.l2.createPendingTransactionFilter()
  const prepared = await rollup.l2Wallet(sender).prepareTransactionRequest({ account: sender, to: target, value: 1n })
  const serializedTransaction = await sender.signTransaction(prepared)
  const receipt = await rpc(url, 'eth_sendRawTransactionSync', [serializedTransaction, 30_000])
  same([receipt.status, receipt.to], ['0x1', target.toLowerCase()], 'a transaction sent with its receipt waited for')
  noteSent(rollup, serializedTransaction)
  const seen = await rollup.l2.getFilterChanges({ filter })
  check(seen.includes(receipt.transactionHash), 'the filter saw it', seen)
  proved('viem simulates blocks, creates access lists, overrides code, proves; a transaction is sent with its receipt')

  // bare
  const unknown = await refused(url, 'eth_nothing', [])
  same(unknown.code, -32601, 'unknown method')
  same((await refused(url, 'eth_getBalance', [])).message, 'missing value for required argument 0', 'missing parameter')
  same((await refused(url, 'eth_getBalance', [target, '0xffffffff'])).message, 'header not found', 'unknown block')
  const range = await refused(url, 'eth_getLogs', [{ fromBlock: '0x2', toBlock: '0x1' }])
  same([range.code, range.message], [-32602, 'invalid block range params'], 'a range that ends before it begins')
  const revert = await refused(url, 'eth_call', [{ to: address, data: encodeFunctionData({ abi, functionName: 'refuse', args: [9n] }) }, 'latest'])
  same(revert.code, 3, 'code of a revert')
  const forms = ['latest', 'safe', 'finalized', 'earliest', 'pending', '0x0', { blockNumber: '0x0' }, { blockHash: rollup.config.genesis.l2.hash, requireCanonical: true }]
  const balances = await rpcBatch(url, 'eth_getBalance', forms.map((form) => [target, form]))
  check(balances.every((balance) => /^0x/.test(balance)), 'every form of a block', balances)
  const config = await rpc(url, 'eth_config')
  same(BigInt(config.current.chainId), BigInt(rollup.config.l2_chain_id), 'eth_config')
  const foreign = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', origin: 'http://page.example' }, body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}' })
  same(foreign.headers.get('access-control-allow-origin'), '*', 'a page may call a local node')
  proved('refusals have the known codes and texts, blocks any form')
})
