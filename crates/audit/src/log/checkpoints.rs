//! Signs how far the chain has come, once a second while it grows: a signature for each batch would cost more than the batch.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Shared;
use crate::checkpoint::{Checkpoint, Reached};
use crate::{Config, SigningKey};

/// What signs, and what it signed last.
#[derive(Debug)]
pub(super) struct Checkpoints {
    dir: PathBuf,
    instance: Box<str>,
    key: SigningKey,
    last: Mutex<Option<Reached>>,
}

impl Checkpoints {
    /// Begins; nothing where there is no key.
    pub(super) fn new(config: &Config) -> Option<Self> {
        let key = config.signing_key.clone()?;
        Some(Self { dir: config.dir.clone(), instance: config.instance.as_str().into(), key, last: Mutex::default() })
    }

    /// Signs how far the chain has come, unless that was signed last.
    pub(super) fn sign(&self, reached: Option<Reached>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reached) = reached.filter(|reached| *last != Some(*reached)) else { return };
        let signed = Checkpoint::sign(&self.instance, &reached, &self.key, Timestamp::now());
        match signed.and_then(|checkpoint| checkpoint.write(&self.dir)) {
            Ok(()) => *last = Some(reached),
            // Tried again with the next; what it would have vouched for is in the log.
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "a checkpoint of the audit log cannot be written");
            }
        }
    }
}

/// Works until the log is closed, which signs its end.
pub(super) fn run(shared: &Arc<Shared>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        shared.sign_checkpoint();
        std::thread::park_timeout(INTERVAL);
    }
}

impl Shared {
    fn sign_checkpoint(&self) {
        let reached = self.writer().segments.reached();
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.sign(reached);
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
