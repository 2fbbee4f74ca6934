//! `opal deploy`: a rollup's contracts on an L1, from an intent in a file to a verified chain.
//!
//! ```text
//!  init ──► intent.toml ──plan──► steps, costs, addresses      (nothing is sent)
//!                      └──apply─► transactions ──► state.json, rollup.json, genesis.json, addresses.json
//!                                              └──verify, inspect: what is on L1
//! ```

mod apply;
mod folder;
mod plan;
mod verify;

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use eyre::{WrapErr, bail};
use opal_governance::{DevAccounts, Intent, TEST_MNEMONIC, intent::EmbeddedL1};
use opal_service::keys::{KeyArgs, Secret};
use url::Url;

use crate::tool::print;
use folder::Folder;

/// Deploy a rollup's contracts to an L1, step by step, and check what is there.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an intent file with every default, for you to fill in.
    Init {
        #[command(flatten)]
        folder: FolderArgs,
        /// Fill in the accounts and the delays of a devnet. The keys are known to everybody.
        #[arg(long)]
        dev: bool,
        /// Mnemonic of these accounts [default: the well-known test mnemonic]. Two rollups on one L1
        /// need two, for no two batchers can share an account.
        #[arg(
            long,
            env = "OPAL_DEPLOY_DEV_MNEMONIC",
            hide_env_values = true,
            requires = "dev",
            value_name = "WORDS"
        )]
        mnemonic: Option<Secret>,
        /// Chain id of the rollup [default: 901].
        #[arg(long, value_name = "ID")]
        l2_chain_id: Option<u64>,
    },
    /// Show what would be done, what it costs and where everything will be. Sends nothing.
    Plan {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        account: AccountArgs,
        /// JSON-RPC of the L1, to see what is done there already and what gas costs.
        #[arg(long, env = "OPAL_DEPLOY_L1", value_name = "URL")]
        l1: Option<Url>,
    },
    /// Do it. Started again after a crash, it goes on where it was.
    Apply {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        key: DeployerKey,
        #[command(flatten)]
        l1: L1Args,
        /// Blocks, the block itself counted, that make a block firm. A reorg deeper than that
        /// makes another rollup.
        #[arg(long, env = "OPAL_DEPLOY_CONFIRMATIONS", default_value_t = 1, value_name = "BLOCKS",
              value_parser = clap::value_parser!(u64).range(1..=1000))]
        confirmations: u64,
    },
    /// Compare what is on L1 with what the intent wants: code, owners, parameters, proxies.
    Verify {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        account: AccountArgs,
        #[command(flatten)]
        l1: L1Args,
        /// Print every check, not only those that fail.
        #[arg(long)]
        all: bool,
    },
    /// Write rollup.json, genesis.json and addresses.json, read from L1 and the intent.
    Inspect {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        account: AccountArgs,
        #[command(flatten)]
        l1: L1Args,
        /// Print this one instead of writing all.
        #[arg(value_enum)]
        print: Option<verify::Document>,
    },
}

/// The folder of a deployment.
#[derive(Debug, Args)]
struct FolderArgs {
    /// Folder of the deployment: intent.toml is read from it, everything else written to it.
    #[arg(long, env = "OPAL_DEPLOY_DIR", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// The L1.
#[derive(Debug, Args)]
struct L1Args {
    /// JSON-RPC of the L1.
    #[arg(long, env = "OPAL_DEPLOY_L1", value_name = "URL")]
    l1: Url,
}

/// The deployer's account. The contracts' addresses depend on it.
#[derive(Debug, Args)]
struct AccountArgs {
    /// Account that deploys [default: the one that began, or the private key's].
    #[arg(long, env = "OPAL_DEPLOY_DEPLOYER", value_name = "ADDRESS")]
    deployer: Option<Address>,
    #[command(flatten)]
    key: DeployerKey,
}

/// The deployer's key.
#[derive(Debug, Args)]
#[command(
    mut_arg("private_key", |arg| arg.env("OPAL_DEPLOY_PRIVATE_KEY")),
    mut_arg("private_key_file", |arg| arg.env("OPAL_DEPLOY_PRIVATE_KEY_FILE")),
    mut_arg("keystore", |arg| arg.env("OPAL_DEPLOY_KEYSTORE")),
    mut_arg("password_file", |arg| arg.env("OPAL_DEPLOY_PASSWORD_FILE")),
    mut_arg("mnemonic", |arg| arg.env("OPAL_DEPLOY_MNEMONIC")),
    mut_arg("hd_path", |arg| arg.env("OPAL_DEPLOY_HD_PATH"))
)]
struct DeployerKey {
    #[command(flatten)]
    key: KeyArgs,
}

impl AccountArgs {
    /// The deployer, who is named, or has the key, or began before.
    fn address(&self, folder: &Folder) -> eyre::Result<Address> {
        if let Some(address) = self.deployer {
            return Ok(address);
        }
        if let Some(key) = self.key.key.key_if_any()? {
            return Ok(key.address());
        }
        match folder.state()? {
            Some(state) => Ok(state.deployer),
            None => bail!(
                "the contracts' addresses depend on the account that deploys: name it with --deployer, or give its key"
            ),
        }
    }
}

pub(crate) async fn run(args: DeployArgs) -> eyre::Result<()> {
    match args.command {
        Command::Init { folder, dev, mnemonic, l2_chain_id } => {
            let accounts = match dev {
                true => {
                    let phrase = mnemonic.as_ref().map_or(TEST_MNEMONIC, Secret::expose);
                    Some(DevAccounts::from_mnemonic(phrase).wrap_err("--mnemonic")?)
                }
                false => None,
            };
            init(&Folder::new(folder.dir), accounts.as_ref(), l2_chain_id)
        }
        Command::Plan { folder, account, l1 } => {
            let folder = Folder::new(folder.dir);
            let deployer = account.address(&folder)?;
            plan::run(&folder.intent()?, deployer, l1.as_ref()).await
        }
        Command::Apply { folder, key, l1, confirmations } => {
            let key = key.key.key().wrap_err("the deployer signs")?;
            apply::run(&Folder::new(folder.dir), &key, &l1.l1, confirmations).await
        }
        Command::Verify { folder, account, l1, all } => {
            let folder = Folder::new(folder.dir);
            let deployer = account.address(&folder)?;
            verify::run(&folder.intent()?, deployer, &l1.l1, all).await
        }
        Command::Inspect { folder, account, l1, print } => {
            let folder = Folder::new(folder.dir);
            let deployer = account.address(&folder)?;
            verify::inspect(&folder, deployer, &l1.l1, print).await
        }
    }
}

fn init(
    folder: &Folder,
    accounts: Option<&DevAccounts>,
    l2_chain_id: Option<u64>,
) -> eyre::Result<()> {
    let mut intent = match accounts {
        Some(accounts) => Intent { embedded_l1: EmbeddedL1::default(), ..Intent::devnet(accounts) },
        None => Intent::default(),
    };
    if let Some(id) = l2_chain_id {
        intent.l2_chain_id = id;
    }
    let path = folder.write_intent(&intent)?;
    print(&format!("wrote {}", path.display()));
    if accounts.is_none() {
        print("fill in the roles and the chain id, then look at what follows: opal deploy plan");
    }
    Ok(())
}
