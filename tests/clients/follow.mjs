// A verifier that runs as a process of its own has derived the same chain:
// `node follow.mjs DIR <its L2 RPC> <its rollup RPC>`.
import { check, main, proved, rpc, same, sameChains, until } from './lib.mjs'

await main('follow', async (rollup) => {
  const [, , , l2Rpc, rollupRpc] = process.argv
  check(l2Rpc && rollupRpc, 'usage: node follow.mjs DIR <L2 RPC> <rollup RPC>')
  const target = (await rollup.verifierStatus()).safe_l2.number
  const status = await until(`its safe head reaches ${target}`, async () => {
    const current = await rpc(rollupRpc, 'optimism_syncStatus')
    return current.safe_l2.number >= target && current
  }, 120, 200)
  const own = { ...rollup, endpoints: { ...rollup.endpoints, verifierRpc: l2Rpc } }
  const count = await sameChains(own, 0, status.safe_l2.number)
  proved(`a separate verifier derived ${count} blocks with equal hashes`)

  const label = await rpc(l2Rpc, 'eth_getBlockByNumber', ['safe', false])
  check(Number(label.number) >= status.safe_l2.number, 'its safe tag follows its rollup RPC', label.number)
  const output = await Promise.all(
    [rollupRpc, rollup.endpoints.rollupRpc].map((url) => rpc(url, 'optimism_outputAtBlock', [`0x${target.toString(16)}`])),
  )
  same(output[0].outputRoot, output[1].outputRoot, `output root at block ${target}`)
  same(await rpc(rollupRpc, 'optimism_rollupConfig'), await rpc(rollup.endpoints.rollupRpc, 'optimism_rollupConfig'), 'rollup config of both nodes')
  check((await rpc(rollupRpc, 'optimism_version')).length > 0, 'optimism_version')
  proved(`output root ${output[0].outputRoot} at block ${target} on both`)

  await until('the L2 has a finalized block', async () => {
    const { finalized_l2: finalized, safe_l2: safe } = await rpc(rollupRpc, 'optimism_syncStatus')
    check(finalized.number <= safe.number, 'finalized is not beyond safe', [finalized.number, safe.number])
    return finalized.number > 0
  }, 60)
  proved('finality advances on it')
})
