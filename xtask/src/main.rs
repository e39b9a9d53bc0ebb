//! The project's chores. `cargo xtask help` lists them; none needs more than the standard library, so that it starts fast.

mod clients;
mod counts;
mod fuzz;
mod goals;
mod machine;
mod peers;
mod run;
mod test;

use std::process::ExitCode;

use run::{Failure, cargo};

const HELP: &str = "\
cargo xtask demo [ARGS]   build, then run `betrace demo` (ARGS go to it: --for 10s)
cargo xtask test          install what the tests need, then run all of them
cargo xtask check         formatting, lints and docs, without a test
cargo xtask clients       install the OpenTelemetry clients that the tests drive, and nothing else
cargo xtask bench [ARGS]  run the benches in release (ARGS go to cargo bench: --bench scan), and print a table of goals
cargo xtask bench --peers  build a Collector, and measure it and BeTrace with the same rules and traces (10 minutes)
cargo xtask counts [--bless]  count each stage's instructions and compare them with the kept table, or write it anew
cargo xtask fuzz [TARGET] [SECONDS]  fuzz each target, or one, for a minute or so many seconds
cargo xtask bless         write the expected files of the corpora anew; review them in the diff
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = match arguments.split_first() {
        Some((chore, rest)) => (chore.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match chore {
        "demo" => demo(rest),
        "test" => test::test(),
        "check" => test::check(),
        "clients" => clients::install().map(drop),
        "bench" => bench(rest),
        "counts" => counts::counts(rest),
        "fuzz" => fuzz::fuzz(rest),
        "bless" => test::bless(),
        "help" | "--help" | "-h" => {
            eprint!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!(
            "no chore `{other}`; there are:\n{HELP}"
        ))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &[String]) -> Result<(), Failure> {
    let mut command = cargo([
        "run",
        "--package",
        "betrace",
        "--bin",
        "betrace",
        "--",
        "demo",
    ]);
    command.args(arguments);
    run::run(&mut command)
}

fn bench(arguments: &[String]) -> Result<(), Failure> {
    if arguments.first().is_some_and(|first| first == "--peers") {
        return peers::bench();
    }
    let machine = machine::describe();
    run::say(&machine);
    let figures = run::root().join("target/bench-figures.txt");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", figures.display()));
    // Those of an earlier run are of other code.
    std::fs::write(&figures, "").map_err(failed)?;
    let mut command = cargo(["bench", "--package", "betrace-benches"]);
    command.args(arguments).env(goals::FILE, &figures);
    run::run(&mut command)?;
    let figures = std::fs::read_to_string(&figures).map_err(failed)?;
    run::say(&goals::table(&machine, &figures));
    Ok(())
}
