//! Reads `portcullis.yaml` and the files that it names, and builds what every crate is configured with.
//!
//! Three steps: text to tree (`yaml`, `expand`), tree against description (`shape`, `schema`), tree to configuration
//! (one file a section). Each step reports all that is wrong, so that one run shows every mistake.

mod admin;
mod audit;
mod branding;
mod builder;
mod data;
mod expand;
mod fields;
mod format;
mod given_rows;
mod json_schema;
mod left_out;
mod listener;
mod policy;
mod policy_set;
mod policy_test;
mod problem;
mod reach;
mod redact;
mod route;
mod scalar_map;
mod schema;
mod shape;
mod shipping;
mod sign_in;
mod source;
mod suggest;
mod text;
mod tree;
mod watched;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authorize::Authorizer;
use pages::Look;

use crate::tables::Source;
pub use admin::Admin;
use builder::Builder;
use expand::Environment;
use fields::Fields;
pub(crate) use format::duration;
pub(crate) use given_rows::GivenRows;
pub(crate) use policy_set::{PolicySet, load_policies};
pub(crate) use policy_test::{Case, Expectation, Outcome};
use problem::Problem;
pub use problem::Report;
use route::Named;
pub(crate) use schema::policy_tests::{IP_SOURCES, PROTOCOLS, SCHEMES, TLS_VERSIONS};
pub use sign_in::SignIn;
use source::{FileId, Place, Sources};
pub(crate) use suggest::hint;
use text::Text;
pub(crate) use text::{read_bytes, reason};
use tree::{Node, Value, quoted};
pub(crate) use watched::Watched;

pub use json_schema::json_schema;

/// One accepted configuration.
#[derive(Debug)]
pub struct Config {
    /// The sockets.
    pub listeners: Vec<proxy::Listener>,
    /// Routes, and the revision.
    pub proxy: proxy::Config,
    /// The compiled policies, in the order of the routes.
    pub authorizer: Authorizer,
    /// What they were compiled from.
    pub(crate) rules: authorize::Config,
    /// The tables of `data`.
    pub(crate) tables: Vec<Arc<Source>>,
    /// Sign-in; without it no route asks for it.
    pub sign_in: Option<SignIn>,
    /// The record of decisions.
    pub audit: ::audit::Config,
    /// Where it is sent besides.
    pub sinks: telemetry::Sinks,
    /// How requests are traced.
    pub traces: Option<telemetry::Traces>,
    /// The listener for operators.
    pub admin: Admin,
    /// What was written, without secrets, for operators.
    pub(crate) shown: serde_json::Value,
    /// The look of our own pages.
    pub look: Arc<Look>,
    /// How long requests may take to end at shutdown.
    pub drain_timeout: Duration,
    /// What loads, and should be looked at.
    pub warnings: Report,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read at all.
    #[error("cannot read `{}`: {reason}; correct the path, or make the file readable", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What is written in it is wrong.
    #[error("{}", .0.to_string().trim_end())]
    Invalid(Report),
}

impl LoadError {
    /// Reads a file that was named on the command line.
    fn or_text(path: &Path) -> Result<Text, Self> {
        Text::read(path).map_err(|reason| Self::Unreadable { path: path.to_owned(), reason })
    }
}

/// Reads and checks a configuration and all files that it names.
///
/// # Errors
/// The file cannot be read, or something in it or in a file that it names is wrong.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    load_with(path, &process_environment)
}

/// Reads a configuration for what it decides. Nothing can be served with it: secrets, certificates and keys are left
/// unread, and need not be there.
///
/// # Errors
/// As of [`load`].
pub(crate) fn load_decisions(path: &Path) -> Result<Config, LoadError> {
    load_extent(path, &process_environment, Extent::Decisions)
}

#[expect(clippy::disallowed_methods, reason = "`${env:NAME}` is the one place where the environment is read")]
fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How much of a configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it, and every file that it names.
    Everything,
    /// What decides requests.
    Decisions,
}

/// Loads with an environment of the caller's.
pub(crate) fn load_with(path: &Path, environment: Environment<'_>) -> Result<Config, LoadError> {
    load_extent(path, environment, Extent::Everything)
}

fn load_extent(path: &Path, environment: Environment<'_>, extent: Extent) -> Result<Config, LoadError> {
    let mut sources = Sources::default();
    sources.watched.add(path.to_owned());
    let text = LoadError::or_text(path)?;
    let mut files = Files { sources, problems: Vec::new(), environment, extent };
    let (_, root) = files.tree(path, text, &schema::ROOT);
    let root = root.map(|mut root| {
        if extent == Extent::Decisions {
            left_out::mark_references(&mut root);
        }
        files.described(root, &schema::ROOT)
    });
    let policies = root.as_ref().map(|root| files.policy_files(root)).unwrap_or_default();
    let Files { sources, problems, .. } = files;
    let (config, mut report) = match &root {
        Some(node) => build(node, &policies, sources, problems),
        None => (None, Report { sources, problems }),
    };
    report.sort();
    match config {
        Some(config) if report.errors() == 0 => Ok(Config { warnings: report, ..config }),
        _ => Err(LoadError::Invalid(report)),
    }
}

/// The first two steps, for each file.
struct Files<'e> {
    sources: Sources,
    problems: Vec<Problem>,
    environment: Environment<'e>,
    extent: Extent,
}

impl Files<'_> {
    fn read(&mut self, path: &Path, text: Text, section: &schema::Section) -> (FileId, Option<Node>) {
        let (file, node) = self.tree(path, text, section);
        (file, node.map(|node| self.described(node, section)))
    }

    /// The first step: text to tree.
    fn tree(&mut self, path: &Path, text: Text, section: &schema::Section) -> (FileId, Option<Node>) {
        let Text { text, mistake } = text;
        let file = self.sources.add(path.to_owned(), text);
        if let Some((start, message)) = mistake {
            self.error(Place { start, end: start, ..Place::start_of(file) }, message);
            return (file, None);
        }
        let text = self.sources.get(file).map(|source| source.text.clone()).unwrap_or_default();
        let node = match yaml::parse(&text, file) {
            Ok((node, problems)) => {
                self.problems.extend(problems);
                node
            }
            Err(problems) => {
                self.problems.extend(problems);
                return (file, None);
            }
        };
        let message = match &node.value {
            Value::Map(_) => return (file, Some(node)),
            Value::Null if section.has_required() => {
                "the file is empty: write at least `listeners` and `routes`; `config/` has examples".to_owned()
            }
            Value::Null => "the file is empty: write `policies`, or leave the file out".to_owned(),
            Value::Scalar(_) | Value::List(_) => {
                format!("the file must be a mapping of keys to values, not {}", node.noun())
            }
        };
        self.error(node.place, message);
        (file, None)
    }

    /// The second step: tree against description.
    fn described(&mut self, mut node: Node, section: &schema::Section) -> Node {
        if self.extent == Extent::Decisions {
            left_out::mark(&mut node, section);
        }
        expand::expand(&mut node, self.environment, &mut self.sources, &mut self.problems);
        shape::check(&node, section, &mut self.sources, &mut self.problems);
        node
    }

    fn policy_files(&mut self, root: &Node) -> Vec<Node> {
        let mut nodes = Vec::new();
        for pattern in root.get("policy_files").map_or(&[][..], Node::items) {
            let Some(text) = pattern.text() else { continue };
            // The folder is no pattern, whatever it is called.
            let folder = glob::Pattern::escape(&self.sources.folder(pattern.place.file).display().to_string());
            let full = Path::new(&folder).join(text).display().to_string();
            self.sources.watched.add_pattern(full.clone());
            let paths = match glob::glob(&full) {
                Ok(paths) => paths.flatten().filter(|path| path.is_file()).collect::<Vec<_>>(),
                Err(error) => {
                    self.error(pattern.place, format!("{} is no pattern: {}; correct it", pattern.shown(), error.msg));
                    continue;
                }
            };
            if paths.is_empty() {
                self.error(pattern.place, format!("no policy file matches {}: correct the path", pattern.shown()));
            }
            for path in paths {
                // Two patterns may match one file.
                if self.sources.iter().any(|source| source.path == path) {
                    continue;
                }
                self.sources.watched.add(path.clone());
                match Text::read(&path) {
                    Ok(text) => nodes.extend(self.read(&path, text, &schema::POLICY_FILE).1),
                    Err(reason) => {
                        let path = quoted(&path.display().to_string());
                        self.error(pattern.place, format!("cannot read the policy file {path}: {reason}"));
                    }
                }
            }
        }
        nodes
    }

    fn error(&mut self, place: Place, message: String) {
        self.problems.push(Problem::error(place, message));
    }
}

/// The third step. Goes on after mistakes, to find the rest of them.
fn build(root: &Node, policy_files: &[Node], sources: Sources, problems: Vec<Problem>) -> (Option<Config>, Report) {
    let revision = revision(&sources);
    let mut builder = Builder::new(sources, problems);
    let shown = redact::redact(root, &schema::ROOT);
    let root = Fields::new(&schema::ROOT, Some(root));
    let admin = admin::build(&mut builder, &root);
    let look = branding::build(&mut builder, &root);
    let listeners = listener::build(&mut builder, &root);
    let sign_in = sign_in::build(&mut builder, &root, &look);
    let tables = data::build(&mut builder, &root);
    let policies = policy::policies(&mut builder, policy_files);
    policy_test::cases(&mut builder, policy_files, &policies, &tables);
    let guard = policy::guard(&mut builder, &root);
    let providers = root.section("authenticate", &schema::AUTHENTICATE).items("providers").iter();
    let providers: Vec<_> = providers.filter_map(|provider| provider.get("id")?.text()).collect();
    let named = Named {
        policies: &policies,
        providers: &providers,
        sign_in: sign_in.as_ref(),
        offers_sign_in: root.get("authenticate").is_some(),
        guard_allows: !guard.allow.is_empty(),
    };
    let route::Built { routes, tls_routes, rules } = route::build(&mut builder, &root, named);
    reach::check(&mut builder, &root, &listeners);
    let fields = audit::fields(&mut builder, &root);
    let policies = authorize::Config {
        fields,
        networks: policy::networks(&root),
        tables: data::named(&root, &tables),
        policies,
        guard,
        routes: rules,
    };
    let authorizer = match Authorizer::compile(&policies) {
        Ok((authorizer, warnings)) => {
            builder.policy_problems(warnings);
            Some(authorizer)
        }
        Err(problems) => {
            builder.policy_problems(problems);
            None
        }
    };
    let record_inputs = audit::inputs(&mut builder, &root);
    let sinks = shipping::sinks(&mut builder, &root);
    let traces = shipping::traces(&mut builder, &root);
    let config = authorizer.and_then(|authorizer| {
        let authenticate = sign_in.as_ref().map(|sign_in| sign_in.config.url.clone());
        Some(Config {
            listeners,
            proxy: proxy::Config { revision, authenticate, routes, tls_routes, record_inputs },
            authorizer,
            rules: policies,
            tables,
            sign_in,
            audit: audit::build(&root, &builder.sources)?,
            sinks,
            traces,
            admin: admin?,
            shown,
            look,
            drain_timeout: root.duration("drain_timeout")?,
            warnings: Report { sources: Sources::default(), problems: Vec::new() },
        })
    });
    let Builder { sources, problems, .. } = builder;
    (config, Report { sources, problems })
}

/// Names what was accepted: a hash over the text of every file that decides something, whatever it is called. What stands in
/// for `${env:..}` is left out, because a hash of a secret helps to guess it.
fn revision(sources: &Sources) -> String {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for source in sources.iter() {
        hash.update(&source.text.len().to_be_bytes());
        hash.update(source.text.as_bytes());
    }
    hash.finish().as_ref().iter().take(REVISION_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// 64 bits tell the revisions of one deployment apart.
const REVISION_BYTES: usize = 8;

#[cfg(test)]
mod tests;
