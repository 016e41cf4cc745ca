//! Audit records as OTLP logs: the line is the body, and what people filter by stands beside it.

use std::borrow::Cow;
use std::io;

use audit::Follower;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use serde::Deserialize;

use crate::otlp::message::{AnyValue, ExportLogs, KeyValue, LogRecord, Resource, ResourceLogs, Scope, ScopeLogs};
use crate::otlp::{Answer, Client, Otlp};
use crate::ship::Courier;

/// The way of records to a receiver of OTLP.
pub(crate) struct Logs {
    client: Client,
    resource: Resource,
    lines: Vec<u8>,
    // What was not taken yet.
    batch: Option<Bytes>,
}

/// What is looked at of a line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts<'a> {
    time: Option<Timestamp>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    route: Option<Cow<'a, str>>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    status: Option<i64>,
    #[serde(borrow)]
    trace_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user: Option<User<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
}

impl Logs {
    /// Makes a batch of what comes next; nothing when nothing does.
    fn next_batch(&mut self, follower: &mut Follower) -> io::Result<Option<Bytes>> {
        self.lines.clear();
        follower.read(&mut self.lines, BATCH)?;
        let lines = self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let observed = nanoseconds(Timestamp::now());
        let log_records: Vec<_> = lines.map(|line| record(line, observed)).collect();
        if log_records.is_empty() {
            return Ok(None);
        }
        let scope_logs = vec![ScopeLogs { scope: Some(Scope::new("portcullis.audit")), log_records }];
        let resource_logs = vec![ResourceLogs { resource: Some(self.resource.clone()), scope_logs }];
        Ok(Some(ExportLogs { resource_logs }.encode_to_vec().into()))
    }
}

impl Courier for Logs {
    type Receiver = Otlp;

    fn new(otlp: Otlp, instance: &str) -> Self {
        Self { client: Client::new(otlp), resource: Resource::new(instance), lines: Vec::new(), batch: None }
    }

    async fn deliver(&mut self, follower: &mut Follower) -> io::Result<bool> {
        if self.batch.is_none() {
            self.batch = self.next_batch(follower)?;
        }
        let Some(batch) = self.batch.clone() else { return Ok(false) };
        let sink = follower.progress().name();
        match self.client.export(batch).await? {
            Answer::Taken { but: 0, .. } => follower.sent(),
            Answer::Taken { but, because } => {
                tracing::warn!(sink, records = but, because, "audit records were refused by their receiver");
                follower.sent_but(but);
            }
            Answer::Refused(because) => {
                tracing::warn!(sink, because, "a batch of audit records was refused by its receiver");
                follower.refused();
            }
        }
        self.batch = None;
        follower.arrived(follower.place());
        Ok(true)
    }

    async fn finish(&mut self, _: &mut Follower) {}
}

fn record(line: &[u8], observed: u64) -> LogRecord {
    let facts: Facts<'_> = serde_json::from_slice(line).unwrap_or_default();
    let user = facts.user.unwrap_or_default();
    let texts = [
        ("portcullis.request.id", facts.id),
        ("portcullis.route", facts.route),
        ("portcullis.decision", facts.decision.clone()),
        ("portcullis.reason", facts.reason),
        ("client.address", facts.client_ip),
        ("http.request.method", facts.method),
        ("user.id", user.id),
        ("user.email", user.email),
    ];
    let mut attributes: Vec<_> =
        texts.into_iter().filter_map(|(key, text)| Some(KeyValue::text(key, text?.into_owned()))).collect();
    attributes.extend(facts.status.map(|status| KeyValue::number("http.response.status_code", status)));
    let (severity_number, severity_text) = match (&*facts.kind, facts.decision.as_deref()) {
        ("unrecorded", _) => (ERROR, "ERROR"),
        (_, Some("deny" | "challenge")) => (INFO2, "INFO2"),
        _ => (INFO, "INFO"),
    };
    LogRecord {
        time_unix_nano: facts.time.map_or(0, nanoseconds),
        observed_time_unix_nano: observed,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue::text(String::from_utf8_lossy(line))),
        attributes,
        trace_id: facts.trace_id.map(|id| trace_id(&id)).unwrap_or_default(),
        event_name: format!("portcullis.audit.{}", facts.kind),
    }
}

fn trace_id(digits: &str) -> Vec<u8> {
    u128::from_str_radix(digits, 16).map(|id| id.to_be_bytes().to_vec()).unwrap_or_default()
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

/// About how many bytes of lines go into one request: receivers take 4 MiB or more.
const BATCH: usize = 512 * 1024;

const INFO: i32 = 9;
/// As important as what is let through, and easy to tell from it.
const INFO2: i32 = 10;
const ERROR: i32 = 17;

#[cfg(test)]
mod tests;
