//! Which segments need not be kept. Always the oldest of a chain, never one that may still grow, and never because a clock
//! jumped.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{Retention, Segment};

/// A closed segment.
#[derive(Clone, Debug)]
pub(super) struct Kept<'a> {
    segment: &'a Segment,
    bytes: u64,
    // When its last line was written, as far as that is known.
    newest: Timestamp,
}

/// The wall clock, as long as it runs like the other one.
#[derive(Debug)]
pub(super) struct SteadyClock {
    since: Timestamp,
    since_instant: Instant,
}

impl<'a> Kept<'a> {
    /// Takes the closed segments of a chain.
    pub(super) fn closed(segments: &'a [Segment], may_still_grow: bool) -> Vec<Self> {
        let closed =
            if may_still_grow { segments.split_last().map_or(&[][..], |(_, closed)| closed) } else { segments };
        closed.iter().filter_map(Self::of).collect()
    }

    fn of(segment: &'a Segment) -> Option<Self> {
        let metadata = std::fs::metadata(segment.path()).ok()?;
        let modified = || Timestamp::try_from(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)).ok();
        let newest = segment.summary().and_then(|summary| summary.to).or_else(modified)?;
        Some(Self { segment, bytes: metadata.len(), newest })
    }
}

/// Chooses what is deleted, as beginnings of chains with the reason. Without a time nothing is too old.
pub(super) fn expired<'a>(
    mut chains: Vec<Vec<Kept<'a>>>,
    retention: &Retention,
    now: Option<Timestamp>,
) -> Vec<(Vec<&'a Segment>, &'static str)> {
    let mut expired: Vec<(Vec<&Segment>, _)> = Vec::new();
    let age = retention.age.and_then(|age| SignedDuration::try_from(age).ok());
    if let Some(earliest) = now.zip(age).and_then(|(now, age)| now.checked_sub(age).ok()) {
        for chain in &mut chains {
            let too_old = chain.iter().take_while(|kept| kept.newest < earliest).count();
            expired.push((chain.drain(..too_old).map(|kept| kept.segment).collect(), "retention-age"));
        }
    }
    if let Some(most) = retention.bytes {
        let mut bytes: u64 = chains.iter().flatten().map(|kept| kept.bytes).sum();
        let mut counts = vec![0; chains.len()];
        while bytes > most {
            let first = |(index, chain): (usize, &Vec<Kept<'a>>)| {
                let kept = chain.get(*counts.get(index)?)?;
                Some((index, kept.newest, kept.bytes))
            };
            let oldest = chains.iter().enumerate().filter_map(first).min_by_key(|(_, newest, _)| *newest);
            let Some((index, _, of_oldest)) = oldest else { break };
            bytes = bytes.saturating_sub(of_oldest);
            if let Some(count) = counts.get_mut(index) {
                *count += 1;
            }
        }
        for (chain, count) in chains.iter_mut().zip(counts) {
            expired.push((chain.drain(..count).map(|kept| kept.segment).collect(), "retention-size"));
        }
    }
    expired.retain(|(segments, _)| !segments.is_empty());
    expired
}

impl SteadyClock {
    pub(super) const fn new(wall: Timestamp, instant: Instant) -> Self {
        Self { since: wall, since_instant: instant }
    }

    /// Returns the time when the clock has run evenly for a while; a clock that was set a year ahead would have all deleted.
    pub(super) fn observe(&mut self, wall: Timestamp, instant: Instant) -> Option<Timestamp> {
        let elapsed = instant.saturating_duration_since(self.since_instant);
        let expected = self.since.saturating_add(elapsed).unwrap_or(self.since);
        if wall.duration_since(expected).unsigned_abs() > MOST_DRIFT {
            tracing::warn!(%expected, found = %wall, "the clock jumped: no audit segment is deleted for its age for an hour");
            *self = Self::new(wall, instant);
            return None;
        }
        (elapsed >= EVEN_FOR).then_some(wall)
    }
}

/// Clocks that are kept by NTP are corrected by less.
const MOST_DRIFT: Duration = Duration::from_secs(60);

/// How long somebody has to notice that a clock is wrong, and a starting machine to set its own.
const EVEN_FOR: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests;
