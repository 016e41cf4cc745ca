//! The checkpoints that a log is compared with: those beside its segments, and copies from elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, Problem};
use crate::checkpoint::{self, Checkpoint, Reached};
use crate::{SegmentName, VerifyingKey};

/// Checkpoints, and what is wrong with some.
#[derive(Debug)]
pub(super) struct Signed {
    dir: PathBuf,
    own: Vec<Checkpoint>,
    copies: Vec<Checkpoint>,
    pub(super) findings: Vec<Finding>,
}

impl Signed {
    pub(super) fn read(dir: &Path, keys: &[VerifyingKey], copies: &[Checkpoint]) -> io::Result<Self> {
        let mut signed = Self { dir: dir.into(), own: Vec::new(), copies: Vec::new(), findings: Vec::new() };
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some(instance) = name.to_str().and_then(checkpoint::instance_of) else { continue };
            match Checkpoint::read(dir, instance) {
                Some(Ok(checkpoint)) if checkpoint.instance() == instance => signed.own.push(checkpoint),
                Some(_) => signed.found(instance, Problem::CheckpointAltered),
                None => {}
            }
        }
        signed.copies = copies.to_vec();
        if !keys.is_empty() {
            let of_others: Vec<_> = signed.all().filter(|checkpoint| !checkpoint.is_signed_by(keys)).cloned().collect();
            signed.own.retain(|checkpoint| !of_others.contains(checkpoint));
            signed.copies.retain(|checkpoint| !of_others.contains(checkpoint));
            for checkpoint in of_others {
                signed.found(checkpoint.instance(), Problem::BadSignature(checkpoint.key().into()));
            }
        }
        Ok(signed)
    }

    /// Returns all that count.
    pub(super) fn all(&self) -> impl Iterator<Item = &Checkpoint> {
        self.own.iter().chain(&self.copies)
    }

    pub(super) fn of_chain(&self, instance: &str) -> impl Iterator<Item = &Checkpoint> {
        self.all().filter(move |checkpoint| checkpoint.instance() == instance)
    }

    /// Returns how far a segment had come.
    pub(super) fn of_segment(&self, name: &SegmentName) -> Vec<Reached> {
        let of_chain = name.instance.as_deref().into_iter().flat_map(|instance| self.of_chain(instance));
        of_chain.map(Checkpoint::reached).filter(|reached| reached.segment == name.number).collect()
    }

    /// Returns whether a chain has a checkpoint beside its segments, good or bad.
    pub(super) fn has_own(&self, instance: &str) -> bool {
        checkpoint::path(&self.dir, instance).exists()
    }

    pub(super) fn path_of(&self, checkpoint: &Checkpoint) -> PathBuf {
        checkpoint::path(&self.dir, checkpoint.instance())
    }

    fn found(&mut self, instance: &str, problem: Problem) {
        let segment = checkpoint::path(&self.dir, instance).into();
        self.findings.push(Finding { segment, line: None, problem });
    }
}
