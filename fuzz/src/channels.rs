//! Channels: decompression, its limits, and the row of batches.

use alloy_primitives::Bytes;
use arbitrary::{Result, Unstructured};
use opal_protocol::channel::ChannelOutError;
use opal_protocol::compress::{
    Decompressed, compress_brotli, compress_zlib, decompress_brotli, decompress_zlib,
};
use opal_protocol::{
    Batch, ChannelId, ChannelOut, ChannelReader, Compression, Frame, SingularBatch,
};

use crate::memory::within;

/// What a decompressor may use beside its input and output: brotli's window of 16 MB and tables.
const DECOMPRESSOR: usize = 40 << 20;

/// A compressed stream as it is, or a stream that is compressed first, or batches put into a
/// channel and cut into frames.
pub fn channel(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let limit =
        [0, 1, 100, 5_000, 100_000, 1_000_000, 10_000_000, 100_000_000][usize::from(mode >> 2 & 7)];
    let fjord = mode & 0x80 == 0;
    let mut input = Unstructured::new(data);
    match mode & 3 {
        0 => read(data, limit, fjord),
        1 | 2 => {
            let Ok(stream) = stream(&mut input) else { return };
            let channel = if mode & 3 == 1 {
                compress_zlib(&stream)
            } else {
                [&[1][..], &compress_brotli(&stream).unwrap()].concat()
            };
            let output = if mode & 3 == 1 {
                decompress_zlib(&channel, limit)
            } else {
                decompress_brotli(&channel[1..], limit)
            };
            // A stream that fills the buffer to the last byte may be complete or not.
            let cut = &stream[..limit.min(stream.len())];
            assert!(output.data == cut, "decompression is not the inverse of compression");
            assert!(output.complete == (stream.len() <= limit) || stream.len() == limit);
            read(&channel, limit, fjord);
        }
        _ => {
            let _ = write(&mut input, limit as u64);
        }
    }
}

fn read(channel: &[u8], limit: usize, fjord: bool) {
    let memory = 8 * limit + 8 * channel.len() + DECOMPRESSOR;
    let reader =
        within(memory, "decompression", || ChannelReader::new(channel, limit as u64, fjord));
    let Ok(mut reader) = reader else { return };
    assert!(fjord || reader.compression() == Compression::Zlib);
    assert!(reader.decompressed().len() <= limit);
    let mut plain = reader.decompressed().clone();
    let mut ended = false;
    let mut count = 0;
    while let Some(batch) = reader.next_batch() {
        assert!(!ended, "a batch after an error");
        ended = batch.is_err();
        // A list or string of the most claims is read in proportion to what is there.
        count += 1;
        assert!(count <= plain.len(), "more batches than bytes");
        if let Ok(Batch::Singular(batch)) = &batch {
            let encoded = batch.encode_for_channel();
            if plain.starts_with(&encoded) {
                plain = plain.slice(encoded.len()..);
                count = 0;
            }
        }
    }
    assert!(reader.next_batch().is_none());
}

/// Runs and batches, so that a few bytes of input make much output.
fn stream(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    while !input.is_empty() && out.len() < 1 << 20 {
        match input.int_in_range(0..=3)? {
            0 => {
                let length = usize::from(input.arbitrary::<u8>()?);
                out.extend_from_slice(input.bytes(length.min(input.len()))?);
            }
            1 => {
                let (byte, length) = (input.arbitrary()?, usize::from(input.arbitrary::<u16>()?));
                out.resize(out.len() + length, byte);
            }
            2 => out.extend_from_slice(&batch(input)?.encode_for_channel()),
            _ => {
                let kind = input.int_in_range(0..=3)?;
                let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
                let body = input.bytes(length)?;
                let header = alloy_rlp::Header { list: false, payload_length: 1 + body.len() };
                header.encode(&mut out);
                out.push(kind);
                out.extend_from_slice(body);
            }
        }
    }
    Ok(out)
}

fn batch(input: &mut Unstructured<'_>) -> Result<SingularBatch> {
    let transactions = (0..input.int_in_range(0..=3)?)
        .map(|_| {
            let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
            Ok(Bytes::copy_from_slice(input.bytes(length)?))
        })
        .collect::<Result<_>>()?;
    Ok(SingularBatch {
        parent_hash: input.arbitrary::<[u8; 32]>()?.into(),
        epoch_num: input.arbitrary()?,
        epoch_hash: input.arbitrary::<[u8; 32]>()?.into(),
        timestamp: input.arbitrary::<u32>()?.into(),
        transactions,
    })
}

/// What the batcher writes, derivation reads.
fn write(input: &mut Unstructured<'_>, limit: u64) -> Result<()> {
    let compression = if input.arbitrary()? { Compression::Zlib } else { Compression::Brotli };
    let frame_size = usize::from(input.arbitrary::<u16>()?);
    let id = ChannelId(input.arbitrary()?);
    let mut out = ChannelOut::new(id, compression, limit);
    let mut batches = Vec::new();
    while !input.is_empty() && batches.len() < 50 {
        let batch = batch(input)?;
        match out.add(&batch) {
            Ok(()) => batches.push(batch),
            Err(error) => {
                assert!(matches!(error, ChannelOutError::Full { .. }));
                break;
            }
        }
        assert!(out.input_len() as u64 <= limit);
    }
    assert_eq!(out.batches(), batches.len());
    let frames = match out.frames(frame_size) {
        Ok(frames) => frames,
        Err(error) => {
            assert!(!matches!(error, ChannelOutError::Full { .. } | ChannelOutError::Compressor));
            return Ok(());
        }
    };
    check_frames(&frames, id, frame_size);
    let data: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
    let mut reader = ChannelReader::new(&data, limit, true).unwrap();
    for batch in batches {
        assert_eq!(reader.next_batch(), Some(Ok(Batch::Singular(batch))));
    }
    assert_eq!(reader.next_batch(), None);
    Ok(())
}

fn check_frames(frames: &[Frame], id: ChannelId, size: usize) {
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!((frame.id, usize::from(frame.number)), (id, i));
        assert_eq!(frame.is_last, i + 1 == frames.len());
        assert!(frame.encoded_len() <= size);
    }
}

/// Our zlib decoder beside another: a raw stream that gets a header and the right checksum, or a
/// zlib stream as it is.
pub fn inflate(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    if mode & 1 == 1 {
        compare(data);
        return;
    }
    let (output, used, done) = other_inflate(data, false);
    let mut stream = vec![0x78, 0x9c];
    stream.extend_from_slice(&data[..used]);
    stream.extend_from_slice(&adler32(&output).to_be_bytes());
    let ours = compare(&stream);
    assert!(ours.complete || !done, "a stream that the other decoder reads to its end");
}

const INFLATE_LIMIT: usize = 1 << 20;

/// Both decoders give the same bytes, as far as both come.
fn compare(stream: &[u8]) -> Decompressed {
    let ours =
        within(2 * INFLATE_LIMIT + (1 << 20), "inflate", || decompress_zlib(stream, INFLATE_LIMIT));
    assert!(ours.data.len() <= INFLATE_LIMIT);
    let (other, _, done) = other_inflate(stream, true);
    let both = ours.data.len().min(other.len());
    assert!(ours.data[..both] == other[..both], "different bytes");
    if ours.complete && done {
        assert_eq!(ours.data.len(), other.len());
    }
    // A limit cuts off and changes nothing else.
    let length = ours.data.len();
    for limit in [0, length.min(1), length / 2, length.saturating_sub(1), length] {
        let cut = decompress_zlib(stream, limit);
        assert!(cut.data[..] == ours.data[..limit], "limit {limit} of {length}");
        assert!(limit == length || !cut.complete);
    }
    ours
}

/// The other decoder's output, what it read of the input, and whether it came to the end.
fn other_inflate(input: &[u8], zlib: bool) -> (Vec<u8>, usize, bool) {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};
    let mut flag = flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    if zlib {
        flag |= flags::TINFL_FLAG_PARSE_ZLIB_HEADER;
    }
    let mut out = vec![0; INFLATE_LIMIT];
    let mut decoder = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(&mut decoder, input, &mut out, 0, flag);
    out.truncate(written);
    (out, read, status == TINFLStatus::Done)
}

pub(crate) fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}
