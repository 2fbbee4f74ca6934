//! The engine in this process.

use opal_execution::{
    EngineError as LocalError, ForkchoiceState, ForkchoiceUpdated, LocalEngine, OutputV0,
    PayloadId, PayloadStatus,
};
use opal_protocol::{PayloadAttributes, SealedBlock};

use super::{BlockAt, Engine, EngineError};

impl From<LocalError> for EngineError {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::InvalidAttributes(text) => Self::InvalidAttributes(text),
            LocalError::UnknownPayload(_) => Self::Lost(error.to_string()),
            // A chain in this process loses nothing: these are faults.
            LocalError::InvalidForkchoice(_) | LocalError::Chain(_) => {
                Self::Broken(error.to_string())
            }
        }
    }
}

impl Engine for LocalEngine {
    fn fork_choice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        Ok(Self::fork_choice_updated(self, state, attributes)?)
    }

    fn get_payload(&self, id: PayloadId, _timestamp: u64) -> Result<SealedBlock, EngineError> {
        Ok(Self::get_payload(self, id)?.block)
    }

    fn new_payload(&self, block: &SealedBlock) -> Result<PayloadStatus, EngineError> {
        Ok(Self::new_payload(self, block)?)
    }

    fn block(&self, at: BlockAt) -> Result<Option<SealedBlock>, EngineError> {
        Ok(match at {
            BlockAt::Hash(hash) => self.block_by_hash(&hash),
            BlockAt::Number(number) => self.block_by_number(number),
            BlockAt::Latest => Some(self.head()),
            BlockAt::Safe => self.safe(),
            BlockAt::Finalized => self.finalized(),
        })
    }

    fn output_at(&self, block: &SealedBlock) -> Result<OutputV0, EngineError> {
        Ok(Self::output_at(self, &block.hash)?)
    }
}
