//! Counters of one route, and which of them there are: they can be taken back.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Those counters of a family that belong to one route.
#[derive(Debug)]
pub(super) struct Series<L> {
    family: Family<L, Counter>,
    made: Mutex<HashSet<L>>,
}

impl<L: Clone + Hash + Eq> Series<L> {
    pub(super) fn new(family: &Family<L, Counter>) -> Self {
        Self { family: family.clone(), made: Mutex::default() }
    }

    pub(super) fn counter(&self, labels: L) -> Counter {
        let counter = self.family.get_or_create_owned(&labels);
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(labels);
        counter
    }

    /// Exports them no more.
    pub(super) fn remove(&self) {
        for labels in self.made.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            self.family.remove(&labels);
        }
    }
}
