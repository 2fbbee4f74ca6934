//! The deployment on L1 as data: an ordered list of steps, and what must hold afterwards.
//!
//! ```text
//!  intent ──plan──► steps ──┬─ in_process: EVM at genesis ─► alloc of the embedded L1
//!                   checks ─┴─ transactions: an RPC provider ─► an external L1
//! ```
//! All contracts are created through the deterministic deployment proxy, so that every address is
//! known before the first step, no step depends on a nonce, and a deployment that broke off can be
//! taken up again: a step whose `done` check already holds is skipped.

use alloy_primitives::{Address, B256, Bytes, U256, address, b256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use opal_protocol::Hardfork;
use opal_protocol::contracts::ISystemConfig;
use opal_protocol::system_config::FeeScalars;

use crate::abi::{
    ChainContracts, IOptimismPortalSetup, IOwnable, IProxyAdmin, ISystemConfigSetup, ResourceConfig,
};
use crate::addresses::Addresses;
use crate::artifacts::{ArtifactError, Contract};
use crate::intent::Intent;

/// The deterministic deployment proxy: calldata is a salt and init code.
pub const CREATE2_PROXY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// EIP-1967's implementation slot.
pub const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
/// EIP-1967's admin slot.
pub const ADMIN_SLOT: B256 =
    b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");

/// The version that the current implementations initialize.
const INIT_VERSION: u64 = 3;

/// The market of deposits: what one L1 block may buy of L2's gas, and at which price.
const RESOURCE_CONFIG: ResourceConfig = ResourceConfig {
    maxResourceLimit: 20_000_000,
    elasticityMultiplier: 10,
    baseFeeMaxChangeDenominator: 8,
    minimumBaseFee: 1_000_000_000,
    systemTxMaxGas: 1_000_000,
    maximumBaseFee: u128::MAX,
};

/// A way to read the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The code of an account.
    Code(Address),
    /// A storage slot, as 32 bytes.
    Storage(Address, B256),
    /// What a call returns.
    Call(Address, Bytes),
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at, for people: "SystemConfig.gasLimit".
    pub what: &'static str,
    /// How to read it.
    pub query: Query,
    /// What it must be.
    pub expected: Bytes,
}

/// One transaction of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does, for people.
    pub name: &'static str,
    /// Whom it calls.
    pub to: Address,
    /// Calldata.
    pub data: Bytes,
    /// Holds when the step has been done.
    pub done: Check,
}

/// A deployment: what to do, and how to see that it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where everything will be.
    pub addresses: Addresses,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What must hold after the last one.
    pub checks: Vec<Check>,
}

/// A contract to create.
struct Creation {
    address: Address,
    step: Step,
}

/// Plans the deployment. `deployer` is the account that sends the steps: it owns the contracts
/// until the last steps hand them to the intent's owners.
///
/// # Errors
/// If an embedded artifact is damaged.
pub fn plan(intent: &Intent, deployer: Address) -> Result<Plan, ArtifactError> {
    let proxy = Contract::Proxy.artifact()?;
    let proxy_code = proxy.runtime_code(&[])?;
    let create = |name, check, init_code: Bytes, runtime: Bytes| {
        let salt = salt(intent, name);
        let address = CREATE2_PROXY.create2_from_code(salt, &init_code);
        let done = Check { what: check, query: Query::Code(address), expected: runtime };
        let data = [salt.as_slice(), &init_code].concat().into();
        Creation { address, step: Step { name, to: CREATE2_PROXY, data, done } }
    };

    let proxy_admin = Contract::ProxyAdmin.artifact()?;
    let proxy_admin = create(
        "create ProxyAdmin",
        "code of ProxyAdmin",
        proxy_admin.init_code(&deployer.abi_encode()),
        proxy_admin.runtime_code(&[])?,
    );
    let proxy_init = proxy.init_code(&proxy_admin.address.abi_encode());
    let config_proxy = create(
        "create SystemConfigProxy",
        "code of SystemConfigProxy",
        proxy_init.clone(),
        proxy_code.clone(),
    );
    let portal_proxy =
        create("create OptimismPortalProxy", "code of OptimismPortalProxy", proxy_init, proxy_code);

    let init_version = B256::from(U256::from(INIT_VERSION));
    let config = Contract::SystemConfig.artifact()?;
    let config_impl = create(
        "create SystemConfigImpl",
        "code of SystemConfigImpl",
        config.init_code(&[]),
        config.runtime_code(&[("INIT_VERSION", init_version)])?,
    );
    let delay = U256::from(intent.proof_maturity_delay);
    let portal = Contract::OptimismPortal.artifact()?;
    let portal_impl = create(
        "create OptimismPortalImpl",
        "code of OptimismPortalImpl",
        portal.init_code(&delay.abi_encode()),
        portal.runtime_code(&[
            ("INIT_VERSION", init_version),
            ("PROOF_MATURITY_DELAY_SECONDS", B256::from(delay)),
        ])?,
    );

    let addresses = Addresses {
        proxy_admin: proxy_admin.address,
        optimism_portal_proxy: portal_proxy.address,
        optimism_portal_impl: portal_impl.address,
        system_config_proxy: config_proxy.address,
        system_config_impl: config_impl.address,
    };
    let mut steps: Vec<Step> = [proxy_admin, config_proxy, portal_proxy, config_impl, portal_impl]
        .into_iter()
        .map(|creation| creation.step)
        .collect();
    let mut checks: Vec<Check> = steps.iter().map(|step| step.done.clone()).collect();
    steps.extend(initializations(intent, &addresses, deployer));
    steps.extend(settings(intent, &addresses));
    steps.extend(handovers(intent, &addresses));
    checks.extend(expectations(intent, &addresses));
    Ok(Plan { addresses, steps, checks })
}

/// Different for every chain and contract, so that two proxies of the same code can exist.
fn salt(intent: &Intent, name: &str) -> B256 {
    keccak256((intent.salt, U256::from(intent.l2_chain_id), name).abi_encode())
}

/// Points the proxies to their implementations and initializes them, each in one transaction, so
/// that nobody can come between. An implementation in the proxy's slot shows that it was done.
fn initializations(intent: &Intent, addresses: &Addresses, deployer: Address) -> [Step; 2] {
    let upgrade_and_call = |name, what, proxy: Address, implementation: Address, data: Vec<u8>| {
        let call = IProxyAdmin::upgradeAndCallCall { proxy, implementation, data: data.into() };
        Step {
            name,
            to: addresses.proxy_admin,
            data: call.abi_encode().into(),
            done: slot_is(what, proxy, IMPLEMENTATION_SLOT, implementation),
        }
    };
    let config = ISystemConfigSetup::initializeCall {
        owner: deployer,
        basefeeScalar: intent.fees.base_fee,
        blobbasefeeScalar: intent.fees.blob_base_fee,
        batcherHash: intent.roles.batcher.into_word(),
        gasLimit: intent.gas_limit,
        unsafeBlockSigner: intent.roles.unsafe_block_signer,
        config: RESOURCE_CONFIG,
        batchInbox: intent.batch_inbox(),
        addresses: ChainContracts {
            optimismPortal: addresses.optimism_portal_proxy,
            l1CrossDomainMessenger: Address::ZERO,
            l1ERC721Bridge: Address::ZERO,
            l1StandardBridge: Address::ZERO,
            optimismMintableERC20Factory: Address::ZERO,
            delayedWETH: Address::ZERO,
            opcm: Address::ZERO,
        },
        l2ChainId: U256::from(intent.l2_chain_id),
        superchainConfig: Address::ZERO,
    };
    let portal = IOptimismPortalSetup::initializeCall {
        systemConfig: addresses.system_config_proxy,
        anchorStateRegistry: Address::ZERO,
        ethLockbox: Address::ZERO,
    };
    [
        upgrade_and_call(
            "initialize SystemConfig",
            "implementation of SystemConfigProxy",
            addresses.system_config_proxy,
            addresses.system_config_impl,
            config.abi_encode(),
        ),
        upgrade_and_call(
            "initialize OptimismPortal",
            "implementation of OptimismPortalProxy",
            addresses.optimism_portal_proxy,
            addresses.optimism_portal_impl,
            portal.abi_encode(),
        ),
    ]
}

/// Parameters that the initializer does not take. They are zero after it; a step exists only for
/// what the intent wants otherwise.
fn settings(intent: &Intent, addresses: &Addresses) -> Vec<Step> {
    let config = addresses.system_config_proxy;
    let mut steps = Vec::new();
    if intent.fork < Hardfork::Ecotone {
        let (overhead, scalar) = bedrock_fees(intent);
        steps.push(Step {
            name: "set fee scalars of before Ecotone",
            to: config,
            data: ISystemConfig::setGasConfigCall { _overhead: overhead, _scalar: scalar }
                .abi_encode()
                .into(),
            done: returns("SystemConfig.scalar", config, ISystemConfigSetup::scalarCall {}, scalar),
        });
    }
    let fee = intent.operator_fee;
    if fee != Default::default() {
        let call = ISystemConfig::setOperatorFeeScalarsCall {
            _operatorFeeScalar: fee.scalar,
            _operatorFeeConstant: fee.constant,
        };
        // Both are set at once; the one that is not zero tells whether they are.
        let done = if fee.scalar != 0 {
            let getter = ISystemConfig::operatorFeeScalarCall {};
            returns("SystemConfig.operatorFeeScalar", config, getter, fee.scalar)
        } else {
            let getter = ISystemConfig::operatorFeeConstantCall {};
            returns("SystemConfig.operatorFeeConstant", config, getter, fee.constant)
        };
        let data = call.abi_encode().into();
        steps.push(Step { name: "set operator fee", to: config, data, done });
    }
    if intent.min_base_fee != 0 {
        let call = ISystemConfig::setMinBaseFeeCall { _minBaseFee: intent.min_base_fee };
        steps.push(Step {
            name: "set minimum base fee",
            to: config,
            data: call.abi_encode().into(),
            done: returns(
                "SystemConfig.minBaseFee",
                config,
                ISystemConfig::minBaseFeeCall {},
                intent.min_base_fee,
            ),
        });
    }
    if intent.da_footprint_gas_scalar != 0 {
        let scalar = intent.da_footprint_gas_scalar;
        let call = ISystemConfig::setDAFootprintGasScalarCall { _daFootprintGasScalar: scalar };
        steps.push(Step {
            name: "set DA footprint gas scalar",
            to: config,
            data: call.abi_encode().into(),
            done: returns(
                "SystemConfig.daFootprintGasScalar",
                config,
                ISystemConfig::daFootprintGasScalarCall {},
                u64::from(scalar),
            ),
        });
    }
    steps
}

/// Gives the contracts to the owners that the intent names.
fn handovers(intent: &Intent, addresses: &Addresses) -> [Step; 2] {
    let hand_over = |name, what, contract, owner| Step {
        name,
        to: contract,
        data: IOwnable::transferOwnershipCall { newOwner: owner }.abi_encode().into(),
        done: returns(what, contract, IOwnable::ownerCall {}, owner),
    };
    [
        hand_over(
            "hand SystemConfig to its owner",
            "SystemConfig.owner",
            addresses.system_config_proxy,
            intent.roles.system_config_owner,
        ),
        hand_over(
            "hand ProxyAdmin to its owner",
            "ProxyAdmin.owner",
            addresses.proxy_admin,
            intent.roles.l1_proxy_admin_owner,
        ),
    ]
}

/// Everything that the intent says, read back from the contracts.
fn expectations(intent: &Intent, addresses: &Addresses) -> Vec<Check> {
    let Addresses {
        proxy_admin, optimism_portal_proxy: portal, system_config_proxy: config, ..
    } = *addresses;
    let roles = &intent.roles;
    let (overhead, scalar) = fee_parameters(intent);
    vec![
        returns(
            "implementation of SystemConfigProxy",
            proxy_admin,
            IProxyAdmin::getProxyImplementationCall { proxy: config },
            addresses.system_config_impl,
        ),
        returns(
            "admin of SystemConfigProxy",
            proxy_admin,
            IProxyAdmin::getProxyAdminCall { proxy: config },
            proxy_admin,
        ),
        returns(
            "implementation of OptimismPortalProxy",
            proxy_admin,
            IProxyAdmin::getProxyImplementationCall { proxy: portal },
            addresses.optimism_portal_impl,
        ),
        returns(
            "admin of OptimismPortalProxy",
            proxy_admin,
            IProxyAdmin::getProxyAdminCall { proxy: portal },
            proxy_admin,
        ),
        returns(
            "ProxyAdmin.owner",
            proxy_admin,
            IOwnable::ownerCall {},
            roles.l1_proxy_admin_owner,
        ),
        returns("SystemConfig.owner", config, IOwnable::ownerCall {}, roles.system_config_owner),
        returns("SystemConfig.overhead", config, ISystemConfigSetup::overheadCall {}, overhead),
        returns("SystemConfig.scalar", config, ISystemConfigSetup::scalarCall {}, scalar),
        returns(
            "SystemConfig.batcherHash",
            config,
            ISystemConfig::batcherHashCall {},
            roles.batcher,
        ),
        returns("SystemConfig.gasLimit", config, ISystemConfig::gasLimitCall {}, intent.gas_limit),
        returns(
            "SystemConfig.eip1559Denominator",
            config,
            ISystemConfig::eip1559DenominatorCall {},
            0u32,
        ),
        returns(
            "SystemConfig.eip1559Elasticity",
            config,
            ISystemConfig::eip1559ElasticityCall {},
            0u32,
        ),
        returns(
            "SystemConfig.operatorFeeScalar",
            config,
            ISystemConfig::operatorFeeScalarCall {},
            intent.operator_fee.scalar,
        ),
        returns(
            "SystemConfig.operatorFeeConstant",
            config,
            ISystemConfig::operatorFeeConstantCall {},
            intent.operator_fee.constant,
        ),
        returns(
            "SystemConfig.minBaseFee",
            config,
            ISystemConfig::minBaseFeeCall {},
            intent.min_base_fee,
        ),
        returns(
            "SystemConfig.daFootprintGasScalar",
            config,
            ISystemConfig::daFootprintGasScalarCall {},
            u64::from(intent.da_footprint_gas_scalar),
        ),
        returns(
            "SystemConfig.unsafeBlockSigner",
            config,
            ISystemConfig::unsafeBlockSignerCall {},
            roles.unsafe_block_signer,
        ),
        returns(
            "SystemConfig.batchInbox",
            config,
            ISystemConfigSetup::batchInboxCall {},
            intent.batch_inbox(),
        ),
        returns(
            "SystemConfig.optimismPortal",
            config,
            ISystemConfigSetup::optimismPortalCall {},
            portal,
        ),
        returns(
            "SystemConfig.l2ChainId",
            config,
            ISystemConfigSetup::l2ChainIdCall {},
            intent.l2_chain_id,
        ),
        returns(
            "SystemConfig.resourceConfig",
            config,
            ISystemConfigSetup::resourceConfigCall {},
            RESOURCE_CONFIG,
        ),
        returns(
            "OptimismPortal.systemConfig",
            portal,
            IOptimismPortalSetup::systemConfigCall {},
            config,
        ),
        returns(
            "OptimismPortal.proofMaturityDelaySeconds",
            portal,
            IOptimismPortalSetup::proofMaturityDelaySecondsCall {},
            intent.proof_maturity_delay,
        ),
    ]
}

/// `overhead` and `scalar` of the SystemConfig after deployment.
pub(crate) fn fee_parameters(intent: &Intent) -> (U256, U256) {
    if intent.fork < Hardfork::Ecotone {
        return bedrock_fees(intent);
    }
    let scalars = FeeScalars {
        base_fee_scalar: intent.fees.base_fee,
        blob_base_fee_scalar: intent.fees.blob_base_fee,
    };
    (U256::ZERO, scalars.encode().into())
}

fn bedrock_fees(intent: &Intent) -> (U256, U256) {
    (U256::from(intent.fees.bedrock_overhead), U256::from(intent.fees.bedrock_scalar))
}

fn returns(what: &'static str, to: Address, call: impl SolCall, expected: impl SolValue) -> Check {
    let query = Query::Call(to, call.abi_encode().into());
    Check { what, query, expected: expected.abi_encode().into() }
}

fn slot_is(what: &'static str, at: Address, slot: B256, expected: Address) -> Check {
    let expected = Bytes::copy_from_slice(expected.into_word().as_slice());
    Check { what, query: Query::Storage(at, slot), expected }
}
