//! Where the log is, and what is looked for in it: what all verbs that search take.

use std::net::IpAddr;
use std::path::PathBuf;

use ::audit::{Filter, Pattern, Scanned, Statuses};
use clap::Args;
use clap::builder::PossibleValuesParser;
use identity::{Clock as _, SystemClock};
use ipnet::IpNet;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::{self, Exit};
use crate::config;

/// Where the log is, and what is looked for in it.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Where the log is, what is looked for in it, and the zone of times.
pub(super) struct Search {
    pub(super) dir: PathBuf,
    pub(super) filter: Filter,
    pub(super) zone: TimeZone,
}

/// Where the log is.
#[derive(Debug, Default, Args)]
pub(super) struct LogArgs {
    /// The folder of the segments
    #[arg(long, value_name = "DIR", default_value = "audit", conflicts_with = "config")]
    dir: PathBuf,
    /// The configuration that names the folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is looked for; all that is given must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (TEXT may have `*` for anything)")]
struct FilterArgs {
    /// The user: an id or an e-mail address
    #[arg(long, value_name = "TEXT")]
    user: Option<Pattern>,
    /// One of the user's groups
    #[arg(long, value_name = "TEXT")]
    group: Option<Pattern>,
    /// The client's address, or a network
    #[arg(long, value_name = "ADDRESS", value_parser = network)]
    ip: Option<IpNet>,
    /// The route
    #[arg(long, value_name = "TEXT")]
    route: Option<Pattern>,
    /// The host; of tunnels with its port or without
    #[arg(long, value_name = "TEXT")]
    host: Option<Pattern>,
    /// The path
    #[arg(long, value_name = "TEXT")]
    path: Option<Pattern>,
    /// The method
    #[arg(long, value_name = "TEXT")]
    method: Option<Pattern>,
    /// The status: `403`, `4xx`, `500-599`
    #[arg(long, value_name = "STATUS")]
    status: Option<Statuses>,
    /// What was decided
    #[arg(long, value_name = "DECISION", value_parser = PossibleValuesParser::new(["allow", "deny", "challenge"]))]
    decision: Option<String>,
    /// The rule that decided, as `policy/rule`
    #[arg(long, value_name = "TEXT")]
    rule: Option<Pattern>,
    /// The session
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    session: Option<Pattern>,
    /// The request id
    #[arg(long, value_name = "TEXT")]
    request_id: Option<Pattern>,
    /// What happened
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    kind: Option<String>,
    /// From when on: so long ago (`7d`, `24h`), a date (its beginning), or a time (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Until when, itself not included
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The zone of dates and times that have none, such as `Europe/Berlin`; unless given, that of this machine
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

impl SearchArgs {
    /// Returns what they mean.
    pub(super) fn read(&self) -> Result<Search, Exit> {
        let zone = self.filter.zone().map_err(cli::refuse)?;
        let filter = self.filter.filter(&zone).map_err(cli::refuse)?;
        Ok(Search { dir: self.log.dir()?, filter, zone })
    }
}

impl LogArgs {
    /// Returns the folder.
    pub(super) fn dir(&self) -> Result<PathBuf, Exit> {
        let Some(config) = &self.config else { return Ok(self.dir.clone()) };
        config::load_decisions(config).map(|config| config.audit.dir).map_err(|error| {
            cli::refuse(format_args!("{error}\nname the folder with `--dir`, or correct the configuration"))
        })
    }
}

impl FilterArgs {
    /// Returns the zone that times are read in.
    fn zone(&self) -> Result<TimeZone, String> {
        match &self.zone {
            Some(name) => TimeZone::get(name)
                .map_err(|_| format!("no time zone is called `{name}`: write one such as `Europe/Berlin` or `UTC`")),
            None => Ok(TimeZone::system()),
        }
    }

    /// Returns what is looked for.
    fn filter(&self, zone: &TimeZone) -> Result<Filter, String> {
        let read = |text: &Option<String>| text.as_deref().map(|text| when(text, zone)).transpose();
        let (since, until) = (read(&self.since)?, read(&self.until)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err("`--since` is not before `--until`: nothing lies between them".to_owned());
        }
        Ok(Filter {
            user: self.user.clone(),
            group: self.group.clone(),
            network: self.ip,
            route: self.route.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            method: self.method.clone(),
            status: self.status,
            decision: self.decision.as_deref().map(Into::into),
            rule: self.rule.clone(),
            session: self.session.clone(),
            id: self.request_id.clone(),
            kind: self.kind.as_deref().map(Into::into),
            since,
            until,
        })
    }
}

/// Reads a time, a date, or how long ago it was.
fn when(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)));
    if let Ok(civil) = civil {
        return civil.to_zoned(zone.clone()).map(|time| time.timestamp()).map_err(|error| error.to_string());
    }
    let ago = config::duration(text).ok().and_then(|ago| SignedDuration::try_from(ago).ok());
    let time = ago.and_then(|ago| SystemClock.now().checked_sub(ago).ok());
    time.ok_or_else(|| {
        format!("`{text}` is no time: write how long ago (`7d`, `24h`), a date (`2026-11-01`), or a time (`2026-11-01T08:00:00Z`)")
    })
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    // As records have it: an IPv4 address in the form of IPv6 is IPv4.
    let address = |text: &str| text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    text.parse()
        .ok()
        .or_else(|| address(text))
        .ok_or("write an address such as `10.8.0.4`, or a network such as `10.8.0.0/16`")
}

/// Says what a search did not see; returns how it ended.
pub(super) fn conclude(scanned: &Scanned, found: bool) -> Exit {
    if scanned.without_outcome > 0 {
        cli::complain(format_args!(
            "portcullis: {} without outcome: in flight, broken off when the proxy ended, or ended more than 64 MiB of log later",
            counted(scanned.without_outcome, "request")
        ));
    }
    if scanned.unreadable > 0 {
        cli::complain(format_args!(
            "portcullis: {} passed over that cannot be read: see `portcullis audit verify`",
            counted(scanned.unreadable, "line")
        ));
    }
    for (path, error) in &scanned.errors {
        let reason = config::reason(error);
        cli::complain(format_args!(
            "portcullis: cannot read all of `{}`: {reason}; see `portcullis audit verify`",
            path.display()
        ));
    }
    match found {
        _ if !scanned.errors.is_empty() => Exit::Refused,
        true => Exit::Done,
        false => Exit::Negative,
    }
}

/// Returns how many there are of something.
pub(super) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Says why there is nothing to search.
pub(super) fn refuse(dir: &std::path::Path, error: &std::io::Error) -> Exit {
    let (dir, reason) = (dir.display(), config::reason(error));
    cli::refuse(format_args!("cannot read `{dir}`: {reason}; name the folder of `audit.dir` with `--dir`"))
}

/// What happens, as records call it; outcomes are part of their requests.
const KINDS: [&str; 11] = [
    "request",
    "sign_in",
    "sign_out",
    "revoke",
    "reload",
    "key_rotation",
    "admin",
    "stream_closed",
    "refresh_failed",
    "retention",
    "unrecorded",
];
