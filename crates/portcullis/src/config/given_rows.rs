//! The rows that a test of policies gives to tables, in the place of those that are there.

use std::sync::Arc;

use authorize::{Format, Layout, Rows, Table};
use serde_json::{Map, Value as Json};

use super::builder::Builder;
use super::fields::Fields;
use super::policy_test::json;
use super::suggest;
use super::tree::{Node, quoted};
use crate::tables::Source;

/// Rows for a table while a test runs.
#[derive(Clone, Debug)]
pub(crate) struct GivenRows {
    table: Arc<Table>,
    rows: Arc<Rows>,
}

impl GivenRows {
    /// Runs a test with its rows in place, and puts back what was there.
    pub(crate) fn lend<T>(given: &[Self], run: impl FnOnce() -> T) -> T {
        let before: Vec<_> = given.iter().map(|given| given.table.exchange(Some(Arc::clone(&given.rows)))).collect();
        let result = run();
        for (given, before) in given.iter().zip(before) {
            given.table.exchange(before);
        }
        result
    }
}

/// Builds `data` of what a test is given.
pub(crate) fn build(builder: &mut Builder<'_>, given: &Fields<'_>, tables: &[Arc<Source>]) -> Vec<GivenRows> {
    let mut built = Vec::new();
    for entry in given.get("data").map_or(&[][..], Node::entries) {
        match tables.iter().find(|table| table.name() == entry.key) {
            Some(table) => built.extend(table_rows(builder, &entry.value, table)),
            None => {
                let hint = suggest::hint(&entry.key, tables.iter().map(|table| table.name()));
                builder.error(entry.key_place, format!("no table is called {}: {hint}", quoted(&entry.key)));
            }
        }
    }
    built
}

fn table_rows(builder: &mut Builder<'_>, node: &Node, source: &Source) -> Option<GivenRows> {
    let mut rows = Map::new();
    for entry in node.entries() {
        let Json::Object(row) = json(&entry.value) else {
            builder.error(entry.value.place, format!("a row must be a mapping, not {}", entry.value.noun()));
            return None;
        };
        rows.insert(entry.key.clone(), Json::Object(as_read(builder, &entry.value, source, &entry.key, row)));
    }
    let layout = Layout { key: source.layout().key, format: Format::Json { key: None } };
    match Rows::read(&layout, Json::Object(rows).to_string().into_bytes()) {
        Ok(rows) => Some(GivenRows { table: Arc::clone(source.table()), rows: Arc::new(rows) }),
        Err(error) => {
            builder.error(node.place, error.to_string());
            None
        }
    }
}

/// Makes a row what it would be in the file: in CSV every column is there, and all of them are texts.
fn as_read(
    builder: &mut Builder<'_>,
    node: &Node,
    source: &Source,
    key: &str,
    row: Map<String, Json>,
) -> Map<String, Json> {
    let Format::Csv { key: key_column, .. } = &source.layout().format else { return row };
    let rows = source.table().rows();
    let columns = rows.as_ref().and_then(|rows| rows.columns()).unwrap_or_default();
    for entry in node.entries().iter().filter(|_| !columns.is_empty()) {
        if !columns.iter().any(|column| **column == *entry.key) {
            let hint = suggest::hint(&entry.key, columns.iter().map(|column| &**column));
            builder.error(entry.key_place, format!("the table has no column {}: {hint}", quoted(&entry.key)));
        }
    }
    let mut whole: Map<_, _> = columns.iter().map(|column| (column.to_string(), "".into())).collect();
    whole.extend(node.entries().iter().map(|entry| (entry.key.clone(), entry.value.text().unwrap_or_default().into())));
    whole.entry(key_column.clone()).and_modify(|value| *value = key.into());
    whole
}
