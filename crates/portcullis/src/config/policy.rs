//! Policy files, `networks` and `guard` to what is compiled.

use std::collections::{BTreeMap, HashMap};

use authorize::{Candidate, Guard, Policy};
use ipnet::IpNet;

use super::builder::Builder;
use super::fields::Fields;
use super::format;
use super::schema;
use super::tree::{Node, quoted};

/// Builds the named policies of all policy files.
pub(crate) fn policies<'n>(builder: &mut Builder<'n>, files: &'n [Node]) -> Vec<Policy> {
    let mut seen = HashMap::new();
    let mut policies = Vec::new();
    for node in files.iter().filter_map(|file| file.get("policies")).flat_map(Node::items) {
        let fields = Fields::new(&schema::POLICY, Some(node));
        let (allow, deny) = (builder.rules(&fields, "allow"), builder.rules(&fields, "deny"));
        let shadow = candidate(builder, &fields);
        let Some(name) = fields.text("name") else { continue };
        if seen.insert(name, ()).is_some() {
            let place = fields.get("name").map_or(node.place, |name| name.place);
            builder.error(place, format!("two policies are called {}: give one another `name`", quoted(name)));
        }
        policies.push(Policy { name: name.to_owned(), allow, deny, shadow });
    }
    policies
}

/// Builds `shadow` of a policy.
fn candidate<'n>(builder: &mut Builder<'n>, policy: &Fields<'n>) -> Option<Candidate> {
    let fields = policy.section("shadow", &schema::CANDIDATE);
    let place = fields.place()?;
    let candidate = Candidate { allow: builder.rules(&fields, "allow"), deny: builder.rules(&fields, "deny") };
    if candidate.allow.is_empty() && candidate.deny.is_empty() {
        builder.error(place, "`shadow` has no rules: write `allow` or `deny`, or remove the key");
    }
    Some(candidate)
}

/// Builds `guard`.
pub(crate) fn guard<'n>(builder: &mut Builder<'n>, root: &Fields<'n>) -> Guard {
    let fields = root.section("guard", &schema::RULES);
    Guard { allow: builder.rules(&fields, "allow"), deny: builder.rules(&fields, "deny") }
}

/// Builds `networks`.
pub(crate) fn networks(root: &Fields<'_>) -> BTreeMap<String, Vec<IpNet>> {
    let networks = root.table("networks").map(|(name, node)| {
        let nets = node.items().iter().filter_map(|item| format::network(item.text()?).ok());
        (name.to_owned(), nets.collect())
    });
    networks.collect()
}
