//! Channel reader: the batches of a complete channel. Spec: `derivation.md`, "Channel Reader".

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use opal_protocol::span_batch::SpanBatch;
use opal_protocol::{Batch, ChannelReader, Hardfork, L1BlockRef, RollupConfig, SingularBatch};

use crate::host::Dropped;

/// A batch all of whose transactions can be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodedBatch {
    Singular(SingularBatch),
    Span(Box<SpanBatch>),
}

impl DecodedBatch {
    pub(crate) fn timestamp(&self) -> u64 {
        match self {
            Self::Singular(batch) => batch.timestamp,
            Self::Span(span) => span.first_timestamp(),
        }
    }

    /// Made to wait: holds no memory but its own.
    pub(crate) fn into_own_memory(self) -> Self {
        match self {
            Self::Singular(batch) => Self::Singular(batch.into_own_memory()),
            Self::Span(span) => Self::Span(Box::new(span.into_own_memory())),
        }
    }
}

/// The fifth stage.
#[derive(Debug, Default)]
pub(crate) struct ChannelInReader {
    reader: Option<ChannelReader>,
}

impl ChannelInReader {
    pub(crate) const fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// Forgets the rest of the channel.
    pub(crate) fn flush(&mut self) {
        self.reader = None;
    }

    /// Opens a complete channel. Limits and compression are those of the origin's time.
    pub(crate) fn open(
        &mut self,
        channel: &[u8],
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) {
        let limit = config.max_rlp_bytes_per_channel(origin.timestamp);
        let fjord = config.is_active(Hardfork::Fjord, origin.timestamp);
        match ChannelReader::new(channel, limit, fjord) {
            Ok(reader) => self.reader = Some(reader),
            Err(error) => dropped.push_back(Dropped::ChannelData(error)),
        }
    }

    /// The next batch of the open channel. `None` when that batch does not count, or the channel
    /// has ended.
    pub(crate) fn next_batch(
        &mut self,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) -> Option<DecodedBatch> {
        let batch = match self.reader.as_mut()?.next_batch() {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                dropped.push_back(Dropped::ChannelData(error));
                self.reader = None;
                return None;
            }
            None => {
                self.reader = None;
                return None;
            }
        };
        match batch {
            Batch::Singular(batch) => Some(DecodedBatch::Singular(batch)),
            Batch::Span(_) if !config.is_active(Hardfork::Delta, origin.timestamp) => {
                dropped.push_back(Dropped::SpanBeforeDelta);
                None
            }
            Batch::Span(raw) => {
                let genesis_time = config.genesis.l2_time;
                match raw.into_span(config.block_time, genesis_time, config.l2_chain_id) {
                    Ok(span) => Some(DecodedBatch::Span(Box::new(span))),
                    Err(error) => {
                        dropped.push_back(Dropped::MalformedSpan(error));
                        None
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "channel_reader_tests.rs"]
mod tests;
