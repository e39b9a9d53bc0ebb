//! A rule's parts, and what each of them is for the traces of a batch: answers of a component of the world `explain-rule`.
//!
//! ```text
//! explanation's bytes -> Explainer::load -> parts
//! (Columns, traces) -> gather -> call -> checked answers, one a part, trace by trace
//! ```
//! It runs in the sandbox that rules run in, with the same limits, and what it answers is checked as findings are. The
//! columns are those of the rule's own set: the explanation was made from the same plan, and says so by its manifest.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::{
    ComponentExportIndex, ComponentType, Instance, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::{AsContextMut, Store};

use super::bindings::exports::betrace::rule::types as abi;
use super::fault::{Fault, FaultKind};
use super::gather::{CallLimits, Gather, Reader, Taken};
use super::instance::{self, StartError, State};
use super::limits::EVIDENCE_ROWS;
use super::manifest::Manifest;
use super::rule::{self, LoadError, Rule};
use super::runtime::Engine;
use super::set::RuleSet;
use crate::columns::batch::Columns;

/// Parts of a rule. More are written by programs, and nobody reads their explanation.
pub const PARTS: usize = 8_192;

/// Bytes of a part's text.
pub const PART_TEXT_BYTES: usize = 64 << 10;

/// Answers of one call: with a hundred rows each, they are about as much as is lifted out of an instance at once.
const ANSWERS: usize = 8_192;

/// The interface that an explanation exports.
const INTERFACE: &str = "betrace:rule/explanation@0.1.0";

/// What a part is, as in `wit/rule.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum PartKind {
    #[component(name = "when")]
    When,
    #[component(name = "detect")]
    Detect,
    #[component(name = "expect")]
    Expect,
    #[component(name = "always")]
    Always,
    #[component(name = "never")]
    Never,
    #[component(name = "both")]
    Both,
    #[component(name = "either")]
    Either,
    #[component(name = "negation")]
    Negation,
    #[component(name = "present")]
    Present,
    #[component(name = "every")]
    Every,
    #[component(name = "number")]
    Number,
    #[component(name = "constant")]
    Constant,
    #[component(name = "base")]
    Base,
    #[component(name = "filter")]
    Filter,
    #[component(name = "filter-both")]
    FilterBoth,
    #[component(name = "filter-either")]
    FilterEither,
    #[component(name = "filter-negation")]
    FilterNegation,
}

/// A part of a rule. Parts come in preorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// An earlier part; none of a body.
    pub parent: Option<u32>,
    /// In the language of rules.
    pub text: String,
    /// Columns of the rule's manifest that this very part compares.
    pub columns: Vec<u32>,
}

/// What a part is for a trace. See `wit/rule.wit` for what is counted of which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub holds: bool,
    pub count: u32,
    pub others: u32,
    /// The first of them: rows of the batch's columns, ascending.
    pub rows: Vec<u32>,
}

/// Why there are no answers.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExplainFault {
    #[error("the explanation failed: {0}")]
    Fault(Fault),
    #[error("all instances of rules are in use; ask again")]
    PoolFull,
}

/// Explains one rule.
pub struct Explainer {
    engine: Arc<Engine>,
    /// The rule, alone.
    set: Arc<RuleSet>,
    pre: InstancePre<State>,
    explain: ComponentExportIndex,
    parts: Vec<Part>,
    gather: Gather,
    /// Made at the first call, dropped after a fault.
    store: Option<(Store<State>, Instance)>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct AbiPart {
    kind: PartKind,
    parent: Option<u32>,
    text: String,
    columns: Vec<u32>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct AbiAnswer {
    trace: u32,
    part: u32,
    holds: bool,
    count: u32,
    others: u32,
    spans: Vec<u32>,
}

impl Explainer {
    /// Loads the explanation of the first rule of a set: a component that was compiled from the source that the rule was
    /// compiled from.
    pub fn load(
        engine: &Arc<Engine>,
        set: &Arc<RuleSet>,
        rule: &Rule,
        bytes: &[u8],
    ) -> Result<Explainer, LoadError> {
        let origin = || format!("the explanation of rule `{}`", rule.id);
        let world = |reason: String| LoadError::World {
            origin: origin(),
            reason,
        };
        let compiler = engine.compiler();
        let (_, built) = rule::component(engine, bytes, origin, |bytes| compiler.quick(bytes))?;
        let component = built.component;
        let pre = compiler
            .linker()
            .instantiate_pre(&component)
            .map_err(|error| world(format!("{error:#}")))?;
        let interface = component
            .get_export_index(None, INTERFACE)
            .ok_or_else(|| world(format!("it does not export `{INTERFACE}`")))?;
        let function = |name: &str| {
            component
                .get_export_index(Some(&interface), name)
                .ok_or_else(|| world(format!("`{INTERFACE}` has no `{name}`")))
        };
        let explain = function("explain")?;
        let mut store = instance::store(engine);
        let instance = pre
            .instantiate(&mut store)
            .map_err(|error| match instance::not_started(&store, error) {
                StartError::Fault(fault) => LoadError::Start {
                    origin: origin(),
                    fault,
                },
                StartError::PoolFull => LoadError::PoolFull {
                    origin: origin(),
                    instances: engine.limits().instances(),
                },
            })?;
        let described = |fault| LoadError::Describe {
            origin: origin(),
            fault,
        };
        let manifest: abi::Manifest =
            ask(&mut store, &instance, &function("describe")?).map_err(described)?;
        let manifest = Manifest::check(manifest).map_err(|error| LoadError::Manifest {
            origin: origin(),
            error,
        })?;
        if manifest != rule.manifest {
            return Err(world("it reads other columns than the rule".to_owned()));
        }
        let parts: Vec<AbiPart> =
            ask(&mut store, &instance, &function("parts")?).map_err(described)?;
        if parts.len() > PARTS {
            return Err(LoadError::TooManyParts {
                origin: origin(),
                parts: parts.len(),
                most: PARTS,
            });
        }
        let parts = check_parts(parts, manifest.columns.len()).map_err(world)?;
        Ok(Explainer {
            engine: engine.clone(),
            set: set.clone(),
            pre,
            explain,
            parts,
            gather: Gather::default(),
            store: None,
        })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The answers of all parts for each of `traces`: indices into the batch, ascending. `columns` are those of the set's
    /// projection. A trace that is too large has no answers.
    pub fn run(
        &mut self,
        columns: &Columns,
        traces: &[u32],
    ) -> Result<Vec<Option<Vec<Answer>>>, ExplainFault> {
        let mut answers = Vec::with_capacity(traces.len());
        let mut rest = traces;
        while !rest.is_empty() {
            match self.call(columns, rest)? {
                None => {
                    answers.push(None);
                    rest = rest.get(1..).unwrap_or_default();
                }
                Some(of_call) => {
                    rest = rest.get(of_call.len()..).unwrap_or_default();
                    answers.extend(of_call.into_iter().map(Some));
                }
            }
        }
        Ok(answers)
    }

    /// The answers for the first of `traces`, as many as one call may hold; none where the first is too large.
    fn call(
        &mut self,
        columns: &Columns,
        traces: &[u32],
    ) -> Result<Option<Vec<Vec<Answer>>>, ExplainFault> {
        let (Some(rule), Some(binding)) = (self.set.rules.first(), self.set.bindings.first())
        else {
            return Ok(None);
        };
        let reader = Reader {
            layout: rule.layout(),
            binding,
            offsets: self.set.offsets,
            columns,
            constants: self.set.projection.constants.len(),
        };
        let limits = self.engine.limits();
        let limits = CallLimits {
            call_bytes: limits.call_bytes,
            trace_bytes: limits.trace_bytes,
            traces: (ANSWERS / self.parts.len().max(1)).max(1),
        };
        let Taken::Call { traces, oversized } = self.gather.take(&reader, traces, limits) else {
            return Ok(None);
        };
        self.gather.write(&reader);
        let (mut store, instance) = match self.store.take() {
            Some(warm) => warm,
            None => self.start()?,
        };
        let gather = &self.gather;
        let batch = abi::Batch {
            traces: gather.traces() as u32,
            spans: gather.spans,
            events: gather.events,
            links: gather.links,
            symbols: gather.symbols,
            w32: &gather.w32,
            w64: &gather.w64,
            w8: &gather.w8,
        };
        instance::begin(&mut store);
        let answered = match explain(&mut store, &instance, &self.explain, batch) {
            Ok(Ok(answers)) => check(answers, traces, self.parts.len(), gather),
            Ok(Err(message)) => Err(Fault::new(FaultKind::Error, message)),
            Err(error) => Err(instance::classify(&store, error)),
        };
        match answered {
            Ok(answers) => {
                self.store = Some((store, instance));
                Ok(Some(answers))
            }
            Err(fault) if oversized && fault.kind == FaultKind::Memory => Ok(None),
            Err(fault) => Err(ExplainFault::Fault(fault)),
        }
    }

    fn start(&self) -> Result<(Store<State>, Instance), ExplainFault> {
        let mut store = instance::store(&self.engine);
        let started = self.pre.instantiate(&mut store);
        let instance = started.map_err(|error| match instance::not_started(&store, error) {
            StartError::PoolFull => ExplainFault::PoolFull,
            StartError::Fault(fault) => ExplainFault::Fault(fault),
        })?;
        Ok((store, instance))
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer")
            .field("set", &self.set)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// Calls a function without parameters.
fn ask<T>(
    store: &mut Store<State>,
    instance: &Instance,
    function: &ComponentExportIndex,
) -> Result<T, Fault>
where
    T: Lift + 'static,
{
    instance::begin(store);
    let called = instance
        .get_typed_func::<(), (T,)>(store.as_context_mut(), function)
        .and_then(|function| function.call(store.as_context_mut(), ()));
    called
        .map(|(answer,)| answer)
        .map_err(|error| instance::classify(store, error))
}

fn explain(
    store: &mut Store<State>,
    instance: &Instance,
    function: &ComponentExportIndex,
    batch: abi::Batch<'_>,
) -> wasmtime::Result<Result<Vec<AbiAnswer>, String>> {
    let function: TypedFunc<(abi::Batch<'_>,), (Result<Vec<AbiAnswer>, String>,)> =
        instance.get_typed_func(store.as_context_mut(), function)?;
    let (answers,) = function.call(store.as_context_mut(), (batch,))?;
    Ok(answers)
}

/// Whether parts are a tree in preorder below bodies, each bounded.
fn check_parts(parts: Vec<AbiPart>, columns: usize) -> Result<Vec<Part>, String> {
    if parts.is_empty() || parts.len() > PARTS {
        return Err(format!(
            "it has {} parts, from 1 to {PARTS} are allowed",
            parts.len()
        ));
    }
    let mut checked = Vec::with_capacity(parts.len());
    // The parts above the last one, itself included.
    let mut above: Vec<u32> = Vec::new();
    for (index, part) in (0..).zip(parts) {
        let is_placed = match part.parent {
            None => {
                above.clear();
                part.kind.is_body()
            }
            Some(parent) => {
                while above.last().is_some_and(|&last| last != parent) {
                    above.pop();
                }
                !above.is_empty() && !part.kind.is_body()
            }
        };
        if !is_placed {
            return Err(format!("part {index} stands where it can't"));
        }
        if part.text.len() > PART_TEXT_BYTES {
            let bytes = part.text.len();
            return Err(format!(
                "the text of part {index} has {bytes} bytes, at most {PART_TEXT_BYTES} are allowed"
            ));
        }
        if part
            .columns
            .iter()
            .any(|&column| column as usize >= columns)
            || part.columns.len() > columns
        {
            return Err(format!("part {index} compares a column that is not there"));
        }
        above.push(index);
        checked.push(Part {
            kind: part.kind,
            parent: part.parent,
            text: part.text,
            columns: part.columns,
        });
    }
    Ok(checked)
}

/// The answers by trace; every index came from a stranger.
fn check(
    answers: Vec<AbiAnswer>,
    traces: usize,
    parts: usize,
    gather: &Gather,
) -> Result<Vec<Vec<Answer>>, Fault> {
    if answers.len() != traces * parts {
        let message = format!(
            "{} answers for {parts} parts of {traces} traces",
            answers.len()
        );
        return Err(Fault::new(FaultKind::Index, message));
    }
    let mut checked = Vec::with_capacity(traces);
    let mut answers = answers.into_iter();
    for trace in 0..traces {
        let Some((rows, first)) = gather.spans_of(trace) else {
            return Err(Fault::new(FaultKind::Index, "no such trace"));
        };
        let last = first + rows.len() as u32;
        let mut of_trace = Vec::with_capacity(parts);
        for (part, answer) in answers.by_ref().take(parts).enumerate() {
            if (answer.trace as usize, answer.part as usize) != (trace, part) {
                let message = format!(
                    "an answer of part {} of trace {}, where that of part {part} of trace {trace} belongs",
                    answer.part, answer.trace
                );
                return Err(Fault::new(FaultKind::Index, message));
            }
            let named = answer.spans.len();
            if named > EVIDENCE_ROWS
                || named as u64 > u64::from(answer.count) + u64::from(answer.others)
            {
                let message = format!("{named} spans in the answer of part {part}");
                return Err(Fault::new(FaultKind::TooMuch, message));
            }
            let mut spans = answer.spans;
            let mut least = first;
            for span in &mut spans {
                if *span < least || *span >= last {
                    let message = format!("span {span} of part {part} is not in its trace");
                    return Err(Fault::new(FaultKind::Index, message));
                }
                least = *span + 1;
                *span = *span - first + rows.start as u32;
            }
            of_trace.push(Answer {
                holds: answer.holds,
                count: answer.count,
                others: answer.others,
                rows: spans,
            });
        }
        checked.push(of_trace);
    }
    Ok(checked)
}

impl PartKind {
    /// A body of the rule.
    pub fn is_body(self) -> bool {
        matches!(
            self,
            PartKind::When
                | PartKind::Detect
                | PartKind::Expect
                | PartKind::Always
                | PartKind::Never
        )
    }

    /// It says whether spans pass, not whether the trace does.
    pub fn is_of_spans(self) -> bool {
        matches!(
            self,
            PartKind::Base
                | PartKind::Filter
                | PartKind::FilterBoth
                | PartKind::FilterEither
                | PartKind::FilterNegation
        )
    }

    /// The word that explanations use.
    pub fn name(self) -> &'static str {
        match self {
            PartKind::When => "when",
            PartKind::Detect => "detect",
            PartKind::Expect => "expect",
            PartKind::Always => "always",
            PartKind::Never => "never",
            PartKind::Both => "both",
            PartKind::Either => "either",
            PartKind::Negation => "negation",
            PartKind::Present => "present",
            PartKind::Every => "every",
            PartKind::Number => "number",
            PartKind::Constant => "constant",
            PartKind::Base => "base",
            PartKind::Filter => "filter",
            PartKind::FilterBoth => "filter-both",
            PartKind::FilterEither => "filter-either",
            PartKind::FilterNegation => "filter-negation",
        }
    }
}

#[cfg(test)]
mod tests;
