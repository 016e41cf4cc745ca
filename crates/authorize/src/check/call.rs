//! Calls of functions, and the literals that they are called with.

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::suggest::{did_you_mean, nearest};
use super::{Checker, Typed, constant, type_of};
use crate::code::Code;
use crate::condition::Fault;
use crate::constant::Constant;
use crate::evaluate::weight;
use crate::failure::Failure;
use crate::function::{self, Function, Pattern, PatternError, Signature};
use crate::network::NetworkSet;
use crate::syntax::{Call, Kind, Node};
use crate::types::Type;
use crate::value::Value;

impl Checker<'_> {
    pub(super) fn call(&mut self, call: &Call, at: &Range<usize>) -> Typed {
        if let Some(typed) = self.macro_call(call, at) {
            return typed;
        }
        let qualified = self.qualified(call);
        let (name, target) = match &qualified {
            Some(name) => (name, None),
            None => (&call.name, call.target.as_deref()),
        };
        let nodes: Vec<&Node> = target.into_iter().chain(&call.arguments).collect();
        if function::signatures().iter().all(|known| known.name != name) {
            return self.unknown_function(call, &nodes);
        }
        let arguments: Vec<Typed> = nodes.iter().map(|node| self.node(node)).collect();
        let named: Vec<&Signature> = function::signatures().iter().filter(|known| known.name == name).collect();
        let style: Vec<&Signature> =
            named.iter().copied().filter(|known| known.receiver.is_some() == target.is_some()).collect();
        let types: Vec<&Type> = arguments.iter().map(|argument| &argument.of).collect();
        let fitting: Vec<&Signature> = style.iter().copied().filter(|known| known.takes(&types)).collect();
        let Some(signature) = fitting.first() else {
            let candidates = if style.is_empty() { &named } else { &style };
            return self.wrong_arguments(call, candidates, &types, &nodes);
        };
        let of = fitting.iter().map(|known| known.result.clone()).reduce(|a, b| a.join(&b)).unwrap_or(Type::Dyn);
        self.known(signature.function, of, arguments, &nodes)
    }

    /// Returns the name of a function with a dot in its name, such as `ip.isCanonical`, where that is what is called.
    fn qualified(&self, call: &Call) -> Option<String> {
        let Some(Kind::Name(prefix)) = call.target.as_deref().map(|target| &target.kind) else { return None };
        let name = format!("{prefix}.{}", call.name);
        let known = self.local(prefix).is_none() && function::signatures().iter().any(|known| known.name == name);
        known.then_some(name)
    }

    fn unknown_function(&mut self, call: &Call, nodes: &[&Node]) -> Typed {
        let prefix = call.target.as_deref().filter(|target| self.group(target).is_none() && self.begins_a_name(target));
        let prefix = prefix.and_then(|target| self.dotted(target)).map(|prefix| prefix + ".").unwrap_or_default();
        let name = format!("{prefix}{}", call.name);
        let names = function::signatures().iter().map(|known| known.name).chain(MACROS.iter().copied());
        let fault = Fault::new(call.name_at.clone(), format!("unknown function `{name}`"));
        let meant = nearest(&name, names);
        for node in nodes {
            // `user.isAdmin()` is one mistake, not two; nor is `x` unknown in `exist(x, x == 1)`.
            if !self.begins_a_name(node) && meant.is_none_or(|meant| !MACROS.contains(&meant)) {
                self.node(node);
            }
        }
        self.fault(match meant {
            Some(meant) => fault.help(did_you_mean(meant)),
            None => fault,
        })
    }

    /// Points at the one argument that is wrong where there is one, else at the name.
    fn wrong_arguments(&mut self, call: &Call, known: &[&Signature], types: &[&Type], nodes: &[&Node]) -> Typed {
        let wrong = match known {
            [only] if only.style_and_count(types.len(), call.target.is_some()) => {
                only.all().zip(types).position(|(wanted, given)| !given.fits(wanted))
            }
            _ => None,
        };
        let at = wrong.and_then(|wrong| nodes.get(wrong)).map_or_else(|| call.name_at.clone(), |node| node.at.clone());
        let given: Vec<String> = types.iter().map(|of| format!("`{of}`")).collect();
        let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
        let mut forms: Vec<String> = known.iter().map(|known| format!("`{}`", known.text)).collect();
        forms.dedup();
        self.fault(
            Fault::new(at, format!("`{}` cannot be called on {given}", call.name))
                .help(format!("it is called as {}", forms.join(" or "))),
        )
    }

    /// Turns a call that fits into code, with what its literals say compiled into it.
    fn known(&mut self, function: Function, of: Type, arguments: Vec<Typed>, nodes: &[&Node]) -> Typed {
        if function == Function::Lookup {
            return self.lookup(arguments, nodes);
        }
        // Not so of a value of any type: it may be a duration, whose parts are others.
        let of_time = arguments.first().is_some_and(|argument| argument.of == Type::Timestamp);
        let code: Vec<Code> = arguments.into_iter().map(|argument| argument.code).collect();
        self.possible_part(function, &code, nodes);
        match (function, code.as_slice()) {
            (Function::ToDyn, _) => match code.into_iter().next() {
                Some(value) => Typed::new(Type::Dyn, value),
                None => Typed::unknown(),
            },
            (Function::Format, [Code::Constant(Constant::Text(text)), values]) => {
                match format_fault(text, values, nodes) {
                    Some(fault) => self.fault(fault),
                    None => self.plain(function, of, code, nodes),
                }
            }
            (Function::InCidr, [_, Code::Constant(Constant::Text(text))]) => {
                let networks = self.literal_network(text, nodes);
                in_networks(of, code, networks)
            }
            (Function::InNetwork, [_, Code::Constant(Constant::Text(name))]) => {
                let networks = self.named_network(name, nodes);
                in_networks(of, code, networks)
            }
            (Function::InNetwork, _) => self.not_literal("a network", nodes),
            (Function::Matches | Function::Glob, [_, Code::Constant(Constant::Text(pattern))]) => {
                match Pattern::compile(function, pattern) {
                    Ok(pattern) => match code.into_iter().next() {
                        Some(text) => Typed::new(of, Code::Matches(Box::new(text), pattern)),
                        None => Typed::unknown(),
                    },
                    Err(error) => self.bad_pattern(&error, nodes),
                }
            }
            (Function::Time(part), [_, Code::Constant(Constant::Text(name))]) => match function::zone(name) {
                Some(zone) => match code.into_iter().next() {
                    Some(time) => Typed::new(of, Code::PartInZone(part, Box::new(time), zone)),
                    None => Typed::unknown(),
                },
                None => {
                    let fault = Fault::new(last(nodes), format!("unknown time zone `{name}`"));
                    let zones = function::zones();
                    let help = nearest(name, zones.iter().map(String::as_str)).map(did_you_mean);
                    let other = || "write a name such as `Europe/Berlin` or an offset such as `+02:00`".to_owned();
                    self.fault(fault.help(help.unwrap_or_else(other)))
                }
            },
            (Function::Time(part), [_]) if of_time => match code.into_iter().next() {
                Some(time) => Typed::new(of, Code::PartInZone(part, Box::new(time), TimeZone::UTC)),
                None => Typed::unknown(),
            },
            (Function::Time(_), [_, _]) => self.not_literal("a time zone", nodes),
            _ => self.plain(function, of, code, nodes),
        }
    }

    /// Calls a function now when all that it is called with is known now.
    fn plain(&mut self, function: Function, of: Type, code: Vec<Code>, nodes: &[&Node]) -> Typed {
        let known: Option<Vec<Value<'_>>> = code.iter().map(|part| constant(part).map(Constant::value)).collect();
        let known = known.filter(|known| !known.is_empty());
        let affordable =
            |known: &Vec<Value<'_>>| self.budget.spend(known.iter().map(weight).sum::<usize>() + 1).is_ok();
        let folded = known.filter(affordable).map(|known| {
            let text = known.iter().enumerate().find_map(|(at, value)| match value {
                Value::Text(text) => Some((at, text.to_string())),
                _ => None,
            });
            (function.call(&known).map(own), text)
        });
        match folded {
            Some((Ok(Some(constant)), _)) => Typed::new(type_of(&constant), Code::Constant(constant)),
            Some((Err(Failure::Invalid(what)), text)) => {
                let (at, message) =
                    text.map_or_else(|| (0, what.to_owned()), |(at, text)| (at, format!("`{text}` is {what}")));
                self.fault(Fault::new(nodes.get(at).map_or(0..0, |node| node.at.clone()), message))
            }
            Some((Err(failure), _)) => {
                self.fault(Fault::new(nodes.first().map_or(0..0, |node| node.at.clone()), failure.to_string()))
            }
            Some((Ok(None), _)) | None => Typed::new(of, Code::Call(function, code.into())),
        }
    }

    fn literal_network(&mut self, text: &str, nodes: &[&Node]) -> Arc<NetworkSet> {
        match function::to_cidr(text) {
            Ok(network) => {
                if network.trunc() != network {
                    let message = format!("`{text}` has bits behind its prefix");
                    self.faults.push(Fault::warning(last(nodes), message).help(format!("write `{}`", network.trunc())));
                }
                Arc::new(NetworkSet::new([network]))
            }
            Err(failure) => {
                self.faults.push(Fault::new(last(nodes), format!("`{text}` is {failure}")));
                Arc::default()
            }
        }
    }

    fn named_network(&mut self, name: &str, nodes: &[&Node]) -> Arc<NetworkSet> {
        if let Some(known) = self.named.networks.get(name) {
            return known.clone();
        }
        let fault = Fault::new(last(nodes), format!("unknown network `{name}`"));
        let help = nearest(name, self.named.networks.keys().map(String::as_str))
            .map_or_else(|| "name it under `networks:`".to_owned(), did_you_mean);
        self.faults.push(fault.help(help));
        Arc::default()
    }

    fn not_literal(&mut self, what: &str, nodes: &[&Node]) -> Typed {
        let fault =
            Fault::new(last(nodes), format!("{what} is written as text in quotes, so that it is known at load"));
        self.fault(fault)
    }

    fn bad_pattern(&mut self, error: &PatternError, nodes: &[&Node]) -> Typed {
        let message = match error {
            PatternError::Syntax(reason) => format!("not a regular expression: {reason}"),
            PatternError::TooLarge => "the pattern is too large".to_owned(),
        };
        self.fault(Fault::new(last(nodes), message))
    }
}

impl Signature {
    /// Returns the types of the receiver and the parameters.
    fn all(&self) -> impl Iterator<Item = &Type> {
        self.receiver.iter().chain(&self.parameters)
    }

    fn takes(&self, given: &[&Type]) -> bool {
        self.all().count() == given.len() && self.all().zip(given).all(|(wanted, given)| given.fits(wanted))
    }

    fn style_and_count(&self, count: usize, member: bool) -> bool {
        self.receiver.is_some() == member && self.all().count() == count
    }
}

/// Asks for the client's address as an address where that is what is asked for.
fn in_networks(of: Type, code: Vec<Code>, networks: Arc<NetworkSet>) -> Typed {
    let Some(address) = code.into_iter().next() else { return Typed::unknown() };
    let known = match &address {
        Code::Fact(fact) => fact.address(),
        _ => None,
    };
    let code = match known {
        Some(address) => Code::AddressInNetworks(address, networks),
        None => Code::InNetworks(Box::new(address), networks),
    };
    Typed::new(of, code)
}

/// Looks for clauses that are none, and for values that are missing.
fn format_fault(text: &str, values: &Code, nodes: &[&Node]) -> Option<Fault> {
    let given = match values {
        Code::Constant(Constant::List(items)) => Some(items.len()),
        Code::List(items) => Some(items.len()),
        _ => None,
    };
    let message = match (function::clauses(text), given) {
        (Err(failure), _) => format!("`{text}` is {failure}"),
        (Ok(wanted), Some(given)) if wanted > given => format!("the text takes {wanted} values; there are {given}"),
        (Ok(_), _) => return None,
    };
    Some(Fault::new(nodes.first().map_or(0..0, |node| node.at.clone()), message))
}

fn last(nodes: &[&Node]) -> Range<usize> {
    nodes.last().map_or(0..0, |node| node.at.clone())
}

/// Keeps a value beyond the evaluation that made it; lists and maps are made anew each time.
fn own(value: Value<'_>) -> Option<Constant> {
    Some(match value {
        Value::Null => Constant::Null,
        Value::Bool(value) => Constant::Bool(value),
        Value::Int(value) => Constant::Int(value),
        Value::Uint(value) => Constant::Uint(value),
        Value::Double(value) => Constant::Double(value),
        Value::Text(text) => Constant::Text(text.into()),
        Value::Bytes(bytes) => Constant::Bytes(bytes.into()),
        Value::Timestamp(value) => Constant::Timestamp(value),
        Value::Duration(value) => Constant::Duration(value),
        Value::Ip(value) => Constant::Ip(value),
        Value::Cidr(value) => Constant::Cidr(value),
        Value::Type(name) => Constant::Type(name),
        Value::List(_) | Value::Map(_) => return None,
    })
}

const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];
