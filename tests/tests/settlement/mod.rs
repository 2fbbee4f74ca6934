//! Contracts that `opal deploy` or others have put on an L1, and rollups on them.

mod deployments;
mod official;

/// Roles of a second rollup on one L1: no two batchers can share an account.
const OTHER_MNEMONIC: &str =
    "candy maple cake sugar pudding cream honey rich smooth crumble sweet treat";
