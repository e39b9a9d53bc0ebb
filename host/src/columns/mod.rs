//! A batch of traces to columns: every field that some loaded rule reads, projected once for all rules.
//!
//! ```text
//! [Trace] -> tree order of each trace -> Columns { offsets, order, one array (or two) a column, symbols }
//! ```

pub mod batch;
pub mod projection;
pub mod symbols;
