// Compiles the test contracts with npm's solc (installed in contracts/) and writes artifacts.json.
// `node build.mjs --check` compares instead of writing.
import { createRequire } from 'node:module'
import { readFileSync, writeFileSync } from 'node:fs'

const here = new URL('.', import.meta.url)
const require = createRequire(new URL('../../../contracts/package.json', import.meta.url))
const solc = require('solc')

const names = ['Notebook', 'Depositor', 'Delegate', 'Forwarder', 'Coin', 'Stamp', 'Listener']
const input = {
  language: 'Solidity',
  sources: Object.fromEntries(names.map((n) => [`${n}.sol`, { content: readFileSync(new URL(`${n}.sol`, here), 'utf8') }])),
  settings: {
    evmVersion: 'paris',
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
}
const output = JSON.parse(solc.compile(JSON.stringify(input)))
for (const error of output.errors ?? []) console.error(error.formattedMessage)
if ((output.errors ?? []).some((e) => e.severity === 'error')) process.exit(1)

const artifacts = Object.fromEntries(
  names.map((n) => {
    const contract = output.contracts[`${n}.sol`][n]
    return [n, { abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` }]
  }),
)
const text = `${JSON.stringify(artifacts, null, 1)}\n`
const file = new URL('artifacts.json', here)
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== text) {
    console.error('tests/clients/contracts/artifacts.json is not what the sources compile to: run `node build.mjs` there')
    process.exit(1)
  }
} else {
  writeFileSync(file, text)
}
