//! Chooses among the endpoints of a route.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Cluster, Target};
use crate::config::LoadBalancing;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Balance {
    /// Places of targets; each stands in it as often as its weight says, and as far from itself as can be.
    sequence: Box<[usize]>,
    turn: AtomicUsize,
}

/// The targets that one request tries: each at most once, the best first.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    cluster: &'a Cluster,
    /// What the request has in common with others of its caller.
    hash: Option<u64>,
    /// Where in the sequence this request begins.
    point: usize,
    /// How often the sequence was gone through before.
    round: usize,
    last: Option<usize>,
    // Those before it: most requests need one target.
    tried: Vec<usize>,
}

impl Balance {
    pub(super) fn new(weights: &[u32]) -> Self {
        Self { sequence: smooth(weights).into(), turn: AtomicUsize::new(0) }
    }

    /// Returns where the next request begins.
    fn turn(&self) -> usize {
        match self.sequence.len() {
            0 | 1 => 0,
            _ => self.turn.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Returns the places of all targets from a point of the sequence on; some more than once.
    fn from(&self, point: usize) -> impl Iterator<Item = usize> + Clone {
        let (earlier, later) = self.sequence.split_at_checked(point).unwrap_or((&[], &self.sequence));
        later.iter().chain(earlier).copied()
    }
}

impl<'a> Selection<'a> {
    pub(super) fn new(cluster: &'a Cluster, hash: Option<u64>) -> Self {
        let turn = cluster.balance.turn();
        let turn = match cluster.strategy {
            LoadBalancing::Random => scatter(turn),
            LoadBalancing::RoundRobin | LoadBalancing::LeastRequest | LoadBalancing::ConsistentHash(_) => turn,
        };
        let length = cluster.balance.sequence.len().max(1);
        Self { cluster, hash, point: turn % length, round: turn / length, last: None, tried: Vec::new() }
    }

    fn best(&self) -> Option<usize> {
        let panic = self.cluster.panics();
        let usable = |place: &usize| {
            self.last != Some(*place)
                && !self.tried.contains(place)
                && self.cluster.target(*place).is_some_and(|target| panic || target.endpoint.is_healthy())
        };
        let in_service = |place: &usize| {
            usable(place) && self.cluster.target(*place).is_some_and(|target| !self.cluster.is_ejected(target))
        };
        // An ejected endpoint is better than none.
        self.choose(in_service).or_else(|| self.choose(usable))
    }

    fn choose(&self, may: impl Fn(&usize) -> bool) -> Option<usize> {
        let target = |place: &usize| self.cluster.target(*place);
        let in_turn = self.cluster.balance.from(self.point);
        match (&self.cluster.strategy, self.hash) {
            (LoadBalancing::ConsistentHash(_), Some(hash)) => {
                let score = |place: &usize| target(place).map_or(0.0, |target| target.score(hash));
                in_turn.filter(may).max_by(|a, b| score(a).total_cmp(&score(b)))
            }
            (LoadBalancing::LeastRequest, _) => {
                in_turn.filter(may).min_by_key(|place| target(place).map_or(u64::MAX, Target::load))
            }
            (LoadBalancing::RoundRobin | LoadBalancing::Random | LoadBalancing::ConsistentHash(_), _) => {
                next_in_turn(in_turn, may, self.round)
            }
        }
    }
}

impl<'a> Iterator for Selection<'a> {
    type Item = &'a Target;

    fn next(&mut self) -> Option<&'a Target> {
        let place = self.best()?;
        self.tried.extend(self.last.replace(place));
        self.cluster.target(place)
    }
}

impl Target {
    /// Rates this target for a caller: rendezvous hashing by weight. The best of a set stays the best when another leaves
    /// it, so only the callers of an endpoint that is gone move.
    fn score(&self, hash: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a fraction needs no more than the upper bits")]
        let fraction = ((stable_hash(&(hash, self.hash)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(self.weight) / fraction.ln()
    }

    /// Rates how busy this target is for its weight.
    fn load(&self) -> u64 {
        (self.endpoint.active() as u64 + 1).saturating_mul(LOAD_SCALE) / u64::from(self.weight.max(1))
    }
}

/// Returns whose turn it is. That of one who may not have it goes to each of the others once in so many rounds: all of it would
/// be too much for the one behind.
fn next_in_turn(
    mut places: impl Iterator<Item = usize> + Clone,
    may: impl Fn(&usize) -> bool,
    round: usize,
) -> Option<usize> {
    let first = places.next().filter(&may);
    if first.is_some() {
        return first;
    }
    let others = places.clone().filter(&may).count();
    places.filter(may).nth(round.checked_rem(others)?)
}

/// Lays out places by weight as smoothly as can be: 5, 1 and 1 give `a a b a c a a`, not `a a a a a b c`.
fn smooth(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().fold(0, |a, b| greatest_common_divisor(a, *b)).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut due = vec![0; weights.len()];
    let mut sequence = Vec::new();
    for _ in 0..total {
        due.iter_mut().zip(&weights).for_each(|(due, weight)| *due += weight);
        let Some((place, most)) = due.iter_mut().enumerate().max_by_key(|(place, due)| (**due, Reverse(*place))) else {
            break;
        };
        *most -= total;
        sequence.push(place);
    }
    sequence
}

const fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Hashes without a secret: every instance in front of the same endpoints chooses alike.
pub(crate) fn stable_hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Spreads consecutive numbers (the finaliser of `SplitMix64`). No secret depends on it.
#[expect(clippy::cast_possible_truncation, reason = "any bits of it will do")]
const fn scatter(number: usize) -> usize {
    let mut mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) as usize
}

/// Keeps the difference between neighbouring loads after the division by the weight.
const LOAD_SCALE: u64 = 1 << 20;

#[cfg(test)]
mod tests;
