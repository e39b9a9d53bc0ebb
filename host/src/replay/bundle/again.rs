//! The call of a bundle once more: a fresh engine with the bounds that held then, the same rule, the same traces.
//!
//! A rule may fault only after its instance was called some times; then the call is repeated as often. What can't be the same
//! is what it saw in the calls before, and the symbols of other rules' texts.

use std::sync::Arc;

use super::Bundle;
use crate::assemble::trace::Requests;
use crate::columns::batch::Columns;
use crate::engine::fault::Fault;
use crate::engine::{Engine, EngineError, LoadError, Rule, RuleSet, Worker};
use crate::otlp::request::Request;
use crate::otlp::scan::Malformed;

/// Calls of one instance that are made at most. The rule of a call that faulted later than this kept count of something else.
pub const MOST_CALLS: u64 = 100_000;

/// What the call led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Of the component, as signals show it.
    pub version: String,
    /// None where it did not fault.
    pub fault: Option<Fault>,
    /// Calls that were made.
    pub calls: u64,
    /// Traces that the bounds keep from the rule.
    pub too_large: u64,
}

/// Why the call can't be repeated.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("trace {number} of the bundle can't be read: {source}")]
    Trace {
        number: usize,
        #[source]
        source: Malformed,
    },
}

/// The requests of a bundle's traces, each its own.
struct Opened(Vec<Request>, Request);

impl Requests for Opened {
    fn request(&self, index: u32) -> &Request {
        self.0.get(index as usize).unwrap_or(&self.1)
    }
}

/// Repeats the call.
pub fn again(bundle: &Bundle) -> Result<Again, AgainError> {
    let engine = Arc::new(Engine::new(bundle.limits.clone())?);
    let rule = Arc::new(Rule::load(&engine, &bundle.component, &bundle.origin)?);
    let mut traces = Vec::new();
    let nothing = Request {
        bytes: bytes::Bytes::new(),
        sections: Box::default(),
        parts: Box::default(),
    };
    let mut requests = Opened(Vec::new(), nothing);
    for (number, bundled) in (0_u32..).zip(&bundle.traces) {
        let (trace, request) = bundled.open(number).map_err(|source| AgainError::Trace {
            number: number as usize + 1,
            source,
        })?;
        traces.push(trace);
        requests.0.push(request);
    }
    // Whatever its triggers say, these are the traces that it was called with.
    let set = RuleSet::without_index(1, vec![rule.clone()]);
    let mut columns = Columns::default();
    columns.project(&set.projection, &requests, &traces);
    let mut worker = Worker::with_warm(engine, 1);
    let mut findings = Vec::new();
    for _ in 0..bundle.call.clamp(1, MOST_CALLS) {
        findings.clear();
        worker.evaluate(&set, &columns, &traces, &mut findings);
        if rule.last_fault().is_some() {
            break;
        }
    }
    let counts = rule.counts();
    Ok(Again {
        version: rule.version.clone(),
        fault: rule.last_fault(),
        calls: counts.evaluations,
        too_large: counts.input_too_large,
    })
}
