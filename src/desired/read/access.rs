//! What serde walks through: the pairs of a mapping, the items of a list, and a value with its place.

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, value};

use super::{NodeReader, Problem};
use crate::{
    desired::yaml::{Key, Kind, Node},
    model::Place,
};

/// Says that a value is missing; why stands in the sink.
fn failed() -> Problem {
    de::Error::custom("rejected")
}

/// The pairs of a mapping.
pub(super) struct MapReader<'a> {
    pub(super) reader: NodeReader<'a>,
    pub(super) pairs: std::vec::IntoIter<&'a (Key, Node)>,
    pub(super) value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for MapReader<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((key, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(value::BorrowedStrDeserializer::new(&key.name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let node = self.value.take().unwrap_or(self.reader.node);
        seed.deserialize(self.reader.child(node)).map_err(|problem| problem.or_at(node.place))
    }
}

/// The items of a list.
pub(super) struct ListReader<'a> {
    pub(super) reader: NodeReader<'a>,
    pub(super) items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for ListReader<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.items
            .next()
            .map(|node| seed.deserialize(self.reader.child(node)).map_err(|problem| problem.or_at(node.place)))
            .transpose()
    }
}

/// The pairs of a mapping of names: of each the place, the name and the value, one after the other.
pub(super) struct NamedReader<'a> {
    pub(super) reader: NodeReader<'a>,
    pub(super) pairs: std::vec::IntoIter<&'a (Key, Node)>,
    pub(super) pair: Option<&'a (Key, Node)>,
    pub(super) step: u8,
}

impl<'de> SeqAccess<'de> for NamedReader<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        if self.step == 0 {
            self.pair = self.pairs.next();
        }
        let Some((key, node)) = self.pair else { return Ok(None) };
        let step = self.step;
        self.step = (step + 1) % 3;
        match step {
            0 => seed.deserialize(value::SeqDeserializer::new(numbers(key.place).into_iter())),
            1 => seed.deserialize(value::BorrowedStrDeserializer::new(&key.name)),
            _ => seed.deserialize(self.reader.child(node)),
        }
        .map(Some)
    }
}

/// A place as it goes through serde.
fn numbers(Place { file, line, column, start, end }: Place) -> [u32; 5] {
    [file, line, column, start, end]
}

/// First the place of a node, then its value, then, if that failed, the value once more, whose failure goes to the
/// sink, then whether anything did, then what unknown keys in it were probably meant to be.
pub(super) struct AtReader<'a> {
    pub(super) reader: NodeReader<'a>,
    pub(super) step: AtStep,
}

pub(super) enum AtStep {
    Place,
    /// How many problems, and unknown keys among them, there were before the value.
    Value(usize, usize),
    /// What is wrong with the value, and how many unknown keys there were before.
    Failed(Problem, usize),
    Whole(bool, usize),
    MeantKeys(usize),
}

impl<'de> MapAccess<'de> for AtReader<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Problem> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let NodeReader { node, sink, secret, .. } = self.reader;
        match std::mem::replace(&mut self.step, AtStep::Place) {
            AtStep::Place => {
                self.step = AtStep::Value(sink.borrow().len(), sink.borrow().meant.len());
                seed.deserialize(value::SeqDeserializer::new(numbers(node.place).into_iter()))
            }
            AtStep::Value(before, unknown) => match seed.deserialize(self.reader) {
                Ok(value) => {
                    self.step = AtStep::Whole(sink.borrow().len() == before, unknown);
                    Ok(value)
                }
                Err(problem) => {
                    self.step = AtStep::Failed(problem, unknown);
                    Err(failed())
                }
            },
            AtStep::Failed(problem, unknown) => {
                self.step = AtStep::Whole(false, unknown);
                // The hint to put a number in quotes must not lead to the next problem.
                let is_number = matches!(node.kind, Kind::Number(_)) && !secret;
                let next = is_number.then(|| seed.deserialize(NodeReader { quoted: true, ..self.reader }).err());
                let problem = next.flatten().unwrap_or(problem);
                if !problem.was_said() {
                    sink.borrow_mut().push(|| problem.at(node.place));
                }
                Err(failed())
            }
            AtStep::Whole(whole, unknown) => {
                self.step = AtStep::MeantKeys(unknown);
                seed.deserialize(whole.into_deserializer())
            }
            AtStep::MeantKeys(unknown) => {
                let meant = sink.borrow().meant[unknown..].to_vec();
                seed.deserialize(value::SeqDeserializer::new(meant.into_iter()))
            }
        }
    }
}
