//! Takes the spans of requests that have ended, and sends them on: in batches, from a thread of its own.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::ContinueFrom;
use super::context::Sampler;
use crate::otlp::message::{ExportTraces, Resource, ResourceSpans, Scope, ScopeSpans, Span};
use crate::otlp::{Answer, Client, Otlp};

/// How requests are traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Who gets the spans.
    pub otlp: Otlp,
    /// Which part of the traces that begin here is sampled, from 0 to 1.
    pub sample: f64,
    /// Whose traces are continued.
    pub continue_from: ContinueFrom,
}

/// Traces requests. Who drops the last of it lets it send what it has.
#[derive(Debug)]
pub struct Tracer {
    traces: Traces,
    sampler: Sampler,
    queue: mpsc::Sender<Vec<Span>>,
    counts: Arc<SpanCounts>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What became of spans, for as long as the process lives.
#[derive(Debug, Default)]
pub struct SpanCounts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// The other end of the queue.
struct Exporter {
    client: Client,
    resource: Resource,
    queue: mpsc::Receiver<Vec<Span>>,
    counts: Arc<SpanCounts>,
    stop: watch::Receiver<bool>,
    is_failing: bool,
}

impl SpanCounts {
    /// Returns how many spans were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many were not: the receiver was away, refused them, or was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Tracer {
    /// Starts to trace; `instance` names this process, and `counts` goes on.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(traces: Traces, instance: &str, counts: Arc<SpanCounts>) -> io::Result<Self> {
        let (queue, ended) = mpsc::channel(QUEUE);
        let stop = watch::Sender::new(false);
        let ended_with = stop.subscribe();
        let exporter = Exporter {
            client: Client::new(traces.otlp.clone()),
            resource: Resource::new(instance),
            queue: ended,
            counts: Arc::clone(&counts),
            stop: stop.subscribe(),
            is_failing: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = exporter.run() => {}
                    () = too_late(ended_with) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("traces".into()).spawn(run)?;
        let sampler = Sampler::new(traces.sample);
        Ok(Self { traces, sampler, queue, counts, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Returns what it was started with.
    #[must_use]
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Sends what it has, where that does not take long, and takes no more. Blocks.
    pub fn finish(&self) {
        self.stop.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that sends traces ended before its time");
        }
    }

    pub(super) const fn continue_from(&self) -> ContinueFrom {
        self.traces.continue_from
    }

    pub(super) const fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// Takes the spans of a request. Never waits.
    pub(super) fn take(&self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        if self.queue.try_send(spans).is_err() {
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Exporter {
    async fn run(mut self) {
        let mut requests = Vec::new();
        loop {
            let stopped = *self.stop.borrow() || self.stop.has_changed().is_err();
            if stopped {
                self.queue.close();
            }
            let mut stop = self.stop.clone();
            let got = tokio::select! {
                got = self.queue.recv_many(&mut requests, BATCH) => got,
                // Looks again whether it is over.
                _ = stop.changed(), if !stopped => continue,
            };
            if got == 0 {
                return;
            }
            if got < BATCH && !stopped {
                let _ = tokio::time::timeout(GATHER, stop.changed()).await;
                while requests.len() < BATCH
                    && let Ok(more) = self.queue.try_recv()
                {
                    requests.push(more);
                }
            }
            self.export(requests.drain(..).flatten().collect()).await;
        }
    }

    async fn export(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: Some(Scope::new("portcullis.proxy")), spans }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        let batch: Bytes = ExportTraces { resource_spans }.encode_to_vec().into();
        let lost = self.send(batch).await.unwrap_or(count).min(count);
        self.counts.dropped.fetch_add(lost, Ordering::Relaxed);
        self.counts.sent.fetch_add(count - lost, Ordering::Relaxed);
    }

    /// Sends a batch, and returns how many of its spans were not taken; nothing where that is all of them.
    async fn send(&mut self, batch: Bytes) -> Option<u64> {
        let since = Instant::now();
        loop {
            match self.client.export(batch.clone()).await {
                Ok(Answer::Taken { but, because }) => {
                    if but > 0 {
                        tracing::warn!(spans = but, because, "spans were refused by their receiver");
                    }
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("traces are sent again");
                    }
                    return Some(but);
                }
                Ok(Answer::Refused(because)) => {
                    tracing::warn!(because, "a batch of spans was refused by its receiver");
                    return None;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "traces cannot be sent now, and are dropped after a while");
                    }
                }
            }
            if since.elapsed() >= PATIENCE {
                return None;
            }
            sleep(RETRY).await;
        }
    }
}

/// Ends some time after the end was told.
async fn too_late(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
    sleep(FAREWELL).await;
}

/// How many requests may wait: some megabytes of spans.
const QUEUE: usize = 4096;
/// Requests whose spans are sent at once.
const BATCH: usize = 256;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_secs(1);
/// How long a batch is tried; what comes meanwhile waits in the queue.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end waits for what is left.
const FAREWELL: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
