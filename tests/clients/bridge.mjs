// `opal bridge` as its users run it: the binary of OPAL_BIN, with keys in every form, against both chains. Ether, tokens
// and messages go both ways; what is refused is told by the contract's error and with what to do, at no cost; a
// withdrawal whose game is struck out is proven again.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { bytesToHex, encodeFunctionData, parseAbi, parseEther } from 'viem'
import { tool } from './foundry.mjs'
import { MNEMONIC, artifacts, check, freshAddress, main, proved, receiptOf, same, until } from './lib.mjs'
import { makeTokens } from './tokenset.mjs'

const run = promisify(execFile)
const ZERO = '0x0000000000000000000000000000000000000000'
const ERC721 = parseAbi(['function ownerOf(uint256) view returns (address)', 'function transferFrom(address, address, uint256)'])
const GUARD = parseAbi(['function blacklistDisputeGame(address)', 'function pause(address)', 'function unpause(address)'])
const { Coin, Listener } = artifacts
/** Gas that no message gets by itself. */
const MUCH = 1_500_000n

await main('bridge', async (rollup) => {
  const { l1, l2, endpoints } = rollup
  const binary = process.env.OPAL_BIN
  check(binary, 'OPAL_BIN names the binary')
  const addresses = rollup.addresses()
  const folder = mkdtempSync(join(tmpdir(), 'opal-bridge-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

  /** The environment of a user: both chains, and a key. */
  const environment = (key, l2Rpc = endpoints.l2Rpc) => ({
    PATH: process.env.PATH,
    OPAL_BRIDGE_L1_RPC: endpoints.l1Rpc,
    ...(l2Rpc && { OPAL_BRIDGE_L2_RPC: l2Rpc }),
    OPAL_BRIDGE_PORTAL: rollup.portal,
    ...key,
  })
  /** Runs `opal bridge`: its exit code and what it wrote. */
  const opal = async (env, ...args) => {
    const ended = await run(binary, ['bridge', '--poll-interval', '100ms', '--timeout', '60s', ...args], { env }).catch((error) => error)
    const { code = 0, stdout, stderr } = ended
    check(!/panicked/.test(stderr), 'no panic', stderr)
    return { code, stdout, stderr }
  }
  /** The same where it must succeed; what it printed as JSON. */
  const ok = async (env, ...args) => {
    const { code, stdout, stderr } = await opal(env, ...args, '--json')
    same(code, 0, `opal bridge ${args.join(' ')}: exit code; ${stderr}`)
    return JSON.parse(stdout)
  }
  /** The same where it must be refused, in words that tell why and what to do. */
  const refused = async (words, env, ...args) => {
    const { code, stderr } = await opal(env, ...args)
    same(code, 1, `opal bridge ${args.join(' ')}: exit code; ${stderr}`)
    const error = stderr.trim().split('\n').at(-1)
    for (const word of [words].flat()) check(error.startsWith('error: ') && error.includes(word), `opal bridge ${args.join(' ')} is refused with ${word}`, error)
    return error
  }

  /** A command that does its work and ends with an error all the same. */
  const failing = async (words, env, ...args) => {
    const { code, stdout, stderr } = await opal(env, ...args, '--json')
    same(code, 1, `opal bridge ${args.join(' ')}: exit code; ${stderr}`)
    for (const word of words) check(stderr.includes(word), `opal bridge ${args.join(' ')} tells ${word}`, stderr)
    return JSON.parse(stdout)
  }

  // Keys in each form: a keystore of Foundry's, a file, a mnemonic with a path, a variable.
  const hex = (index) => bytesToHex(rollup.account(index).getHdKey().privateKey)
  const file = (name, text) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const password = file('password', 'correct horse\n')
  await run(tool('cast'), ['wallet', 'import', 'user', '--keystore-dir', folder, '--private-key', hex(4), '--unsafe-password', 'correct horse'], { env: { PATH: process.env.PATH, HOME: folder } })
  const byKeystore = environment({ OPAL_BRIDGE_KEYSTORE: join(folder, 'user'), OPAL_BRIDGE_PASSWORD_FILE: password })
  const byFile = environment({ OPAL_BRIDGE_PRIVATE_KEY_FILE: file('key', `${hex(5)}\n`) })
  const byMnemonic = environment({ OPAL_BRIDGE_MNEMONIC: MNEMONIC, OPAL_BRIDGE_HD_PATH: "m/44'/60'/0'/0/6" })
  const byVariable = environment({ OPAL_BRIDGE_PRIVATE_KEY: hex(7) })
  const keyless = environment({})

  const maker = rollup.account(5)
  const tokens = await makeTokens(rollup, maker)
  const { coin, coinOnL2, l2Coin, l1OfL2Coin, stamp, stampOnL2, l1Listener, l2Listener } = tokens
  const onL1 = rollup.l1Wallet(maker)
  const stampHolder = rollup.account(6)
  const given = await onL1.writeContract({ abi: ERC721, address: stamp, functionName: 'transferFrom', args: [maker.address, stampHolder.address, 7n] })
  // The account's next transaction is the binary's.
  await receiptOf(l1, given, 'the stamp changes hands')
  const read = (client, abi, address, functionName, ...args) => client.readContract({ abi, address, functionName, args })
  const holds = async (client, address, amount) => same(await client.getBalance({ address }), amount, `ether of ${address}`)
  const prove = async (env, tx) => {
    const proven = await ok(env, 'prove', '--wait', '--tx', tx)
    same(proven.steps.map((step) => step.action), ['prove'], 'the step of prove')
    check(['waiting-to-finalize', 'ready-to-finalize'].includes(proven.status), 'status after the proof', proven.status)
  }
  const finalize = async (env, tx) => {
    const { status, steps } = await ok(env, 'finalize', '--wait', '--tx', tx)
    same([status, steps.map((step) => step.action)], ['finalized', ['finalize']], 'the end of finalize')
  }

  const ether = async () => {
    const recipient = freshAddress()
    const deposit = await ok(byKeystore, 'deposit', '--wait', '--amount', '0.5ether', '--to', recipient)
    same(deposit.succeeded, [true], 'the deposit arrives')
    await holds(l2, recipient, parseEther('0.5'))
    const { l2Transaction: tx } = await ok(byKeystore, 'withdraw', '--amount', '0.25ether', '--to', recipient)
    const fresh = await ok(keyless, 'status', '--tx', tx)
    check(['waiting-to-prove', 'ready-to-prove'].includes(fresh.status), 'status of a new withdrawal', fresh.status)
    await refused(['OptimismPortal_Unproven', 'the withdrawal is'], byKeystore, 'finalize', '--tx', tx)
    await ok(keyless, 'status', '--wait', '--tx', tx)
    const { next } = await ok(keyless, 'status', '--tx', tx)
    same(next.action, 'prove', 'the next step once a game is there')
    await ok(byKeystore, 'prove', '--wait', '--tx', tx)
    await refused(['it is proven already'], byKeystore, 'prove', '--tx', tx)
    const { code, stderr } = await opal(byKeystore, 'finalize', '--tx', tx)
    check(code === 0 || /OptimismPortal_(ProofNotOldEnough|InvalidRootClaim).*(matures|airgap|resolved).*--wait/.test(stderr), 'what is not mature is refused', stderr)
    if (code !== 0) {
      const { stdout } = await opal(keyless, 'status', '--tx', tx)
      for (const line of [/^status {13}(waiting|ready)-to-finalize$/m, /^value {14}0\.25 ether$/m, /^proven .*UTC by 0x/m, /^next .*opal bridge finalize .*--tx 0x/m]) check(line.test(stdout), `status shows ${line}`, stdout)
      await ok(byKeystore, 'finalize', '--wait', '--tx', tx)
    }
    await holds(l1, recipient, parseEther('0.25'))
    await refused(['OptimismPortal_AlreadyFinalized', 'nothing left to do'], byKeystore, 'finalize', '--tx', tx)
    return 'ether, by a keystore of Foundry: deposit, withdraw, status, prove, finalize; what comes too early or twice is refused by its name'
  }
  const erc20 = async () => {
    const recipient = freshAddress()
    await refused('--remote-token', byFile, 'deposit', '--token', coin, '--amount', '7')
    const there = await ok(byFile, 'deposit', '--wait', '--token', coin, '--remote-token', coinOnL2, '--amount', '7.5')
    check(there.approval, 'the bridge of L1 is allowed to take the token')
    same(await read(l2, Coin.abi, coinOnL2, 'balanceOf', maker.address), 7_500_000n, 'the token is on L2')
    const back = await ok(byFile, 'withdraw', '--token', coinOnL2, '--amount', '2.5', '--to', recipient)
    same(back.approval, null, 'a token that the bridge mints needs no approval')
    const native = await ok(byFile, 'withdraw', '--token', l2Coin, '--remote-token', l1OfL2Coin, '--amount', '400wei')
    check(native.approval, 'the bridge of L2 is allowed to take the token')
    const { stdout } = await opal(keyless, 'status', '--tx', back.l2Transaction)
    check(stdout.toLowerCase().includes(`2500000 of the smallest units of ${coin} for ${recipient}`.toLowerCase()), 'status tells what is carried', stdout)
    for (const { l2Transaction } of [back, native]) await prove(byFile, l2Transaction)
    for (const { l2Transaction } of [back, native]) await finalize(byFile, l2Transaction)
    same(await read(l1, Coin.abi, coin, 'balanceOf', recipient), 2_500_000n, 'the token is back on L1')
    same(await read(l1, Coin.abi, l1OfL2Coin, 'balanceOf', maker.address), 400n, 'the token of L2 is on L1')
    return 'ERC-20 tokens of both layers, by a key file'
  }
  const erc721 = async () => {
    await ok(byMnemonic, 'deposit', '--wait', '--nft', stamp, '--remote-token', stampOnL2, '--id', '7')
    same(await read(l2, ERC721, stampOnL2, 'ownerOf', 7n), stampHolder.address, 'the token is on L2')
    const { l2Transaction: tx } = await ok(byMnemonic, 'withdraw', '--nft', stampOnL2, '--id', '7')
    // Proves it on the way.
    const { steps } = await ok(byMnemonic, 'finalize', '--wait', '--tx', tx)
    same(steps.map((step) => step.action), ['prove', 'finalize'], 'the steps of finalize --wait')
    same(await read(l1, ERC721, stamp, 'ownerOf', 7n), stampHolder.address, 'the token is back on L1')
    return 'an ERC-721 token, by a mnemonic and its path'
  }
  const say = (words, gas = 0n) => encodeFunctionData({ abi: Listener.abi, functionName: 'hear', args: [words, gas] })
  const heard = async (client, listener, words, count) => {
    same([await read(client, Listener.abi, listener, 'heard'), await read(client, Listener.abi, listener, 'count')], [words, count], 'what the listener heard, how often')
  }
  const deaf = async (value, account) => {
    const hash = await rollup.l1Wallet(account).writeContract({ abi: Listener.abi, address: l1Listener, functionName: 'setDeaf', args: [value] })
    same((await receiptOf(l1, hash, 'the listener')).status, 'success', 'status of setDeaf')
  }
  const messageToL2 = async () => {
    await ok(byVariable, 'deposit', '--wait', '--message', say('hello L2'), '--to', l2Listener, '--amount', '5wei')
    await heard(l2, l2Listener, 'hello L2', 1n)
    const { l1Transaction: tx } = await failing(['on L2', 'opal bridge relay --tx'], byVariable, 'deposit', '--wait', '--message', say('hello again', MUCH), '--to', l2Listener)
    await ok(byVariable, 'relay', '--tx', tx)
    await heard(l2, l2Listener, 'hello again', 2n)
    await refused('was made already', byVariable, 'relay', '--tx', tx)
    return 'messages to L2, by a variable: with the gas that they ask for, relayed again where that was too little'
  }
  const messageToL1 = async () => {
    const sender = rollup.account(3)
    const env = environment({ OPAL_BRIDGE_PRIVATE_KEY: hex(3) })
    // Finalization gives the message the gas that it needs. One that fails all the same is relayed later.
    const greedy = await ok(env, 'withdraw', '--message', say('hello L1', MUCH), '--to', l1Listener, '--amount', '6wei')
    const late = await ok(env, 'withdraw', '--message', say('still there?'), '--to', l1Listener)
    // A contract that takes no ether: the portal would make this call once, in vain.
    const lost = await ok(env, 'withdraw', '--amount', '9wei', '--to', coin)
    for (const { l2Transaction } of [greedy, late, lost]) await prove(env, l2Transaction)
    await finalize(env, greedy.l2Transaction)
    await heard(l1, l1Listener, 'hello L1', 1n)
    await deaf(true, sender)
    await failing(['on L1', 'opal bridge relay'], env, 'finalize', '--wait', '--tx', late.l2Transaction)
    const { delivered, next } = await ok(keyless, 'status', '--tx', late.l2Transaction)
    same([delivered, next.action], [false, 'relay'], 'status of a message that failed')
    await refused('failed to relay message', env, 'relay', '--tx', late.l2Transaction)
    await deaf(false, sender)
    same((await ok(env, 'relay', '--tx', late.l2Transaction)).delivered, true, 'the message is delivered')
    await heard(l1, l1Listener, 'still there?', 2n)
    await refused(['OptimismPortal_GasEstimation', 'would be lost'], env, 'finalize', '--wait', '--tx', lost.l2Transaction)
    return 'messages to L1: with gas enough for their call, relayed again after they failed; a call that would be lost is not made'
  }
  const exit = async () => {
    const recipient = freshAddress()
    const key = { OPAL_BRIDGE_PRIVATE_KEY: hex(8) }
    const { l1Transaction: tx } = await ok(environment(key, ''), 'exit', '--amount', '0.125ether', '--to', recipient)
    await until('L2 has the forced withdrawal', async () => (await opal(keyless, 'status', '--tx', tx)).code === 0, 60)
    await ok(environment(key), 'finalize', '--wait', '--tx', tx)
    await holds(l1, recipient, parseEther('0.125'))
    return 'exit, with L1 alone'
  }
  /** A withdrawal for what comes then: it is proven, and its game is still to be struck out. */
  const struckOut = freshAddress()
  const toBeStruck = async () => {
    const { l2Transaction: tx } = await ok(environment({ OPAL_BRIDGE_PRIVATE_KEY: hex(2) }), 'withdraw', '--amount', '3wei', '--to', struckOut)
    return tx
  }
  const [tx, ...shown] = await Promise.all([toBeStruck(), ether(), erc20(), erc721(), messageToL2(), messageToL1(), exit()])
  shown.forEach(proved)

  // The guardian strikes the game of a proof out, and pauses the chain.
  const guardian = rollup.l1Wallet(rollup.account(17))
  const guard = async (address, functionName, argument) => {
    const hash = await guardian.writeContract({ abi: GUARD, address, functionName, args: [argument], gas: 200_000n })
    same((await receiptOf(l1, hash, functionName)).status, 'success', `status of ${functionName}`)
  }
  const user = environment({ OPAL_BRIDGE_PRIVATE_KEY: hex(2) })
  const { proof } = await ok(user, 'prove', '--wait', '--tx', tx)
  await guard(addresses.AnchorStateRegistryProxy, 'blacklistDisputeGame', proof.game)
  const struck = await ok(user, 'status', '--tx', tx)
  same([struck.invalidated, ['waiting-to-prove', 'ready-to-prove'].includes(struck.status)], ['blacklisted', true], 'status of a withdrawal whose game is struck out')
  const { stdout } = await opal(user, 'status', '--tx', tx)
  check(/blacklisted/.test(stdout) && /next .*opal bridge prove/.test(stdout), 'status tells why and what to do', stdout)
  await refused(['OptimismPortal_', 'the withdrawal is'], user, 'finalize', '--tx', tx)
  // Another withdrawal lets the proposer make another game.
  await ok(user, 'withdraw', '--amount', '1wei')
  const again = await ok(user, 'prove', '--wait', '--tx', tx)
  same(again.steps.map((step) => step.action), ['prove-again'], 'the step of the second proof')
  check(again.proof.game !== proof.game, 'another game', again.proof)

  await guard(addresses.SuperchainConfigProxy, 'pause', ZERO)
  same((await ok(user, 'status', '--tx', tx)).paused, true, 'status while paused')
  await refused(['OptimismPortal_CallPaused', 'the pause'], user, 'finalize', '--tx', tx)
  await guard(addresses.SuperchainConfigProxy, 'unpause', ZERO)
  await ok(user, 'finalize', '--wait', '--tx', tx)
  await holds(l1, struckOut, 3n)
  proved('a withdrawal whose game is struck out is proven again and paid; nothing goes on while the chain is paused')

  for (const [args, words] of [
    [['withdraw', '--amount', '1'], 'needs its unit'],
    [['status', '--tx', `0x${'12'.repeat(32)}`], 'is it mined?'],
    [['withdraw', '--amount', '1000000ether'], 'insufficient funds'],
  ]) await refused(words, user, ...args)
  await refused(['a key is needed', '--keystore'], keyless, 'withdraw', '--amount', '1wei', '--to', struckOut)
  const wrong = { OPAL_BRIDGE_KEYSTORE: join(folder, 'user'), OPAL_BRIDGE_PASSWORD_FILE: file('wrong', 'wrong') }
  await refused(['--keystore', 'the password is wrong'], environment(wrong), 'withdraw', '--amount', '1wei')
  same((await opal(user, 'withdraw', '--no-such-flag')).code, 2, 'exit code of a flag that is not known')
  proved('mistakes are told, and exit codes are 1, or 2 for the command line')
})
