//! Which of a rule's constants some row of a call holds.
//!
//! Most rules have a constant or two, and a call that was made because of a name holds it near its beginning: looking for
//! each constant in the column is cheaper than looking at each row. A rule of many constants has its rows looked up in a
//! table instead, so that the work is never their product.

use crate::columns::batch::tag;

/// Constants that are each looked for. At 16 symbols a nanosecond, eight of them cost half of what the table does.
const FEW: usize = 8;

/// What was met in this call.
#[derive(Debug, Default)]
pub(super) struct MetConstants {
    /// The rule's constants with whether each was met; empty where they are many.
    few: Vec<(u32, bool)>,
    /// By constant of the rule set: the call that it was last met in.
    calls: Vec<u32>,
    call: u32,
    many: bool,
}

impl MetConstants {
    /// A call starts, of a rule with these constants, in a rule set of `all` constants.
    pub(super) fn start(&mut self, constants: &[u32], all: usize) {
        self.few.clear();
        self.many = constants.len() > FEW;
        if !self.many {
            self.few
                .extend(constants.iter().map(|&symbol| (symbol, false)));
            return;
        }
        if self.call == u32::MAX || self.calls.len() != all {
            self.calls.clear();
            self.calls.resize(all, 0);
            self.call = 0;
        }
        self.call += 1;
    }

    /// Takes a column of symbols.
    pub(super) fn meet(&mut self, symbols: &[u32]) {
        for (constant, met) in &mut self.few {
            *met = *met || symbols.contains(constant);
        }
        if self.many {
            for &symbol in symbols {
                self.enter(symbol as usize);
            }
        }
    }

    /// Takes an attribute, whose value is a symbol where its tag says text.
    pub(super) fn meet_text(&mut self, tags: &[u8], values: &[u64]) {
        for (constant, met) in &mut self.few {
            let wanted = u64::from(*constant);
            *met = *met
                || values.contains(&wanted)
                    && tags
                        .iter()
                        .zip(values)
                        .any(|(&tag, &value)| tag == tag::TEXT && value == wanted);
        }
        if self.many {
            for (&tag, &value) in tags.iter().zip(values) {
                if tag == tag::TEXT {
                    self.enter(usize::try_from(value).unwrap_or(usize::MAX));
                }
            }
        }
    }

    /// Whether the rule's constant of this index and symbol was met.
    pub(super) fn is_met(&self, index: usize, symbol: u32) -> bool {
        if self.many {
            self.calls.get(symbol as usize) == Some(&self.call)
        } else {
            self.few.get(index).is_some_and(|&(_, met)| met)
        }
    }

    fn enter(&mut self, symbol: usize) {
        if let Some(met) = self.calls.get_mut(symbol) {
            *met = self.call;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// One table is kept over calls of few and of many constants.
        #[test]
        fn what_some_row_holds_is_met(
            calls in proptest::collection::vec(
                (
                    proptest::collection::btree_set(0..40_u32, 0..20),
                    proptest::collection::vec(0..60_u32, 0..30),
                    proptest::collection::vec((0..8_u8, 0..60_u64), 0..30),
                ),
                1..6,
            ),
        ) {
            let mut met = MetConstants::default();
            for (constants, symbols, attribute) in calls {
                let constants: Vec<u32> = constants.into_iter().collect();
                let (tags, values): (Vec<u8>, Vec<u64>) = attribute.iter().copied().unzip();
                met.start(&constants, 40);
                met.meet(&symbols);
                met.meet_text(&tags, &values);
                for (index, &constant) in constants.iter().enumerate() {
                    let held = symbols.contains(&constant)
                        || attribute.contains(&(tag::TEXT, u64::from(constant)));
                    prop_assert_eq!(met.is_met(index, constant), held);
                }
            }
        }
    }
}
