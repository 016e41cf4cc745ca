//! `data` to tables, read for the first time.

use std::collections::BTreeMap;
use std::sync::Arc;

use authorize::{Format, KeyType, Layout, Table};

use super::builder::Builder;
use super::fields::Fields;
use super::source::Place;
use super::tree::{Node, quoted};
use super::{format, schema};
use crate::tables::{Origin, Server, Source};

/// Builds `data`, and reads the files that it names.
pub(crate) fn build(builder: &mut Builder<'_>, root: &Fields<'_>) -> Vec<Arc<Source>> {
    let written: Vec<_> = root.table("data").collect();
    written.into_iter().filter_map(|(name, node)| table(builder, name, node)).map(Arc::new).collect()
}

/// Names tables for the compiler of policies. One that has a mistake is named too, or each rule that reads it would be
/// told as another.
pub(crate) fn named(root: &Fields<'_>, sources: &[Arc<Source>]) -> BTreeMap<String, Arc<Table>> {
    let mut named: BTreeMap<_, _> =
        sources.iter().map(|source| (source.name().to_owned(), Arc::clone(source.table()))).collect();
    for (name, node) in root.table("data") {
        let network = node.get("mmdb").is_some() || node.get("key_type").and_then(Node::text) == Some("network");
        let key = if network { KeyType::Network } else { KeyType::Text };
        named.entry(name.to_owned()).or_insert_with(|| Arc::new(Table::new(key)));
    }
    named
}

fn table(builder: &mut Builder<'_>, name: &str, node: &Node) -> Option<Source> {
    let fields = Fields::new(&schema::TABLE, Some(node));
    let before = builder.problems.len();
    let origin_key = origin_key(builder, name, &fields, node.place)?;
    let layout = layout(builder, name, &fields, origin_key);
    for key in ["refresh", "timeout", "ca_file", "format"].into_iter().filter(|_| origin_key != "url") {
        refuse(builder, &fields, key, "goes with `url`");
    }
    let max_size = fields.size("max_size")?;
    if builder.problems.len() > before {
        return None;
    }
    let written = fields.get(origin_key)?;
    let origin = if origin_key == "url" {
        Origin::Url(server(builder, &fields, written)?)
    } else {
        Origin::File(fields.path(origin_key, &builder.sources)?)
    };
    let remedy = match &origin {
        Origin::File(path) if !path.exists() => "; correct the path or make the file",
        Origin::File(_) | Origin::Url(_) => "",
    };
    let source = Source::new(name, layout?, origin, max_size);
    if let Err(problem) = source.read() {
        // Corrected there, the configuration is good.
        builder.sources.watched.extend(source.watched());
        builder.error(written.place, format!("the table {} cannot be used: {problem}{remedy}", quoted(name)));
    }
    Some(source)
}

/// Returns which of the keys that say where the table comes from is written.
fn origin_key(builder: &mut Builder<'_>, name: &str, fields: &Fields<'_>, place: Place) -> Option<&'static str> {
    let written: Vec<_> = ORIGINS.into_iter().filter_map(|key| Some((key, fields.get(key)?))).collect();
    match written.as_slice() {
        [(key, _)] => Some(key),
        [] => {
            builder.error(
                place,
                format!("the table {} comes from nowhere: write `mmdb`, `csv`, `json` or `url`", quoted(name)),
            );
            None
        }
        [(first, _), (second, node), ..] => {
            builder.error(node.place, format!("`{first}` and `{second}` exclude each other: remove one"));
            None
        }
    }
}

fn layout(builder: &mut Builder<'_>, name: &str, fields: &Fields<'_>, origin_key: &str) -> Option<Layout> {
    let format = if origin_key == "url" { fields.text("format") } else { Some(origin_key) };
    let Some(format) = format else {
        let place = fields.get("url")?.place;
        builder.error(place, format!("the table {} needs `format`: write `mmdb`, `csv` or `json`", quoted(name)));
        return None;
    };
    if format != "csv" {
        refuse(builder, fields, "columns", "goes with CSV");
    }
    if format == "mmdb" {
        refuse(builder, fields, "key", "does not go with a MaxMind DB, which is looked up by address");
        refuse(builder, fields, "key_type", "does not go with a MaxMind DB, which is looked up by address");
        return Some(Layout { key: KeyType::Network, format: Format::Mmdb });
    }
    let key = fields.text("key").map(str::to_owned);
    let format = match (format, key) {
        ("json", key) => Format::Json { key },
        (_, Some(key)) => Format::Csv { key, columns: fields.texts("columns") },
        (_, None) => {
            let place = fields.place()?;
            builder.error(
                place,
                format!("the table {} needs `key`: write the column that rows are found by", quoted(name)),
            );
            return None;
        }
    };
    let key = if fields.text("key_type") == Some("network") { KeyType::Network } else { KeyType::Text };
    Some(Layout { key, format })
}

fn server(builder: &mut Builder<'_>, fields: &Fields<'_>, written: &Node) -> Option<Server> {
    let url = format::https_url(written.text()?).ok()?;
    let ca_file = fields.path("ca_file", &builder.sources);
    let (refresh, timeout) = (fields.duration("refresh")?, fields.duration("timeout")?);
    match Server::new(url, ca_file.as_deref(), refresh, timeout) {
        Ok(server) => Some(server),
        Err(reason) => {
            let place = fields.get("ca_file").map_or(written.place, |node| node.place);
            builder.error(place, format!("`ca_file` cannot be used: {reason}"));
            None
        }
    }
}

fn refuse(builder: &mut Builder<'_>, fields: &Fields<'_>, key: &str, why: &str) {
    if let Some(node) = fields.get(key) {
        builder.error(node.place, format!("`{key}` {why}: remove it"));
    }
}

const ORIGINS: [&str; 4] = ["mmdb", "csv", "json", "url"];
