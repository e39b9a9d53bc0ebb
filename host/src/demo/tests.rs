//! The demo's rules over the demo's traces: which rule fires on which is known by construction.

use std::sync::Arc;

use prost::Message;

use super::call::{Call, record};
use super::export::Exporters;
use super::faults::FAULTS;
use super::random::Random;
use super::rules::RULES;
use super::shop;
use crate::assemble::limits::Limits;
use crate::engine::{Engine, EngineLimits, Rule, RuleSet};
use crate::replay::run::{Options, Replay};
use crate::signal::{Certainty, Signal};

const START: u64 = 1_771_000_000_000_000_000;

struct Demo {
    engine: Arc<Engine>,
    set: Arc<RuleSet>,
}

impl Demo {
    fn new() -> Demo {
        let limits = EngineLimits {
            warm_instances: 16,
            ..EngineLimits::for_workers(1)
        };
        let engine = Arc::new(Engine::new(limits).unwrap());
        let mut rules = Vec::new();
        for (name, source) in RULES {
            let output = betrace_dsl::compile(name, source.as_bytes());
            assert!(
                output.diagnostics.is_empty(),
                "{name}: {:?}",
                output.diagnostics
            );
            for rule in output.rules {
                rules.push(Arc::new(
                    Rule::load(&engine, &rule.component, name).unwrap(),
                ));
            }
        }
        Demo {
            engine,
            set: Arc::new(RuleSet::new(1, rules)),
        }
    }

    /// The signals of traces that all come at once, a request of each service.
    fn signals(&self, traces: &[Call], seed: u64) -> Vec<Signal> {
        let mut random = Random::new(seed);
        let mut exporters = Exporters::default();
        for trace in traces {
            exporters.add(record(trace, START, &mut random));
        }
        let options = Options {
            limits: Limits::default(),
            outlines: false,
            detected_at: START,
        };
        let mut replay = Replay::new(self.engine.clone(), self.set.clone(), options);
        let mut out = Vec::new();
        for request in exporters.flush_all() {
            replay
                .push(request.encode_to_vec().into(), &mut out)
                .unwrap();
        }
        let summary = replay.finish(|batch| {
            out.extend(batch);
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!(summary.traces, traces.len() as u64);
        assert!(summary.unlike.is_empty(), "{:?}", summary.unlike);
        out.into_iter()
            .map(|emission| Arc::unwrap_or_clone(emission.signal))
            .collect()
    }
}

#[test]
fn every_rule_has_its_file_and_says_what_it_is_for() {
    let demo = Demo::new();
    assert_eq!(demo.set.rules.len(), RULES.len());
    for (rule, (name, _)) in demo.set.rules.iter().zip(RULES) {
        assert_eq!(format!("{}.betrace", rule.id), *name);
        let manifest = &rule.manifest;
        assert!(
            !manifest.description.is_empty()
                && !manifest.message.is_empty()
                && !manifest.tags.is_empty()
        );
    }
    // And no file in the folder is left out.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(
        files.filter(|name| name.ends_with(".betrace")).count(),
        RULES.len()
    );
}

#[test]
fn a_fault_breaks_its_rule_and_no_other() {
    let demo = Demo::new();
    for fault in FAULTS {
        for seed in 0..20 {
            let story = fault.happen(&mut Random::new(seed));
            let signals = demo.signals(&[story], seed);
            let fired: Vec<_> = signals.iter().map(|s| s.rule.as_str()).collect();
            assert_eq!(fired, [fault.breaks], "{}, seed {seed}", fault.what);
            assert_eq!(signals[0].certainty, Certainty::Certain);
        }
    }
}

#[test]
fn every_rule_is_broken_by_some_fault() {
    for (name, _) in RULES {
        let id = name.trim_end_matches(".betrace");
        assert!(FAULTS.iter().any(|fault| fault.breaks == id), "{id}");
    }
}

#[test]
fn what_goes_right_breaks_no_rule() {
    let demo = Demo::new();
    let mut random = Random::new(5);
    let visits: Vec<_> = (0..1_000).map(|_| shop::visit(&mut random)).collect();
    let fired: Vec<_> = demo
        .signals(&visits, 6)
        .into_iter()
        .map(|s| (s.rule, s.root_name))
        .collect();
    assert_eq!(fired, []);
}
