//! Answers that have arrived and have not been read yet.

use std::sync::Arc;

use fanfare_protocol::EncodedValue;
use fanfare_protocol::socket::ArgsBuf;
use parking_lot::Mutex;

use crate::limits::{FairShare, Owner};
use crate::log_target;

/// Bytes that an answer takes in addition to its content.
const OVERHEAD_BYTES: usize = 192;

/// Budget for the bytes of the answers that a server keeps, for all its namespaces. Each address has a fair share of
/// it.
#[derive(Debug)]
pub(crate) struct AnswerBudget {
    shares: Mutex<FairShare<Owner>>,
    limit: usize,
}

/// Rejection of an answer that exceeds the budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotKept {
    pub(crate) limit: usize,
}

/// Permit for the bytes of an answer in the budget; released on drop.
#[derive(Debug)]
pub(crate) struct Kept {
    budget: Arc<AnswerBudget>,
    owner: Owner,
    bytes: usize,
}

impl AnswerBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            shares: Mutex::new(FairShare::new(limit)),
            limit,
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn keep(self: &Arc<Self>, owner: Owner, bytes: usize) -> Result<Kept, NotKept> {
        let bytes = bytes + OVERHEAD_BYTES;
        if !self.shares.lock().take(&owner, bytes) {
            crate::stats::unacknowledged("not_kept", 1);
            tracing::debug!(target: log_target::EVENT, ?owner, bytes, limit = self.limit, "answer not kept");
            return Err(NotKept { limit: self.limit });
        }
        Ok(Kept {
            budget: self.clone(),
            owner,
            bytes,
        })
    }

    /// Keeps the answer of a client.
    pub(crate) fn answer(self: &Arc<Self>, owner: Owner, args: ArgsBuf) -> Result<Answer, NotKept> {
        let held = {
            let args = args.as_args();
            let bounds = args.len() * size_of::<(u32, u32)>();
            args.byte_len() + bounds + size_of_val(args.attachments())
        };
        let _kept = self.keep(owner, held)?;
        Ok(Answer { args, _kept })
    }

    /// Keeps the answer of another server, or of one of its clients.
    pub(crate) fn value(
        self: &Arc<Self>,
        value: EncodedValue,
    ) -> Result<(EncodedValue, Kept), NotKept> {
        let kept = self.keep(Owner::Cluster, value.byte_len())?;
        Ok((value, kept))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.shares.lock().release(&self.owner, self.bytes);
    }
}

/// Answer of a client, counted in the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) args: ArgsBuf,
    _kept: Kept,
}
