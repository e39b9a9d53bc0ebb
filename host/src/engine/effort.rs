//! How long a component could take to compile, told from its code before anything is compiled.
//!
//! Cranelift can't be stopped, and takes more than twice as long for a function that is twice as large. What drives it was
//! measured with functions made to be slow (the release of wasmtime in `runtime.rs`, CPU time of a shared Xeon core); each
//! cost below is at least what the slowest of them took:
//!
//! | one function | took |
//! | --- | --- |
//! | 64,000 multiplications in a row, 760 KB | 1.7 s |
//! | 5,000; 10,000 `if`s over 8 locals, 75; 150 KB | 0.15; 0.6 s |
//! | 15,000; 30,000 nested blocks, 120; 240 KB | 1.0; 4.1 s |
//! | 4,000; 8,000 loops over 64 locals, 60; 120 KB | 1.5; 5.5 s |
//! | 3,000; 6,000 `if`s over 3,000; 4,000 locals, 45; 90 KB | 2.4; 9.7 s |
//! | 1,000 nested loops over 2,300 locals, 30 KB | 7.3 s |
//! | one loop over 3,900 locals with 3,000 ways back, 60 KB | 32 s |
//!
//! The estimate is meant to be too high: code that nobody made to be slow takes a tenth of it.

use std::time::Duration;

use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// A byte of code, in nanoseconds, whatever surrounds it.
const BYTE_NS: u64 = 2_000;

/// For each byte of a function, each byte of it: 0.08 ns.
const BYTES_TOGETHER_NS: (u64, u64) = (8, 100);

/// For each loop of a function, each loop of it.
const LOOPS_TOGETHER_NS: u64 = 100;

/// For each place where control flow parts or joins, each local that the function uses: it may need a value of its own there.
const JOIN_AND_LOCAL_NS: u64 = 3_000;

/// What compiling could take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) all: Duration,
    /// Of the function that takes longest.
    pub(super) longest: Duration,
    /// Its code's size.
    pub(super) bytes: usize,
}

/// The effort of a component, with all modules in it. What does not parse costs nothing: the compiler says better why.
pub(super) fn effort(component: &[u8]) -> Effort {
    let mut effort = Effort::default();
    let mut used = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        let Payload::CodeSectionEntry(body) = payload else {
            continue;
        };
        let took = Duration::from_nanos(function(&body, &mut used));
        effort.all = effort.all.saturating_add(took);
        if took > effort.longest {
            effort.longest = took;
            effort.bytes = body.range().len();
        }
    }
    effort
}

/// Nanoseconds of one function; `used` is room for which locals it uses.
fn function(body: &FunctionBody<'_>, used: &mut Vec<bool>) -> u64 {
    used.clear();
    let (mut joins, mut loops, mut locals) = (0_u64, 0_u64, 0_u64);
    let operators = body.get_operators_reader().into_iter();
    for operator in operators.flatten().map_while(Result::ok) {
        match operator {
            Operator::Loop { .. } => (joins, loops) = (joins + 1, loops + 1),
            Operator::Block { .. }
            | Operator::If { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. } => joins += 1,
            Operator::BrTable { targets } => joins += u64::from(targets.len()),
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } => {
                locals += u64::from(is_new(used, local_index));
            }
            _ => {}
        }
    }
    let bytes = body.range().len() as u64;
    let (times, per) = BYTES_TOGETHER_NS;
    BYTE_NS
        .saturating_mul(bytes)
        .saturating_add(bytes.saturating_mul(bytes).saturating_mul(times) / per)
        .saturating_add(
            loops
                .saturating_mul(loops)
                .saturating_mul(LOOPS_TOGETHER_NS),
        )
        .saturating_add(
            joins
                .saturating_mul(locals)
                .saturating_mul(JOIN_AND_LOCAL_NS),
        )
}

/// Whether a local is used for the first time. Those beyond the most that a function may have are no locals.
fn is_new(used: &mut Vec<bool>, local: u32) -> bool {
    /// As wasmparser and all engines have it.
    const MOST: usize = 50_000;
    let local = local as usize;
    if local >= MOST {
        return false;
    }
    if used.len() <= local {
        used.resize(local + 1, false);
    }
    used.get_mut(local)
        .is_some_and(|used| !std::mem::replace(used, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a module with this function, in milliseconds.
    fn ms(locals: usize, body: &str) -> u128 {
        let text = format!("(module (func (local {}) {body}))", "i64 ".repeat(locals));
        let module = wat::parse_str(text).expect("it is WebAssembly text");
        let effort = effort(&module);
        assert_eq!(effort.all, effort.longest, "it is the only one");
        effort.all.as_millis()
    }

    #[test]
    fn what_makes_a_function_slow_is_seen() {
        let step = |at: usize| format!("(local.set {at} (i64.add (local.get {at}) (i64.const 1)))");
        let test = "(i64.eqz (local.get 0))";
        assert_eq!(ms(1, &step(0)), 0);
        let straight = step(0).repeat(4_000);
        let ifs: String = (0..3_000)
            .map(|number| format!("(if {test} (then {}))", step(number)))
            .collect();
        let loops: String = (0..4_000)
            .map(|number| format!("(loop {} (br_if 0 {test}))", step(number % 64)))
            .collect();
        let nested = format!(
            "{}{}",
            format!("(block (br_if 0 {test})").repeat(16_000),
            ")".repeat(16_000)
        );
        let took = [
            (ms(1, &straight), 90),
            (ms(3_000, &ifs), 2_400),
            (ms(64, &loops), 1_500),
            (ms(1, &nested), 1_100),
        ];
        for (at, (estimate, measured)) in took.into_iter().enumerate() {
            assert!(
                estimate >= measured,
                "{at}: {estimate} ms, it took {measured} ms"
            );
        }
        // Locals that are there and not used cost nothing.
        assert_eq!(ms(40_000, &straight), ms(1, &straight));
    }

    #[test]
    fn of_many_functions_all_count_and_of_a_torn_module_those_before() {
        let function = "(func (local i64) (local.set 0 (i64.const 1)))";
        let module = |count: usize| {
            let text = format!("(module {})", function.repeat(count));
            wat::parse_str(text).expect("it is WebAssembly text")
        };
        let one = effort(&module(1)).all;
        let many = module(100);
        assert_eq!(effort(&many).all, one * 100);
        assert_eq!(effort(&many).longest, one);
        assert!(effort(&many[..many.len() - 20]).all < one * 100);
        assert_eq!(effort(b"no module"), Effort::default());
    }
}
