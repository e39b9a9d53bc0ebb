//! What `betrace inspect` shows of a rule.

mod guests;

use betrace::columns::projection::Intrinsic;
use betrace::engine::inspect;
use guests::{Clause, Describe, On, Reads, engine, load};

#[test]
fn a_rule_is_described_for_a_person() {
    let engine = engine();
    let describe = Describe {
        id: "payment-fraud-check",
        clauses: Some(&[
            Clause {
                text: "payment.charge_card\n  .where(amount > 1000)",
                stable: true,
            },
            Clause {
                text: "payment.bypass_validation",
                stable: false,
            },
        ]),
        columns: &[
            Reads::Text(Intrinsic::Name),
            Reads::Intrinsic(Intrinsic::Duration),
            Reads::Intrinsic(Intrinsic::Kind),
            Reads::Attribute("amount"),
        ],
        constants: &["payment.charge_card", "a \"b\""],
        triggers: &[
            &[On::Name("payment.charge_card"), On::Prefix("payment.")],
            &[On::Attribute("amount")],
        ],
        ..Describe::default()
    };
    let rule = load(&engine, "name", &describe);
    let text = inspect::describe(&rule);
    let text = text
        .replace(&rule.version, "VERSION")
        .lines()
        .filter(|line| !line.starts_with("size"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    assert_eq!(
        text,
        r#"payment-fraud-check (high)
  a guest
version   VERSION
from      name
tags      tests
message   "found it"
imports   nothing

clauses
  0  detect (signals when true; stable)
       payment.charge_card
       .where(amount > 1000)
  1  detect (signals when true; more spans can undo it)
       payment.bypass_validation

columns (22 bytes a span)
  w32     spans: name, with its text
  w64     spans: duration
  w8      spans: kind
  w8 w64  spans: attribute "amount" (any), compared as int

constants
  "payment.charge_card"
  "a \"b\""

triggers (of each line, at least one has to be in the trace)
  name "payment.charge_card" or name "payment."…
  attribute "amount" (any)
"#
    );
    assert!(inspect::describe(&rule).contains(&format!(
        "size      {} bytes of WebAssembly, ",
        rule.component_bytes()
    )));
}

#[test]
fn the_machine_code_is_shown_function_by_function_with_its_names() {
    let engine = engine();
    let rule = load(
        &engine,
        "name",
        &Describe {
            id: "rule",
            columns: &[Reads::Intrinsic(Intrinsic::Name)],
            constants: &["x"],
            ..Describe::default()
        },
    );
    let functions = inspect::assembly(&rule).expect("there is code");
    assert!(
        functions
            .iter()
            .any(|function| function.name == "wasm[0]::function[0]::alloc")
    );
    for name in ["alloc", "finding", "answer"] {
        let function = functions
            .iter()
            .find(|function| function.name.contains(name));
        let function = function.unwrap_or_else(|| panic!("no `{name}` among {functions:?}"));
        assert!(function.bytes > 0);
        assert!(
            function.assembly.lines().count() > 3,
            "{}",
            function.assembly
        );
        #[cfg(target_arch = "x86_64")]
        assert!(function.assembly.contains("ret"), "{}", function.assembly);
    }
}
