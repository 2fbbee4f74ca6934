//! Contracts made from a seed: code that mostly makes sense, so that it gets far, with all that
//! clients may disagree about in it.

use alloy_primitives::{Address, U256};

use crate::generate::Rng;

/// Which of Ethereum's forks the code is for: opcodes of later ones are rare, since they end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Up to Paris.
    Paris,
    /// PUSH0.
    Shanghai,
    /// Transient storage, MCOPY, blob opcodes.
    Cancun,
    /// BLS12-381, delegations.
    Prague,
    /// CLZ.
    Osaka,
}

/// Makes contracts.
#[derive(Debug)]
pub struct Contracts<'a> {
    /// Where the numbers come from.
    pub rng: &'a mut Rng,
    /// Whom the code calls.
    pub pool: &'a [Address],
    /// The fork that the code is for.
    pub level: Level,
}

/// Code that is being written, with what stands behind it as data.
#[derive(Default)]
struct Code {
    out: Vec<u8>,
    /// Where the two bytes of an offset are to be put in, and the data it is the offset of.
    data: Vec<(usize, Vec<u8>)>,
}

const STOP: u8 = 0x00;
const POP: u8 = 0x50;
const MSTORE: u8 = 0x52;
const SSTORE: u8 = 0x55;
const JUMPI: u8 = 0x57;
const GAS: u8 = 0x5a;
const JUMPDEST: u8 = 0x5b;
const RETURN: u8 = 0xf3;

/// Opcodes without operands.
const ENVIRONMENT: [(u8, Level); 21] = [
    (0x30, Level::Paris), // ADDRESS
    (0x32, Level::Paris), // ORIGIN
    (0x33, Level::Paris), // CALLER
    (0x34, Level::Paris), // CALLVALUE
    (0x36, Level::Paris), // CALLDATASIZE
    (0x38, Level::Paris), // CODESIZE
    (0x3a, Level::Paris), // GASPRICE
    (0x3d, Level::Paris), // RETURNDATASIZE
    (0x41, Level::Paris), // COINBASE
    (0x42, Level::Paris), // TIMESTAMP
    (0x43, Level::Paris), // NUMBER
    (0x44, Level::Paris), // PREVRANDAO
    (0x45, Level::Paris), // GASLIMIT
    (0x46, Level::Paris), // CHAINID
    (0x47, Level::Paris), // SELFBALANCE
    (0x48, Level::Paris), // BASEFEE
    (0x58, Level::Paris), // PC
    (0x59, Level::Paris), // MSIZE
    (GAS, Level::Paris),
    (0x5f, Level::Shanghai), // PUSH0
    (0x4a, Level::Cancun),   // BLOBBASEFEE
];
const UNARY: [(u8, Level); 3] = [(0x15, Level::Paris), (0x19, Level::Paris), (0x1e, Level::Osaka)];
const BINARY: [u8; 21] = [
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17,
    0x18, 0x1a, 0x1b, 0x1c, 0x1d,
];

impl Code {
    fn op(&mut self, op: u8) {
        self.out.push(op);
    }

    fn push(&mut self, value: U256) {
        let bytes = value.to_be_bytes_trimmed_vec();
        let bytes = if bytes.is_empty() { vec![0] } else { bytes };
        self.out.push(0x5f + bytes.len() as u8);
        self.out.extend_from_slice(&bytes);
    }

    fn number(&mut self, value: u64) {
        self.push(U256::from(value));
    }

    /// A jump target that is not known yet.
    fn label(&mut self) -> usize {
        self.out.extend_from_slice(&[0x61, 0, 0]);
        self.out.len() - 2
    }

    fn here(&mut self, label: usize) {
        let at = self.out.len() as u16;
        self.out[label..label + 2].copy_from_slice(&at.to_be_bytes());
        self.out.push(JUMPDEST);
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(STOP);
        for (label, data) in self.data {
            let at = self.out.len() as u16;
            self.out[label..label + 2].copy_from_slice(&at.to_be_bytes());
            self.out.extend_from_slice(&data);
        }
        self.out
    }
}

impl Contracts<'_> {
    /// Runtime code.
    pub fn runtime(&mut self) -> Vec<u8> {
        self.code(2)
    }

    /// Code that deploys such code, or does something else.
    pub fn init(&mut self) -> Vec<u8> {
        self.init_code(1)
    }

    fn code(&mut self, depth: u8) -> Vec<u8> {
        let mut code = Code::default();
        for _ in 0..2 + self.rng.below(10) {
            self.statement(&mut code, depth);
        }
        if self.one_in(3) {
            self.end(&mut code);
        }
        code.finish()
    }

    fn init_code(&mut self, depth: u8) -> Vec<u8> {
        let mut code = Code::default();
        for _ in 0..self.rng.below(4) {
            self.statement(&mut code, depth);
        }
        if self.one_in(6) {
            self.end(&mut code);
            return code.finish();
        }
        let mut runtime = self.code(depth.saturating_sub(1));
        if self.one_in(30) {
            // EIP-3541.
            runtime[0] = 0xef;
        }
        code.number(runtime.len() as u64);
        let label = code.label();
        code.number(0);
        code.op(0x39);
        code.number(if self.one_in(20) { 0x6001 } else { runtime.len() as u64 });
        code.number(0);
        code.op(RETURN);
        code.data.push((label, runtime));
        code.finish()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    /// Whether to use an opcode of this fork.
    fn knows(&mut self, level: Level) -> bool {
        level <= self.level || self.one_in(60)
    }

    fn constant(&mut self) -> U256 {
        match self.rng.below(8) {
            0 => U256::ZERO,
            1..=3 => U256::from(self.rng.below(40)),
            4 => U256::from(1) << self.rng.below(256),
            5 => U256::MAX - U256::from(self.rng.below(3)),
            6 => U256::from_be_slice(self.address().as_slice()),
            _ => U256::from_be_bytes(self.rng.word().0),
        }
    }

    fn address(&mut self) -> Address {
        if self.one_in(40) {
            return Address::from_slice(&self.rng.word()[12..]);
        }
        self.pool[self.rng.below(self.pool.len() as u64) as usize]
    }

    fn push_address(&mut self, code: &mut Code) {
        match self.rng.below(8) {
            0 => code.op(0x30),
            1 => code.op(0x33),
            _ => {
                let address = self.address();
                code.push(U256::from_be_slice(address.as_slice()));
            }
        }
    }

    /// A place in memory; rarely one that costs all gas.
    fn place(&mut self) -> u64 {
        match self.rng.below(200) {
            0 => self.rng.next() >> self.rng.below(64),
            1..=9 => self.rng.below(6_000),
            _ => self.rng.below(12) * 32,
        }
    }

    fn length(&mut self) -> u64 {
        match self.rng.below(200) {
            0 => self.rng.next() >> self.rng.below(64),
            1..=9 => self.rng.below(6_000),
            10..=60 => 0,
            _ => self.rng.below(100),
        }
    }

    fn slot(&mut self) -> u64 {
        self.rng.below(6)
    }

    /// Leaves one word on the stack.
    fn value(&mut self, code: &mut Code, depth: u8) {
        let choice = if depth == 0 { self.rng.below(6) } else { self.rng.below(22) };
        match choice {
            0 | 1 => {
                let constant = self.constant();
                code.push(constant);
            }
            2 => {
                code.number(self.rng.below(4) * 32);
                code.op(0x35);
            }
            3 => {
                code.number(self.slot());
                let transient = self.one_in(3) && self.knows(Level::Cancun);
                code.op(if transient { 0x5c } else { 0x54 });
            }
            4 | 5 => {
                let (op, level) = ENVIRONMENT[self.rng.below(ENVIRONMENT.len() as u64) as usize];
                code.op(if self.knows(level) { op } else { GAS });
            }
            6 => {
                self.value(code, depth - 1);
                let (op, level) = UNARY[self.rng.below(3) as usize];
                code.op(if self.knows(level) { op } else { 0x15 });
            }
            7 => {
                self.push_address(code);
                code.op([0x31, 0x3b, 0x3f][self.rng.below(3) as usize]);
            }
            8 => {
                // BLOCKHASH of a near block, or of one that is none.
                code.number(self.rng.below(4));
                code.op(0x43);
                code.op(if self.one_in(8) { 0x01 } else { 0x03 });
                code.op(0x40);
            }
            9 => {
                code.number(self.rng.below(3));
                code.op(if self.knows(Level::Cancun) { 0x49 } else { 0x35 });
            }
            10 => {
                code.number(self.place());
                code.op(0x51);
            }
            11 => {
                code.number(self.length());
                code.number(self.place());
                code.op(0x20);
            }
            12 => {
                for _ in 0..3 {
                    self.value(code, 0);
                }
                code.op(if self.one_in(2) { 0x08 } else { 0x09 });
            }
            13 | 14 => self.call(code),
            15 => self.create(code, depth - 1),
            _ => {
                self.value(code, depth - 1);
                self.value(code, depth - 1);
                code.op(BINARY[self.rng.below(BINARY.len() as u64) as usize]);
            }
        }
    }

    /// A call; leaves its success on the stack.
    fn call(&mut self, code: &mut Code) {
        let address = self.address();
        let precompile = U256::from_be_slice(address.as_slice());
        let precompile = (precompile <= U256::from(0x100)).then(|| precompile.to::<u64>());
        let length = match precompile {
            Some(number) => self.precompile_input(code, number),
            None => self.length(),
        };
        let output = self.length();
        code.number(output);
        code.number(self.place());
        code.number(length);
        code.number(if precompile.is_some() { 0 } else { self.place() });
        let op = [0xf1, 0xf1, 0xf1, 0xf2, 0xf4, 0xf4, 0xfa][self.rng.below(7) as usize];
        if op == 0xf1 || op == 0xf2 {
            code.number(if self.one_in(3) { self.rng.below(1000) } else { 0 });
        }
        code.push(U256::from_be_slice(address.as_slice()));
        match self.rng.below(4) {
            0 => code.number(self.rng.below(100_000)),
            1 => code.push(U256::MAX),
            2 => {
                code.number(1);
                code.op(GAS);
                code.op(0x1c);
            }
            _ => code.op(GAS),
        }
        code.op(op);
    }

    /// Writes an input that the precompile takes, often, at the beginning of memory.
    fn precompile_input(&mut self, code: &mut Code, number: u64) -> u64 {
        let store = |code: &mut Code, index: u64, value: U256| {
            code.push(value);
            code.number(index * 32);
            code.op(MSTORE);
        };
        let small = |rng: &mut Rng| U256::from(rng.below(4));
        let length = match number {
            1 => {
                for index in 0..4 {
                    let word = U256::from_be_bytes(self.rng.word().0) >> 1;
                    let word = if index == 1 { U256::from(27 + self.rng.below(2)) } else { word };
                    store(code, index, word);
                }
                128
            }
            5 => {
                for index in 0..3 {
                    store(code, index, U256::from(self.rng.below(48)));
                }
                for index in 3..6 {
                    store(code, index, U256::from_be_bytes(self.rng.word().0));
                }
                96 + self.rng.below(140)
            }
            6 | 7 => {
                // The generator of the curve, and a number or another point.
                store(code, 0, U256::from(1));
                store(code, 1, U256::from(2));
                let word = small(self.rng);
                store(code, 2, word);
                let word = small(self.rng);
                store(code, 3, word);
                if number == 6 { 128 } else { 96 }
            }
            8 => self.rng.below(3) * 192,
            9 => {
                // Rounds in the first four bytes, the flag in the last.
                store(code, 0, U256::from(self.rng.below(20)) << 224);
                store(code, 1, U256::from_be_bytes(self.rng.word().0));
                code.number(self.rng.below(2));
                code.number(212);
                code.op(0x53);
                213
            }
            0x0a => 192,
            // Zeros are the point at infinity.
            0x0b => 256,
            0x0c => 160 * self.rng.below(3),
            0x0d => 512,
            0x0e => 288 * self.rng.below(3),
            0x0f => 384 * self.rng.below(3),
            0x10 => 64,
            0x11 => 128,
            0x100 => 160,
            _ => self.length().min(4_000),
        };
        if self.one_in(12) { length + self.rng.below(3) } else { length }
    }

    /// A creation; leaves the address on the stack.
    fn create(&mut self, code: &mut Code, depth: u8) {
        let init = match self.rng.below(8) {
            0 => {
                let length = self.rng.below(40) as usize;
                self.rng.bytes(length)
            }
            _ => self.init_code(depth.min(1)),
        };
        let length = init.len() as u64;
        code.number(length);
        let label = code.label();
        code.number(0x200);
        code.op(0x39);
        code.data.push((label, init));
        let two = self.one_in(2);
        if two {
            code.number(self.rng.below(2));
        }
        code.number(if self.one_in(40) { 50_000 } else { length });
        code.number(0x200);
        code.number(if self.one_in(3) { self.rng.below(100) } else { 0 });
        code.op(if two { 0xf5 } else { 0xf0 });
    }

    /// Leaves the stack as it was.
    fn statement(&mut self, code: &mut Code, depth: u8) {
        let nested = if depth == 0 { 0 } else { depth };
        match self.rng.below(24) {
            0..=6 => {
                self.value(code, nested);
                code.number(self.slot());
                let transient = self.one_in(4) && self.knows(Level::Cancun);
                code.op(if transient { 0x5d } else { SSTORE });
            }
            7 | 8 => {
                self.value(code, nested);
                code.number(self.place());
                code.op(if self.one_in(4) { 0x53 } else { MSTORE });
            }
            9 => {
                code.number(self.length());
                code.number(self.place());
                code.number(self.place());
                // MCOPY, CALLDATACOPY or CODECOPY.
                let op = [0x5e, 0x37, 0x39][self.rng.below(3) as usize];
                code.op(if op == 0x5e && !self.knows(Level::Cancun) { 0x37 } else { op });
            }
            10 => {
                code.number(self.length());
                code.number(0);
                code.number(self.place());
                self.push_address(code);
                code.op(0x3c);
            }
            11 => {
                // RETURNDATACOPY of what there is, or of more.
                if self.one_in(10) {
                    code.number(33);
                } else {
                    code.op(0x3d);
                }
                code.number(0);
                code.number(self.place());
                code.op(0x3e);
            }
            12 | 13 => {
                let topics = self.rng.below(5) as u8;
                for _ in 0..topics {
                    self.value(code, 0);
                }
                code.number(self.length());
                code.number(self.place());
                code.op(0xa0 + topics);
            }
            14..=16 => {
                self.call(code);
                if self.one_in(2) {
                    code.op(POP);
                } else {
                    code.number(self.slot());
                    code.op(SSTORE);
                }
            }
            17 if depth > 0 => {
                self.create(code, depth - 1);
                code.number(self.slot());
                code.op(SSTORE);
            }
            18 | 19 if depth > 0 => {
                self.value(code, nested);
                let label = code.label();
                code.op(JUMPI);
                self.statement(code, depth - 1);
                if self.one_in(4) {
                    self.end(code);
                }
                code.here(label);
            }
            20 if depth > 0 => {
                code.number(1 + self.rng.below(4));
                let start = code.out.len() as u64;
                code.op(JUMPDEST);
                self.statement(code, depth - 1);
                // One less; again unless that is zero.
                for op in [0x60, 1, 0x90, 0x03, 0x80] {
                    code.op(op);
                }
                code.number(start);
                code.op(JUMPI);
                code.op(POP);
            }
            21 if self.one_in(4) => {
                let length = self.rng.below(6) as usize;
                let garbage = self.rng.bytes(length);
                code.out.extend_from_slice(&garbage);
            }
            _ => {
                self.value(code, nested);
                code.op(POP);
            }
        }
    }

    /// Something that ends the execution.
    fn end(&mut self, code: &mut Code) {
        match self.rng.below(8) {
            0 => code.op(STOP),
            1 => code.op(0xfe),
            2 | 3 => {
                self.push_address(code);
                code.op(0xff);
            }
            ending => {
                code.number(self.length());
                code.number(self.place());
                code.op(if ending < 6 { RETURN } else { 0xfd });
            }
        }
    }
}
