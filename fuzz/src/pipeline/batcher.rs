//! A batcher that mostly does what it should: batches of the planned chain in channels, their
//! frames in transactions. The input says where it errs.

use alloy_primitives::{B256, Bytes};
use arbitrary::{Result, Unstructured};
use opal_protocol::batcher_tx::encode_batcher_data;
use opal_protocol::compress::{compress_brotli, compress_zlib};
use opal_protocol::{
    ChannelId, Frame, Hardfork, L1BlockRef, L2BlockRef, RollupConfig, SingularBatch,
};

use super::world::{Carrier, l2_hash, user_transactions};
use crate::batches::{Head, span_body};
use crate::channels::adler32;

/// Data for one L1 transaction.
pub(super) struct Post {
    pub(super) carrier: Carrier,
    pub(super) data: Bytes,
}

pub(super) struct Batcher<'a> {
    config: &'a RollupConfig,
    l1: &'a [L1BlockRef],
    /// Number of the L2 block whose batch comes next.
    next: u64,
    /// Frames to be posted, in order.
    frames: Vec<Frame>,
    channels: u8,
}

impl<'a> Batcher<'a> {
    pub(super) const fn new(config: &'a RollupConfig, l1: &'a [L1BlockRef]) -> Self {
        Self { config, l1, next: 1, frames: Vec::new(), channels: 0 }
    }

    /// What is posted in an L1 block.
    pub(super) fn posts(
        &mut self,
        input: &mut Unstructured<'_>,
        l1: &L1BlockRef,
    ) -> Result<Vec<Post>> {
        let mut posts = Vec::new();
        while posts.len() < 4 && input.ratio(2, 3)? {
            if self.frames.is_empty() || input.ratio(1, 4)? {
                self.channel(input, l1)?;
            }
            let carrier = match input.int_in_range(0..=15)? {
                0..=11 => Carrier::Calldata,
                12..=14 => Carrier::Blobs,
                _ => Carrier::Noise(input.arbitrary()?),
            };
            let data = if input.ratio(1, 24)? {
                let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
                Bytes::copy_from_slice(input.bytes(length)?)
            } else {
                let count = input.int_in_range(1..=4)?;
                let frames = (0..count).map(|_| self.frame(input)).collect::<Result<Vec<_>>>()?;
                let frames: Vec<_> = frames.into_iter().flatten().collect();
                encode_batcher_data(&frames)
            };
            posts.push(Post { carrier, data });
        }
        Ok(posts)
    }

    /// The next frame, mostly.
    fn frame(&mut self, input: &mut Unstructured<'_>) -> Result<Option<Frame>> {
        if self.frames.is_empty() {
            return Ok(None);
        }
        let last = self.frames.len() - 1;
        Ok(match input.int_in_range(0..=31)? {
            // Repeated later.
            0 => Some(self.frames[0].clone()),
            // Before its time.
            1 | 2 => Some(self.frames.remove(input.int_in_range(0..=last)?)),
            // Lost.
            3 => {
                self.frames.remove(0);
                None
            }
            4 => {
                let mut frame = self.frames.remove(0);
                match input.int_in_range(0..=3)? {
                    0 => frame.number = input.arbitrary::<u8>()?.into(),
                    1 => frame.is_last = !frame.is_last,
                    2 => frame.id = ChannelId([input.int_in_range(0..=self.channels)?; 16]),
                    _ => {
                        let end = input.int_in_range(0..=frame.data.len())?;
                        frame.data = frame.data.slice(..end);
                    }
                }
                Some(frame)
            }
            _ => Some(self.frames.remove(0)),
        })
    }

    /// A channel of some batches.
    fn channel(&mut self, input: &mut Unstructured<'_>, l1: &L1BlockRef) -> Result<()> {
        let mut stream = Vec::new();
        for _ in 0..input.int_in_range(1..=6)? {
            match input.int_in_range(0..=15)? {
                0 => {
                    let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
                    stream.extend_from_slice(input.bytes(length)?);
                }
                1..=4 => self.span(input, &mut stream)?,
                _ => {
                    let batch = self.singular(input)?;
                    stream.extend_from_slice(&batch.encode_for_channel());
                }
            }
        }
        let fjord = self.config.is_active(Hardfork::Fjord, l1.timestamp);
        let data = if fjord != input.ratio(1, 16)? {
            [&[1][..], &stored_brotli(&stream)].concat()
        } else {
            stored_zlib(&stream)
        };
        let mut data = Bytes::from(data);
        if input.ratio(1, 32)? {
            data = data.slice(..input.int_in_range(0..=data.len())?);
        }
        self.channels = self.channels.wrapping_add(1);
        let id = ChannelId([self.channels; 16]);
        let count = input.int_in_range(1..=4)?;
        let size = data.len().div_ceil(count).max(1);
        let pieces: Vec<_> = (0..data.len().max(1)).step_by(size).collect();
        for (i, start) in pieces.iter().enumerate() {
            self.frames.push(Frame {
                id,
                number: i as u16,
                data: data.slice(*start..(start + size).min(data.len())),
                is_last: i + 1 == pieces.len(),
            });
        }
        Ok(())
    }

    /// The epoch that the plan has for an L2 block: each block moves to the next L1 block, if that
    /// is not later than itself.
    fn epoch(&self, number: u64) -> &L1BlockRef {
        let mut at = 0;
        for n in 1..=number {
            let time = self.config.timestamp_of(n);
            if self.l1.get(at + 1).is_some_and(|next| next.timestamp <= time) {
                at += 1;
            }
        }
        &self.l1[at]
    }

    fn transactions(&self, input: &mut Unstructured<'_>) -> Result<Vec<Bytes>> {
        let pool = user_transactions();
        let mut out = Vec::new();
        while out.len() < 4 && input.ratio(1, 4)? {
            let n = if input.ratio(1, 8)? { pool.len() - 1 } else { 2 };
            out.push(pool[input.int_in_range(0..=n)?].clone());
        }
        Ok(out)
    }

    /// The batch of the next block, mostly.
    fn singular(&mut self, input: &mut Unstructured<'_>) -> Result<SingularBatch> {
        if input.ratio(1, 12)? {
            self.next = self.next.saturating_add_signed(input.int_in_range(-6..=3)?).max(1);
        }
        let number = self.next;
        self.next += 1;
        let epoch = self.epoch(number);
        let mut batch = SingularBatch {
            parent_hash: l2_hash(number - 1),
            epoch_num: epoch.number,
            epoch_hash: epoch.hash,
            timestamp: self.config.timestamp_of(number),
            transactions: self.transactions(input)?,
        };
        match input.int_in_range(0..=47)? {
            0 => batch.parent_hash = B256::repeat_byte(input.arbitrary()?),
            1 => batch.epoch_hash = B256::repeat_byte(input.arbitrary()?),
            2 => batch.epoch_num = input.arbitrary()?,
            3 => batch.timestamp = input.arbitrary()?,
            4 => batch.timestamp += 1,
            5..=8 => {
                let other = input.int_in_range(0..=self.l1.len() - 1)?;
                (batch.epoch_num, batch.epoch_hash) = (self.l1[other].number, self.l1[other].hash);
            }
            _ => {}
        }
        Ok(batch)
    }

    /// A span of the next blocks, mostly, its transactions mostly none.
    fn span(&mut self, input: &mut Unstructured<'_>, stream: &mut Vec<u8>) -> Result<()> {
        let count = input.int_in_range(1..=12)?;
        let back = if input.ratio(1, 3)? { input.int_in_range(0..=6)? } else { 0 };
        let first = self.next.saturating_sub(back).max(1);
        let last = first + count - 1;
        self.next = last + 1;
        let mut bits: Vec<bool> =
            (first..=last).map(|n| self.epoch(n).number != self.epoch(n - 1).number).collect();
        let origin = self.epoch(last);
        let mut head = Head {
            rel_timestamp: first * self.config.block_time,
            l1_origin_num: origin.number,
            parent_check: [0; 20],
            l1_origin_check: [0; 20],
        };
        head.parent_check.copy_from_slice(&l2_hash(first - 1)[..20]);
        head.l1_origin_check.copy_from_slice(&origin.hash[..20]);
        match input.int_in_range(0..=31)? {
            0 => head.rel_timestamp = head.rel_timestamp.wrapping_sub(input.arbitrary()?),
            1 => head.rel_timestamp += 1,
            2 => head.l1_origin_num = input.arbitrary()?,
            3 => head.parent_check[3] ^= 1,
            4 => head.l1_origin_check[3] ^= 1,
            5..=7 => {
                let at = input.int_in_range(0..=bits.len() - 1)?;
                bits[at] = !bits[at];
            }
            _ => {}
        }
        let body = span_body(input, &head, &bits)?;
        alloy_rlp::Header { list: false, payload_length: 1 + body.len() }.encode(stream);
        stream.push(1);
        stream.extend_from_slice(&body);
        Ok(())
    }
}

/// A zlib stream of one block that is not compressed. The compressor would take most of the time.
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let Ok(length) = u16::try_from(data.len()) else { return compress_zlib(data) };
    [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        data,
        &adler32(data).to_be_bytes(),
    ]
    .concat()
}

/// A Brotli stream of one block that is not compressed, in a window of 64 kB.
fn stored_brotli(data: &[u8]) -> Vec<u8> {
    // An empty last block.
    const END: u8 = 3;
    if data.is_empty() {
        return vec![END << 1];
    }
    if data.len() > 1 << 16 {
        return compress_brotli(data).unwrap_or_default();
    }
    // 1 bit of window size, 1 bit "last", 2 bits of size of length, 16 bits of length less one,
    // 1 bit "uncompressed".
    let header = (data.len() as u32 - 1) << 4 | 1 << 20;
    [&header.to_le_bytes()[..3], data, &[END]].concat()
}

/// The reference of the block that attributes describe.
pub(super) fn block_of(attributes: &opal_protocol::AttributesWithParent) -> L2BlockRef {
    let parent = &attributes.parent;
    let number = parent.number + 1;
    let same = parent.l1_origin == attributes.l1_origin;
    L2BlockRef {
        hash: l2_hash(number),
        number,
        parent_hash: parent.hash,
        timestamp: attributes.attributes.timestamp,
        l1_origin: attributes.l1_origin,
        sequence_number: if same { parent.sequence_number + 1 } else { 0 },
    }
}
