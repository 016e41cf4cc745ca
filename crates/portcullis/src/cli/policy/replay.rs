//! `portcullis policy replay`.

mod report;
mod tally;

use std::io;
use std::path::{Path, PathBuf};

use audit::{Filter, Segment, scan_segments};
use authorize::{Inspector, Mode};
use clap::Args;
use identity::{Clock as _, SystemClock};
use jiff::Timestamp;
use memchr::memmem::Finder;
use proxy::Router;

use super::verdict::{self, Verdict};
use crate::cli::{self, Exit, TextOrJson};
use crate::config::{self, Config};
use crate::recorded::{Line, Reader, Recorded};
use tally::{Tally, Window};

/// Decide the requests of the audit log again, under another configuration
///
/// Prints who would lose and who would gain access to what. What a record does not tell (a header that was not recorded)
/// is counted as undecidable, never guessed.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  portcullis policy replay --since 7d --config new.yaml\n\nExit codes: 0 no decision changes, 1 some do, 2 usage or configuration"
)]
pub(super) struct Replay {
    /// The configuration that decides
    #[arg(long, value_name = "FILE", default_value = "portcullis.yaml")]
    config: PathBuf,
    /// The folder of the audit log, if it is not that of the configuration
    #[arg(long, value_name = "DIR")]
    audit_dir: Option<PathBuf>,
    /// From when on: so long ago (`7d`, `24h`), or a time (RFC 3339)
    #[arg(long, value_name = "WHEN", default_value = "7d", value_parser = when)]
    since: Timestamp,
    /// Until when
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: TextOrJson,
}

/// Reads a time, or how long ago it was.
fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = config::duration(text).map_err(|_| "write how long ago, such as `7d` or `24h`, or a time (RFC 3339)")?;
    SystemClock.now().checked_sub(ago).map_err(|_| "that is too long ago".to_owned())
}

impl Replay {
    pub(super) fn execute(&self) -> Exit {
        let config = match config::load_decisions(&self.config) {
            Ok(config) => config,
            Err(error) => return super::refuse_config(&error),
        };
        let inspector = Inspector::new(&config.rules);
        let router = Router::new(&config.proxy.routes, &config.authorizer);
        let (Some(inspector), Ok(router)) = (inspector, router) else {
            return cli::refuse("the configuration cannot be taken apart: see `portcullis check`");
        };
        let dir = self.audit_dir.as_deref().unwrap_or(&config.audit.dir);
        let window = Window { since: self.since, until: self.until };
        let replaying = Replaying { config: &config, inspector: &inspector, router: &router, window };
        let tally = match replaying.run(dir) {
            Ok(tally) => tally,
            Err(error) => {
                let reason = config::reason(&error);
                return cli::refuse(format_args!("cannot read the audit log in `{}`: {reason}", dir.display()));
            }
        };
        let revision = &config.proxy.revision;
        let printed = cli::print(match self.format {
            TextOrJson::Text => report::text(&tally, window, revision),
            TextOrJson::Json => format!("{:#}", report::json(&tally, window, revision)),
        });
        if printed == Exit::Done && tally.differs() { Exit::Negative } else { printed }
    }
}

struct Replaying<'c> {
    config: &'c Config,
    inspector: &'c Inspector,
    router: &'c Router,
    window: Window,
}

impl Replaying<'_> {
    fn run(&self, dir: &Path) -> io::Result<Tally> {
        let Window { since, until } = self.window;
        let filter = Filter { kind: Some("request".into()), since: Some(since), until, ..Filter::default() };
        let mut all = Tally::default();
        let scanned = scan_segments(dir, &filter, |segment| self.segment(dir, segment), |tally| all.merge(tally))?;
        // A part of what was decided would look like all of it.
        scanned.errors.into_iter().next().map_or(Ok(all), |(_, error)| Err(error))
    }

    fn segment(&self, dir: &Path, segment: &Segment) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let mut reader = Reader::new(dir, &self.config.audit.redaction);
        let is_request = Finder::new(REQUEST);
        let mut lines = segment.lines()?;
        while let Some(line) = lines.next_with(&is_request)? {
            self.line(line, &mut reader, &mut tally);
        }
        Ok(tally)
    }

    fn line(&self, line: &[u8], reader: &mut Reader, tally: &mut Tally) {
        let Ok(line) = Line::read(line) else {
            tally.unreadable += 1;
            return;
        };
        if line.kind != "request" || !self.window.holds(line.time) {
            return;
        }
        let Some(mut recorded) = Recorded::read(&line, reader) else {
            tally.not_by_policy += 1;
            return;
        };
        let (route, verdict) = self.decide(&mut recorded);
        tally.count(&recorded, route, verdict);
    }

    fn decide<'l>(&'l self, recorded: &mut Recorded<'l>) -> (Option<&'l str>, Verdict) {
        let request = &recorded.situation;
        if let Some(field) = recorded.unknown_for_routing() {
            return (None, Verdict::Undecidable { missing: vec![field.to_owned()] });
        }
        let found = request.find(self.router, recorded.port).and_then(|index| {
            Some((
                self.config.proxy.routes.get(index)?,
                self.inspector.route(index)?,
                self.config.rules.routes.get(index)?,
            ))
        });
        let Some((route, rules, attached)) = found else {
            return (None, Verdict::Deny { reason: "no-route", rule: None, message: None, error: None });
        };
        recorded.set_route(route);
        let input = recorded.situation.input();
        let verdict = verdict::decide(route, rules, &input, recorded, recorded.signed_in);
        let let_through = attached.mode == Mode::Shadow && !recorded.must_sign_in(route);
        if let_through && matches!(verdict, Verdict::Deny { .. }) {
            return (Some(&route.name), Verdict::Allow { rule: "shadow-mode".into() });
        }
        (Some(&route.name), verdict)
    }
}

/// What is in the line of each request.
const REQUEST: &str = "\"kind\":\"request\"";
