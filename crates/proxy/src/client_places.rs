//! Counts the connections that each client has open, so that one cannot take all the places there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use identity::Ip;

/// The open connections of one listener, by client: an IPv6 client has a whole /64 to come from.
#[derive(Debug, Default)]
pub(crate) struct ClientPlaces(Mutex<HashMap<Ip, usize>>);

/// The place of one connection of a client, until dropped.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    places: Arc<ClientPlaces>,
    client: Ip,
}

impl ClientPlaces {
    /// Takes a place, unless the client has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, client: Ip, limit: usize) -> Option<ClientPlace> {
        let client = client.network();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.entry(client).or_insert(0);
        if *taken >= limit {
            return None;
        }
        *taken += 1;
        Some(ClientPlace { places: Arc::clone(self), client })
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = open.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                open.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
