//! `portcullis policy explain`.

mod made_up;
mod report;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use audit::{Collect, Filter, Order, scan};
use authorize::{Explanation, Input, Inspector, Knowledge, Version, WholeRequest};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use proxy::Router;

use super::verdict::{self, Nobody, Verdict};
use crate::cli::{self, Exit, TextOrJson};
use crate::config::{self, Config};
use crate::recorded::{Line, Reader, Recorded, SignedIn};
use made_up::MadeUp;

/// Explain a decision: the value of every part of every rule
///
/// For a request that is made up of the options, or with `--request-id` for one from the audit log.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis policy explain --route grafana --user ada@example.com --groups engineering --ip 10.8.0.4\n  portcullis policy explain --request-id 019b76da-a800-7000-8000-0123456789ab\n\nExit codes: 0 it is explained, 1 no such request, 2 usage or configuration"
)]
pub(super) struct Explain {
    /// The configuration whose policies are explained
    #[arg(long, value_name = "FILE", default_value = "portcullis.yaml")]
    config: PathBuf,
    /// How the explanation is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: TextOrJson,
    /// A request of the audit log: the id is on the error page, in its JSON and in `X-Request-Id`
    #[arg(long, value_name = "ID", conflicts_with = "route", value_parser = NonEmptyStringValueParser::new())]
    request_id: Option<String>,
    /// The folder of the audit log, if it is not that of the configuration
    #[arg(long, value_name = "DIR", requires = "request_id")]
    audit_dir: Option<PathBuf>,
    #[command(flatten)]
    made_up: MadeUp,
}

/// What is explained, and how it comes out.
struct Explained<'l> {
    route: String,
    revision: String,
    /// What the record says, where there is one.
    recorded: Option<Recorded<'l>>,
    verdict: Verdict,
    /// Why rules that read `user` are not asked yet, or see nobody.
    nobody: bool,
    /// What is to be said where a request like this does not come to the route.
    elsewhere: Option<String>,
    rules: Explanation,
    candidate: Option<Explanation>,
}

impl Explain {
    pub(super) fn execute(&self) -> Exit {
        let config = match config::load_decisions(&self.config) {
            Ok(config) => config,
            Err(error) => return super::refuse_config(&error),
        };
        let Some(inspector) = Inspector::new(&config.rules) else {
            return cli::refuse("the policies cannot be taken apart: raise the limits on processes or memory");
        };
        let explained = match &self.request_id {
            Some(id) => self.explain_recorded(id, &config, &inspector),
            None => self.explain_made_up(&config, &inspector),
        };
        explained.unwrap_or_else(|exit| exit)
    }

    fn print(&self, explained: &Explained<'_>) -> Exit {
        cli::print(match self.format {
            TextOrJson::Text => report::text(explained),
            TextOrJson::Json => format!("{:#}", report::json(explained)),
        })
    }

    fn explain_made_up(&self, config: &Config, inspector: &Inspector) -> Result<Exit, Exit> {
        let name =
            self.made_up.route().ok_or_else(|| cli::refuse("nothing to explain: add `--route` or `--request-id`"))?;
        let index = route_named(config, name).map_err(cli::refuse)?;
        let route = config.proxy.routes.get(index).ok_or(Exit::Refused)?;
        let router = Router::new(&config.proxy.routes, &config.authorizer)
            .map_err(|_| cli::refuse("the configuration cannot be taken apart: see `portcullis check`"))?;
        let situation = self.made_up.situation(route, config, &router).map_err(cli::refuse)?;
        let signed_in = if situation.user.is_some() { SignedIn::Yes } else { SignedIn::No };
        let explained =
            explain(config, inspector, index, &situation.input(), &WholeRequest, signed_in).ok_or(Exit::Refused)?;
        let found = situation.find(&router, route.tunnel);
        let elsewhere = (found != Some(index)).then(|| match found.and_then(|found| config.proxy.routes.get(found)) {
            Some(route) => format!("a request like this comes to the route `{}`, not here", route.name),
            None => "a request like this comes to no route, and is refused before policies are asked".to_owned(),
        });
        Ok(self.print(&Explained { elsewhere, ..explained }))
    }

    fn explain_recorded(&self, id: &str, config: &Config, inspector: &Inspector) -> Result<Exit, Exit> {
        let dir = self.audit_dir.as_deref().unwrap_or(&config.audit.dir);
        let cannot_read = |error: io::Error| {
            let reason = config::reason(&error);
            cli::refuse(format_args!("cannot read the audit log in `{}`: {reason}", dir.display()))
        };
        let line = match find(dir, id) {
            Ok(Found::Request(line)) => line,
            Ok(Found::Another(kind)) => {
                let what = kind.replace('_', " ");
                cli::complain(format_args!("portcullis: no policy decides what `{id}` is: a record of a {what}"));
                return Err(Exit::Negative);
            }
            Ok(Found::Nothing) => {
                let dir = dir.display();
                cli::complain(format_args!("portcullis: no request `{id}` in `{dir}`: check the id and the folder"));
                return Err(Exit::Negative);
            }
            Err(error) => return Err(cannot_read(error)),
        };
        let line = Line::read(&line).map_err(|error| cannot_read(error.into()))?;
        let Some(mut recorded) = Recorded::read(&line, &mut Reader::new(dir, &config.audit.redaction)) else {
            let reason = &line.reason;
            cli::complain(format_args!("portcullis: no policy decided this request: its record says `{reason}`"));
            return Err(Exit::Negative);
        };
        let name = recorded.route.ok_or_else(|| cli::refuse("the request has no route, so no policy was asked"))?;
        let index = route_named(config, name).map_err(cli::refuse)?;
        recorded.set_route(config.proxy.routes.get(index).ok_or(Exit::Refused)?);
        let input = recorded.situation.input();
        let explained =
            explain(config, inspector, index, &input, &recorded, recorded.signed_in).ok_or(Exit::Refused)?;
        Ok(self.print(&Explained { recorded: Some(recorded), ..explained }))
    }
}

fn route_named(config: &Config, name: &str) -> Result<usize, String> {
    let names = config.proxy.routes.iter().map(|route| route.name.as_str());
    let hint = || config::hint(name, names.clone());
    names.clone().position(|known| known == name).ok_or_else(|| format!("no route is called `{name}`: {}", hint()))
}

fn explain(
    config: &Config,
    inspector: &Inspector,
    index: usize,
    input: &Input<'_>,
    knowledge: &dyn Knowledge,
    signed_in: SignedIn,
) -> Option<Explained<'static>> {
    let (route, rules) = (config.proxy.routes.get(index)?, inspector.route(index)?);
    let verdict = verdict::decide(route, rules, input, knowledge, signed_in);
    let nobody = verdict::sees_nobody(route, input);
    let explained = |version| {
        if nobody {
            let input = Input { user: None, session: None, ..*input };
            rules.explain(version, &input, &Nobody(knowledge))
        } else {
            rules.explain(version, input, knowledge)
        }
    };
    Some(Explained {
        route: route.name.clone(),
        revision: config.proxy.revision.clone(),
        recorded: None,
        verdict,
        nobody: nobody && input.user.is_some(),
        elsewhere: None,
        rules: explained(Version::InForce),
        candidate: rules.has_candidate().then(|| explained(Version::Candidate)),
    })
}

/// What the log holds of a request.
enum Found {
    /// Its line.
    Request(Box<[u8]>),
    /// It was none that policies decide, but a sign-in or the like: of this kind.
    Another(String),
    Nothing,
}

fn find(dir: &Path, id: &str) -> io::Result<Found> {
    let id = id.parse().map_err(io::Error::other)?;
    let request = Filter { id: Some(id), kind: Some("request".into()), ..Filter::default() };
    if let Some(line) = newest(dir, &request)? {
        return Ok(Found::Request(line));
    }
    let another = newest(dir, &Filter { kind: None, ..request })?;
    another.map_or(Ok(Found::Nothing), |line| Ok(Found::Another(Line::read(&line)?.kind.into_owned())))
}

/// Returns the newest record of these.
fn newest(dir: &Path, filter: &Filter) -> io::Result<Option<Box<[u8]>>> {
    let first = First::default();
    // The latest segments first: people ask about what just happened.
    let scanned = scan(dir, filter, Order::Newest, &first)?;
    let line = first.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    match scanned.errors.into_iter().next() {
        Some((_, error)) if line.is_none() => Err(error),
        _ => Ok(line),
    }
}

/// Takes the first record that is found.
#[derive(Default)]
struct First(Mutex<Option<Box<[u8]>>>);

impl Collect for First {
    type Part = ();

    fn begin(&self, _place: usize) {}

    fn take(&self, (): &mut (), found: &audit::Found<'_>) -> ControlFlow<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.line.into());
        ControlFlow::Break(())
    }

    fn end(&self, (): ()) {}
}
