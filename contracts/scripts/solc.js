#!/usr/bin/env node
// The solc command line as forge speaks it (`--version`, `--standard-json`), over npm's solc.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require("solc/soljson");

/** The compiler's version in the form of the native binary, which forge parses. */
function version() {
  return solc.UTF8ToString(solc._solidity_version());
}

/**
 * Compiles one standard-JSON request. The request is copied to the wasm heap: the usual binding
 * passes strings on the wasm stack, which a request with many sources overflows.
 */
function compile(request) {
  const size = solc.lengthBytesUTF8(request) + 1;
  const pointer = solc._solidity_alloc(size);
  solc.stringToUTF8(request, pointer, size);
  const output = solc.UTF8ToString(solc._solidity_compile(pointer, 0, 0));
  solc._solidity_reset();
  return output;
}

module.exports = { compile, version };

if (require.main === module) {
  const args = process.argv.slice(2);
  if (args.includes("--version")) {
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version()}\n`);
  } else if (args.includes("--standard-json")) {
    fs.writeFileSync(1, compile(fs.readFileSync(0, "utf8")));
  } else {
    process.stderr.write(`${path.basename(__filename)}: only --version and --standard-json are known, got: ${args.join(" ")}\n`);
    process.exit(2);
  }
}
