//! Reads YAML into the tree: the only file that names the YAML crate.
//!
//! Stricter than YAML where YAML surprises: duplicate keys, merge keys and tags are refused, `yes` is a text, and
//! anchors cannot blow a small file up.

mod remedy;

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::problem::Problem;
use super::source::{FileId, Place};
use super::tree::{Entry, Node, Scalar, Style, Value, quoted};

/// Reads one document. A file that is no YAML gives one problem; duplicate keys and the like are all reported.
pub(crate) fn parse(text: &str, file: FileId) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, file, anchors: HashMap::new(), nodes: 0, problems: Vec::new() };
    match reader.document() {
        Ok(node) => Ok((node, reader.problems)),
        Err(fatal) => {
            reader.problems.push(fatal);
            Err(reader.problems)
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    file: FileId,
    /// Values by anchor; `None` while the value is still being read.
    anchors: HashMap<usize, Option<Node>>,
    nodes: usize,
    problems: Vec<Problem>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "events of the parser are its own enum, and an open one")]
impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    self.report(span, "a second YAML document starts here: put everything into one");
                    break;
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span)?);
                }
                Event::StreamEnd => break,
                _ => return Err(self.error(span, "this is not part of the document: remove it")),
            }
        }
        Ok(root.unwrap_or(Node { value: Value::Null, place: Place::start_of(self.file) }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = self.place_of(*error.marker(), *error.marker());
                let message = if remedy::is_of_tag(error.kind()) { TAG.to_owned() } else { syntax(error.kind()) };
                Err(Problem::error(at, message))
            }
            None => {
                let start = Place::start_of(self.file);
                Err(Problem::error(start, "not valid YAML: the file ends too early: write the rest of it"))
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Problem> {
        self.count(1, span)?;
        let place = self.place(span);
        if event.tag().is_some() {
            // What follows the tag is the rest of a rule, about which nothing sensible can be said.
            let start = span.tag_start().unwrap_or(span.start);
            return Err(Problem::error(self.place_of(start, start), TAG));
        }
        let anchor = event.anchor_id();
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, None);
        }
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::UnresolvedAlias(_) => {
                self.report(
                    span,
                    "this alias names no anchor above it: define the anchor first, or put quotes around a text that \
                     starts with `*`",
                );
                Value::Scalar(Scalar { text: String::new(), style: Style::Plain, expanded: false, failed: true })
            }
            _ => return Err(self.error(span, "not valid YAML: a value is missing: write one")),
        };
        let node = Node { value, place };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, span)?);
        }
    }

    fn map(&mut self) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            let key_place = key.place;
            if key.is_failed() {
                continue;
            }
            let Some(key) = key.text() else {
                self.problems.push(Problem::error(key_place, "a key must be a text: write `name: value`"));
                continue;
            };
            let mistake = if key == "<<" {
                Some("merge keys (`<<`) are not supported: write the keys out, or use `defaults` for routes".to_owned())
            } else {
                let first = entries.iter().find(|entry| entry.key == key);
                first.map(|_| format!("the key {} is given twice: remove one", quoted(key)))
            };
            match mistake {
                Some(message) => self.problems.push(Problem::error(key_place, message)),
                None => entries.push(Entry { key: key.to_owned(), key_place, value }),
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Problem> {
        let node = match self.anchors.get(&anchor) {
            Some(Some(node)) => node.clone(),
            Some(None) | None => return Err(self.error(span, "this alias stands inside the value that it names")),
        };
        self.count(size(&node), span)?;
        Ok(node)
    }

    /// Bounds the tree, whatever aliases multiply: ten lines of nested aliases stand for a billion values.
    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.error(
                span,
                format!("the file has more than {MAX_NODES} values, counting what aliases repeat: make it smaller"),
            ));
        }
        Ok(())
    }

    /// Notes a mistake behind which the rest of the file can still be read.
    fn report(&mut self, span: Span, message: &str) {
        self.problems.push(self.error(span, message));
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::error(self.place(span), message)
    }

    fn place(&self, span: Span) -> Place {
        self.place_of(span.start, span.end)
    }

    fn place_of(&self, start: Marker, end: Marker) -> Place {
        let start = start.byte_offset().unwrap_or_default();
        Place { file: self.file, start, end: end.byte_offset().unwrap_or_default().max(start) }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" if style == Style::Plain => Value::Null,
        _ => Value::Scalar(Scalar { text, style, expanded: false, failed: false }),
    }
}

/// Says what is wrong with what is no YAML, and what to do.
fn syntax(kind: &ErrorKind) -> String {
    let what = if let ErrorKind::UnexpectedCharacter { character } = kind {
        // The parser's own text puts it between two kinds of quotes.
        format!("unexpected character {}", quoted(&character.to_string()))
    } else if *kind == ErrorKind::RecursionLimitExceeded {
        format!("more than {MAX_DEPTH} levels")
    } else {
        kind.to_string()
    };
    format!("not valid YAML: {what}: {}", remedy::remedy(kind))
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.value)).sum::<usize>(),
    }
}

/// Both for what reads as a tag, which would turn `!user.authenticated` into nothing, and for what does not.
const TAG: &str = "`!` begins a YAML tag here, and tags have no meaning: put the whole rule or text into single quotes, such \
                   as '!user.authenticated'";

/// Values of one file, aliases counted as often as they are used: enough for 15,000 routes.
const MAX_NODES: usize = 250_000;

/// Nesting of one file; recursion over the tree is bounded by it.
const MAX_DEPTH: usize = 64;
