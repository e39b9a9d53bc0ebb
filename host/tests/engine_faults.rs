//! Hostile rules: whatever one does, the host lives, the other rules find what they would have found, and the fault is
//! counted with its kind.

mod guests;

use std::sync::Arc;
use std::time::Duration;

use betrace::columns::projection::Intrinsic;
use betrace::engine::{Engine, EngineLimits, FaultKind, LoadError, Rule, Worker};
use guests::{
    ANSWER, Clause, Describe, Image, On, Reads, Span, bare_module, component, component_with,
    engine, engine_with, found, load, path, run, set, span,
};

fn honest(id: &'static str) -> Describe<'static> {
    Describe {
        id,
        columns: &[Reads::Intrinsic(Intrinsic::Name)],
        constants: &["bypass"],
        ..Describe::default()
    }
}

fn batch() -> Vec<Vec<Span>> {
    vec![
        vec![span("charge", "pay")],
        vec![span("charge", "pay"), span("bypass", "pay")],
        vec![span("bypass", "pay")],
    ]
}

/// Runs a hostile rule between two honest ones, twice: the first time with a fresh instance, the second after its fault.
fn beside_honest_rules(engine: &Arc<Engine>, hostile: Arc<Rule>, kind: FaultKind) {
    let before = load(engine, "name", &honest("before"));
    let after = load(engine, "name", &honest("after"));
    let set = set(&[before.clone(), hostile.clone(), after.clone()]);
    let mut worker = Worker::new(engine.clone());
    for round in 1..=2 {
        let findings = run(&mut worker, &set, &batch());
        let expected = [(1, vec![2]), (2, vec![3])];
        assert_eq!(found(&findings, 0), expected, "round {round}");
        assert_eq!(found(&findings, 1), [], "round {round}");
        assert_eq!(found(&findings, 2), expected, "round {round}");
        let counts = hostile.counts();
        assert_eq!(
            counts.faults(kind),
            round,
            "round {round}: {:?} {:?}",
            counts,
            hostile.last_fault()
        );
        assert_eq!(counts.all_faults(), round, "round {round}: {:?}", counts);
        assert_eq!(
            (counts.instances, counts.unjudged),
            (round, 3 * round),
            "a fresh instance after each fault"
        );
        assert_eq!(worker.warm_instances(), 2);
    }
    assert_eq!(
        (before.counts().instances, after.counts().instances),
        (1, 1)
    );
    assert_eq!(
        (before.counts().all_faults(), after.counts().all_faults()),
        (0, 0)
    );
    assert!(
        hostile
            .last_fault()
            .is_some_and(|fault| fault.kind == kind && !fault.message.is_empty())
    );
}

fn is_counted(guest: &str, kind: FaultKind) {
    let engine = engine();
    let hostile = load(&engine, guest, &honest("hostile"));
    beside_honest_rules(&engine, hostile, kind);
}

#[test]
fn a_trap() {
    is_counted("trap", FaultKind::Trap);
}

#[test]
fn an_endless_loop() {
    is_counted("loop", FaultKind::Timeout);
}

#[test]
fn an_endless_recursion() {
    is_counted("recursion", FaultKind::Stack);
}

#[test]
fn growth_without_end() {
    is_counted("grow", FaultKind::Memory);
}

#[test]
fn an_allocation_that_traps() {
    is_counted("realloc_trap", FaultKind::Trap);
}

#[test]
fn an_allocation_that_never_ends() {
    is_counted("realloc_loop", FaultKind::Timeout);
}

#[test]
fn an_allocation_outside_of_memory() {
    is_counted("realloc_outside", FaultKind::Invalid);
}

#[test]
fn an_allocation_that_is_not_aligned() {
    is_counted("realloc_unaligned", FaultKind::Invalid);
}

/// `ok` of a list of findings, each `(trace, clause, evidence, more)`.
fn ok(findings: &[(u32, u32, &[u32])]) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    let at = image.list(4, findings.len(), 28);
    for (index, (trace, clause, spans)) in findings.iter().enumerate() {
        let at = at + index * 28;
        image.number(at, *trace);
        image.number(at + 4, *clause);
        let list = image.list(at + 8, spans.len(), 4);
        for (index, span) in spans.iter().enumerate() {
            image.number(list + index * 4, *span);
        }
        image.list(at + 20, 0, 16);
    }
    image.bytes
}

fn err(message: &[u8]) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    image.put(0, &[1]);
    image.text(4, message);
    image.bytes
}

/// `ok` with one finding whose list of values is `values`, written into 16 bytes each.
fn values(values: &[[u8; 16]]) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    let at = image.list(4, 1, 28);
    image.list(at + 8, 0, 4);
    let list = image.list(at + 20, values.len(), 16);
    for (index, value) in values.iter().enumerate() {
        image.put(list + index * 16, value);
    }
    image.bytes
}

/// A list of `count` findings above the heap's first page, where all is zero.
fn zeros(count: u32) -> Vec<u8> {
    let mut image = Image::new(ANSWER, 12);
    image.number(4, 192 << 10);
    image.number(8, count);
    image.bytes
}

fn answer_is_counted(answer: &[u8], kind: FaultKind) {
    let engine = engine();
    let bytes = component_with("fixed", &honest("hostile"), answer);
    let hostile = Arc::new(Rule::load(&engine, &bytes, "fixed").expect("its manifest is fine"));
    beside_honest_rules(&engine, hostile, kind);
}

#[test]
fn the_answer_that_is_not_wrong_is_taken() {
    let engine = engine();
    let bytes = component_with(
        "fixed",
        &honest("fine"),
        &ok(&[(2, 0, &[3]), (1, 0, &[1, 2])]),
    );
    let set = set(&[Arc::new(
        Rule::load(&engine, &bytes, "fixed").expect("its manifest is fine"),
    )]);
    let findings = run(&mut Worker::new(engine), &set, &batch());
    assert_eq!(found(&findings, 0), [(1, vec![1, 2]), (2, vec![3])]);
}

#[test]
fn an_error_string() {
    answer_is_counted(&err(b"no idea"), FaultKind::Error);
}

#[test]
fn an_error_string_that_is_not_text() {
    answer_is_counted(&err(b"\xff\xfe"), FaultKind::Invalid);
}

#[test]
fn a_trace_that_is_not_there() {
    answer_is_counted(&ok(&[(0, 0, &[0]), (3, 0, &[])]), FaultKind::Index);
    answer_is_counted(&ok(&[(u32::MAX, 0, &[])]), FaultKind::Index);
}

#[test]
fn a_clause_that_is_not_there() {
    answer_is_counted(&ok(&[(0, 1, &[0])]), FaultKind::Index);
}

#[test]
fn a_span_of_another_trace() {
    answer_is_counted(&ok(&[(1, 0, &[1, 2, 3])]), FaultKind::Index);
    answer_is_counted(&ok(&[(1, 0, &[0, 1])]), FaultKind::Index);
    answer_is_counted(&ok(&[(2, 0, &[u32::MAX])]), FaultKind::Index);
}

#[test]
fn spans_out_of_order_or_twice() {
    answer_is_counted(&ok(&[(1, 0, &[2, 1])]), FaultKind::Index);
    answer_is_counted(&ok(&[(1, 0, &[1, 1])]), FaultKind::Index);
}

#[test]
fn a_finding_twice() {
    answer_is_counted(&ok(&[(1, 0, &[1]), (1, 0, &[2])]), FaultKind::Index);
}

#[test]
fn more_findings_than_a_call_may_have() {
    answer_is_counted(&zeros(20_000), FaultKind::TooMuch);
}

#[test]
fn more_bytes_than_the_host_lifts() {
    answer_is_counted(&zeros(140_000), FaultKind::TooMuch);
}

#[test]
fn a_list_outside_of_memory() {
    answer_is_counted(&zeros(u32::MAX / 28), FaultKind::Invalid);
}

#[test]
fn more_evidence_than_a_finding_may_have() {
    let spans: Vec<u32> = (0..101).collect();
    answer_is_counted(&ok(&[(0, 0, &spans)]), FaultKind::TooMuch);
}

#[test]
fn values_that_are_too_many_too_long_or_none_at_all() {
    answer_is_counted(&values(&[[0; 16]; 65]), FaultKind::TooMuch);
    // 20,000 bytes of text at address 0.
    let mut long = [0; 16];
    long[0] = 4;
    long[12..].copy_from_slice(&20_000u32.to_le_bytes());
    answer_is_counted(&values(&[long]), FaultKind::TooMuch);
    answer_is_counted(&values(&[[9; 16]]), FaultKind::Invalid);
}

#[test]
fn a_rule_that_faults_keeps_what_it_found_in_calls_before() {
    // A call holds 1 KiB here, and `fixed` answers each alike: with a span that only the first calls have.
    let engine = engine_with(EngineLimits {
        call_bytes: 1 << 10,
        ..EngineLimits::for_workers(1)
    });
    let bytes = component_with("fixed", &honest("hostile"), &ok(&[(4, 0, &[4])]));
    let hostile = Arc::new(Rule::load(&engine, &bytes, "fixed").expect("its manifest is fine"));
    let set = set(std::slice::from_ref(&hostile));
    let findings = run(
        &mut Worker::new(engine),
        &set,
        &vec![vec![span("x", "y")]; 130],
    );
    // 127 traces of eight bytes, an offset's end and a constant fill the first call; the second has three.
    assert_eq!(found(&findings, 0), [(4, vec![4])]);
    assert_eq!(
        (
            hostile.counts().faults(FaultKind::Index),
            hostile.counts().unjudged
        ),
        (1, 3)
    );
}

#[test]
fn an_instance_that_grew_is_not_kept() {
    let engine = engine();
    let hoard = load(&engine, "hoard", &honest("hoard"));
    let set = set(std::slice::from_ref(&hoard));
    let mut worker = Worker::new(engine);
    for round in 1..=20 {
        run(&mut worker, &set, &batch());
        assert_eq!(
            (hoard.counts().instances, worker.warm_instances()),
            (round, 0)
        );
    }
    assert_eq!(hoard.counts().all_faults(), 0);
}

#[test]
fn a_trace_that_no_instance_has_the_memory_for_is_not_the_rules_fault() {
    let engine = engine();
    let rule = load(&engine, "name", &honest("rule"));
    let set = set(std::slice::from_ref(&rule));
    let mut worker = Worker::new(engine);
    // 4 bytes a span: larger than 4 MiB, and larger than a call.
    let huge = vec![span("bypass", "pay"); (4 << 20) / 4];
    let large = vec![span("bypass", "pay"); 50_000];
    let batch = vec![
        vec![span("bypass", "pay")],
        huge,
        large,
        vec![span("bypass", "pay")],
    ];
    let findings = run(&mut worker, &set, &batch);
    assert_eq!(
        findings
            .iter()
            .map(|f| (f.trace, f.more))
            .collect::<Vec<_>>(),
        [(0, 0), (2, 49_900), (3, 0)]
    );
    let counts = rule.counts();
    assert_eq!(
        (counts.input_too_large, counts.all_faults(), counts.unjudged),
        (1, 0, 0)
    );
}

#[test]
fn a_trace_that_makes_the_rule_run_out_of_memory_is_not_its_fault_either() {
    let limits = EngineLimits {
        memory_bytes: 256 << 10,
        keep_bytes: 256 << 10,
        trace_bytes: 128 << 10,
        ..EngineLimits::for_workers(1)
    };
    let engine = engine_with(limits);
    let rule = load(&engine, "name", &honest("rule"));
    let set = set(std::slice::from_ref(&rule));
    let mut worker = Worker::new(engine);
    // 100 KB in, as much for evidence: more than is left of 256 KiB.
    let batch = [
        vec![span("bypass", "pay"); 25_000],
        vec![span("bypass", "pay")],
    ];
    assert_eq!(
        found(&run(&mut worker, &set, &batch), 0),
        [(1, vec![25_000])]
    );
    let counts = rule.counts();
    assert_eq!(
        (counts.input_too_large, counts.all_faults()),
        (1, 0),
        "{:?}",
        rule.last_fault()
    );
}

#[test]
fn a_short_deadline_ends_a_loop_soon() {
    let engine = engine_with(EngineLimits {
        deadline: Duration::from_millis(1),
        ..EngineLimits::for_workers(1)
    });
    let hostile = load(&engine, "loop", &honest("hostile"));
    beside_honest_rules(&engine, hostile, FaultKind::Timeout);
}

fn refused(bytes: &[u8]) -> LoadError {
    Rule::load(&engine(), bytes, "rules/bad.wasm").expect_err("it is no rule")
}

#[test]
fn a_component_that_imports_anything_is_refused() {
    let bytes = wat::parse_file(path("import")).expect("it is WebAssembly text");
    assert_eq!(
        refused(&bytes).to_string(),
        "rules/bad.wasm: it imports `wasi:clocks/monotonic-clock@0.2.0`, `secret`, but a rule may import nothing; build it \
         without WASI"
    );
}

#[test]
fn what_is_no_component_says_so() {
    assert!(matches!(refused(b"hello"), LoadError::NotWasm { .. }));
    assert!(matches!(refused(b""), LoadError::NotWasm { .. }));
    let bare = bare_module("name", &honest("bare"), &[]);
    assert!(matches!(refused(&bare), LoadError::NoWorld { .. }));
    let empty = wat::parse_str("(component)").expect("it is WebAssembly text");
    assert!(matches!(refused(&empty), LoadError::World { .. }));
    let mut cut = component("name", &honest("cut"));
    cut.truncate(cut.len() / 2);
    assert!(matches!(refused(&cut), LoadError::Compile { .. }));
    let limits = EngineLimits {
        component_bytes: 1 << 10,
        ..EngineLimits::for_workers(1)
    };
    let error = Rule::load(
        &engine_with(limits),
        &component("name", &honest("large")),
        "large.wasm",
    );
    assert!(matches!(error, Err(LoadError::TooLarge { .. })));
}

#[test]
fn a_rule_that_can_not_say_what_it_is_is_refused() {
    let kind = |guest| match refused(&component(guest, &honest("bad"))) {
        LoadError::Describe { fault, .. } | LoadError::Start { fault, .. } => fault.kind,
        other => panic!("{other}"),
    };
    assert_eq!(kind("describe_trap"), FaultKind::Trap);
    assert_eq!(kind("describe_loop"), FaultKind::Timeout);
    assert_eq!(kind("start_trap"), FaultKind::Start);
}

#[test]
fn a_manifest_that_is_not_valid_is_refused() {
    let message = |describe: &Describe<'_>| refused(&component("name", describe)).to_string();
    let says = |describe: &Describe<'_>, expected: &str| {
        assert_eq!(
            message(describe),
            format!("rules/bad.wasm: its manifest is not valid: {expected}")
        );
    };
    says(
        &Describe {
            abi: Some(2),
            ..honest("id")
        },
        "it is written for ABI 2, this host speaks 1: build it again with the SDK of this release",
    );
    says(&honest(" "), "its id is empty");
    says(&honest("a\nb"), "its id holds the control character '\\n'");
    says(
        &honest(&"x".repeat(201).leak()[..]),
        "the id is 201 bytes long, at most 200 are allowed",
    );
    says(
        &Describe {
            clauses: Some(&[]),
            ..honest("id")
        },
        "it has no clause, so it can't find anything",
    );
    let clauses = [Clause {
        text: "c",
        stable: false,
    }; 257];
    says(
        &Describe {
            clauses: Some(&clauses),
            ..honest("id")
        },
        "the number of clauses is 257, at most 256 are allowed",
    );
    let columns = [Reads::Intrinsic(Intrinsic::Time)];
    says(
        &Describe {
            columns: &columns,
            ..honest("id")
        },
        "column 0: spans have no `time`",
    );
    let columns = [
        Reads::Intrinsic(Intrinsic::Name),
        Reads::Event(Intrinsic::Duration),
    ];
    says(
        &Describe {
            columns: &columns,
            ..honest("id")
        },
        "column 1: events have no `duration`",
    );
    let columns = [Reads::Text(Intrinsic::Duration)];
    says(
        &Describe {
            columns: &columns,
            ..honest("id")
        },
        "column 0: `text` is asked for, but `duration` holds no symbols",
    );
    let triggers: [&[On<'_>]; 2] = [&[On::Name("a")], &[]];
    says(
        &Describe {
            triggers: &triggers,
            ..honest("id")
        },
        "trigger group 1 is empty, so the rule would never be called",
    );
}
