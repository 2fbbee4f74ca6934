//! The commands.

use std::fs;

use alloy_primitives::{Address, B256, U256};
use eyre::{WrapErr, bail, eyre};
use opal_dispute::withdrawals::{
    Asset, BridgeError, Bridges, Call, Deposit, Goal, L1, L2, Layer, Located, Patience, Reach,
    Report, Sender, Status, Step, Transfer, WithdrawalBridge, decimals, deposit, deposited, follow,
    forced, next_status, refusal, remote_token, step, withdrawal,
};
use opal_protocol::{RollupConfig, registry};
use opal_service::http;
use opal_service::keys::Key;

use super::args::{BridgeArgs, Command, Common, ExitArgs, StatusArgs, TransferArgs, WhichArgs};
use super::output::{self, Deposited, Fate};
use crate::tool::note;

pub(crate) async fn run(args: BridgeArgs) -> eyre::Result<()> {
    let session = Session::open(args.common).await?;
    match args.command {
        Command::Deposit(transfer) => session.deposit(&transfer).await,
        Command::Withdraw(transfer) => session.withdraw(&transfer).await,
        Command::Prove(which) => session.go(&which, Goal::Proven).await,
        Command::Finalize(which) => session.go(&which, Goal::Finalized).await,
        Command::Relay(which) => session.relay(&which).await,
        Command::Status(which) => session.status(&which).await,
        Command::Exit(exit) => session.exit(&exit).await,
    }
}

/// Both chains, and who signs.
struct Session {
    common: Common,
    key: Option<Key>,
    bridge: WithdrawalBridge,
}

impl Session {
    async fn open(common: Common) -> eyre::Result<Self> {
        let key = common.key.key_if_any()?;
        let portal = portal(&common)?;
        let provider = http::provider(&common.l1_rpc).wrap_err("--l1-rpc")?;
        let l1 = L1::connect(provider, portal).await?;
        let l2 = match &common.l2_rpc {
            None => None,
            Some(url) => {
                let provider = http::provider(url).wrap_err("--l2-rpc")?;
                Some(L2::connect(provider, l1.contracts().l2_chain_id).await?)
            }
        };
        Ok(Self { common, key, bridge: WithdrawalBridge::new(l1, l2) })
    }

    fn patience(&self) -> Patience {
        self.common.patience()
    }

    async fn sender(&self, layer: Layer) -> eyre::Result<Sender> {
        let key = self.key.clone().ok_or(BridgeError::NeedsKey)?;
        let provider = match layer {
            Layer::L1 => self.bridge.l1().provider(),
            Layer::L2 => self.bridge.l2("send to it")?.provider(),
        };
        Ok(Sender::new(layer, provider.clone(), key, self.common.tx_manager()).await?)
    }

    /// Who receives: the one that was named, or the account that sends.
    fn recipient(&self, args: &TransferArgs) -> eyre::Result<Address> {
        let own = self.key.as_ref().map(Key::address);
        args.to.or(own).ok_or_else(|| eyre!("--to: say who receives, or give a key"))
    }

    /// What the flags ask to be moved from `layer` to the other.
    async fn transfer(&self, args: &TransferArgs, layer: Layer) -> eyre::Result<Transfer> {
        let to = self.recipient(args)?;
        let ether = || args.amount.as_ref().map_or(Ok(U256::ZERO), |amount| amount.ether());
        let amount = |result: Result<U256, String>| result.map_err(|e| eyre!("--amount: {e}"));
        let asset = match (args.token, args.nft, &args.message) {
            (Some(local), _, _) => {
                let provider = self.provider(layer)?;
                let remote = match args.remote_token {
                    Some(remote) => remote,
                    None => remote_token(layer, provider, local).await?,
                };
                let units = decimals(layer, provider, local).await?;
                let given = args.amount.as_ref().ok_or_else(|| eyre!("--amount is missing"))?;
                Asset::Erc20 { local, remote, amount: amount(given.tokens(units))? }
            }
            (_, Some(local), _) => {
                let remote = match args.remote_token {
                    Some(remote) => remote,
                    None => remote_token(layer, self.provider(layer)?, local).await?,
                };
                let id = args.id.ok_or_else(|| eyre!("--id is missing"))?;
                Asset::Erc721 { local, remote, id }
            }
            (_, _, Some(data)) => Asset::Message { value: amount(ether())?, data: data.clone() },
            _ if args.amount.is_none() => bail!("say what to move: --amount, --nft or --message"),
            _ => Asset::Ether(amount(ether())?),
        };
        Ok(Transfer { asset, to, gas_limit: args.gas_limit })
    }

    fn provider(&self, layer: Layer) -> eyre::Result<&alloy_provider::DynProvider> {
        Ok(match layer {
            Layer::L1 => self.bridge.l1().provider(),
            Layer::L2 => self.bridge.l2("look at the token")?.provider(),
        })
    }

    async fn deposit(&self, args: &TransferArgs) -> eyre::Result<()> {
        let transfer = self.transfer(args, Layer::L1).await?;
        let contracts = *self.bridge.l1().contracts();
        let call = deposit(&transfer, contracts.portal, &contracts.bridges);
        if self.common.unsigned {
            self.print_unsigned(Layer::L1, &contracts.bridges, &transfer.asset, call);
            return Ok(());
        }
        if self.common.wait {
            self.bridge.l2("wait for the deposit")?;
        }
        let sender = self.sender(Layer::L1).await?;
        let approval = sender.approve(&contracts.bridges, &transfer.asset).await?;
        let receipt = sender.send("the deposit", &call).await?;
        self.arrive(approval, receipt.transaction_hash).await?;
        Ok(())
    }

    /// Follows the deposits of an L1 transaction to L2, if that was asked for, and prints them.
    async fn arrive(&self, approval: Option<B256>, l1: B256) -> eyre::Result<()> {
        let mut l2 = Vec::new();
        for deposit in self.bridge.deposits_of(l1).await? {
            let fate = if self.common.wait { Some(self.fate(&deposit).await?) } else { None };
            l2.push((deposit, fate));
        }
        let met = |wanted| l2.iter().any(|(_, fate)| *fate == Some(wanted));
        let (failed, undelivered) = (met(Fate::Failed), met(Fate::Undelivered));
        Deposited { approval, l1, l2 }.output().print(self.common.json);
        if failed {
            bail!("the deposit's call failed on L2; ether that came along is its sender's there");
        }
        if undelivered {
            bail!(
                "the message's call failed on L2; what it carries waits there until the call succeeds: opal bridge relay --tx {l1}"
            );
        }
        Ok(())
    }

    /// Waits for a deposit on L2, and says what became of it.
    async fn fate(&self, deposit: &Deposit) -> eyre::Result<Fate> {
        let receipt = deposited(&self.bridge, deposit.hash, self.patience()).await?;
        let arrived = match &deposit.message {
            Some(message) => self.bridge.arrived(message).await?,
            None => None,
        };
        Ok(match arrived {
            _ if receipt.status.is_zero() => Fate::Failed,
            Some(false) => Fate::Undelivered,
            _ => Fate::Done,
        })
    }

    fn print_unsigned(&self, layer: Layer, bridges: &Bridges, asset: &Asset, call: Call) {
        let mut calls = Vec::new();
        if let Some((token, spender, amount)) = bridges.spender(asset) {
            note(
                "the first call lets the bridge take the token; a token that the bridge mints needs none",
            );
            calls.push(opal_dispute::withdrawals::approval(token, spender, amount));
        }
        calls.push(call);
        output::unsigned(layer, &calls).print(self.common.json);
    }

    async fn withdraw(&self, args: &TransferArgs) -> eyre::Result<()> {
        let transfer = self.transfer(args, Layer::L2).await?;
        let call = withdrawal(&transfer);
        if self.common.unsigned {
            self.print_unsigned(Layer::L2, &Bridges::L2, &transfer.asset, call);
            return Ok(());
        }
        let sender = self.sender(Layer::L2).await?;
        let approval = sender.approve(&Bridges::L2, &transfer.asset).await?;
        let receipt = sender.send("the withdrawal", &call).await?;
        let located = self.bridge.locate(receipt.transaction_hash, 0).await?;
        if self.common.wait {
            let which = WhichArgs { tx: receipt.transaction_hash, index: 0 };
            return self.follow(&located, &which, Goal::Finalized).await;
        }
        output::begun(&located, approval).print(self.common.json);
        Ok(())
    }

    async fn exit(&self, args: &ExitArgs) -> eyre::Result<()> {
        let transfer = self.transfer(&args.transfer, Layer::L2).await?;
        let inner = withdrawal(&transfer);
        let portal = self.bridge.l1().contracts().portal;
        let call = forced(&inner, portal, args.l2_gas)?;
        if self.common.unsigned {
            output::unsigned(Layer::L1, &[call]).print(self.common.json);
            return Ok(());
        }
        let sender = self.sender(Layer::L1).await?;
        let receipt = sender.send("the forced withdrawal", &call).await?;
        self.arrive(None, receipt.transaction_hash).await?;
        if self.common.wait {
            let which = WhichArgs { tx: receipt.transaction_hash, index: 0 };
            let located = self.bridge.locate(which.tx, which.index).await?;
            return self.follow(&located, &which, Goal::Finalized).await;
        }
        note(&format!(
            "next, with --l2-rpc of any node of the chain: opal bridge finalize --wait --tx {}",
            receipt.transaction_hash
        ));
        Ok(())
    }

    async fn follow(&self, located: &Located, which: &WhichArgs, goal: Goal) -> eyre::Result<()> {
        let sender = self.sender(Layer::L1).await?;
        let (steps, report) = follow(&self.bridge, &sender, located, goal, self.patience()).await?;
        self.tell(&steps, &report, which)
    }

    /// Prints the steps that were taken. A message that failed is an error: what it carries has not
    /// arrived.
    fn tell(&self, steps: &[Step], report: &Report, which: &WhichArgs) -> eyre::Result<()> {
        output::stepped(steps, report, which).print(self.common.json);
        if report.delivered == Some(false) {
            bail!(
                "the withdrawal is finalized, but its message's call failed on L1; what it carries waits there until the call succeeds: opal bridge relay"
            );
        }
        Ok(())
    }

    /// `prove`, `finalize`, and `relay` of a withdrawal.
    async fn go(&self, which: &WhichArgs, goal: Goal) -> eyre::Result<()> {
        let located = self.bridge.locate(which.tx, which.index).await?;
        if self.common.unsigned {
            let own: Vec<Address> = self.key.iter().map(Key::address).collect();
            let report = self.bridge.report(&located, &own).await?;
            let Some(next) = report.next.filter(|_| !report.paused) else {
                bail!("the withdrawal is {}: {}", report.status, report.note);
            };
            output::unsigned(Layer::L1, &[next.call]).print(self.common.json);
            return Ok(());
        }
        if self.common.wait {
            return self.follow(&located, which, goal).await;
        }
        let sender = self.sender(Layer::L1).await?;
        let (before, taken) = step(&self.bridge, &sender, &located, goal, Reach::Own).await?;
        let Some(taken) = taken else {
            let advice = advice(&before, goal);
            let error = refusal(&self.bridge, &sender, before, goal).await?;
            bail!("{error}; {advice}");
        };
        let report = self.bridge.report(&located, &[sender.address()]).await?;
        self.tell(&[taken], &report, which)
    }

    /// Relays a deposit's message on L2 once more, or a withdrawal's on L1.
    async fn relay(&self, which: &WhichArgs) -> eyre::Result<()> {
        let l2 = self.bridge.l2("find the message")?;
        if l2.receipt(which.tx).await?.is_some() {
            return self.go(which, Goal::Delivered).await;
        }
        let deposits = self.bridge.deposits_of(which.tx).await?;
        let mut messages = deposits.into_iter().filter_map(|deposit| deposit.message).peekable();
        if messages.peek().is_none() {
            // A withdrawal that L1 forced.
            return self.go(which, Goal::Delivered).await;
        }
        let message = messages.nth(which.index).ok_or_else(|| {
            eyre!("--index {}: the transaction sends fewer messages", which.index)
        })?;
        match self.bridge.arrived(&message).await? {
            None => bail!("cannot relay: the message is not on L2 yet; wait for it"),
            Some(true) => bail!("cannot relay: the message's call was made already"),
            Some(false) => {}
        }
        if self.common.unsigned {
            output::unsigned(Layer::L2, &[message.relay]).print(self.common.json);
            return Ok(());
        }
        let sender = self.sender(Layer::L2).await?;
        let receipt = sender.send_through("relaying", &message.relay).await?;
        output::relayed(receipt.transaction_hash).print(self.common.json);
        Ok(())
    }

    async fn status(&self, args: &StatusArgs) -> eyre::Result<()> {
        let which = &args.which;
        let located = self.bridge.locate(which.tx, which.index).await?;
        let own = self.key.as_ref().map(Key::address);
        let provers: Vec<Address> = args.prover.into_iter().chain(own).collect();
        let report = match self.common.wait {
            true => next_status(&self.bridge, &located, &provers, self.patience()).await?,
            false => self.bridge.report(&located, &provers).await?,
        };
        output::status(&report, which).print(self.common.json);
        Ok(())
    }
}

/// What to do when it is not the time for a step.
fn advice(report: &Report, goal: Goal) -> &'static str {
    match (goal, report.status) {
        (Goal::Delivered, Status::Finalized) => "its message went through, or it carries none",
        (Goal::Delivered, _) => "finalize it first",
        (_, Status::Finalized) => "there is nothing left to do",
        (Goal::Proven, Status::WaitingToFinalize | Status::ReadyToFinalize) => {
            "it is proven already; finalize is next"
        }
        _ if report.paused => "try again when the guardian has ended the pause, or let --wait wait",
        (Goal::Finalized, Status::ReadyToProve) => "prove it first; with --wait finalize does so",
        _ => "try again then, or let --wait wait for it",
    }
}

/// The chain's portal.
fn portal(common: &Common) -> eyre::Result<Address> {
    if let Some(portal) = common.portal {
        return Ok(portal);
    }
    if let Some(name) = &common.network {
        return Ok(registry::find(name).wrap_err("--network")?.portal);
    }
    let Some(path) = &common.rollup_config else {
        bail!("say which chain it is: --network, --portal or --rollup-config");
    };
    let flag = || format!("--rollup-config {}", path.display());
    let json = fs::read_to_string(path).wrap_err_with(flag)?;
    let config: RollupConfig = serde_json::from_str(&json).wrap_err_with(flag)?;
    Ok(config.deposit_contract_address)
}
