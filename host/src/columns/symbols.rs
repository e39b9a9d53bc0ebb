//! The text of a batch, interned: equal text has equal symbols.

/// Symbols of one batch: first the rule set's constants, then other text as it is met.
#[derive(Debug, Default)]
pub struct Symbols {}

impl Symbols {
    /// How many symbols there are.
    pub fn len(&self) -> usize {
        0
    }

    /// The text of a symbol.
    pub fn text(&self, _symbol: u32) -> &str {
        ""
    }
}
