//! AST to typed tree: names resolved, types checked, synonyms gone.

pub mod tree;
