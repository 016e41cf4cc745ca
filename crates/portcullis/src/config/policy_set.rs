//! Policies and their tests, without the rest of a configuration: what `portcullis policy test` needs.

use std::path::{Path, PathBuf};

use authorize::{Authorizer, RouteRules};

use super::builder::Builder;
use super::fields::Fields;
use super::policy_test::Case;
use super::source::{Place, Sources};
use super::tree::{Node, Value};
use super::{Extent, Files, LoadError, Report, data, policy, policy_test, process_environment, schema};

/// Policies, each by itself, and their tests.
#[derive(Debug)]
pub(crate) struct PolicySet {
    /// A route for each policy, in the order of the policies.
    pub(crate) rules: authorize::Config,
    pub(crate) authorizer: Authorizer,
    pub(crate) cases: Vec<Case>,
    /// Knows the places of the tests, too.
    pub(crate) warnings: Report,
}

/// Reads policy files and their tests. Without `files` they are those of `config`; with both, `config` gives what they
/// name.
///
/// # Errors
/// A file cannot be read, or something in it is wrong, or there is nothing to test.
pub(crate) fn load_policies(files: &[PathBuf], config: Option<&Path>) -> Result<PolicySet, LoadError> {
    let mut read = Files {
        sources: Sources::default(),
        problems: Vec::new(),
        environment: &process_environment,
        extent: Extent::Decisions,
    };
    let root = config.map(|path| read.policy_root(path)).transpose()?.flatten();
    let nodes = match &root {
        Some(root) if files.is_empty() => {
            let nodes = read.policy_files(root);
            read.tests_somewhere(root, &nodes);
            nodes
        }
        Some(_) | None => read.named(files)?,
    };
    let Files { sources, problems, .. } = read;
    let (built, mut report) = build(root.as_ref(), &nodes, Builder::new(sources, problems));
    report.sort();
    match built {
        Some((rules, authorizer, cases)) if report.errors() == 0 => {
            Ok(PolicySet { rules, authorizer, cases, warnings: report })
        }
        _ => Err(LoadError::Invalid(report)),
    }
}

impl Files<'_> {
    /// Reads of a configuration only what policies name: a test needs neither its secrets nor its certificates.
    fn policy_root(&mut self, path: &Path) -> Result<Option<Node>, LoadError> {
        let text = LoadError::or_text(path)?;
        let (_, node) = self.tree(path, text, &schema::ROOT);
        Ok(node.map(|mut node| {
            if let Value::Map(entries) = &mut node.value {
                entries.retain(|entry| schema::POLICY_ROOT.key(&entry.key).is_some());
            }
            self.described(node, &schema::POLICY_ROOT)
        }))
    }

    fn named(&mut self, files: &[PathBuf]) -> Result<Vec<Node>, LoadError> {
        let mut nodes = Vec::new();
        for path in files {
            let text = LoadError::or_text(path)?;
            let (file, node) = self.read(path, text, &schema::POLICY_FILE);
            if node.as_ref().is_some_and(|node| node.get("tests").is_none_or(|tests| tests.items().is_empty())) {
                self.error(Place::start_of(file), "this file tests nothing: add `tests`, or leave it out".to_owned());
            }
            nodes.extend(node);
        }
        Ok(nodes)
    }

    fn tests_somewhere(&mut self, root: &Node, files: &[Node]) {
        let tests = files.iter().filter_map(|file| file.get("tests")).flat_map(Node::items).count();
        if tests == 0 {
            let message = "no policy file has `tests`, so nothing is tested: add some, or name a file that has them";
            self.error(root.get("policy_files").map_or(root.place, |node| node.place), message.to_owned());
        }
    }
}

type Built = (authorize::Config, Authorizer, Vec<Case>);

fn build<'n>(root: Option<&'n Node>, files: &'n [Node], mut builder: Builder<'n>) -> (Option<Built>, Report) {
    let root = Fields::new(&schema::POLICY_ROOT, root);
    let tables = data::build(&mut builder, &root);
    let policies = policy::policies(&mut builder, files);
    let cases = policy_test::cases(&mut builder, files, &policies, &tables);
    let alone = |(index, policy): (usize, &authorize::Policy)| RouteRules {
        route: policy.name.clone(),
        policies: vec![index],
        ..RouteRules::default()
    };
    let rules = authorize::Config {
        networks: policy::networks(&root),
        tables: data::named(&root, &tables),
        routes: policies.iter().enumerate().map(alone).collect(),
        policies,
        ..authorize::Config::default()
    };
    let (authorizer, problems) = match Authorizer::compile(&rules) {
        Ok((authorizer, warnings)) => (Some(authorizer), warnings),
        Err(problems) => (None, problems),
    };
    builder.policy_problems(problems);
    let Builder { sources, problems, .. } = builder;
    (authorizer.map(|authorizer| (rules, authorizer, cases)), Report { sources, problems })
}

impl Report {
    /// Returns the file and the line of a place.
    pub(crate) fn line(&self, place: Place) -> Option<(&Path, usize)> {
        let source = self.sources.get(place.file)?;
        Some((&source.path, source.position(place.start).0))
    }
}
