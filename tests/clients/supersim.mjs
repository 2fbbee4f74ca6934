// Starts npm's `supersim`, which brings an L1 with the OP Stack's contracts of July 2025 and the L2 that goes with them.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { Failure } from './lib.mjs'
import { tool } from './foundry.mjs'

/** Starts supersim on ports that are free; resolves with its process, the URLs of its L1 and of one L2, and the portal's address. */
export async function start() {
  const require = createRequire(import.meta.url)
  const supersim = join(dirname(require.resolve('supersim/package.json')), 'bin', 'supersim')
  const path = `${dirname(tool('anvil'))}${delimiter}${process.env.PATH}`
  const ports = ['--l1.port', '0', '--l2.starting.port', '0', '--l2.count', '1', '--admin.port', '0']
  const child = spawn(supersim, ports, { env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  return await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Failure(`supersim is not ready within 60 s: ${output}`)), 60_000)
    const read = (data) => {
      output += data
      const l1 = output.match(/L1: Name: Local\s+ChainID: \d+\s+RPC: (http:\/\/127\.0\.0\.1:\d+)/)
      const portal = output.match(/OptimismPortal: +(0x[0-9a-fA-F]{40})/)
      const l2 = output.match(/ChainID: 901  RPC: (http:\/\/127\.0\.0\.1:\d+)/)
      if (l1 === null || l2 === null || portal === null) return
      clearTimeout(late)
      resolve({ child, url: l1[1], l2: l2[1], portal: portal[1] })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('exit', (code) => reject(new Failure(`supersim ended with ${code}: ${output}`)))
  })
}
