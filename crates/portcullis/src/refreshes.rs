//! What is counted and recorded of the refreshes of sessions.

use audit::{Event, EventKind, Log};
use authenticate::{RefreshEvent, RefreshResult, Session};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::admin;

/// Counts refreshes.
#[derive(Clone, Debug)]
pub(crate) struct RefreshMetrics(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    provider: String,
    result: &'static str,
}

impl RefreshMetrics {
    /// Registers the metric.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let refreshes = Family::default();
        registry.register(
            "portcullis_session_refreshes",
            "Attempts to refresh a session at its provider, by result",
            refreshes.clone(),
        );
        Self(refreshes)
    }

    /// Counts an attempt, and writes down what became of it where that is new: a provider that is away fails each session
    /// again and again.
    pub(crate) fn take_note(&self, log: &Log, refresh: &RefreshEvent<'_>) {
        let provider = refresh.session.identity().provider();
        let (result, recorded) = match refresh.result {
            RefreshResult::Refreshed => ("refreshed", None),
            RefreshResult::Failed { reason, error, is_first } => {
                ("failed", is_first.then_some((reason, error, "kept")))
            }
            RefreshResult::Ended { reason, error, .. } => ("ended", Some((reason, error, "ended"))),
        };
        self.0.get_or_create(&Labels { provider: provider.to_string(), result }).inc();
        let Some((reason, error, session)) = recorded else { return };
        let failed = Event::new(refresh.time, EventKind::RefreshFailed, "portcullis", reason);
        let details = &[("session", session)];
        note(log, refresh.session, Event { error: Some(error.into()), details, ..failed });
        if let RefreshResult::Ended { programs, .. } = refresh.result {
            for program in programs {
                note(log, program, Event::new(refresh.time, EventKind::Revoke, "portcullis", reason));
            }
        }
    }
}

fn note(log: &Log, session: &Session, event: Event<'_>) {
    let id = session.id().as_str();
    if let Err(error) = log.note(&Event { user: Some(admin::user(session)), session: Some(id.into()), ..event }) {
        tracing::error!(session.hash = id, %error, "a session that was not refreshed has no audit record");
    }
}
