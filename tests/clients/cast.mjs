// Foundry's cast against L1 and L2: a user's first steps on the command line, and a withdrawal from end to end.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { bytesToHex } from 'viem'
import { tool } from './foundry.mjs'
import { artifacts, check, freshAddress, main, proved, safeOnVerifier, same, sameChains, until } from './lib.mjs'

const run = promisify(execFile)

const PASSER = '0x4200000000000000000000000000000000000016'
const WITHDRAWAL = '(uint256,address,address,uint256,uint256,bytes)'
const OUTPUT = '(bytes32,bytes32,bytes32,bytes32)'

await main('cast', async (rollup) => {
  const { endpoints, config } = rollup
  const binary = tool('cast')
  // The environment must not name another network or a keystore.
  const cast = async (...args) => {
    const { stdout } = await run(binary, args, { env: { PATH: process.env.PATH, HOME: '/nonexistent' } })
    return stdout.trim()
  }
  const at = (url) => (command, ...args) => cast(command, '--rpc-url', url, ...args)
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

  const withdrawal = await beginWithdrawal({ rollup, cast, l1, l2, from: from(3), sender: rollup.account(3).address })

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

  await withdrawal.prove()
  const target = freshAddress()
  const deposit = JSON.parse(await l1(
    'send', rollup.portal, 'depositTransaction(address,uint256,uint64,bool,bytes)', target, '1000000000000000000', '100000', 'false', '0x',
    '--value', '1ether', '--gas-limit', '300000', '--json', ...from(3),
  ))
  same(BigInt(deposit.status), 1n, 'status of the deposit on L1')
  await until('the deposit arrives', async () => (await l2('balance', target, '--ether')) === '1.000000000000000000', 60)
  const last = BigInt(await l2('block-number'))
  proved('cast deposits one ether through the portal')

  await withdrawal.finalize()

  const status = await safeOnVerifier(rollup, last)
  same(await verifier('balance', target, '--ether', '--block', String(status.safe_l2.number)), '1.000000000000000000', 'balance on the verifier')
  same(await verifier('block', String(last), '-f', 'hash'), await l2('block', String(last), '-f', 'hash'), 'block hash on both nodes')
  await sameChains(rollup, height, last)
  proved('the verifier shows the same')
})

/** Begins a withdrawal of ether; its proof and its end are calls of cast, too. */
async function beginWithdrawal({ rollup: { portal }, cast, l1, l2, from, sender }) {
  const target = freshAddress()
  const begun = JSON.parse(await l2('send', PASSER, 'initiateWithdrawal(address,uint256,bytes)', target, '60000', '0x', '--value', '0.125ether', '--json', ...from))
  same(BigInt(begun.status), 1n, 'status of the withdrawal on L2')
  const [, nonce] = begun.logs[0].topics
  const fields = await cast('abi-decode', '--json', 'passed()(uint256,uint256,bytes,bytes32)', begun.logs[0].data)
  const [value, gasLimit, data, hash] = JSON.parse(fields)
  same([BigInt(value), BigInt(gasLimit), data], [125_000_000_000_000_000n, 60_000n, '0x'], 'the withdrawal in its event')
  const tuple = `(${BigInt(nonce)},${sender},${target},${value},${gasLimit},${data})`
  const finalization = [portal, `finalizeWithdrawalTransaction(${WITHDRAWAL})`, tuple]
  const refusal = await l1('call', ...finalization, '--from', sender).then(() => '', (error) => error.stderr)
  const unproven = await cast('sig', 'OptimismPortal_Unproven()')
  check(refusal.includes(unproven), 'cast shows the error of a finalization without a proof', refusal)

  return {
    prove: async () => {
      const factory = await l1('call', portal, 'disputeGameFactory()(address)')
      const [index, block] = await until('a game holds the withdrawal', async () => {
        const last = BigInt(await l1('call', factory, 'gameCount()(uint256)')) - 1n
        if (last < 0n) return undefined
        const game = (await l1('call', factory, 'gameAtIndex(uint256)(uint32,uint64,address)', String(last))).split('\n')[2]
        const number = BigInt((await l1('call', game, 'l2BlockNumber()(uint256)')).split(' ')[0])
        return number >= BigInt(begun.blockNumber) && [String(last), String(number)]
      }, 60)
      const { stateRoot, hash: blockHash } = JSON.parse(await l2('block', block, '--json'))
      const slot = await cast('index', 'bytes32', hash, '0')
      const { storageHash, storageProof } = JSON.parse(await l2('proof', PASSER, slot, '--block', block))
      same(BigInt(storageProof[0].value), 1n, 'the slot of the withdrawal in cast proof')
      const output = `(0x${'0'.repeat(64)},${stateRoot},${storageHash},${blockHash})`
      const call = [portal, `proveWithdrawalTransaction(${WITHDRAWAL},uint256,${OUTPUT},bytes[])`, tuple, index, output, `[${storageProof[0].proof.join(',')}]`]
      // A proof in the second of its game is refused.
      await until('the proof is taken', () => l1('estimate', ...call, '--from', sender), 20)
      const proven = JSON.parse(await l1('send', ...call, '--json', ...from))
      same(BigInt(proven.status), 1n, 'status of the proof on L1')
      proved(`cast proves a withdrawal by cast proof, against game ${index} about L2 block ${block}`)
    },
    finalize: async () => {
      await until('the withdrawal is mature', () => l1('call', portal, 'checkWithdrawal(bytes32,address)', hash, sender), 60)
      const finalized = JSON.parse(await l1('send', ...finalization, '--json', ...from))
      same(BigInt(finalized.status), 1n, 'status of the finalization')
      same(await l1('balance', target, '--ether'), '0.125000000000000000', 'balance of the recipient on L1')
      proved('cast finalizes it: the ether is on L1')
    },
  }
}
