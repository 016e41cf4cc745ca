//! Makes what serves a configuration, in the order in which it can fail without harm.

use std::net::SocketAddr;
use std::sync::Arc;

use audit::Log;
use authenticate::{Authenticator, KeyTexts, Keys, Store, StoreLocation};
use identity::Clock;
use proxy::{Entrances, Metrics, Parts, Snapshot};
use telemetry::{Prepared, Shippers, SpanCounts, Tracer, Traces};

use crate::app::StartError;
use crate::config::{Config, SignIn};
use crate::refreshes::RefreshMetrics;
use crate::tables::Tables;

/// What outlives a configuration, and what the one in force was made with.
#[derive(Clone, Debug)]
pub(crate) struct Assembly {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    refreshes: RefreshMetrics,
    tables: Arc<Tables>,
    audit: Log,
    shippers: Arc<Shippers>,
    fixed: Fixed,
    sign_in: Option<OpenSignIn>,
    spans: Arc<SpanCounts>,
}

/// What cannot change while the process runs.
#[derive(Clone, Debug, PartialEq)]
struct Fixed {
    admin: SocketAddr,
    audit: audit::Config,
}

/// Sign-in, with what was opened for it.
#[derive(Clone, Debug)]
pub(crate) struct OpenSignIn {
    location: StoreLocation,
    store: Arc<Store>,
    texts: KeyTexts,
    keys: Arc<Keys>,
    authenticator: Arc<Authenticator>,
}

/// A configuration that was made and is not in force yet.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) snapshot: Snapshot,
    opened: Opened,
}

/// What is exchanged beside the snapshot.
#[derive(Debug)]
pub(crate) struct Opened {
    sign_in: Option<OpenSignIn>,
    receivers: Prepared,
}

impl Assembly {
    /// Opens what the first configuration needs.
    ///
    /// # Errors
    /// The first thing that cannot be opened.
    pub(crate) fn start(
        config: Config,
        metrics: Arc<Metrics>,
        refreshes: RefreshMetrics,
        tables: Arc<Tables>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Snapshot), StartError> {
        // The store before the keys, which it may keep; both before the log, so that a start that fails for lack of
        // them leaves no empty segment behind.
        let sign_in = config.sign_in.as_ref().map(|sign_in| OpenSignIn::open(sign_in, &clock)).transpose()?;
        // The log before the routes: a proxy that cannot record may not decide.
        let audit = Log::open(&config.audit)?;
        let (shippers, spans) = (Arc::new(Shippers::new(config.audit.clone())), Arc::default());
        let fixed = Fixed::of(&config);
        let assembly = Self { clock, metrics, refreshes, tables, audit, shippers, fixed, sign_in, spans };
        assembly.sign_in.iter().for_each(|open| assembly.observe(open));
        let snapshot = assembly.snapshot(config, assembly.sign_in.as_ref(), None)?;
        Ok((assembly, snapshot))
    }

    /// Makes the configuration that is to follow `before`. Changes nothing.
    ///
    /// # Errors
    /// What of it cannot be used, or needs a restart.
    pub(crate) fn next(&self, config: Config, before: &Snapshot) -> Result<Next, StartError> {
        self.fixed.check(&Fixed::of(&config))?;
        let sign_in = match (&config.sign_in, &self.sign_in) {
            (None, _) => None,
            (Some(sign_in), None) => {
                let open = OpenSignIn::open(sign_in, &self.clock)?;
                self.observe(&open);
                Some(open)
            }
            (Some(sign_in), Some(open)) => Some(open.next(sign_in)?),
        };
        let receivers = self.shippers.prepare(config.sinks.clone()).map_err(StartError::Shipping)?;
        let snapshot = self.snapshot(config, sign_in.as_ref(), Some(before))?;
        Ok(Next { snapshot, opened: Opened { sign_in, receivers } })
    }

    /// Takes note that a configuration is in force; returns whether its keys are others.
    pub(crate) fn in_force(&mut self, opened: Opened) -> bool {
        self.shippers.follow(opened.receivers);
        let before = std::mem::replace(&mut self.sign_in, opened.sign_in);
        let (Some(before), Some(now)) = (before, &self.sign_in) else { return false };
        let rotated = !Arc::ptr_eq(&before.keys, &now.keys);
        if rotated {
            now.authenticator.forget_opened();
        }
        rotated
    }

    /// Has the refreshes of its sessions counted and recorded.
    fn observe(&self, open: &OpenSignIn) {
        let (refreshes, log) = (self.refreshes.clone(), self.audit.clone());
        open.authenticator.observe_refreshes(move |refresh| refreshes.take_note(&log, refresh));
    }

    pub(crate) const fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    pub(crate) const fn audit(&self) -> &Log {
        &self.audit
    }

    /// Returns who brings audit records to their receivers.
    pub(crate) const fn shippers(&self) -> &Arc<Shippers> {
        &self.shippers
    }

    /// Returns what became of spans.
    pub(crate) const fn spans(&self) -> &Arc<SpanCounts> {
        &self.spans
    }

    /// Goes on with the tracer before where it is to do the same.
    fn tracer(&self, traces: Option<Traces>, before: Option<&Snapshot>) -> Result<Option<Arc<Tracer>>, StartError> {
        let Some(traces) = traces else { return Ok(None) };
        if let Some(tracer) = before.and_then(Snapshot::tracer).filter(|before| *before.traces() == traces) {
            return Ok(Some(Arc::clone(tracer)));
        }
        let tracer = Tracer::start(traces, &self.fixed.audit.instance, Arc::clone(&self.spans));
        tracer.map(|tracer| Some(Arc::new(tracer))).map_err(StartError::Tracing)
    }

    fn snapshot(
        &self,
        config: Config,
        sign_in: Option<&OpenSignIn>,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, StartError> {
        let (operators, before_it) = (config.admin.tls.as_ref(), before.map(Snapshot::entrances));
        let entrances =
            Entrances::load(config.listeners, operators, &self.metrics, before_it).map_err(StartError::Listeners)?;
        let parts = Parts {
            entrances,
            authorizer: config.authorizer,
            authenticator: sign_in.map(|open| Arc::clone(&open.authenticator)),
            audit: self.audit.clone(),
            look: config.look,
            clock: Arc::clone(&self.clock),
            tracer: self.tracer(config.traces, before)?,
        };
        Snapshot::build(config.proxy, parts, &self.metrics, before).map_err(StartError::Routes)
    }
}

impl Next {
    /// Returns the parts: what serves, and what [`Assembly::in_force`] takes note of.
    pub(crate) fn into_parts(self) -> (Snapshot, Opened) {
        (self.snapshot, self.opened)
    }
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self { admin: config.admin.address, audit: config.audit.clone() }
    }

    fn check(&self, next: &Self) -> Result<(), StartError> {
        if self.admin != next.admin {
            return Err(StartError::NeedsRestart("admin.address"));
        }
        other_audit(&self.audit, &next.audit).map_or(Ok(()), |key| Err(StartError::NeedsRestart(key)))
    }
}

/// Returns the first key by which two logs differ.
fn other_audit(one: &audit::Config, other: &audit::Config) -> Option<&'static str> {
    let keys = [
        ("audit.dir", one.dir != other.dir),
        ("audit.instance", one.instance != other.instance),
        ("audit.mode", one.mode != other.mode),
        ("audit.durability", one.durability != other.durability),
        ("audit.stdout", one.stdout != other.stdout),
        ("audit.segment_size", one.segment_bytes != other.segment_bytes),
        ("audit.segment_age", one.segment_age != other.segment_age),
        ("audit.compress", one.compress != other.compress),
        ("audit.retention", one.retention != other.retention),
        ("audit.redact", one.redaction != other.redaction),
        ("audit.signing_key", one.signing_key != other.signing_key),
    ];
    keys.into_iter().find(|(_, is_other)| *is_other).map(|(key, _)| key)
}

impl OpenSignIn {
    fn open(sign_in: &SignIn, clock: &Arc<dyn Clock>) -> Result<Self, StartError> {
        let store = Arc::new(Store::open(&sign_in.store)?);
        let keys = Arc::new(Keys::load(&sign_in.keys, &store)?);
        let (config, clock) = (sign_in.config.clone(), Arc::clone(clock));
        let authenticator = Authenticator::new(config, Arc::clone(&store), Arc::clone(&keys), clock)?;
        Ok(Self {
            location: sign_in.store.clone(),
            store,
            texts: sign_in.keys.clone(),
            keys,
            authenticator: Arc::new(authenticator),
        })
    }

    fn next(&self, sign_in: &SignIn) -> Result<Self, StartError> {
        if self.location != sign_in.store {
            return Err(StartError::NeedsRestart("authenticate.session.store"));
        }
        let keys = if self.texts == sign_in.keys {
            Arc::clone(&self.keys)
        } else {
            Arc::new(Keys::load(&sign_in.keys, &self.store)?)
        };
        let authenticator = Arc::new(self.authenticator.next(sign_in.config.clone(), Arc::clone(&keys))?);
        let (location, store) = (self.location.clone(), Arc::clone(&self.store));
        Ok(Self { location, store, texts: sign_in.keys.clone(), keys, authenticator })
    }
}
