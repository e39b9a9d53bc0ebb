//! A batch of traces to columns: every field that some loaded rule reads, projected once for all rules.
//!
//! ```text
//! [Trace] -> tree order of each trace -> Columns { offsets, order, one array (or two) a column, symbols }
//! ```
//!
//! Of one trace: `read` walks each span's bytes once, `sections` reads each resource and scope once a batch,
//! [`tree`] finds the order, then `intrinsics` and `items` append rows. A field that no column declares is skipped.

mod attribute;
pub mod batch;
pub mod census;
mod intrinsics;
mod items;
mod keys;
mod plan;
mod project;
pub mod projection;
mod read;
mod sections;
pub mod symbols;
pub mod tree;
