#!/usr/bin/env node
// Compares each artifact's interface and storage layout with the OP Stack's, line by line. test/reference/ lists those of
// the release line of June 2026, and behind a "-" what we leave out and behind a "+" what we add, both on purpose.
"use strict";

const fs = require("fs");
const path = require("path");

const ROOT = path.dirname(__dirname);

/** A type as in a signature, with the names of a struct's fields. */
function typeOf({ type, components }) {
  if (components === undefined) return type;
  const fields = components.map((field) => `${typeOf(field)} ${field.name}`).join(", ");
  return `(${fields})${type.slice("tuple".length)}`;
}

function parameters(list) {
  return `(${list.map((p) => [typeOf(p), p.indexed ? "indexed" : "", p.name].filter((s) => s).join(" ")).join(", ")})`;
}

/** One line per function, event and error. */
function abiLine(item) {
  const returns = item.outputs?.length > 0 ? ` returns ${parameters(item.outputs)}` : "";
  const mutability = item.stateMutability ? ` ${item.stateMutability}` : "";
  return `${item.type} ${item.name ?? ""}${parameters(item.inputs ?? [])}${mutability}${returns}`;
}

/** One line per stored variable. */
function slotLine({ slot, offset, label, type }) {
  return `slot ${slot} offset ${offset} ${label}: ${type}`;
}

/** Types in the words of the reference, which has some under the name of their file or library. */
const sameWords = (line) =>
  line
    .replace("struct OptimismPortal.", "struct OptimismPortal2.")
    .replace("struct GameState.", "struct FaultDisputeGame.")
    .replace("enum WithdrawalNetwork", "enum Types.WithdrawalNetwork");

function main() {
  let failures = 0;
  for (const file of fs.readdirSync(path.join(ROOT, "artifacts")).sort()) {
    const artifact = JSON.parse(fs.readFileSync(path.join(ROOT, "artifacts", file), "utf8"));
    const ours = new Set([...artifact.abi.map(abiLine), ...artifact.storageLayout.map(slotLine)].map(sameWords));
    const name = artifact.contractName;
    for (const line of fs.readFileSync(path.join(ROOT, "test/reference", `${name}.txt`), "utf8").split("\n")) {
      if (line === "") continue;
      const absent = line.startsWith("- ");
      const text = line.replace(/^[-+] /, "");
      if (ours.delete(text) === absent) {
        failures += 1;
        process.stderr.write(`${name}: ${absent ? "listed as left out, but there" : "missing"}: ${text}\n`);
      }
    }
    for (const text of ours) {
      failures += 1;
      process.stderr.write(`${name}: not in the reference: ${text}\n`);
    }
  }
  if (failures > 0) process.exit(1);
}

module.exports = { abiLine, slotLine };
if (require.main === module) main();
