//! Channel bank (before Holocene): frames of many channels, in any order, until one is complete.
//! Spec: `derivation.md`, "Channel Bank".
//!
//! A frame may open a channel, and the bank holds millions of the smallest ones before it is full.
//! Nothing here therefore goes through all channels: each has a ticket, by which they stand in the
//! order of their first frames, and those that are complete are kept as a set of tickets.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use opal_protocol::{ChannelId, Frame, Hardfork, L1BlockRef, RollupConfig};

use crate::host::{ChannelDrop, Dropped, FrameDrop};

/// A channel that is being put together.
#[derive(Debug)]
struct Channel {
    id: ChannelId,
    /// Number of the L1 block with the first frame that was seen.
    open_block: u64,
    /// What the channel counts in the bank.
    size: u64,
    highest: u16,
    /// Number of the last frame, once seen.
    end: Option<u16>,
    /// Copies: a slice would keep all of its transaction, of which the bank counts only the frame.
    frames: BTreeMap<u16, Box<[u8]>>,
}

impl Channel {
    fn is_timed_out(&self, config: &RollupConfig, origin: &L1BlockRef) -> bool {
        self.open_block.saturating_add(config.channel_timeout(origin.timestamp)) < origin.number
    }

    fn is_ready(&self) -> bool {
        // As many frames as numbers up to the end, none beyond: so none is missing.
        self.end.is_some_and(|end| self.frames.len() == usize::from(end) + 1)
    }

    fn add(&mut self, frame: &Frame) -> Result<(), FrameDrop> {
        if frame.is_last && self.end.is_some() {
            return Err(FrameDrop::SecondLast);
        }
        if self.frames.contains_key(&frame.number) {
            return Err(FrameDrop::Duplicate);
        }
        if self.end.is_some_and(|end| frame.number >= end) {
            return Err(FrameDrop::BeyondEnd);
        }
        if frame.is_last {
            self.end = Some(frame.number);
            if frame.number < self.highest {
                // The reference implementation takes every frame off the size here, the remaining
                // ones too. It matters to when the bank is full, so it is a rule.
                self.size = 0;
                self.frames.retain(|number, _| *number < frame.number);
                self.highest = frame.number;
            }
        }
        self.highest = self.highest.max(frame.number);
        self.size += frame.memory_size();
        self.frames.insert(frame.number, Box::from(frame.data.as_ref()));
        Ok(())
    }

    fn data(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frames.values().map(|data| data.len()).sum());
        for data in self.frames.values() {
            out.extend_from_slice(data);
        }
        out
    }
}

/// The fourth stage, before Holocene.
#[derive(Debug, Default)]
pub(crate) struct ChannelBank {
    /// By ticket: in the order of their first frames, and so of their open blocks.
    channels: BTreeMap<u64, Channel>,
    tickets: BTreeMap<ChannelId, u64>,
    /// Tickets of complete channels.
    ready: BTreeSet<u64>,
    next_ticket: u64,
    /// Sum of the channels' sizes.
    size: u64,
}

/// What [`ChannelBank::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A complete channel.
    Channel(Vec<u8>),
    /// The oldest channel was dropped; there may be more to drop or to read.
    TimedOut,
    /// Nothing is complete.
    Nothing,
}

impl ChannelBank {
    /// Takes the first complete channel. Before Canyon only the oldest may be read.
    pub(crate) fn read(
        &mut self,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) -> Read {
        let Some((&oldest, first)) = self.channels.first_key_value() else { return Read::Nothing };
        if first.is_timed_out(config, origin) {
            let (channel, reason) = (first.id, ChannelDrop::TimedOut);
            dropped.push_back(Dropped::Channel { channel, reason });
            self.remove(oldest);
            return Read::TimedOut;
        }
        // The oldest is not timed out, so no other is.
        let canyon = config.is_active(Hardfork::Canyon, origin.timestamp);
        let readable = self.ready.first().copied().filter(|ticket| canyon || *ticket == oldest);
        match readable.and_then(|ticket| self.remove(ticket)) {
            Some(channel) => Read::Channel(channel.data()),
            None => Read::Nothing,
        }
    }

    /// Adds a frame, and drops the oldest channels while the bank is too large.
    pub(crate) fn ingest(
        &mut self,
        frame: &Frame,
        config: &RollupConfig,
        origin: &L1BlockRef,
        dropped: &mut VecDeque<Dropped>,
    ) {
        let ticket = *self.tickets.entry(frame.id).or_insert(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        let channel = self.channels.entry(ticket).or_insert_with(|| Channel {
            id: frame.id,
            open_block: origin.number,
            size: 0,
            highest: 0,
            end: None,
            frames: BTreeMap::new(),
        });
        let before = channel.size;
        let added = if channel.is_timed_out(config, origin) {
            Err(FrameDrop::TimedOut)
        } else {
            channel.add(frame)
        };
        if let Err(reason) = added {
            let (channel, number) = (frame.id, frame.number);
            dropped.push_back(Dropped::Frame { channel, number, reason });
            return;
        }
        self.size = self.size - before + channel.size;
        if channel.is_ready() {
            self.ready.insert(ticket);
        }
        while self.size > config.max_channel_bank_size(origin.timestamp) {
            let Some((&oldest, _)) = self.channels.first_key_value() else { break };
            if let Some(channel) = self.remove(oldest) {
                let reason = ChannelDrop::BankFull;
                dropped.push_back(Dropped::Channel { channel: channel.id, reason });
            }
        }
    }

    fn remove(&mut self, ticket: u64) -> Option<Channel> {
        let channel = self.channels.remove(&ticket)?;
        self.tickets.remove(&channel.id);
        self.ready.remove(&ticket);
        self.size -= channel.size;
        Some(channel)
    }
}

#[cfg(test)]
#[path = "channel_bank_tests.rs"]
mod tests;
