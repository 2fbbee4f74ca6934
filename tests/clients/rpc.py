"""web3.py against the L2: reads, sends, logs, proofs, refusals. Usage: rpc.py DIR, as `opal up --out DIR` wrote it."""

import json
import pathlib
import sys
import time

from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware

directory = pathlib.Path(sys.argv[1])
endpoints = json.loads((directory / "endpoints.json").read_text())
config = json.loads((directory / "rollup.json").read_text())
notebook = json.loads((pathlib.Path(__file__).parent / "contracts/artifacts.json").read_text())["Notebook"]

started = time.time()
print("rpc.py")
web3 = Web3(Web3.HTTPProvider(endpoints["l2Rpc"]))
# Its check of the block's extra data knows Ethereum's limit alone.
web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
assert web3.is_connected()
assert web3.eth.chain_id == config["l2_chain_id"]
assert Web3.to_hex(web3.eth.get_block(0)["hash"]) == config["genesis"]["l2"]["hash"]
for tag in ("latest", "safe", "finalized", "earliest", "pending"):
    assert web3.eth.get_block(tag)["number"] >= 0, tag
assert web3.eth.gas_price > 0 and web3.eth.max_priority_fee > 0
history = web3.eth.fee_history(4, "latest", [10.0, 90.0])
assert len(history["baseFeePerGas"]) == len(history["reward"]) + 1
print("  ok  web3.py reads blocks by every tag, and fees")

Account.enable_unaudited_hdwallet_features()
mnemonic = "test test test test test test test test test test test junk"
account = Account.from_mnemonic(mnemonic, account_path="m/44'/60'/0'/0/8")


def send(transaction):
    filled = transaction | {"from": account.address, "nonce": web3.eth.get_transaction_count(account.address, "pending")}
    filled.setdefault("chainId", config["l2_chain_id"])
    if "gas" not in filled:
        filled["gas"] = web3.eth.estimate_gas(filled)
    filled["maxPriorityFeePerGas"] = web3.eth.max_priority_fee
    filled["maxFeePerGas"] = 2 * web3.eth.get_block("latest")["baseFeePerGas"] + filled["maxPriorityFeePerGas"]
    raw = account.sign_transaction(filled).raw_transaction
    tx_hash = web3.eth.send_raw_transaction(raw)
    with (directory / "sent.txt").open("a") as sent:
        sent.write(Web3.to_hex(raw) + "\n")
    return web3.eth.wait_for_transaction_receipt(tx_hash, timeout=60, poll_latency=0.2)


factory = web3.eth.contract(abi=notebook["abi"], bytecode=notebook["bytecode"])
deployed = send({"to": "", "data": factory.constructor(5).data_in_transaction, "value": 0})
contract = web3.eth.contract(address=deployed["contractAddress"], abi=notebook["abi"])
assert contract.functions.value().call() == 5
data = contract.encode_abi("write", [6, "by web3.py"])
written = send({"to": contract.address, "data": data, "value": 0})
assert written["status"] == 1 and int(written["l1Fee"], 16) > 0
assert contract.functions.value().call() == 6
logs = contract.events.Written().get_logs(from_block=0)
assert [log["transactionHash"] for log in logs] == [written["transactionHash"]]
assert web3.eth.get_transaction(written["transactionHash"])["blockNumber"] == written["blockNumber"]
assert len(web3.eth.get_block_receipts(written["blockNumber"])) >= 2
proof = web3.eth.get_proof(contract.address, [0], "latest")
assert len(proof["accountProof"]) > 0 and len(proof["storageProof"]) == 1
print("  ok  web3.py deploys, writes, finds the log, and proves storage")

created = web3.eth.create_access_list({"from": account.address, "to": contract.address, "data": data})
assert any(item["address"] == contract.address for item in created["accessList"])
simulated = web3.eth.simulate_v1(
    {"blockStateCalls": [{"calls": [{"from": account.address, "to": contract.address, "data": data}]}]}, "latest"
)
assert simulated[0]["calls"][0]["status"] == 1
try:
    contract.functions.refuse(9).call()
    raise AssertionError("refuse must revert")
except ContractLogicError:
    pass
try:
    web3.eth.get_transaction("0x" + "11" * 32)
    raise AssertionError("no such transaction")
except TransactionNotFound:
    pass
try:
    web3.eth.send_transaction({"from": account.address, "to": account.address, "value": 1, "gas": 21000})
    raise AssertionError("the node holds no keys")
except Web3RPCError as error:
    assert "unknown account" in str(error), error
print("  ok  web3.py simulates, lists accesses, and understands refusals")
print(f"rpc.py: passed in {time.time() - started:.1f} s")
