//! From text to tree. The only file that names the CEL crate.

use std::ops::Range;

use cel::common::ast::{self, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::{Env, ParseErrors};

use super::Fault;
use super::scan::Brackets;
use crate::constant::Constant;
use crate::syntax::{Call, Kind, Node, Operation, Operator, Select};

/// The deepest tree. Checking and evaluating recurse, so this bounds the stack of every request.
const MAX_DEPTH: usize = 64;
/// The largest tree.
const MAX_NODES: usize = 2_000;

/// Parses a condition whose brackets are balanced. Macros come back as calls: the checker gives them their meaning.
///
/// Runs on a thread with a large stack: the parser, and the drop of what it made, recurse once a term.
pub(super) fn parse(source: &str, characters: &[char], brackets: &Brackets) -> Result<Node, Vec<Fault>> {
    let parser = Env::default().with_optional_support(false).parser();
    let (tree, info) = parser.parse_with_source_info(source).map_err(|errors| faults(&errors, characters))?;
    let offsets = source.char_indices().map(|(offset, _)| offset).collect();
    let converter = Converter { characters, offsets, brackets, info: &info };
    converter.bound(&tree).and_then(|()| converter.node(&tree)).map_err(|fault| vec![fault])
}

/// Reports the first error: one mistake makes the parser stumble over what follows it.
///
/// Takes the text of the error, never its `Display`: that pads to the column and panics beyond 65,535.
fn faults(errors: &ParseErrors, characters: &[char]) -> Vec<Fault> {
    let Some(error) = errors.errors.first() else { return vec![Fault::new(0..characters.len(), "syntax error")] };
    let start = place(error.pos, characters);
    let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    if message.contains("'<EOF>'") {
        return vec![Fault::new(0..characters.len(), "syntax error: the expression ends too early")];
    }
    vec![match offending(message) {
        Some(text) => unexpected(text.trim(), start, characters),
        // Names of the parser's own rules say nothing to who writes a condition.
        None if message.contains("Context") => incomplete(start, characters),
        None => Fault::new(start..(start + 1).min(characters.len()), format!("syntax error: {}", lower_case(message))),
    }]
}

/// Returns the text that the parser quotes, where its message is about a text that it did not expect.
fn offending(message: &str) -> Option<&str> {
    let rest = [
        "extraneous input '",
        "mismatched input '",
        "no viable alternative at input '",
        "token recognition error at: '",
    ]
    .iter()
    .find_map(|prefix| message.strip_prefix(prefix))?;
    rest.split_once("' expecting ").map(|(text, _)| text).or_else(|| rest.strip_suffix('\''))
}

fn incomplete(start: usize, characters: &[char]) -> Fault {
    match characters.windows(2).position(|pair| pair == ['?', '.']) {
        Some(at) => Fault::new(at..at + 2, "syntax error: `?.` is not expected here")
            .help("ask with `has(user.claims.department)` whether it is there"),
        None => Fault::new(start..characters.len(), "syntax error: something is missing here"),
    }
}

fn unexpected(text: &str, start: usize, characters: &[char]) -> Fault {
    let length = text.chars().count().max(1);
    let spelt = characters.get(start..start + length).is_some_and(|found| found.iter().copied().eq(text.chars()));
    let at = start..(start + if spelt { length } else { 1 }).min(characters.len());
    let shown: String = text.chars().take(40).collect();
    let fault = Fault::new(at, format!("syntax error: `{shown}` is not expected here"));
    match text {
        "and" => return fault.help("write `&&` for and"),
        "or" => return fault.help("write `||` for or"),
        "is" => return fault.help("write `==` to compare"),
        _ if word_before(start, characters) == "not" => return fault.help("write `!` for not"),
        _ => {}
    }
    match text.chars().next() {
        Some('=') => fault.help("write `==` to compare"),
        Some('&') => fault.help("write `&&` for and"),
        Some('|') => fault.help("write `||` for or"),
        Some('\u{2018}'..='\u{201f}') => fault.help("write straight quotes: `\"` or `'`"),
        Some('"' | '\'') => fault.help("write `\\\\` for a backslash, or a raw text: `r\"...\"`"),
        _ => fault,
    }
}

fn word_before(start: usize, characters: &[char]) -> String {
    let before: String = characters.iter().take(start).collect();
    before.split_whitespace().next_back().unwrap_or_default().to_owned()
}

fn lower_case(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).take(200).collect()).unwrap_or_default()
}

/// Turns a line and column, both from one, into a character offset.
fn place((line, column): (isize, isize), characters: &[char]) -> usize {
    let mut start = 0;
    for _ in 1..line {
        start = characters.iter().skip(start).position(|c| *c == '\n').map_or(characters.len(), |end| start + end + 1);
    }
    start.saturating_add(usize::try_from(column - 1).unwrap_or(0)).min(characters.len().saturating_sub(1))
}

struct Converter<'a> {
    characters: &'a [char],
    /// Where each character starts: the parser counts bytes.
    offsets: Vec<usize>,
    brackets: &'a Brackets,
    info: &'a SourceInfo,
}

impl Converter<'_> {
    /// Refuses trees that are too deep or too large, with a stack of its own instead of recursion.
    fn bound(&self, tree: &IdedExpr) -> Result<(), Fault> {
        let mut open = vec![(tree, 1_usize)];
        let mut nodes = 0_usize;
        while let Some((node, depth)) = open.pop() {
            nodes += 1;
            if depth > MAX_DEPTH {
                return Err(self.too_large(format!("the expression is more than {MAX_DEPTH} operations deep")));
            }
            if nodes > MAX_NODES {
                return Err(self.too_large(format!("the expression has more than {MAX_NODES} parts")));
            }
            children(node, &mut |child| open.push((child, depth + 1)));
        }
        Ok(())
    }

    fn too_large(&self, message: String) -> Fault {
        Fault::new(0..self.characters.len(), message).help("split it into several rules or policies")
    }

    fn node(&self, tree: &IdedExpr) -> Result<Node, Fault> {
        let token = self.token(tree.id);
        let (at, kind) = match &tree.expr {
            Expr::Literal(literal) => (token, Kind::Literal(constant(literal))),
            Expr::Ident(name) => (token, Kind::Name(name.clone())),
            Expr::Select(select) => self.select(select, token.end)?,
            Expr::Call(call) => self.call(call, &token)?,
            Expr::List(list) => (
                self.bracketed(&token),
                Kind::List(list.elements.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?),
            ),
            Expr::Map(map) => (self.bracketed(&token), Kind::Map(self.entries(map)?)),
            Expr::Struct(_) => {
                return Err(
                    Fault::new(token, "messages cannot be built in a rule").help("use a map: `{\"key\": value}`")
                );
            }
            Expr::Comprehension(_) | Expr::Unspecified => return Err(Fault::new(token, "syntax error")),
        };
        Ok(Node { at, kind })
    }

    fn select(&self, select: &ast::SelectExpr, dot_end: usize) -> Result<(Range<usize>, Kind), Fault> {
        let operand = Box::new(self.node(&select.operand)?);
        let field_at = self.name_after(dot_end, &select.field);
        let at = operand.at.start..field_at.end;
        Ok((at, Kind::Select(Select { operand, field: select.field.clone(), field_at })))
    }

    fn call(&self, call: &ast::CallExpr, token: &Range<usize>) -> Result<(Range<usize>, Kind), Fault> {
        let target = call.target.as_deref().map(|target| self.node(target)).transpose()?.map(Box::new);
        let arguments: Vec<Node> = call.args.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?;
        if let Some(operator) = operator(&call.func_name) {
            let start = arguments.first().map_or(token.start, |first| first.at.start).min(token.start);
            let end = if operator == Operator::Index {
                self.bracketed(token).end
            } else {
                arguments.last().map_or(token.end, |last| last.at.end)
            };
            return Ok((start..end, Kind::Operation(Operation { operator, operands: arguments })));
        }
        let name_at = self.name_before(token.start, &call.func_name);
        let start = target.as_ref().map_or(name_at.start, |target| target.at.start);
        let end = self.bracketed(token).end;
        Ok((start..end, Kind::Call(Call { name: call.func_name.clone(), name_at, target, arguments })))
    }

    fn entries(&self, map: &ast::MapExpr) -> Result<Vec<(Node, Node)>, Fault> {
        map.entries
            .iter()
            .map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Ok((self.node(&entry.key)?, self.node(&entry.value)?)),
                EntryExpr::StructField(_) => Err(Fault::new(self.token(entry.id), "syntax error")),
            })
            .collect()
    }

    /// Returns the characters of the token that a node was made from.
    fn token(&self, id: u64) -> Range<usize> {
        let Some((start, stop)) = self.info.offset_for(id) else { return 0..self.characters.len() };
        let character =
            |byte: u32| self.offsets.partition_point(|offset| u32::try_from(*offset).is_ok_and(|at| at < byte));
        let start = character(start);
        start..character(stop.saturating_add(1)).max(start)
    }

    /// Returns the characters from a bracket to where it closes.
    fn bracketed(&self, token: &Range<usize>) -> Range<usize> {
        token.start..self.brackets.closing(token.start).map_or(token.end, |closing| closing + 1)
    }

    /// Finds a name behind a dot, where spaces and comments may stand between.
    fn name_after(&self, from: usize, name: &str) -> Range<usize> {
        let name: Vec<char> = name.chars().collect();
        let rest = self.characters.get(from..).unwrap_or_default();
        let skipped = rest.windows(name.len().max(1)).position(|window| window == name).unwrap_or(0);
        from + skipped..from + skipped + name.len()
    }

    /// Finds a name before its opening bracket.
    fn name_before(&self, until: usize, name: &str) -> Range<usize> {
        let name: Vec<char> = name.chars().collect();
        let before = self.characters.get(..until).unwrap_or_default();
        let start = before.windows(name.len().max(1)).rposition(|window| window == name).unwrap_or(until);
        start..start + name.len()
    }
}

fn children<'a>(node: &'a IdedExpr, each: &mut dyn FnMut(&'a IdedExpr)) {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(each),
        Expr::Select(select) => each(&select.operand),
        Expr::List(list) => list.elements.iter().for_each(each),
        Expr::Map(ast::MapExpr { entries }) | Expr::Struct(ast::StructExpr { entries, .. }) => {
            for entry in entries {
                match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        each(&entry.key);
                        each(&entry.value);
                    }
                    EntryExpr::StructField(field) => each(&field.value),
                }
            }
        }
        Expr::Comprehension(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn constant(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Constant::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Constant::Double(*value.inner()),
        LiteralValue::Int(value) => Constant::Int(*value.inner()),
        LiteralValue::Null => Constant::Null,
        LiteralValue::String(value) => Constant::Text(value.inner().into()),
        LiteralValue::UInt(value) => Constant::Uint(*value.inner()),
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::LOGICAL_AND => Operator::And,
        operators::LOGICAL_OR => Operator::Or,
        operators::LOGICAL_NOT => Operator::Not,
        operators::CONDITIONAL => Operator::Conditional,
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::IN => Operator::In,
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        operators::NEGATE => Operator::Negate,
        operators::INDEX => Operator::Index,
        _ => return None,
    })
}
