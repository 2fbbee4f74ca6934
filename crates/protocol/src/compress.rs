//! Compression of channels: zlib, and Brotli from Fjord on.
//!
//! Decompression is bounded, and keeps what came out before an error: the batches of a channel
//! whose end is damaged count up to the damage.

use alloc::vec;
use alloc::vec::Vec;

use brotli::enc::BrotliAlloc;
use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderParameter,
    BrotliEncoderStateStruct,
};
use brotli::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, SliceWrapperMut,
};

use crate::inflate::{End, Inflated, inflate_zlib};

/// How a channel is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// zlib: valid in every fork.
    Zlib,
    /// Brotli behind the version byte 1: from Fjord on.
    Brotli,
}

/// The first byte of a Brotli channel, which is no part of the Brotli stream.
pub const BROTLI_VERSION: u8 = 1;

impl Compression {
    /// Reads a channel's first byte: its low four bits are 8 or 15 in a zlib stream, the byte 1
    /// announces Brotli.
    pub const fn of_channel(first_byte: u8) -> Option<Self> {
        match first_byte {
            BROTLI_VERSION => Some(Self::Brotli),
            byte if matches!(byte & 0x0f, 8 | 15) => Some(Self::Zlib),
            _ => None,
        }
    }
}

/// What came out of a compressed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decompressed {
    /// The output, up to the limit or the first error.
    pub data: Vec<u8>,
    /// Whether the stream was read to its proper end.
    pub complete: bool,
}

/// First size of the output buffer: a guess that a real channel seldom outgrows twice.
fn first_capacity(input: usize, limit: usize) -> usize {
    input.saturating_mul(4).clamp(1024, 1 << 24).min(limit)
}

/// Makes room in a full output buffer; `false` when the limit is reached.
fn grow(out: &mut Vec<u8>, limit: usize) -> bool {
    let longer = out.len().saturating_mul(2).max(1).min(limit);
    if longer <= out.len() {
        return false;
    }
    out.resize(longer, 0);
    true
}

/// Decompresses a zlib stream to at most `limit` bytes.
pub fn decompress_zlib(input: &[u8], limit: usize) -> Decompressed {
    let Inflated { data, end, .. } = inflate_zlib(input, limit);
    Decompressed { data, complete: end == End::Complete }
}

/// Decompresses a Brotli stream (without the version byte) to at most `limit` bytes.
pub fn decompress_brotli(input: &[u8], limit: usize) -> Decompressed {
    read_brotli(input, limit).0
}

/// The reference node feeds its Brotli decoder what is left of a buffer of 4096 bytes behind the
/// version byte, then pieces of 32 KiB.
const BROTLI_PIECES: (usize, usize) = (4095, 32_768);

/// Decompresses like [`decompress_brotli`]. If the reference decoder reports an error together with
/// the end of the output, tells up to where it has handed over everything before: the decoder does
/// so at the end of each piece of the input. Such errors are damage, and bytes behind the stream in
/// the piece in which it ends; the end of a stream that was cut off is none.
///
/// What lies in the decoder's window when it finds damage is lost, so the pieces must be the same
/// as in the reference node.
pub(crate) fn read_brotli(input: &[u8], limit: usize) -> (Decompressed, Option<usize>) {
    use BrotliResult::{NeedsMoreInput, NeedsMoreOutput, ResultFailure, ResultSuccess};
    let mut data = vec![0; first_capacity(input.len(), limit)];
    // "Strict" refuses the large-window extension, which is not in the standard.
    let mut state = BrotliState::new_strict(Heap, Heap, Heap);
    let (mut read, mut written, mut total, mut handed_over) = (0, 0, 0, 0);
    let mut piece = &input[..input.len().min(BROTLI_PIECES.0)];
    let (complete, error_after) = loop {
        let mut available_in = piece.len() - read;
        let mut available_out = data.len() - written;
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut read,
            piece,
            &mut available_out,
            &mut written,
            &mut data,
            &mut total,
            &mut state,
        );
        match result {
            ResultSuccess => break (true, (read < piece.len()).then_some(handed_over)),
            ResultFailure => break (false, Some(handed_over)),
            // In a full buffer, the decoder may have more output even if it asks for input.
            NeedsMoreInput if written < data.len() => {
                if piece.len() == input.len() {
                    break (false, None);
                }
                handed_over = written;
                piece = &input[..input.len().min(piece.len() + BROTLI_PIECES.1)];
            }
            NeedsMoreInput | NeedsMoreOutput => {
                if !grow(&mut data, limit) {
                    break (false, None);
                }
            }
        }
    };
    data.truncate(written);
    (Decompressed { data, complete }, error_after)
}

/// The zlib level and the Brotli quality that channels are written with, unless another is asked
/// for. `docs/compression.md` has the figures.
pub const DEFAULT_LEVEL: u8 = 9;

/// Compresses with zlib at the default level.
pub fn compress_zlib(input: &[u8]) -> Vec<u8> {
    compress_zlib_at(input, DEFAULT_LEVEL)
}

/// Compresses with zlib at a level from 0 (not at all) to 10.
pub fn compress_zlib_at(input: &[u8], level: u8) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(input, level.min(10))
}

/// Compresses with Brotli at the default quality. No version byte is written. `None` if the
/// encoder gives up, which it does on no input known.
pub fn compress_brotli(input: &[u8]) -> Option<Vec<u8>> {
    compress_brotli_at(input, DEFAULT_LEVEL)
}

/// Compresses with Brotli at a quality from 0 to 11; see [`compress_brotli`].
pub fn compress_brotli_at(input: &[u8], quality: u8) -> Option<Vec<u8>> {
    use BrotliEncoderParameter::{
        BROTLI_PARAM_LGWIN, BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT,
    };
    let mut encoder = BrotliEncoderStateStruct::new(Heap);
    encoder.set_parameter(BROTLI_PARAM_QUALITY, u32::from(quality.min(11)));
    encoder.set_parameter(BROTLI_PARAM_LGWIN, 22);
    encoder.set_parameter(BROTLI_PARAM_SIZE_HINT, u32::try_from(input.len()).unwrap_or(u32::MAX));
    let mut out = vec![0; input.len() / 2 + 1024];
    let (mut available_in, mut read, mut written) = (input.len(), 0, 0);
    let ok = loop {
        let mut available_out = out.len() - written;
        let ok = encoder.compress_stream(
            BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
            &mut available_in,
            input,
            &mut read,
            &mut available_out,
            &mut out,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !ok || encoder.is_finished() {
            break ok;
        }
        grow(&mut out, usize::MAX);
    };
    BrotliEncoderDestroyInstance(&mut encoder);
    out.truncate(written);
    ok.then_some(out)
}

/// The heap, in the form in which the Brotli crate wants it where there is no std.
#[derive(Clone, Copy, Default)]
struct Heap;

#[derive(Default)]
struct Memory<T>(Vec<T>);

impl<T> SliceWrapper<T> for Memory<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Memory<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Memory<T>;

    fn alloc_cell(&mut self, len: usize) -> Memory<T> {
        Memory(vec![T::default(); len])
    }

    fn free_cell(&mut self, _: Memory<T>) {}
}

impl BrotliAlloc for Heap {}
