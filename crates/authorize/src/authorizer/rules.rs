//! Rules in the order in which they are asked. Where there are many, those that only hold for a group are found by the
//! groups of the user, so that a hundred rules for a hundred teams cost what one costs.

use std::collections::HashMap;
use std::sync::Arc;

use identity::Identity;

use super::CompiledRule;
use crate::Input;

/// Rules of one effect.
#[derive(Debug)]
pub(super) struct Rules {
    all: Vec<Arc<CompiledRule>>,
    index: Option<Index>,
}

/// Which rules are worth asking.
#[derive(Debug)]
struct Index {
    /// Those that say nothing of groups before all else.
    always: Chosen,
    by_group: HashMap<Box<str>, Chosen>,
}

/// A bit for each rule.
type Chosen = [u64; WORDS];

impl Rules {
    /// Takes rules in their order.
    pub(super) fn new(all: Vec<Arc<CompiledRule>>) -> Self {
        let indexed = (FEW..=MOST).contains(&all.len());
        let index = indexed.then(|| Index::new(&all));
        Self { all, index }
    }

    /// Returns all rules.
    pub(super) fn all(&self) -> impl Iterator<Item = &CompiledRule> {
        self.all.iter().map(|rule| &**rule)
    }

    /// Asks the rules that can hold or fail for the user, in their order, until one gives an answer.
    pub(super) fn ask<T>(&self, input: &Input<'_>, mut ask: impl FnMut(&CompiledRule) -> Option<T>) -> Option<T> {
        match &self.index {
            None => self.all.iter().find_map(|rule| ask(rule)),
            Some(index) => positions(index.chosen(input)).filter_map(|at| self.all.get(at)).find_map(|rule| ask(rule)),
        }
    }
}

impl Index {
    fn new(rules: &[Arc<CompiledRule>]) -> Self {
        let mut index = Self { always: [0; WORDS], by_group: HashMap::new() };
        for (at, rule) in rules.iter().enumerate() {
            match rule.condition.needed_groups() {
                None => choose(&mut index.always, at),
                Some(groups) => {
                    for group in groups {
                        choose(index.by_group.entry(group.into()).or_insert([0; WORDS]), at);
                    }
                }
            }
        }
        index
    }

    fn chosen(&self, input: &Input<'_>) -> Chosen {
        let mut chosen = self.always;
        for group in input.user.map(Identity::groups).unwrap_or_default() {
            if let Some(more) = self.by_group.get(group) {
                for (word, more) in chosen.iter_mut().zip(more) {
                    *word |= more;
                }
            }
        }
        chosen
    }
}

fn choose(chosen: &mut Chosen, at: usize) {
    if let Some(word) = chosen.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

/// Returns the places of the bits that are set.
fn positions(chosen: Chosen) -> impl Iterator<Item = usize> {
    chosen.into_iter().zip((0..).step_by(64)).flat_map(|(word, start)| {
        let rest = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
        rest.take_while(|word| *word != 0).map(move |word| start + word.trailing_zeros() as usize)
    })
}

/// So few rules are asked one after the other as fast as they are looked up.
const FEW: usize = 4;
/// More are asked one after the other: a policy that long is not written by hand.
const MOST: usize = WORDS * 64;
const WORDS: usize = 8;
