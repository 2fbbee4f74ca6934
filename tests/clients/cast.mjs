// Foundry's cast against L1 and L2: a user's first steps on the command line.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { bytesToHex } from 'viem'
import { tool } from './foundry.mjs'
import { artifacts, check, freshAddress, main, proved, safeOnVerifier, same, sameChains, until } from './lib.mjs'

const run = promisify(execFile)

await main('cast', async (rollup) => {
  const { endpoints, config } = rollup
  const binary = tool('cast')
  // The environment must not name another network or a keystore.
  const at = (url) => async (command, ...args) => {
    const { stdout } = await run(binary, [command, '--rpc-url', url, ...args], { env: { PATH: process.env.PATH, HOME: '/nonexistent' } })
    return stdout.trim()
  }
  const [l1, l2, verifier] = [endpoints.l1Rpc, endpoints.l2Rpc, endpoints.verifierRpc].map(at)
  const from = (index) => ['--private-key', bytesToHex(rollup.account(index).getHdKey().privateKey)]

  same(await l2('chain-id'), String(config.l2_chain_id), 'chain id')
  const height = BigInt(await l2('block-number'))
  same(await l2('block', '0', '-f', 'hash'), config.genesis.l2.hash, 'hash of the genesis block')
  check(BigInt(await l2('gas-price')) > 0n, 'gas price')
  check(BigInt(await l2('base-fee')) > 0n, 'base fee')
  proved(`cast reads chain id, genesis, gas price and height ${height}`)

  const recipient = freshAddress()
  const sent = JSON.parse(await l2('send', recipient, '--value', '0.25ether', '--json', ...from(3)))
  same([BigInt(sent.status), BigInt(sent.type)], [1n, 2n], 'status and type of the transfer')
  same(await l2('balance', recipient, '--ether'), '0.250000000000000000', 'balance of the recipient')
  const legacy = JSON.parse(await l2('send', recipient, '--value', '1', '--legacy', '--json', ...from(3)))
  same([BigInt(legacy.status), BigInt(legacy.type)], [1n, 0n], 'status and type of the legacy transfer')
  const receipt = JSON.parse(await l2('receipt', sent.transactionHash, '--json'))
  same(receipt.blockHash, sent.blockHash, 'cast receipt')
  check(BigInt(receipt.l1Fee) > 0n, 'the receipt has an L1 fee', receipt)
  same(JSON.parse(await l2('tx', sent.transactionHash, '--json')).hash, sent.transactionHash, 'cast tx')
  const block = JSON.parse(await l2('block', String(BigInt(sent.blockNumber)), '--json'))
  check(block.transactions.includes(sent.transactionHash), 'cast block lists the transfer')
  proved('cast sends 1559 and legacy transfers and reads receipt, transaction and block')

  const { bytecode } = artifacts.Notebook
  const creation = JSON.parse(await l2('send', '--json', ...from(3), '--create', bytecode, 'constructor(uint256)', '5'))
  same(BigInt(creation.status), 1n, 'status of the deployment')
  const notebook = creation.contractAddress
  same(await l2('call', notebook, 'value()(uint256)'), '5', 'cast call')
  const written = JSON.parse(await l2('send', notebook, 'write(uint256,string)', '6', 'by cast', '--json', ...from(3)))
  same(BigInt(written.status), 1n, 'status of the call')
  same(await l2('call', notebook, 'value()(uint256)'), '6', 'cast call after the write')
  const logs = JSON.parse(await l2('logs', '--json', '--from-block', '0', '--address', notebook, 'Written(address indexed,uint256 indexed,string)'))
  same(logs.map((log) => log.transactionHash), [written.transactionHash], 'cast logs')
  check(BigInt(await l2('estimate', notebook, 'write(uint256,string)', '6', 'x', '--from', rollup.account(3).address)) > 21_000n, 'cast estimate')
  const refusal = await l2('call', notebook, 'refuse(uint256)', '9').then(() => '', (error) => error.stderr)
  check(/revert/i.test(refusal), 'cast call shows a revert', refusal)
  proved('cast deploys, calls, and finds the log')

  const target = freshAddress()
  const deposit = JSON.parse(await l1(
    'send', rollup.portal, 'depositTransaction(address,uint256,uint64,bool,bytes)', target, '1000000000000000000', '100000', 'false', '0x',
    '--value', '1ether', '--gas-limit', '300000', '--json', ...from(3),
  ))
  same(BigInt(deposit.status), 1n, 'status of the deposit on L1')
  await until('the deposit arrives', async () => (await l2('balance', target, '--ether')) === '1.000000000000000000', 60)
  const last = BigInt(await l2('block-number'))
  proved('cast deposits one ether through the portal')

  const status = await safeOnVerifier(rollup, last)
  same(await verifier('balance', target, '--ether', '--block', String(status.safe_l2.number)), '1.000000000000000000', 'balance on the verifier')
  same(await verifier('block', String(last), '-f', 'hash'), await l2('block', String(last), '-f', 'hash'), 'block hash on both nodes')
  await sameChains(rollup, height, last)
  proved('the verifier shows the same')
})
