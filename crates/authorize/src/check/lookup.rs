//! `lookup(table, key)`, and the fields that are read of a row.

use std::ops::Range;

use identity::Ip;

use super::suggest::{did_you_mean, nearest};
use super::{Checker, Typed, constant};
use crate::code::{Code, Lookup, LookupKey};
use crate::condition::Fault;
use crate::constant::Constant;
use crate::evaluate::MAX_TABLES;
use crate::syntax::Node;
use crate::table::{Fields, KeyType, Names};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn lookup(&mut self, arguments: Vec<Typed>, nodes: &[&Node]) -> Typed {
        let (Ok([table, key]), [table_node, key_node]) = (<[Typed; 2]>::try_from(arguments), nodes) else {
            return Typed::unknown();
        };
        let Some(Constant::Text(name)) = constant(&table.code) else {
            let message = "a table is written as text in quotes, so that it is known at load";
            return self.fault(Fault::new(table_node.at.clone(), message));
        };
        let Some((name, table)) = self.named.tables.get_key_value(&**name) else {
            return self.unknown_table(name, &table_node.at);
        };
        let Some(slot) = self.slot(name) else {
            let fault = Fault::new(table_node.at.clone(), format!("a rule reads at most {MAX_TABLES} tables"));
            return self.fault(fault.help("split it into several rules"));
        };
        self.lookup_key(name, table.key(), &key, &key_node.at);
        let value = match table.rows().map(|rows| rows.fields()) {
            Some(Fields::Columns(_)) => Type::Text,
            Some(Fields::Seen(_) | Fields::Unknown) | None => Type::Dyn,
        };
        let of = Type::Map(Box::new(Type::Text), Box::new(value));
        let address = match (&key.code, table.key()) {
            (Code::Fact(fact), KeyType::Network) => fact.address(),
            _ => None,
        };
        let key = address.map_or(LookupKey::Value(key.code), LookupKey::Address);
        let lookup = Lookup { name: name.as_str().into(), table: table.clone(), slot, key, path: Vec::new() };
        Typed::new(of, Code::Lookup(Box::new(lookup)))
    }

    fn unknown_table(&mut self, name: &str, at: &Range<usize>) -> Typed {
        let fault = Fault::new(at.clone(), format!("unknown table `{name}`"));
        let help = nearest(name, self.named.tables.keys().map(String::as_str))
            .map_or_else(|| "name it under `data:`".to_owned(), did_you_mean);
        self.fault(fault.help(help))
    }

    /// Returns the place of the table among those of the condition.
    fn slot(&mut self, name: &str) -> Option<usize> {
        self.tables.iter().position(|known| *known == name).or_else(|| {
            let (name, _) = self.named.tables.get_key_value(name)?;
            self.tables.push(name);
            (self.tables.len() <= MAX_TABLES).then(|| self.tables.len() - 1)
        })
    }

    /// A key that no row can have is never found: a deny rule would never hold.
    fn lookup_key(&mut self, table: &str, of: KeyType, key: &Typed, at: &Range<usize>) {
        let fault = match (of, &key.of, constant(&key.code)) {
            (KeyType::Text, Type::Ip, _) => {
                Fault::new(at.clone(), format!("`{table}` is looked up by text; this is `ip`"))
                    .help("write the address as text, or set its `key_type: network`")
            }
            (KeyType::Network, _, Some(Constant::Text(text))) if text.parse::<Ip>().is_err() => {
                Fault::new(at.clone(), format!("`{table}` is looked up by address, and `{text}` is none"))
                    .help("write an address such as `203.0.113.7`, or `request.ip`")
            }
            _ => return,
        };
        self.faults.push(fault);
    }

    /// Looks whether a field that is read of a row is one that rows have.
    pub(super) fn row_field(&mut self, operand: &Typed, field: &str, at: &Range<usize>) {
        let Code::Lookup(lookup) = &operand.code else { return };
        let Some(rows) = lookup.table.rows() else { return };
        let table = &lookup.name;
        match rows.fields() {
            Fields::Unknown => {}
            Fields::Columns(names) if lookup.path.is_empty() && !names.0.contains_key(field) => {
                let fault = Fault::new(at.clone(), format!("the table `{table}` has no column `{field}`"));
                self.faults.push(fault.help(field_help(&names, field)));
            }
            Fields::Columns(_) => {}
            Fields::Seen(names) => {
                // What is not there need not be a mistake: the next version of the table may have it.
                let around = lookup.path.iter().try_fold(&names, |names, name| names.0.get(&**name));
                if let Some(names) = around.filter(|names| !names.0.contains_key(field)) {
                    let message = format!("no row that was seen in the table `{table}` has `{field}` here");
                    self.faults.push(Fault::warning(at.clone(), message).help(field_help(names, field)));
                }
            }
        }
    }
}

fn field_help(names: &Names, field: &str) -> String {
    let known = || names.0.keys().map(|name| &**name);
    nearest(field, known()).map_or_else(
        || {
            let listed: Vec<String> = known().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
            if listed.is_empty() { "it has no fields".to_owned() } else { format!("there are {}", listed.join(", ")) }
        },
        did_you_mean,
    )
}

/// More names than this help nobody.
const MAX_LISTED: usize = 12;
