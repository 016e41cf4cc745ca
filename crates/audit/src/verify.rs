//! Finds out whether a log is as it was written: each line by its own hash, its place by the hash of the line before,
//! segments by their numbers and by what ties each to the one before.

mod problem;
mod scan;
mod signed;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use problem::{Finding, Problem};

use jiff::Timestamp;

use self::scan::Scan;
use self::signed::Signed;
use crate::chain::{Hash, Position};
use crate::checkpoint::Reached;
use crate::{Archive, Checkpoint, Segment, VerifyingKey};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// The chains, in the order of their names.
    pub chains: Vec<Chain>,
    /// Segments from before there were chains: nothing can be said of them.
    pub unchained: usize,
    /// What is not as it was written, in the order of chains and segments.
    pub findings: Vec<Finding>,
}

/// One chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Its name.
    pub instance: Box<str>,
    /// The numbers of its first and its last segment.
    pub segments: (u64, u64),
    /// How many segments there are.
    pub count: usize,
    /// How many lines they have.
    pub lines: u64,
    /// How many bytes the lines have.
    pub bytes: u64,
    /// Whether its last segment was closed. If not, the process still writes, or was killed.
    pub is_closed: bool,
    /// Up to which line of the last segment nothing can have been cut off or written anew without the private key;
    /// `None` where no signature was checked.
    pub signed_through: Option<u64>,
    /// When its end was signed last; `None` where no signature was checked.
    pub signed_at: Option<Timestamp>,
    /// The key that signed its last segment.
    pub key: Option<Box<str>>,
}

/// Verifies all segments of a directory on all processors. Signatures are checked where keys are given; checkpoints, those
/// beside the segments and `copies` of them that were kept elsewhere, are compared with the lines in any case.
///
/// # Errors
/// The directory cannot be read.
pub fn verify(dir: &Path, keys: &[VerifyingKey], copies: &[Checkpoint]) -> io::Result<Verification> {
    // Before the segments, which may grow meanwhile.
    let signed = Signed::read(dir, keys, copies)?;
    let archive = Archive::open(dir)?;
    let scans = scan_all(archive.segments(), keys, &signed);
    let mut deleted: BTreeMap<&str, u64> = BTreeMap::new();
    for (chain, through) in scans.iter().flat_map(|scan| &scan.deleted) {
        let last = deleted.entry(chain).or_default();
        *last = (*last).max(*through);
    }
    let mut verification = Verification { findings: signed.findings.clone(), ..Verification::default() };
    let mut of_segments = archive.segments().iter().zip(&scans);
    for (instance, segments) in archive.chains() {
        let of_chain: Vec<_> = of_segments.by_ref().take(segments.len()).collect();
        match instance {
            Some(instance) => {
                verification.chain(instance, &of_chain, deleted.get(instance).copied().unwrap_or_default());
                verification.ending(instance, &of_chain, &signed, !keys.is_empty());
            }
            None => verification.unchained += segments.len(),
        }
    }
    verification.without_segments(&archive, &signed);
    Ok(verification)
}

fn scan_all(segments: &[Segment], keys: &[VerifyingKey], signed: &Signed) -> Vec<Scan> {
    let next = AtomicUsize::new(0);
    let scans = Mutex::new(Vec::with_capacity(segments.len()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(segments.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, segment)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    segments.get(index).map(|segment| (index, segment))
                } {
                    let scan = Scan::of(segment, keys, signed.of_segment(segment.name()));
                    scans.lock().unwrap_or_else(PoisonError::into_inner).push((index, scan));
                }
            });
        }
    });
    let mut scans = scans.into_inner().unwrap_or_else(PoisonError::into_inner);
    scans.sort_by_key(|(index, _)| *index);
    scans.into_iter().map(|(_, scan)| scan).collect()
}

impl Verification {
    fn chain(&mut self, instance: &str, segments: &[(&Segment, &Scan)], deleted_through: u64) {
        let (Some((first, _)), Some((last, last_scan))) = (segments.first(), segments.last()) else { return };
        let mut expected = Expected { number: deleted_through + 1, hash: Some(Position::START.hash) };
        if deleted_through > 0 {
            // What it was tied to is gone.
            expected.hash = None;
        }
        for (segment, scan) in segments {
            self.segment(segment, scan, &expected, segment.name() == last.name());
            expected = Expected { number: segment.name().number + 1, hash: scan.last };
        }
        self.chains.push(Chain {
            instance: instance.into(),
            segments: (first.name().number, last.name().number),
            count: segments.len(),
            lines: segments.iter().map(|(_, scan)| scan.lines).sum(),
            bytes: segments.iter().map(|(_, scan)| scan.bytes).sum(),
            is_closed: last_scan.end.is_some(),
            signed_through: last_scan.signed_through,
            signed_at: None,
            key: last_scan.key.clone(),
        });
    }

    /// Compares the end of a chain with its checkpoints.
    fn ending(&mut self, instance: &str, segments: &[(&Segment, &Scan)], signed: &Signed, has_keys: bool) {
        let (Some((last, scan)), Some(chain)) = (segments.last(), self.chains.last_mut()) else { return };
        let number = last.name().number;
        let mut found = |problem| self.findings.push(Finding { segment: last.path().into(), line: None, problem });
        if has_keys && scan.key.is_some() && !signed.has_own(instance) {
            found(Problem::CheckpointMissing);
        }
        for checkpoint in signed.of_chain(instance) {
            let Reached { segment, lines, .. } = checkpoint.reached();
            if segment > number {
                found(Problem::SegmentsCutOff { segment, signed: lines });
            } else if has_keys && segment == number && lines <= scan.lines {
                chain.signed_through = chain.signed_through.max(Some(lines));
            }
            if has_keys {
                chain.signed_at = chain.signed_at.max(Some(checkpoint.time()));
            }
        }
    }

    /// Names chains of which nothing but a checkpoint is left.
    fn without_segments(&mut self, archive: &Archive, signed: &Signed) {
        for checkpoint in signed.all() {
            let Reached { segment, lines, .. } = checkpoint.reached();
            if segment > 0 && !archive.chains().any(|(instance, _)| instance == Some(checkpoint.instance())) {
                let problem = Problem::SegmentsCutOff { segment, signed: lines };
                self.findings.push(Finding { segment: signed.path_of(checkpoint).into(), line: None, problem });
            }
        }
    }

    fn segment(&mut self, segment: &Segment, scan: &Scan, expected: &Expected, is_last: bool) {
        let mut found = |line, problem| self.findings.push(Finding { segment: segment.path().into(), line, problem });
        let number = segment.name().number;
        if number > expected.number {
            found(None, Problem::SegmentsMissing { first: expected.number, last: number - 1 });
        } else if number < expected.number && expected.hash.is_some() {
            found(None, Problem::SegmentRepeated);
        }
        let follows = match (&expected.hash, &scan.first_prev) {
            (Some(expected), Some(prev)) => expected == prev,
            (None, _) | (_, None) => true,
        };
        if number == expected.number && !follows {
            found(Some(1), Problem::Untied);
        }
        scan.findings.iter().for_each(|(line, problem)| found(*line, problem.clone()));
        // Only the last may have nothing yet: its process has just begun it.
        if scan.lines == 0 && scan.findings.is_empty() && !is_last {
            found(None, Problem::Emptied);
        }
        // Half a line is a write that is under way, or was broken off: never behind the line that ends a segment.
        if scan.torn > 0 && (!is_last || scan.end.is_some()) {
            found(Some(scan.lines + 1), Problem::Torn { bytes: scan.torn });
        }
    }
}

/// What the next segment must be.
struct Expected {
    number: u64,
    hash: Option<Hash>,
}

#[cfg(test)]
mod tests;
