//! Decompression of zlib streams (RFC 1950, RFC 1951).
//!
//! Node and fault-proof program must agree about every stream, damaged ones too, and both with the
//! reference node, which uses Go's `compress/zlib`. Therefore one decoder serves both builds, with
//! Go's rules where decoders differ:
//! - what was decompressed before an error counts;
//! - a code is complete, or has one symbol of length one, or none; a block needs no end-of-block
//!   code until it ends;
//! - near the end of the input, a symbol is read only if as many bits are left as the end-of-block
//!   code has;
//! - a distance may reach back 32 KiB, whatever window the header announces;
//! - a preset dictionary is accepted if it is the empty one.
//!
//! Most of the work is done by a loop that decodes without looking for the end of input or output,
//! because both are known to be far away. A symbol is found by one look into a table of 2^11
//! entries; longer codes go on in a second table behind it.

mod adler32;
mod bits;
mod codes;
mod output;

use alloc::boxed::Box;
use alloc::vec::Vec;

use adler32::adler32;
use bits::Bits;
use codes::{BLOCK_END, Codes, DISTANCE_BITS, LITERAL, LITLEN_BITS, SECOND, VALUE, value};
use output::{OUTPUT_SLACK, Output, copy};

/// What came out of a zlib stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inflated {
    /// The output, up to the limit or the first error.
    pub(crate) data: Vec<u8>,
    /// Why no more came out.
    pub(crate) end: End,
    /// Where in the output the last empty stored block stands, which Go takes as an order to hand
    /// over what there is.
    pub(crate) flushed: usize,
}

/// Where decompression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of the stream; the checksum is right.
    Complete,
    /// At the limit of the output, or before.
    Limit,
    /// Where the stream is damaged or cut off; or at its end, with a wrong checksum.
    Damage,
}

/// Distance from the end of the input that the fast loop keeps: two loads of eight bytes.
const INPUT_SLACK: usize = 16;

/// The stream is damaged or ends, or the output is full: nothing more comes.
struct Stop;

/// Decompresses a zlib stream to at most `limit` bytes. Bytes behind its end are ignored.
pub(crate) fn inflate_zlib(input: &[u8], limit: usize) -> Inflated {
    // A guess that a real channel seldom outgrows twice.
    let capacity = input.len().saturating_mul(4).clamp(1024, 1 << 24).min(limit);
    let mut out = Output::new(capacity, limit);
    let end = match zlib(input, &mut out) {
        Ok(true) => End::Complete,
        Err(Stop) if out.full => End::Limit,
        Ok(false) | Err(Stop) => End::Damage,
    };
    out.data.truncate(out.at);
    Inflated { data: out.data, end, flushed: out.flushed }
}

/// Whether the checksum is right.
fn zlib(input: &[u8], out: &mut Output) -> Result<bool, Stop> {
    let mut bits = Bits::new(input);
    let [cmf, flags] = bits.bytes().ok_or(Stop)?;
    let deflate = cmf & 0x0f == 8 && cmf >> 4 <= 7;
    if !deflate || !u16::from_be_bytes([cmf, flags]).is_multiple_of(31) {
        return Err(Stop);
    }
    // The checksum of an empty dictionary is one.
    if flags & 0x20 != 0 && bits.bytes() != Some(1u32.to_be_bytes()) {
        return Err(Stop);
    }
    let mut codes = Box::new(Codes::new());
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, out)?,
            1 => {
                codes.fixed()?;
                compressed(&mut bits, out, &codes)?;
            }
            2 => {
                codes.dynamic(&mut bits)?;
                compressed(&mut bits, out, &codes)?;
            }
            _ => return Err(Stop),
        }
        if last {
            break;
        }
    }
    bits.align();
    let checksum = bits.bytes().ok_or(Stop)?;
    Ok(u32::from_be_bytes(checksum) == adler32(&out.data[..out.at]))
}

fn stored(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), Stop> {
    bits.align();
    let length = u16::from_le_bytes(bits.bytes().ok_or(Stop)?);
    let inverse = u16::from_le_bytes(bits.bytes().ok_or(Stop)?);
    if length != !inverse {
        return Err(Stop);
    }
    if length == 0 {
        out.flushed = out.at;
    }
    let length = usize::from(length);
    let rest = bits.input.get(bits.at..).unwrap_or_default();
    let there = length.min(rest.len());
    let count = out.reserve(there);
    out.full = count < there;
    out.data[out.at..out.at + count].copy_from_slice(&rest[..count]);
    out.at += count;
    bits.at += count;
    if count < length { Err(Stop) } else { Ok(()) }
}

/// The symbols of a block with codes.
fn compressed(bits: &mut Bits<'_>, out: &mut Output, codes: &Codes) -> Result<(), Stop> {
    loop {
        // Room for the fast loop.
        out.reserve(2 * OUTPUT_SLACK);
        if fast(bits, out, codes)? {
            return Ok(());
        }
        // One symbol, and then the fast loop again if that is possible: near the end of the output
        // it is, once there is more room.
        bits.refill();
        let entry = codes.litlen.look_up(LITLEN_BITS, bits.buffer);
        let code = entry >> 8 & 0xf;
        if entry & (LITERAL | VALUE | BLOCK_END) == 0 || code.max(codes.litlen.min) > bits.left {
            return Err(Stop);
        }
        if entry & LITERAL != 0 {
            if out.reserve(1) == 0 {
                out.full = true;
                return Err(Stop);
            }
            out.data[out.at] = (entry >> 16) as u8;
            out.at += 1;
            bits.consume(code);
            continue;
        }
        let used = entry & 0xff;
        if used > bits.left {
            return Err(Stop);
        }
        let length = value(entry, bits.buffer);
        bits.consume(used);
        if entry & BLOCK_END != 0 {
            return Ok(());
        }
        bits.refill();
        let entry = codes.distance.look_up(DISTANCE_BITS, bits.buffer);
        let used = entry & 0xff;
        if entry & VALUE == 0 || used > bits.left {
            return Err(Stop);
        }
        let distance = value(entry, bits.buffer);
        bits.consume(used);
        out.repeat(distance, length)?;
    }
}

/// Decodes symbols as long as the ends of input and output are far; `true` at the end of the block.
fn fast(bits: &mut Bits<'_>, out: &mut Output, codes: &Codes) -> Result<bool, Stop> {
    let Some(last_input) = bits.input.len().checked_sub(INPUT_SLACK) else { return Ok(false) };
    let Some(last_output) = out.data.len().checked_sub(OUTPUT_SLACK) else { return Ok(false) };
    let mut b = Bits { input: bits.input, at: bits.at, buffer: bits.buffer, left: bits.left };
    let data = out.data.as_mut_slice();
    let mut at = out.at;
    let first = |b: &Bits<'_>| codes.litlen.entries[b.buffer as usize & ((1 << LITLEN_BITS) - 1)];
    let mut room = b.at <= last_input && at <= last_output;
    if room {
        b.refill_fast();
    }
    let mut entry = first(&b);
    let result = loop {
        // Here 56 bits are there at least, and `entry` is of the next symbol.
        if !room {
            break Ok(false);
        }
        // Three literals of the first part take 33 bits at most.
        if entry & LITERAL != 0 {
            b.consume(entry & 0xff);
            data[at] = (entry >> 16) as u8;
            at += 1;
            entry = first(&b);
            if entry & LITERAL != 0 {
                b.consume(entry & 0xff);
                data[at] = (entry >> 16) as u8;
                at += 1;
                entry = first(&b);
                if entry & LITERAL != 0 {
                    b.consume(entry & 0xff);
                    data[at] = (entry >> 16) as u8;
                    at += 1;
                    entry = first(&b);
                    room = b.at <= last_input && at <= last_output;
                    if room {
                        b.refill_fast();
                    }
                    continue;
                }
            }
        }
        // 34 bits are left.
        if entry & SECOND != 0 {
            entry = codes.litlen.look_further(LITLEN_BITS, b.buffer, entry);
            if entry & LITERAL != 0 {
                b.consume(entry & 0xff);
                data[at] = (entry >> 16) as u8;
                at += 1;
                entry = first(&b);
                room = b.at <= last_input && at <= last_output;
                if room {
                    b.refill_fast();
                }
                continue;
            }
        }
        if entry & VALUE == 0 {
            if entry & BLOCK_END == 0 {
                break Err(Stop);
            }
            b.consume(entry & 0xff);
            break Ok(true);
        }
        let length = value(entry, b.buffer);
        b.consume(entry & 0xff);
        // 14 bits are left, of 28 that a distance may take.
        b.refill_fast();
        let distance_entry = codes.distance.look_up(DISTANCE_BITS, b.buffer);
        if distance_entry & VALUE == 0 {
            break Err(Stop);
        }
        let distance = value(distance_entry, b.buffer);
        b.consume(distance_entry & 0xff);
        // 28 bits are left: enough to look at the next symbol while the match is copied.
        entry = first(&b);
        if distance > at {
            break Err(Stop);
        }
        room = b.at <= last_input && at + length <= last_output;
        if room {
            b.refill_fast();
        }
        copy(data, at, distance, length);
        at += length;
    };
    *bits = b;
    out.at = at;
    result
}

#[cfg(test)]
mod tests;
