//! The deployment sent as transactions to an external L1.

use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, bytes};
use alloy_provider::Provider;
use alloy_rpc_types_eth::{Block, TransactionInput, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_transport::TransportResult;
use opal_protocol::L1BlockRef;
use opal_service::http::error_text;

use crate::steps::{CREATE2_PROXY, Check, Plan, Query, Step};

/// How long a transaction may take to be mined before the deployment gives up.
const MINING_DEADLINE: Duration = Duration::from_secs(180);
/// Time between two looks for a receipt.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The account whose one transaction, signed by nobody's key, creates the deterministic deployment
/// proxy on any chain.
const CREATE2_PROXY_SENDER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");
/// What that transaction costs, in wei.
const CREATE2_PROXY_COST: u64 = 10_000_000_000_000_000;
/// That transaction.
const CREATE2_PROXY_TRANSACTION: Bytes = bytes!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
);

/// Why a deployment on an external L1 failed. It can be started again: what was done is skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionsError {
    /// The endpoint serves another chain than the intent's.
    #[error("the L1 endpoint serves chain {found}, the intent is for chain {expected}")]
    WrongChain {
        /// Chain id of the endpoint.
        found: u64,
        /// Chain id of the intent.
        expected: u64,
    },
    /// The L1 did not answer a request.
    #[error("L1 request failed while deployment tried to {doing}: {reason}")]
    Request {
        /// What the request was for.
        doing: &'static str,
        /// What the transport or the L1 says.
        reason: String,
    },
    /// The L1 would not take or not execute a step.
    #[error("deployment step \"{step}\" failed: {reason}")]
    Step {
        /// Name of the step.
        step: &'static str,
        /// What the L1 says.
        reason: String,
    },
    /// A step's transaction was not mined in time.
    #[error(
        "deployment step \"{step}\": transaction {transaction} was not mined within {seconds} s; check that the L1 produces blocks and start again"
    )]
    NotMined {
        /// Name of the step.
        step: &'static str,
        /// Hash of the transaction.
        transaction: B256,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Something is not as the intent wants it: the contracts are of another intent.
    #[error(
        "on L1, {what} is {found}, the intent wants {expected}; choose another salt for a new deployment, or an intent that fits"
    )]
    Check {
        /// What was looked at.
        what: &'static str,
        /// What it is.
        found: Bytes,
        /// What it must be.
        expected: Bytes,
    },
}

/// Chain id of the L1, which must be the intent's if that names one.
///
/// # Errors
/// If the L1 does not answer, or is another chain.
pub async fn chain_id(
    provider: &impl Provider,
    expected: Option<u64>,
) -> Result<u64, TransactionsError> {
    let found = request("read the chain id", provider.get_chain_id().await)?;
    match expected {
        Some(expected) if expected != found => {
            Err(TransactionsError::WrongChain { found, expected })
        }
        _ => Ok(found),
    }
}

/// Sends what is still to be done of a deployment, then checks all of it in one L1 block, which it
/// returns: the block that the rollup shall start from. `batcher` is topped up to a balance.
///
/// # Errors
/// On the first step or check that fails, by its name.
pub async fn deploy(
    provider: &impl Provider,
    signer: &PrivateKeySigner,
    plan: &Plan,
    chain_id: u64,
    batcher: (Address, U256),
) -> Result<L1BlockRef, TransactionsError> {
    let count = provider.get_transaction_count(signer.address()).pending().await;
    let nonce = request("read the deployer's nonce", count)?;
    let mut sender = Sender { provider, signer, chain_id, nonce, mined_in: 0 };

    sender.ensure_create2_proxy().await?;
    // Creations don't depend on each other: they may share a block.
    let together = |a: &Step, b: &Step| a.to == CREATE2_PROXY && b.to == CREATE2_PROXY;
    for steps in plan.steps.chunk_by(together) {
        let mut sent = Vec::new();
        for step in steps {
            if read(provider, &step.done.query, BlockId::latest()).await? == step.done.expected {
                tracing::debug!(target: "opal::governance", step = step.name, "already done");
                continue;
            }
            tracing::info!(target: "opal::governance", step = step.name, "deploying");
            let hash = sender.send(step.name, step.to, U256::ZERO, step.data.clone()).await?;
            sent.push((step.name, hash));
        }
        for (name, hash) in sent {
            sender.mined(name, hash).await?;
        }
    }
    sender.top_up("fund the batcher", batcher.0, batcher.1).await?;

    let block = sender.newest_block().await?;
    verify(provider, &plan.checks, block.header.hash).await?;
    Ok(L1BlockRef::from_header(block.header.hash, &block.header.inner))
}

/// Demands that every check holds in the state after a block.
async fn verify(
    provider: &impl Provider,
    checks: &[Check],
    block: B256,
) -> Result<(), TransactionsError> {
    for Check { what, query, expected } in checks {
        let found = read(provider, query, BlockId::hash(block)).await?;
        if found != *expected {
            return Err(TransactionsError::Check { what, found, expected: expected.clone() });
        }
    }
    Ok(())
}

/// Reads what a check asks for. A call that reverts or meets no contract reads as nothing.
async fn read(
    provider: &impl Provider,
    query: &Query,
    block: BlockId,
) -> Result<Bytes, TransactionsError> {
    match query {
        Query::Code(address) => {
            request("read code", provider.get_code_at(*address).block_id(block).await)
        }
        Query::Storage(address, slot) => {
            let value = provider.get_storage_at(*address, (*slot).into()).block_id(block).await;
            request("read storage", value)
                .map(|value| Bytes::copy_from_slice(&value.to_be_bytes::<32>()))
        }
        Query::Call(to, data) => {
            let call =
                TransactionRequest::default().to(*to).input(TransactionInput::both(data.clone()));
            match provider.call(call).block(block).await {
                Ok(output) => Ok(output),
                Err(error) if error.is_error_resp() => Ok(Bytes::new()),
                Err(error) => request("call a contract", Err(error)),
            }
        }
    }
}

fn request<T>(doing: &'static str, answer: TransportResult<T>) -> Result<T, TransactionsError> {
    answer.map_err(|e| TransactionsError::Request { doing, reason: error_text(&e) })
}

/// The deployer's account and the nonce of its next transaction.
struct Sender<'a, P> {
    provider: &'a P,
    signer: &'a PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    /// Number of the newest block known to hold one of its transactions.
    mined_in: u64,
}

impl<P: Provider> Sender<'_, P> {
    /// Signs and sends one transaction, with gas and fees as the L1 estimates them.
    async fn send(
        &mut self,
        step: &'static str,
        to: Address,
        value: U256,
        input: Bytes,
    ) -> Result<B256, TransactionsError> {
        let failed = |reason: String| TransactionsError::Step { step, reason };
        let call = TransactionRequest::default()
            .from(self.signer.address())
            .to(to)
            .value(value)
            .input(TransactionInput::both(input.clone()));
        let gas = self.provider.estimate_gas(call).block(BlockId::latest()).await;
        let gas = gas.map_err(|e| failed(error_text(&e)))?;
        let fees = request("estimate fees", self.provider.estimate_eip1559_fees().await)?;
        let mut tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            // A margin for state that changes until the transaction is mined.
            gas_limit: gas.saturating_add(gas / 5),
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: TxKind::Call(to),
            value,
            access_list: Default::default(),
            input,
        };
        let signature =
            self.signer.sign_transaction_sync(&mut tx).map_err(|e| failed(e.to_string()))?;
        let tx = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        let sent = self.provider.send_raw_transaction(&tx).await;
        let sent = sent.map_err(|e| failed(error_text(&e)))?;
        self.nonce = self.nonce.saturating_add(1);
        Ok(*sent.tx_hash())
    }

    /// Waits until a transaction is in a block and demands that it succeeded.
    async fn mined(&mut self, step: &'static str, hash: B256) -> Result<(), TransactionsError> {
        let start = Instant::now();
        loop {
            let receipt = self.provider.get_transaction_receipt(hash).await;
            if let Some(receipt) = request("wait for a receipt", receipt)? {
                self.mined_in = self.mined_in.max(receipt.block_number.unwrap_or_default());
                return if receipt.status() {
                    Ok(())
                } else {
                    let reason = format!("transaction {hash} reverted");
                    Err(TransactionsError::Step { step, reason })
                };
            }
            if start.elapsed() > MINING_DEADLINE {
                let seconds = MINING_DEADLINE.as_secs();
                return Err(TransactionsError::NotMined { step, transaction: hash, seconds });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The newest block. An endpoint of several machines may answer from one that has not seen the
    /// deployment yet; that one is waited for.
    async fn newest_block(&self) -> Result<Block, TransactionsError> {
        const DOING: &str = "read the newest block";
        let start = Instant::now();
        loop {
            let latest = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
            match request(DOING, latest)? {
                Some(block) if block.header.number >= self.mined_in => return Ok(block),
                _ if start.elapsed() > MINING_DEADLINE => {
                    let reason = format!("it stays below block {}", self.mined_in);
                    return Err(TransactionsError::Request { doing: DOING, reason });
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Sends ether, if the account has less than `balance`.
    async fn top_up(
        &mut self,
        step: &'static str,
        to: Address,
        balance: U256,
    ) -> Result<(), TransactionsError> {
        let has = request("read a balance", self.provider.get_balance(to).latest().await)?;
        let missing = balance.saturating_sub(has);
        if missing.is_zero() {
            return Ok(());
        }
        let hash = self.send(step, to, missing, Bytes::new()).await?;
        self.mined(step, hash).await
    }

    /// Creates the deterministic deployment proxy on an L1 that has none.
    async fn ensure_create2_proxy(&mut self) -> Result<(), TransactionsError> {
        const STEP: &str = "create the deterministic deployment proxy";
        let code = self.provider.get_code_at(CREATE2_PROXY).latest().await;
        if !request("read code", code)?.is_empty() {
            return Ok(());
        }
        self.top_up(STEP, CREATE2_PROXY_SENDER, U256::from(CREATE2_PROXY_COST)).await?;
        let sent = self.provider.send_raw_transaction(&CREATE2_PROXY_TRANSACTION).await;
        let sent =
            sent.map_err(|e| TransactionsError::Step { step: STEP, reason: error_text(&e) })?;
        self.mined(STEP, *sent.tx_hash()).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::{DevAccounts, TEST_MNEMONIC};
    use crate::deploy_to_l1;
    use crate::intent::{Intent, OperatorFee};
    use alloy_consensus::Transaction;
    use alloy_consensus::transaction::SignerRecoverable;
    use alloy_eips::Decodable2718;
    use alloy_provider::DynProvider;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    #[test]
    fn the_keyless_transaction_creates_the_deployment_proxy() {
        let tx = TxEnvelope::decode_2718_exact(&CREATE2_PROXY_TRANSACTION).unwrap();
        let sender = tx.recover_signer().unwrap();
        assert_eq!(sender, CREATE2_PROXY_SENDER);
        assert_eq!(sender.create(tx.nonce()), CREATE2_PROXY);
        let cost = u128::from(tx.gas_limit()) * tx.gas_price().unwrap();
        assert_eq!(cost, u128::from(CREATE2_PROXY_COST));
    }

    /// An anvil process that ends with the test.
    struct Anvil {
        process: Child,
        provider: DynProvider,
    }

    impl Anvil {
        /// Starts the program that the variable `ANVIL` names, on a free port.
        fn start(arguments: &[&str]) -> Option<Self> {
            let Some(program) = std::env::var_os("ANVIL") else {
                eprintln!("ignored: ANVIL names no anvil program, deployment is not tested on one");
                return None;
            };
            let mut process = Command::new(program)
                .args(["--port", "0"])
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            let address = lines
                .find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned))
                .unwrap();
            // Anvil must not wait for somebody to read what it prints.
            std::thread::spawn(move || lines.for_each(drop));
            let url = url::Url::parse(&format!("http://{address}")).unwrap();
            let provider = opal_service::http::provider(&url).unwrap();
            Some(Self { process, provider })
        }
    }

    impl Drop for Anvil {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn devnet() -> (DevAccounts, Intent) {
        let accounts = DevAccounts::from_mnemonic(TEST_MNEMONIC).unwrap();
        let intent = Intent {
            min_base_fee: 5,
            operator_fee: OperatorFee { scalar: 1, constant: 2 },
            ..Intent::devnet(&accounts)
        };
        (accounts, intent)
    }

    #[tokio::test]
    async fn a_deployment_can_be_repeated_and_notices_another_intent() {
        let Some(anvil) = Anvil::start(&[]) else { return };
        let (accounts, intent) = devnet();
        let deployer = &accounts.users()[0];
        let provider = &anvil.provider;

        let first = deploy_to_l1(provider, deployer, &intent).await.unwrap();
        assert_eq!(first.rollup_config.l1_chain_id, 31337);
        assert_eq!(first.rollup_config.genesis.l1, first.l1_start.id());
        assert_eq!(first.rollup_config.genesis.l2_time, first.l1_start.timestamp);
        let batcher = provider.get_balance(intent.roles.batcher).await.unwrap();
        assert_eq!(batcher, intent.batcher_funding);

        // Nothing is left to do: no transaction, hence no block, and so the very same chain.
        let nonce = provider.get_transaction_count(deployer.address()).await.unwrap();
        let second = deploy_to_l1(provider, deployer, &intent).await.unwrap();
        assert_eq!(provider.get_transaction_count(deployer.address()).await.unwrap(), nonce);
        assert_eq!(second.rollup_config, first.rollup_config);

        let other = Intent { gas_limit: 30_000_000, ..intent.clone() };
        let error = deploy_to_l1(provider, deployer, &other).await.unwrap_err().to_string();
        assert!(error.contains("SystemConfig.gasLimit") && error.contains("salt"), "{error}");
        let salted = Intent { salt: B256::repeat_byte(1), ..other };
        deploy_to_l1(provider, deployer, &salted).await.unwrap();

        let elsewhere = Intent { l1_chain_id: Some(1), ..intent };
        let error = deploy_to_l1(provider, deployer, &elsewhere).await.unwrap_err().to_string();
        assert!(error.contains("31337"), "{error}");
    }

    #[tokio::test]
    async fn a_broken_off_deployment_is_taken_up_again() {
        let Some(anvil) = Anvil::start(&["--block-time", "1"]) else { return };
        let (accounts, intent) = devnet();
        let deployer = &accounts.users()[1];
        let plan = crate::steps::plan(&intent, deployer.address()).unwrap();
        let part = Plan { steps: plan.steps[..6].to_vec(), checks: vec![], ..plan.clone() };
        let batcher = (intent.roles.batcher, U256::ZERO);
        deploy(&anvil.provider, deployer, &part, 31337, batcher).await.unwrap();
        let done = anvil.provider.get_transaction_count(deployer.address()).await.unwrap();
        assert_eq!(done, 6);

        deploy(&anvil.provider, deployer, &plan, 31337, batcher).await.unwrap();
        let done = anvil.provider.get_transaction_count(deployer.address()).await.unwrap();
        assert_eq!(done, plan.steps.len() as u64);
    }

    #[tokio::test]
    async fn an_l1_without_the_deployment_proxy_gets_it() {
        let Some(anvil) = Anvil::start(&["--disable-default-create2-deployer"]) else { return };
        let (accounts, intent) = devnet();
        assert!(anvil.provider.get_code_at(CREATE2_PROXY).await.unwrap().is_empty());
        deploy_to_l1(&anvil.provider, &accounts.users()[0], &intent).await.unwrap();
        let code = anvil.provider.get_code_at(CREATE2_PROXY).await.unwrap();
        assert_eq!(code, crate::l1_genesis::CREATE2_PROXY_CODE);
    }

    #[tokio::test]
    async fn a_step_that_the_l1_refuses_is_named() {
        let Some(anvil) = Anvil::start(&["--accounts", "1"]) else { return };
        let (accounts, intent) = devnet();
        // This account has no ether there.
        let error = deploy_to_l1(&anvil.provider, &accounts.users()[5], &intent).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("\"create ProxyAdmin\""), "{error}");
    }
}
