#!/usr/bin/env node
// Compiles src/ and writes one artifact per contract to the folder given as argument. The bytes depend on the sources,
// the compiler and the settings of foundry.toml, and on nothing else.
"use strict";

const fs = require("fs");
const path = require("path");
const { compile, version } = require("./solc.js");

const ROOT = path.dirname(__dirname);

/** The contracts that are deployed, by source file. */
const CONTRACTS = [
  "src/L1/ETHLockbox.sol",
  "src/L1/L1CrossDomainMessenger.sol",
  "src/L1/L1ERC721Bridge.sol",
  "src/L1/L1StandardBridge.sol",
  "src/L1/OptimismPortal.sol",
  "src/L1/ProtocolVersions.sol",
  "src/L1/SuperchainConfig.sol",
  "src/L1/SystemConfig.sol",
  "src/L2/BaseFeeVault.sol",
  "src/L2/GasPriceOracle.sol",
  "src/L2/L1Block.sol",
  "src/L2/L1FeeVault.sol",
  "src/L2/L2CrossDomainMessenger.sol",
  "src/L2/L2ERC721Bridge.sol",
  "src/L2/L2StandardBridge.sol",
  "src/L2/L2ToL1MessagePasser.sol",
  "src/L2/OperatorFeeVault.sol",
  "src/L2/OptimismMintableERC721.sol",
  "src/L2/OptimismMintableERC721Factory.sol",
  "src/L2/SequencerFeeVault.sol",
  "src/L2/WETH.sol",
  "src/dispute/AnchorStateRegistry.sol",
  "src/dispute/DelayedWETH.sol",
  "src/dispute/DisputeGameFactory.sol",
  "src/dispute/NoVM.sol",
  "src/dispute/PermissionedDisputeGame.sol",
  "src/legacy/DeployerWhitelist.sol",
  "src/legacy/L1BlockNumber.sol",
  "src/legacy/LegacyMessagePasser.sol",
  "src/universal/OptimismMintableERC20.sol",
  "src/universal/OptimismMintableERC20Factory.sol",
  "src/universal/Proxy.sol",
  "src/universal/ProxyAdmin.sol",
];

/** Warnings that the sources cause on purpose: selfdestruct (5159), getters that are `view` in the ABI (2018). */
const EXPECTED_WARNINGS = new Set(["5159", "2018"]);

/** One value of foundry.toml, so that tests and artifacts can't be compiled differently. */
function setting(name) {
  const toml = fs.readFileSync(path.join(ROOT, "foundry.toml"), "utf8");
  const line = toml.match(new RegExp(`^${name} = (.*)$`, "m"));
  if (line === null) throw new Error(`foundry.toml lacks ${name}`);
  return JSON.parse(line[1]);
}

const byName = (a, b) => (a.name < b.name ? -1 : 1);

function sources(folder) {
  const found = {};
  for (const entry of fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).sort(byName)) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(found, sources(name));
    else if (name.endsWith(".sol")) found[name] = { content: fs.readFileSync(path.join(ROOT, name), "utf8") };
  }
  return found;
}

/** Visits every object of a syntax tree. */
function walk(node, visit) {
  if (Array.isArray(node)) node.forEach((child) => walk(child, visit));
  else if (node !== null && typeof node === "object") {
    visit(node);
    Object.values(node).forEach((child) => walk(child, visit));
  }
}

/** Names by syntax-tree id of all variables, to name the immutables by. */
function variableNames(output) {
  const names = {};
  for (const source of Object.values(output.sources)) {
    walk(source.ast, (node) => {
      if (node.nodeType === "VariableDeclaration") names[node.id] = node.name;
    });
  }
  return names;
}

/** Byte ranges in the runtime code by name of the immutable, both in ascending order. */
function immutables(references, names) {
  return Object.fromEntries(
    Object.entries(references)
      .map(([id, ranges]) => [
        names[id],
        ranges.map(({ start, length }) => ({ start, length })).sort((a, b) => a.start - b.start),
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function main(target) {
  const settings = {
    evmVersion: setting("evm_version"),
    optimizer: { enabled: setting("optimizer"), runs: setting("optimizer_runs") },
    viaIR: setting("via_ir"),
    metadata: { appendCBOR: setting("cbor_metadata"), bytecodeHash: setting("bytecode_hash") },
  };
  const selection = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"];
  selection.push("evm.deployedBytecode.immutableReferences", "storageLayout");
  const request = {
    language: "Solidity",
    sources: sources("src"),
    settings: { ...settings, outputSelection: { "*": { "*": selection, "": ["ast"] } } },
  };
  const output = JSON.parse(compile(JSON.stringify(request)));

  const problems = (output.errors ?? []).filter((e) => !EXPECTED_WARNINGS.has(e.errorCode));
  if (problems.length > 0) {
    process.stderr.write(problems.map((e) => e.formattedMessage).join("\n"));
    process.exit(1);
  }

  const names = variableNames(output);
  fs.mkdirSync(target, { recursive: true });
  for (const file of CONTRACTS) {
    const contractName = path.basename(file, ".sol");
    const { abi, evm, storageLayout } = output.contracts[file][contractName];
    const artifact = {
      contractName,
      abi,
      initCode: `0x${evm.bytecode.object}`,
      runtimeCode: `0x${evm.deployedBytecode.object}`,
      immutableReferences: immutables(evm.deployedBytecode.immutableReferences, names),
      storageLayout: storageLayout.storage.map(({ slot, offset, label, type }) => ({
        slot,
        offset,
        label,
        type: storageLayout.types[type].label,
      })),
      compiler: { solc: version(), settings },
    };
    fs.writeFileSync(path.join(target, `${contractName}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  }
}

if (process.argv.length !== 3) {
  process.stderr.write("usage: artifacts.js FOLDER\n");
  process.exit(2);
}
main(process.argv[2]);
