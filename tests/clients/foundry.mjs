// The native programs inside the npm packages of Foundry: `node foundry.mjs anvil` prints where anvil is.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Path of a Foundry program (`cast`, `anvil`) for this machine; the wrapper script of the package only costs time. */
export function tool(name) {
  const require = createRequire(import.meta.url)
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch
  const manifest = require.resolve(`@foundry-rs/${name}-${process.platform}-${arch}/package.json`)
  return join(dirname(manifest), 'bin', name)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(tool(process.argv[2]))
